package main

import (
	"context"
	"runtime"
	"runtime/debug"
	runtimemetrics "runtime/metrics"
	"time"
)

// trim returns freed memory to the system after a ramp of connections, after the account of memory has fallen, and when a calm server has
// garbage. The garbage of accepts and upgrades is as large as the memory in use, and the garbage collector alone would keep it for the
// next ramp. Released ciphers count too, since each is larger than its connection.
func (n *node) trim(ctx context.Context) error {
	after := n.cfg.Runtime.TrimAfter
	if after == 0 {
		return nil
	}
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	var t trimmer
	var e ebb
	l := newLeftover()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-ticker.C:
			ramp, gone := t.due(n.engine.Connections()+n.engine.KeptCiphers(), now, after), e.due(n.accounted(), now, after)
			if garbage := l.due(now, after); ramp || gone || garbage {
				giveBack()
			}
		}
	}
}

// giveBack returns freed memory to the system.
func giveBack() {
	runtime.GC() // the second collection, in FreeOSMemory, empties the pools
	debug.FreeOSMemory()
}

// A trimmer detects that the number of connections has settled at a new level.
type trimmer struct {
	settled int64     // connections, except for small changes, since the time below
	since   time.Time // zero = not yet
	trimmed int64     // connections at the last trim
	at      time.Time // of the last trim
	moved   bool      // their number has been another one since
}

// wave is the shortest time between two trims at the same level. Chosen by us.
const wave = 30 * time.Second

// due reports whether memory should be returned now. A change below a hundredth, or by a few connections, does not count. After a wave,
// such as that of the ciphers of a burst of messages, the level is the old one, and there is garbage that the runtime takes for live:
// its last collection was in the wave.
func (t *trimmer) due(connections int64, now time.Time, after time.Duration) bool {
	t.moved = t.moved || differs(connections, t.trimmed)
	if differs(connections, t.settled) || t.since.IsZero() {
		t.settled, t.since = connections, now
		return false
	}
	if now.Sub(t.since) < after || !t.moved || !differs(connections, t.trimmed) && now.Sub(t.at) < wave {
		return false
	}
	t.trimmed, t.at, t.moved = connections, now, false
	return true
}

// differs reports whether a and b are apart by more than a small change.
func differs(a, b int64) bool {
	return max(a-b, b-a) > max(32, a/100, b/100)
}

// An ebb finds the times when the account of memory has fallen far, and falls no more.
type ebb struct {
	highest int64     // bytes, since the last trim
	lowest  int64     // since highest
	since   time.Time // of lowest
}

const (
	ebbPart  = 4       // a fall by so much of the highest account, a fourth,
	ebbBytes = 1 << 20 // and by so many bytes, is worth a collection, whose price goes with the live heap. Chosen by us
)

// due reports whether memory should be given back now.
func (e *ebb) due(bytes int64, now time.Time, after time.Duration) bool {
	switch {
	case bytes > e.highest:
		e.highest, e.lowest, e.since = bytes, bytes, now
	case differs(bytes>>10, e.lowest>>10):
		e.lowest, e.since = min(bytes, e.lowest), now
	}
	fall := e.highest - bytes
	if fall < ebbBytes || fall < e.highest/ebbPart || now.Sub(e.since) < after {
		return false
	}
	*e = ebb{bytes, bytes, now}
	return true
}

// A leftover finds garbage and free memory that a calm server would keep for long: it collects nothing while it allocates little.
type leftover struct {
	samples   []runtimemetrics.Sample
	allocated uint64    // bytes since the start of the process
	at        time.Time // of the look before; zero = there was none
}

func newLeftover() *leftover {
	return &leftover{samples: samplesOf(
		"/gc/heap/allocs:bytes", "/gc/heap/live:bytes", "/memory/classes/heap/objects:bytes", "/memory/classes/heap/free:bytes",
	)}
}

// due looks once in a time, and reports whether memory should be given back.
func (l *leftover) due(now time.Time, every time.Duration) bool {
	if now.Sub(l.at) < every {
		return false
	}
	runtimemetrics.Read(l.samples)
	value := func(i int) uint64 { return l.samples[i].Value.Uint64() }
	allocated, elapsed, first := value(0)-l.allocated, now.Sub(l.at), l.at.IsZero()
	l.allocated, l.at = value(0), now
	live := value(1)
	garbage := max(value(2), live) - live + value(3)
	return !first && worthwhile(garbage, live, float64(allocated)/elapsed.Seconds())
}

// worthwhile reports whether a collection for some bytes of garbage and free memory is worth its price, which grows with the live heap:
// they are a part of it, and allocations at a rate in bytes a second would not bring them back soon. The collection of a few MiB is cheap,
// so it may come again after seconds.
func worthwhile(garbage, live uint64, rate float64) bool {
	const (
		least    = 512 << 10 // bytes; and a tenth of the live heap. Chosen by us
		soon     = 30.0      // seconds, of a live heap of soonHeap and more; of a smaller one as much less as it is smaller,
		soonest  = 5.0       // but no less than this
		soonHeap = 16 << 20  // bytes
	)
	return garbage > max(least, live/10) && rate*max(soonest, soon*min(1, float64(live)/soonHeap)) < float64(garbage)
}
