package main

import (
	"context"
	"runtime"
	"runtime/debug"
	"time"
)

// trim returns freed memory to the system after a ramp of connections, or after the account of memory has fallen. The garbage of
// accepts and upgrades is as large as the memory in use, and the garbage collector alone would keep it for the next ramp. Released
// ciphers count too, since each is larger than its connection.
func (n *node) trim(ctx context.Context) error {
	after := n.cfg.Runtime.TrimAfter
	if after == 0 {
		return nil
	}
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	var t trimmer
	var e ebb
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-ticker.C:
			ramp, gone := t.due(n.engine.Connections()+n.engine.KeptCiphers(), now, after), e.due(n.accounted(), now, after)
			if ramp || gone {
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
}

// due reports whether memory should be returned now. A change below a hundredth, or by a few connections, does not count.
func (t *trimmer) due(connections int64, now time.Time, after time.Duration) bool {
	if differs(connections, t.settled) || t.since.IsZero() {
		t.settled, t.since = connections, now
		return false
	}
	if !differs(connections, t.trimmed) || now.Sub(t.since) < after {
		return false
	}
	t.trimmed = connections
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
	ebbBytes = 8 << 20 // and by so many bytes, is worth a collection. Chosen by us
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
