package main

import (
	"runtime"
	"runtime/debug"
	runtimemetrics "runtime/metrics"
	"testing"
	"time"

	"tickcast/cmd/tickcast/config"
)

func TestPercentFor(t *testing.T) {
	for _, row := range []struct {
		live    uint64
		percent int
		growth  uint64
		want    int
	}{
		{2 << 20, 50, 4 << 20, 200},
		{8 << 20, 50, 4 << 20, 50},
		{80 << 20, 50, 4 << 20, 50},
		{80 << 20, 100, 4 << 20, 100},
		{0, 50, 4 << 20, 10_000},
	} {
		if got := percentFor(row.live, row.percent, row.growth); got != row.want {
			t.Errorf("%+v: %d", row, got)
		}
	}
}

// The heap grows by runtime.gc_growth between collections while it is small, and by runtime.gogc once it is large.
func TestCollectorFollowsTheHeap(t *testing.T) {
	before := debug.SetGCPercent(100)
	defer debug.SetGCPercent(before)
	c := setRuntime(config.Runtime{GOGC: 50, GCGrowth: 64 << 20})
	defer c.end()
	inForce := func() int {
		s := []runtimemetrics.Sample{{Name: "/gc/gogc:percent"}}
		runtimemetrics.Read(s)
		return int(s[0].Value.Uint64())
	}
	becomes := func(what string, ok func(percent int) bool) {
		t.Helper()
		for end := time.Now().Add(30 * time.Second); !ok(inForce()); time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%s: %d percent", what, inForce())
			}
			runtime.GC()
		}
	}
	becomes("a small heap", func(p int) bool { return p > 100 })
	large := make([]byte, 256<<20)
	becomes("a large heap", func(p int) bool { return p == 50 })
	runtime.KeepAlive(large)
	becomes("a small heap again", func(p int) bool { return p > 100 })
}
