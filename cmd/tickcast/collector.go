package main

import (
	"context"
	"os"
	"runtime"
	"runtime/debug"
	runtimemetrics "runtime/metrics"
	"sync"
	"time"

	"tickcast/cmd/tickcast/config"
)

// setRuntime sets the garbage collector of the process. Without a memory limit GOMEMLIMIT stays in force.
func setRuntime(c config.Runtime) {
	debug.SetGCPercent(c.GOGC)
	if c.MemoryLimit > 0 {
		debug.SetMemoryLimit(int64(c.MemoryLimit))
	}
}

// A collector gives the heap head room in a storm of TLS handshakes, and takes it back after the storm: a small heap would be collected
// after every few handshakes, and each collection has a fixed price. At all other times the percentage is that of the configuration, so that
// idle connections do not pay for the head room.
type collector struct {
	// Immutable.
	percent    int           // of the configuration
	growth     uint64        // bytes
	calm       time.Duration // the time without a storm after which the head room is taken back; 0 = no memory is given back
	handshakes func() uint64 // the number of handshakes since the start
	begins     chan struct{} // a storm

	mu        sync.Mutex
	heap      []runtimemetrics.Sample
	current   int       // percent in force
	collected time.Time // the time of the last collection
	counted   uint64    // handshakes at that time
	watches   uint64
	storm     bool
	ended     bool
}

// stormRate is the number of handshakes in a second that is a storm. Chosen by us: below it, the collections that they cause take a
// hundredth of a core.
const stormRate = 50

// newCollector returns a collector of a server with TLS; handshakes must not wait.
func newCollector(c config.Runtime, handshakes func() uint64) *collector {
	k := &collector{
		percent: c.GOGC, growth: uint64(c.GCGrowth), calm: c.TrimAfter, handshakes: handshakes,
		begins: make(chan struct{}, 1), current: c.GOGC, collected: time.Now(), counted: handshakes(),
	}
	k.heap = samplesOf("/gc/heap/live:bytes", "/gc/scan/stack:bytes", "/gc/scan/globals:bytes")
	return k
}

// run adjusts the runtime until ctx ends.
func (k *collector) run(ctx context.Context) error {
	if k.percent <= 0 || k.growth == 0 {
		return nil
	}
	renew := time.NewTicker(time.Minute) // the runtime may forget a watch when it takes a processor away, as with a new limit of the cgroup
	defer renew.Stop()
	k.watchAnew()
	defer k.end()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-renew.C:
			k.watchAnew()
		case <-k.begins:
			if !k.untilCalm(ctx) {
				return nil
			}
			k.stormEnds()
		}
	}
}

// setProcs gives the process as many processors as the machine or the cgroup has, and so many to spare, unless the environment sets
// GOMAXPROCS. With as many event loops as processors and all of them busy, the goroutine that reads NATS's messages would wait until Go
// preempts a loop: 10 ms, and again as long until Go looks at its socket at all. With one to spare it waits for the kernel alone. The thread of
// a loop that sleeps in epoll_wait keeps its processor until the runtime's monitor takes it, which is awake every 20 us while there is none to
// spare: with two, TLS handshakes take a twentieth less of the CPU, and with four as much more.
func setProcs(spare int) {
	if os.Getenv("GOMAXPROCS") != "" {
		return
	}
	runtime.SetDefaultGOMAXPROCS()
	if spare > 0 {
		runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + spare)
	}
}

// A cycle lives until the next collection.
type cycle struct{ _ *cycle }

// watch adjusts the percentage after the next collection. It replaces an earlier watch. The caller holds mu.
func (k *collector) watch() {
	k.watches++
	runtime.AddCleanup(new(cycle), k.adjust, k.watches)
}

func (k *collector) watchAnew() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.watch()
}

// adjust sets the percentage after a collection. A storm begins when the handshakes since the one before were fast.
func (k *collector) adjust(watch uint64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.ended || watch != k.watches {
		return
	}
	now, n := time.Now(), k.handshakes()
	if !k.storm && isStorm(n-k.counted, now.Sub(k.collected)) {
		k.storm = true
		k.begins <- struct{}{} // it has room: a storm ends after it was taken
	}
	k.collected, k.counted = now, n
	if k.storm {
		runtimemetrics.Read(k.heap)
		var scanned uint64
		for _, s := range k.heap {
			scanned += s.Value.Uint64()
		}
		k.set(percentFor(scanned, k.percent, k.growth))
	}
	k.watch()
}

// isStorm reports whether so many handshakes in a time are a storm.
func isStorm(handshakes uint64, d time.Duration) bool {
	const few = 4 // a rate of fewer is no rate
	return handshakes >= few && float64(handshakes) >= stormRate*d.Seconds()
}

// set puts a percentage in force. The runtime stops all goroutines for a change, so a small one is not worth it. A larger one counts
// even if the heap has not changed much: the runtime returns memory to the system when its goal falls. The caller holds mu.
func (k *collector) set(percent int) {
	if k.percent <= 0 {
		return
	}
	if d := max(percent-k.current, k.current-percent); d > k.current/16 || percent == k.percent && d > 0 {
		k.current = percent
		debug.SetGCPercent(percent)
	}
}

// untilCalm waits until there has been no storm for the time of calm. It reports false if ctx ends before.
func (k *collector) untilCalm(ctx context.Context) bool {
	t := time.NewTicker(time.Second)
	defer t.Stop()
	before, last := k.handshakes(), time.Now()
	stormy := last
	for {
		select {
		case <-ctx.Done():
			return false
		case now := <-t.C:
			n := k.handshakes()
			if isStorm(n-before, now.Sub(last)) {
				stormy = now
			}
			before, last = n, now
			if now.Sub(stormy) > k.calm {
				return true
			}
		}
	}
}

// stormEnds takes the head room back, and gives its memory to the system.
func (k *collector) stormEnds() {
	k.mu.Lock()
	k.storm = false
	k.set(k.percent)
	k.mu.Unlock()
	if k.calm > 0 {
		giveBack()
	}
}

// end stops the adjustments.
func (k *collector) end() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.ended = true
	k.set(k.percent)
}

// percentFor returns the percentage with which a heap grows by percent, or by growth bytes if that is more; scanned are the bytes that it
// is a percentage of: the live heap, stacks and globals.
func percentFor(scanned uint64, percent int, growth uint64) int {
	const most = 10_000 // also of the configuration
	return max(percent, int(min(growth*100/max(scanned, 1), most)))
}
