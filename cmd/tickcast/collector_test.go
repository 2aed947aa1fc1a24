package main

import (
	"context"
	"crypto/tls"
	"net"
	"runtime"
	"runtime/debug"
	runtimemetrics "runtime/metrics"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tickcast/cmd/tickcast/config"
)

func TestPercentFor(t *testing.T) {
	for _, row := range []struct {
		scanned uint64
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
		if got := percentFor(row.scanned, row.percent, row.growth); got != row.want {
			t.Errorf("%+v: %d", row, got)
		}
	}
}

func TestIsStorm(t *testing.T) {
	for _, row := range []struct {
		handshakes uint64
		d          time.Duration
		want       bool
	}{
		{50, time.Second, true},
		{49, time.Second, false},
		{4, 10 * time.Millisecond, true},
		{3, time.Millisecond, false},
		{0, 0, false},
		{1000, time.Minute, false},
	} {
		if got := isStorm(row.handshakes, row.d); got != row.want {
			t.Errorf("%+v: %v", row, got)
		}
	}
}

// In a storm of handshakes the heap grows by runtime.gc_growth between collections while it is small, and by runtime.gogc once it is
// large. Before and after the storm, and at the end, it grows by runtime.gogc.
func TestCollectorFollowsTheHeap(t *testing.T) {
	before := debug.SetGCPercent(100)
	defer debug.SetGCPercent(before)
	cfg := config.Runtime{GOGC: 50, GCGrowth: 64 << 20, TrimAfter: time.Millisecond}
	setRuntime(cfg)
	var handshakes atomic.Uint64
	c := newCollector(cfg, handshakes.Load)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = c.run(ctx) })
	defer running.Wait()
	defer cancel()

	becomes := func(what string, each uint64, ok func(percent int) bool) {
		t.Helper()
		for end := time.Now().Add(patience); !ok(percentInForce()); time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%s: %d percent", what, percentInForce())
			}
			handshakes.Add(each)
			runtime.GC()
		}
	}
	const many = 1000
	configured := func(p int) bool { return p == 50 }
	for range 20 {
		runtime.GC()
		if p := percentInForce(); p != 50 {
			t.Fatalf("%d percent before the storm", p)
		}
	}
	becomes("a small heap", many, func(p int) bool { return p > 100 })
	large := make([]byte, 256<<20)
	becomes("a large heap", many, configured)
	runtime.KeepAlive(large)
	becomes("a small heap again", many, func(p int) bool { return p > 100 })
	becomes("after the storm", 0, configured)
	becomes("a storm again", many, func(p int) bool { return p > 100 })
	cancel()
	becomes("the end", many, configured)
}

// percentInForce returns the percentage by which the heap grows.
func percentInForce() int {
	s := []runtimemetrics.Sample{{Name: "/gc/gogc:percent"}}
	runtimemetrics.Read(s)
	return int(s[0].Value.Uint64())
}

// clientHello returns the first bytes of a client with TLS.
func clientHello(t *testing.T) []byte {
	t.Helper()
	client, server := net.Pipe()
	defer server.Close()
	go func() {
		defer client.Close()
		_ = tls.Client(client, &tls.Config{ServerName: "a.test"}).Handshake() // the server answers nothing
	}()
	b := make([]byte, 16<<10)
	n, err := server.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return b[:n]
}

// The handshakes of a server's clients are a storm, which ends.
func TestStormOfHandshakes(t *testing.T) {
	if !runsAlone(t) {
		return
	}
	before := debug.SetGCPercent(100)
	defer debug.SetGCPercent(before)
	_, addr := startTLS(t, "[runtime]\ngc_growth = \"256MiB\"\ntrim_after = \"1ms\"\n", writePair(t, t.TempDir(), "a.test"))
	hello := clientHello(t)
	eventually(t, "a storm", func() bool {
		var conns []net.Conn
		for range 64 {
			c, err := net.Dial("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			conns = append(conns, c)
		}
		runtime.GC()
		for _, c := range conns {
			if _, err := c.Write(hello); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := conns[0].Read(make([]byte, 1)); err != nil { // the others are counted by now, or in a later turn
			t.Fatal(err)
		}
		runtime.GC()
		return percentInForce() > 150
	})
	eventually(t, "calm", func() bool { return percentInForce() == 50 })
}

// The spare processors are there from the start to the end. They are no reason for more event loops.
func TestSpareProcessors(t *testing.T) {
	if !runsAlone(t) {
		return
	}
	t.Setenv("GOMAXPROCS", "")
	runtime.SetDefaultGOMAXPROCS()
	before := runtime.GOMAXPROCS(0)
	setProcs(2)
	defer setProcs(0)
	if n := runtime.GOMAXPROCS(0); n != before+2 {
		t.Errorf("%d processors, want %d", n, before+2)
	}
	setProcs(0)
	if n := runtime.GOMAXPROCS(0); n != before {
		t.Errorf("%d processors in the end, want %d", n, before)
	}
	t.Setenv("GOMAXPROCS", "1")
	if setProcs(2); runtime.GOMAXPROCS(0) != before {
		t.Errorf("%d processors against the environment", runtime.GOMAXPROCS(0))
	}
}
