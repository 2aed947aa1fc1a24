package bench

import (
	"flag"
	"fmt"
	"strings"
	"testing"
	"time"
)

var (
	coalesceFlight   = flag.Int("coalesce.inflight", 8, "messages that are kept under way")
	coalesceMessages = flag.Int("coalesce.messages", 40, "messages of a round, made a multiple of -coalesce.inflight")
)

// BenchmarkCoalesce measures the cost of a delivery when the next messages come before the last has reached all clients.
// Several messages are kept under way to all clients of one topic. A server that gathers the messages for a connection
// needs fewer system calls than messages. The yardstick is the bare server with as many frames at once: it writes them in
// one call for each connection, which is the best possible way. For scale it writes them one by one as well. The ratio is
// the median of the rounds' ratios of deliveries per CPU second, above 1 if tickcast makes more. With bursts, as on the
// bare server, the next messages are sent when all clients have the last ones. Rolling, one is sent for each that has
// arrived on the average: messages on their way to the clients cannot be gathered any more, so the slower the fleet, the
// fewer remain to gather.
func BenchmarkCoalesce(b *testing.B) {
	n := connections(b)
	b.Run(connsName(n), func(b *testing.B) {
		server, err := startTickcast(b)
		if err != nil {
			b.Skipf("no server to measure: %v", err)
		}
		tickcast := server.listen(b, oneTopic(n), payload128())
		_, size := tickcast.send(b)
		bare := newBare(b, oneTopic(n), func() []byte { return likeTickcast(size) })
		bare.send(b)
		tickcast.stream(b, *coalesceFlight) // afterwards its buffers for so many exist
		for b.Loop() {
			var rounds []coalesceRound
			for range *benchRounds {
				rounds = append(rounds, coalesce(b, bare, tickcast))
			}
			reportCoalesce(b, rounds)
		}
	})
}

// A coalesceRound is the number of deliveries of each way in a second of the server's CPU time.
type coalesceRound struct{ together, single, bursts, rolling float64 }

func (r coalesceRound) ratio() float64        { return r.bursts / r.together }
func (r coalesceRound) rollingRatio() float64 { return r.rolling / r.together }

// coalesce does one round, the same messages four ways.
func coalesce(b *testing.B, bare, tickcast *contender) (r coalesceRound) {
	inFlight := *coalesceFlight
	bursts := max(1, *coalesceMessages/inFlight)
	rate := func(c *contender, do func()) float64 {
		cpu := c.cost(b, do)
		return float64(bursts*inFlight*c.conns) / cpu.Seconds()
	}
	burst := func(c *contender) func() {
		return func() {
			for range bursts {
				c.publish(inFlight)
				c.await(b, inFlight)
			}
		}
	}
	bare.together = true
	r.together = rate(bare, burst(bare))
	r.bursts = rate(tickcast, burst(tickcast))
	bare.together = false
	r.single = rate(bare, burst(bare))
	r.rolling = rate(tickcast, func() { tickcast.stream(b, bursts*inFlight) })
	return r
}

// stream sends that many messages, *coalesceFlight of them under way.
func (c *contender) stream(b *testing.B, messages int) {
	b.Helper()
	c.fly(b, *coalesceFlight, func(sent int) bool { return sent < messages })
}

// reportCoalesce reports the medians, and prints the rounds.
func reportCoalesce(b *testing.B, rounds []coalesceRound) {
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(median(rounds, func(r coalesceRound) float64 { return r.together }), "bare-together-deliveries/cpu-s")
	b.ReportMetric(median(rounds, func(r coalesceRound) float64 { return r.single }), "bare-single-deliveries/cpu-s")
	b.ReportMetric(median(rounds, func(r coalesceRound) float64 { return r.bursts }), "tickcast-deliveries/cpu-s")
	b.ReportMetric(median(rounds, coalesceRound.ratio), "deliveries-ratio")
	b.ReportMetric(median(rounds, coalesceRound.rollingRatio), "rolling-ratio")

	var table strings.Builder
	fmt.Fprintf(&table, "a delivery's server CPU, us, %d messages under way\n", *coalesceFlight)
	fmt.Fprintf(&table, "round  bare, together  one by one  tickcast, bursts  rolling  deliveries to together: bursts  rolling\n")
	each := func(perSecond float64) float64 { return micros(time.Duration(float64(time.Second) / perSecond)) }
	for i, r := range rounds {
		fmt.Fprintf(&table, "%5d %15.2f %11.2f %17.2f %8.2f %31.2f %8.2f\n", i+1,
			each(r.together), each(r.single), each(r.bursts), each(r.rolling), r.ratio(), r.rollingRatio())
	}
	b.Log(strings.TrimSuffix(table.String(), "\n"))
}
