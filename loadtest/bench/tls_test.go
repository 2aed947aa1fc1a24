package bench

import (
	"flag"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tickcast/loadtest/fleet"
	"tickcast/loadtest/machine"
)

var (
	handshakes = flag.Int("tls.handshakes", 2000, "handshakes of a round with each server")
	aloneGOGC  = flag.Int("tls.gogc", 100, "GOGC of the server of crypto/tls alone: 100 is Go's default, tickcast has 50 and head room in a storm")
	churned    = flag.Int("tls.churn", 100_000, "connections of BenchmarkTLSChurn")
)

// wssTopic is the topic of the clients with TLS, where others are beside them.
const wssTopic = "px.MSFT"

// BenchmarkTLSFanout measures the CPU time of a delivery with TLS beside one without, both to clients of the same server. Half
// of the connections have TLS. The first rounds send messages one at a time to the half without, twice to the half with TLS, and again to the
// first one, since a delivery just after busier times is cheaper. As many rounds then do the same with bursts of -coalesce.inflight messages,
// which leave together. "more" is the median of the rounds' differences for single messages, and "coalesced-ratio" that of the rounds' ratios for bursts.
func BenchmarkTLSFanout(b *testing.B) {
	n := connections(b) / 2
	b.Run(connsName(n), func(b *testing.B) {
		server := startSecure(b)
		clear := server.listen(b, oneTopic(n), payload128())
		sealed := server.listen(b, fleet.Config{URL: server.secure, Insecure: true, Ramp: 1000, Conns: n, Topics: []string{wssTopic}}, payload128())
		for _, c := range []*contender{clear, sealed} { // ciphers of busy connections are kept from their third second on
			for range 3 {
				c.send(b)
				time.Sleep(time.Second)
			}
		}
		both := func(measure func(c *contender) time.Duration) (ws, wss time.Duration) {
			ws = measure(clear)
			wss = measure(sealed)
			wss += measure(sealed)
			ws += measure(clear)
			return ws / 2, wss / 2
		}
		for b.Loop() {
			rounds := make([]tlsRound, *benchRounds)
			for i := range rounds {
				r := &rounds[i]
				r.clear, r.sealed = both(func(c *contender) time.Duration { return c.measure(b).server })
			}
			for i := range rounds {
				r := &rounds[i]
				r.clearBurst, r.sealedBurst = both(func(c *contender) time.Duration { return c.burst(b) })
			}
			reportTLS(b, rounds)
		}
	})
}

// A tlsRound is the CPU time of a delivery.
type tlsRound struct{ clear, sealed, clearBurst, sealedBurst time.Duration }

func (r tlsRound) more() time.Duration { return r.sealed - r.clear }
func (r tlsRound) coalesced() float64  { return float64(r.sealedBurst) / float64(r.clearBurst) }

// burst sends bursts of messages and returns the server's CPU time of a delivery.
func (c *contender) burst(b *testing.B) time.Duration {
	b.Helper()
	bursts := max(1, *coalesceMessages / *coalesceFlight)
	cpu := c.cost(b, func() {
		for range bursts {
			c.publish(*coalesceFlight)
			c.await(b, *coalesceFlight)
		}
	})
	return cpu / time.Duration(bursts**coalesceFlight*c.conns)
}

// reportTLS reports the medians, and prints the rounds.
func reportTLS(b *testing.B, rounds []tlsRound) {
	nanos := func(f func(tlsRound) time.Duration) float64 { return float64(median(rounds, f)) }
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(nanos(func(r tlsRound) time.Duration { return r.clear }), "ws-cpu-ns/delivery")
	b.ReportMetric(nanos(func(r tlsRound) time.Duration { return r.sealed }), "wss-cpu-ns/delivery")
	b.ReportMetric(nanos(tlsRound.more), "more-cpu-ns/delivery")
	b.ReportMetric(nanos(func(r tlsRound) time.Duration { return r.clearBurst }), "ws-burst-cpu-ns/delivery")
	b.ReportMetric(nanos(func(r tlsRound) time.Duration { return r.sealedBurst }), "wss-burst-cpu-ns/delivery")
	b.ReportMetric(median(rounds, tlsRound.coalesced), "coalesced-ratio")
	var table strings.Builder
	fmt.Fprintf(&table, "a delivery's server CPU, us: single messages    bursts of %d\n", *coalesceFlight)
	fmt.Fprintf(&table, "round     ws    wss   more      ws    wss  ratio\n")
	for i, r := range rounds {
		fmt.Fprintf(&table, "%5d %6.2f %6.2f %6.2f  %6.2f %6.2f %6.2f\n", i+1, micros(r.clear), micros(r.sealed), micros(r.more()),
			micros(r.clearBurst), micros(r.sealedBurst), r.coalesced())
	}
	b.Log(strings.TrimSuffix(table.String(), "\n"))
}

