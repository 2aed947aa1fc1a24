package bench

import (
	"cmp"
	"fmt"
	"strings"
	"testing"
	"time"

	"tickcast/loadtest/fleet"
	"tickcast/loadtest/machine"
)

// BenchmarkIdleMemory measures the user-space memory of a server per idle connection: the memory of its process with all
// connections open and subscribed, minus its memory without connections, each time once it has settled. The kernel's share,
// some 4 KiB a socket, is the same for all servers and not part of it. "after" is the same again after some messages to
// all: buffers that traffic leaves behind. "client" is the fleet's process.
//
// "further" is the cost of each topic of a connection beyond its first: see [furtherTopics].
func BenchmarkIdleMemory(b *testing.B) {
	n := connections(b)
	b.Run("bare/"+connsName(n), func(b *testing.B) {
		for b.Loop() {
			server := startChild(b, "bare")
			url := server.do(b, order{}).URL
			growth(b, server.PID(), n, func() *contender {
				cfg := oneTopic(n)
				cfg.URL = url
				return &contender{server: server.PID(), fleet: openFleet(b, cfg, false), conns: n}
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
				cfg := fleet.Config{Conns: n, Topics: numberedTopics(topics)}
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

// memoryTopics are the numbers of topics of each connection, one after the other, the smallest possible first.
var memoryTopics = []int{1, 21, 101}

// furtherTopics reports the growth of a server's memory with the topics of its connections, per connection and further
// topic. Each number of topics has a server of its own. The topics are out of that many in all, or, if all is 0, the same
// for all connections. The metric is that of the most topics, which differs most from the noise between runs.
func furtherTopics(b *testing.B, n, all int) {
	var rows []furtherRow
	for _, perConn := range memoryTopics {
		r := furtherRow{perConn: perConn}
		r.rss, r.anon = subscribed(b, n, perConn, cmp.Or(all, perConn))
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

// A furtherRow is the memory of a server's connections.
type furtherRow struct {
	perConn   int
	rss, anon int64
}

// each returns the growth of memory from first's topics to r's, per connection of n and topic.
func (r furtherRow) each(first furtherRow, n int) float64 {
	return float64(r.rss-first.rss) / float64(n*(r.perConn-first.perConn))
}

// subscribed returns the growth of a new server with n connections, each with perConn of so many topics. The server stays
// until b ends; it is idle and disturbs no other.
func subscribed(b *testing.B, n, perConn, topics int) (rss, anon int64) {
	b.Helper()
	server, err := startTickcast(b)
	if err != nil {
		b.Skipf("no server to measure: %v", err)
	}
	empty := settled(b, server.pid)
	// Slowly, so that the server's garbage is that of usual operation and not of a rush.
	openFleet(b, fleet.Config{
		URL: server.url, Conns: n, Ramp: 1000, Topics: numberedTopics(topics), TopicsPerConn: perConn,
	}, true)
	if want, got := float64(n*perConn), server.metric(b, "tickcast_subscriptions"); got != want {
		b.Fatalf("%v subscriptions instead of %v", got, want)
	}
	m := settled(b, server.pid)
	return m.RSS - empty.RSS, m.Anon - empty.Anon
}

// growth reports the growth of the process by open and by traffic after it, per connection.
func growth(b *testing.B, pid, n int, open func() *contender) {
	empty := settled(b, pid)
	c := open()
	idle := settled(b, pid)
	clients := settled(b, c.fleet.PID())
	after := idle
	if c.publish != nil {
		for range *memoryRuns {
			c.send(b)
		}
		after = settledFor(b, pid, waveOver)
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

// waveOver is the longest time for which a server keeps the garbage of messages: 30 s behind a ramp, and its own clock.
const waveOver = 35 * time.Second

// settled waits until the process's memory has stopped falling and returns it: a server returns the garbage of a ramp some
// seconds later. It has settled after ten seconds without a new low, and at the latest after *memorySettle.
func settled(b *testing.B, pid int) machine.Memory {
	b.Helper()
	return settledFor(b, pid, 10*time.Second)
}

// settledFor is settled with another time without a new low.
func settledFor(b *testing.B, pid int, quietFor time.Duration) machine.Memory {
	b.Helper()
	const noise = 64 << 10
	begun := time.Now()
	low, lowAt := int64(0), begun
	for {
		m, err := machine.ProcessMemory(pid)
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
