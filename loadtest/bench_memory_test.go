package loadtest

import (
	"fmt"
	"testing"
	"time"
)

// BenchmarkIdleMemory measures the user-space memory of a server per idle connection: what its process holds with all
// connections open and subscribed, less what it held without, once it has settled each time. The kernel's share, some
// 4 KiB a socket, is the same for all servers and is not in it. "after" is the same again after some messages to all:
// buffers that traffic leaves behind. "client" is the fleet's process.
func BenchmarkIdleMemory(b *testing.B) {
	n := connections(b)
	b.Run("bare/"+connsName(n), func(b *testing.B) {
		for b.Loop() {
			server := startChild(b, "bare")
			url := server.next(b).URL
			growth(b, server.pid, n, func() *contender {
				cfg := oneTopic(n)
				cfg.URL = url
				return &contender{server: server.pid, fleet: openFleet(b, cfg, false), conns: n}
			})
		}
	})
	for _, topics := range []int{1, 300} {
		b.Run(fmt.Sprintf("tickcast/topics=%d/%s", topics, connsName(n)), func(b *testing.B) {
			for b.Loop() {
				server, err := startTickcast(b)
				if err != nil {
					b.Skipf("no server to measure: %v", err)
				}
				cfg := FleetConfig{Conns: n, Topics: numberedTopics(topics)}
				growth(b, server.pid, n, func() *contender { return server.listen(b, cfg, payload128()) })
			}
		})
	}
}

// growth reports by how much open, and traffic after it, makes the process grow, per connection.
func growth(b *testing.B, pid, n int, open func() *contender) {
	empty := settled(b, pid)
	c := open()
	idle := settled(b, pid)
	clients := settled(b, c.fleet.pid)
	after := idle
	if c.publish != nil {
		for range *memoryRuns {
			c.send(b)
		}
		after = settled(b, pid)
	}
	per := func(to, from int64) float64 { return float64(to-from) / float64(n) }
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(per(idle.RSS, empty.RSS), "rss-B/conn")
	b.ReportMetric(per(idle.Anon, empty.Anon), "anon-B/conn")
	b.ReportMetric(per(after.RSS, empty.RSS), "after-rss-B/conn")
	b.ReportMetric(per(clients.RSS, c.fleet.empty.RSS), "client-rss-B/conn")
	const mb = 1 << 20
	b.Logf("%d connections\n"+
		"                 RSS      PSS     anon  RSS per connection\n"+
		"empty       %6.1f M %6.1f M %6.1f M\n"+
		"idle        %6.1f M %6.1f M %6.1f M %9.0f B\n"+
		"after       %6.1f M %6.1f M %6.1f M %9.0f B\n", n,
		float64(empty.RSS)/mb, float64(empty.PSS)/mb, float64(empty.Anon)/mb,
		float64(idle.RSS)/mb, float64(idle.PSS)/mb, float64(idle.Anon)/mb, per(idle.RSS, empty.RSS),
		float64(after.RSS)/mb, float64(after.PSS)/mb, float64(after.Anon)/mb, per(after.RSS, empty.RSS))
}

// settled waits until the process's memory has stopped falling and returns it: a server gives the garbage of a ramp back
// some seconds after it. It has settled when there was no new low for ten seconds, and at the latest after *memorySettle.
func settled(b *testing.B, pid int) Memory {
	b.Helper()
	const quietFor, noise = 10 * time.Second, 64 << 10
	begun := time.Now()
	low, lowAt := int64(0), begun
	for {
		m, err := ProcessMemory(pid)
		if err != nil {
			b.Fatal(err)
		}
		if low == 0 || m.RSS < low-noise {
			low, lowAt = m.RSS, time.Now()
		}
		if time.Since(lowAt) > quietFor || time.Since(begun) > *memorySettle {
			return m
		}
		time.Sleep(500 * time.Millisecond)
	}
}