// BenchmarkTLSMemory measures the memory of an idle connection with TLS and without, see BenchmarkIdleMemory, and with the records
// of crypto/tls.
func BenchmarkTLSMemory(b *testing.B) {
	n := connections(b)
	for _, row := range []struct {
		name     string
		secure   bool
		settings []string
	}{{"ws", false, nil}, {"wss", true, nil}, {"wss-crypto-tls", true, []string{"TICKCAST_TLS_RECORDS=crypto/tls"}}} {
		b.Run(row.name+"/"+connsName(n), func(b *testing.B) {
			for b.Loop() {
				server := startSecure(b, row.settings...)
				cfg := oneTopic(n)
				cfg.Ramp = 400 // what a small machine can open with TLS
				if row.secure {
					cfg.URL, cfg.Insecure = server.secure, true
				}
				growth(b, server.pid, n, func() *contender { return server.listen(b, cfg, payload128()) })
				b.ReportMetric(server.metric(b, "go_memstats_heap_alloc_bytes")/float64(n), "heap-B/conn")
				server.logHeap(b)
			}
		})
	}
}

// logHeap shows the parts of a server's memory, as its runtime accounts for them.
func (s *tickcastServer) logHeap(b *testing.B) {
	b.Helper()
	var parts []string
	for _, name := range []string{"heap_alloc", "heap_inuse", "heap_idle", "heap_released", "stack_inuse", "stack_sys", "mspan_inuse", "mspan_sys", "gc_sys", "other_sys", "buck_hash_sys"} {
		parts = append(parts, fmt.Sprintf("%s %.0f", name, s.metric(b, "go_memstats_"+name+"_bytes")/1024))
	}
	b.Log("KiB: " + strings.Join(parts, ", "))
}

// BenchmarkTLSHandshakes measures the server's CPU time of a connection with a handshake, one request and its end: of tickcast, and
// of crypto/tls alone with a goroutine for each connection. A round does the same with both. "ratio" is the median of the rounds'
// ratios of connections per CPU second, above 1 if tickcast makes more.
func BenchmarkTLSHandshakes(b *testing.B) {
	for _, resume := range []bool{false, true} {
		name := "full"
		if resume {
			name = "resumed"
		}
		b.Run(name, func(b *testing.B) {
			server := startSecure(b)
			yardstick, pair := startChild(b, "crypto/tls"), pairFiles{filepath.Join(b.TempDir(), "cert"), filepath.Join(b.TempDir(), "key"), *aloneGOGC}
			writeCertificate(b, pair.Cert, pair.Key)
			addr := yardstick.do(b, order{Serve: &pair}).URL
			u, err := url.Parse(server.secure)
			if err != nil {
				b.Fatal(err)
			}
			visitors := [2]*child{startChild(b, "visitors"), startChild(b, "visitors")}
			visit := func(k, pid int, addr string, count int) time.Duration {
				before := processCPU(b, pid)
				a := visitors[k].do(b, order{Visit: &visits{Addr: addr, Count: count, AtOnce: 8, Resume: resume}})
				if resume && count > 100 && a.Resumed < count*99/100 {
					b.Fatalf("%d of %d are resumed", a.Resumed, count)
				}
				return (processCPU(b, pid) - before) / time.Duration(count)
			}
			visit(0, server.pid, u.Host, 100) // for tickets
			visit(1, yardstick.PID(), addr, 100)
			type round struct{ tickcast, alone time.Duration }
			for b.Loop() {
				var rounds []round
				var table strings.Builder
				fmt.Fprintf(&table, "a connection's server CPU, us\nround tickcast crypto/tls  ratio\n")
				ratio := func(r round) float64 { return float64(r.alone) / float64(r.tickcast) }
				for i := range *benchRounds {
					r := round{visit(0, server.pid, u.Host, *handshakes), visit(1, yardstick.PID(), addr, *handshakes)}
					rounds = append(rounds, r)
					fmt.Fprintf(&table, "%5d %8.1f %10.1f %6.2f\n", i+1, micros(r.tickcast), micros(r.alone), ratio(r))
				}
				b.ReportMetric(0, "ns/op")
				b.ReportMetric(1/median(rounds, func(r round) time.Duration { return r.tickcast }).Seconds(), "tickcast/cpu-s")
				b.ReportMetric(1/median(rounds, func(r round) time.Duration { return r.alone }).Seconds(), "crypto-tls/cpu-s")
				b.ReportMetric(median(rounds, ratio), "ratio")
				b.Log(strings.TrimSuffix(table.String(), "\n"))
			}
		})
	}
}

// BenchmarkTLSChurn opens and ends -tls.churn WebSockets with TLS, in several ways, most of them resumed. "growth" is the server's
// memory at the end to that at the half: nothing may be left of a connection.
func BenchmarkTLSChurn(b *testing.B) {
	server := startSecure(b)
	u, err := url.Parse(server.secure)
	if err != nil {
		b.Fatal(err)
	}
	visitors := startChild(b, "visitors")
	for b.Loop() {
		var rss [2]machine.Memory
		resumed := 0
		for half := range rss {
			const part = 1000 // an order has a bounded time
			for done := 0; done < *churned/2; done += part {
				a := visitors.do(b, order{Visit: &visits{
					Addr: u.Host, Count: part, AtOnce: 16, Resume: done/part%10 > 0, WebSockets: true,
				}})
				resumed += a.Resumed
			}
			rss[half] = settled(b, server.pid)
		}
		const mb = 1 << 20
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(float64(rss[1].RSS)/float64(rss[0].RSS), "growth")
		b.Logf("%d connections, %d resumed; RSS %.1f M after the first half, %.1f M after the second; %v are open", *churned, resumed,
			float64(rss[0].RSS)/mb, float64(rss[1].RSS)/mb, server.metric(b, "tickcast_connections"))
	}
}
