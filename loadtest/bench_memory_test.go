package loadtest

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// BenchmarkIdleMemory measures the user-space memory of a server per idle connection: what its process holds with all
// connections open and subscribed, less what it held without, once it has settled each time. The kernel's share, some
// 4 KiB a socket, is the same for all servers and is not in it. "after" is the same again after some messages to all:
// buffers that traffic leaves behind. "client" is the fleet's process.
//
// "further" is what each topic costs that a connection has beyond its first: see [furtherTopics].
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
	for _, set := range []struct {
		name   string
		topics int // in all; 0: as many as each connection has
	}{{"shared", 0}, {"overlapping", 300}} {
		b.Run(fmt.Sprintf("tickcast/further=%s/%s", set.name, connsName(n)), func(b *testing.B) {
			for b.Loop() {
				furtherTopics(b, n, set.topics)
			}
		})
	}
}

// memoryTopics are how many topics each connection has in turn, the first time as few as can be.
var memoryTopics = []int{1, 21, 101}

// furtherTopics reports what servers hold more for the same number of connections when these have more topics, per
// connection and further topic. Each number of topics has a server of its own. They are out of that many in all, or, if
// all is 0, the same for all connections. The metric is that of the most topics, whose memory stands out most from what
// a server's is off by from run to run.
func furtherTopics(b *testing.B, n, all int) {
	var rows []furtherRow
	for _, perConn := range memoryTopics {
		r := furtherRow{perConn: perConn}
		r.rss, r.anon = subscribed(b, n, perConn, orDefault(all, perConn))
		rows = append(rows, r)
	}
	first, last := rows[0], rows[len(rows)-1]
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(first.rss)/float64(n), "rss-B/conn")
	b.ReportMetric(last.each(first, n), "B/further-topic")
	var table strings.Builder
	fmt.Fprintf(&table, "topics  RSS, M  anon, M  RSS per connection, B  per further topic, B\n")
	for _, r := range rows {
		const mb = 1 << 20
		fmt.Fprintf(&table, "%6d %7.1f %8.1f %22.0f", r.perConn, float64(r.rss)/mb, float64(r.anon)/mb, float64(r.rss)/float64(n))
		if r != first {
			fmt.Fprintf(&table, " %21.1f", r.each(first, n))
		}
		fmt.Fprintln(&table)
	}
	b.Log(strings.TrimSuffix(table.String(), "\n"))
}

// A furtherRow is the memory that a server's connections have made it take.
type furtherRow struct {
	perConn   int
	rss, anon int64
}

// each returns what n connections with r's topics took more than with first's, per connection and topic.
func (r furtherRow) each(first furtherRow, n int) float64 {
	return float64(r.rss-first.rss) / float64(n*(r.perConn-first.perConn))
}

// subscribed returns by how much a new server grows with n connections that each have perConn of so many topics. The
// server stays until b ends; it is idle and disturbs no other.
func subscribed(b *testing.B, n, perConn, topics int) (rss, anon int64) {
	b.Helper()
	server, err := startTickcast(b)
	if err != nil {
		b.Skipf("no server to measure: %v", err)
	}
	empty := settled(b, server.pid)
	// Slowly, so that the server's garbage is that of a server in use and not of a rush.
	openFleet(b, FleetConfig{
		URL: server.url, Conns: n, Ramp: 1000, Topics: numberedTopics(topics), TopicsPerConn: perConn,
	}, true)
	if want, got := float64(n*perConn), server.metric(b, "tickcast_subscriptions"); got != want {
		b.Fatalf("%v subscriptions instead of %v", got, want)
	}
	m := settled(b, server.pid)
	return m.RSS - empty.RSS, m.Anon - empty.Anon
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
