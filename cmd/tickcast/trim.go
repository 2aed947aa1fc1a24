package main

import (
	"context"
	"runtime"
	"runtime/debug"
	"time"
)

// trim gives freed memory back to the system once a ramp of connections is over: what accepting and upgrading left behind
// is as large as what stays, and the garbage collector alone would keep it for the next ramp.
func (s *node) trim(ctx context.Context) error {
	after := s.cfg.Runtime.TrimAfter
	if after == 0 {
		return nil
	}
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	var t trimmer
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-ticker.C:
			if t.due(s.engine.Connections(), now, after) {
				runtime.GC() // what pools hold goes with the second collection
				debug.FreeOSMemory()
			}
		}
	}
}

// A trimmer tells when the number of connections has settled at another height.
type trimmer struct {
	last    int64     // connections when last looked at
	trimmed int64     // connections at the last trim
	since   time.Time // when last began to hold
}

// due reports whether memory should be given back now. A change by less than a hundredth, or a few, is none.
func (t *trimmer) due(connections int64, now time.Time, after time.Duration) bool {
	if differs(connections, t.last) || t.since.IsZero() {
		t.last, t.since = connections, now
		return false
	}
	if !differs(connections, t.trimmed) || now.Sub(t.since) < after {
		return false
	}
	t.trimmed = connections
	return true
}

func differs(a, b int64) bool {
	return max(a-b, b-a) > max(32, a/100, b/100)
}
