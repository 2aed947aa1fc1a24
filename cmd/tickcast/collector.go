package main

import (
	"runtime"
	"runtime/debug"
	runtimemetrics "runtime/metrics"
	"sync"

	"tickcast/cmd/tickcast/config"
)

// A collector sets the percentage of the garbage collector after each collection: that of the configuration, or more while the heap is
// small. A small heap would be collected after every few handshakes, and each collection has a fixed price.
type collector struct {
	percent int    // of the configuration
	growth  uint64 // bytes
	live    []runtimemetrics.Sample

	mu      sync.Mutex
	current int // percent in force
	ended   bool
}

// setRuntime sets the garbage collector of the process. Without a memory limit GOMEMLIMIT stays in force.
func setRuntime(c config.Runtime) *collector {
	debug.SetGCPercent(c.GOGC)
	if c.MemoryLimit > 0 {
		debug.SetMemoryLimit(int64(c.MemoryLimit))
	}
	k := &collector{
		percent: c.GOGC, growth: uint64(c.GCGrowth), live: []runtimemetrics.Sample{{Name: "/gc/heap/live:bytes"}}, current: c.GOGC,
	}
	if c.GOGC > 0 && c.GCGrowth > 0 {
		k.watch()
	}
	return k
}

// A cycle lives until the next collection.
type cycle struct{ _ *cycle }

// watch adjusts the percentage after the next collection.
func (k *collector) watch() { runtime.AddCleanup(new(cycle), (*collector).adjust, k) }

// adjust sets the percentage for the live heap of the last collection. The runtime stops all goroutines for a change, so a small one
// is not worth it.
func (k *collector) adjust() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.ended {
		return
	}
	runtimemetrics.Read(k.live)
	p := percentFor(k.live[0].Value.Uint64(), k.percent, k.growth)
	if d := max(p-k.current, k.current-p); d > k.current/8 || p == k.percent && d > 0 {
		k.current = p
		debug.SetGCPercent(p)
	}
	k.watch()
}

// end stops the adjustments.
func (k *collector) end() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.ended = true
}

// percentFor returns the percentage with which a heap of live bytes grows by percent, or by growth bytes if that is more.
func percentFor(live uint64, percent int, growth uint64) int {
	const most = 10_000 // also of the configuration
	return max(percent, int(min(growth*100/max(live, 1), most)))
}
