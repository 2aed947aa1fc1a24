package bench

import (
	"flag"
	"fmt"
	"strings"
	"testing"
	"time"

	"tickcast/loadtest/fleet"
)

var (
	scalingDeliveries = flag.Int("scaling.deliveries", 45000, "deliveries of a round, at least")
	scalingRounds     = flag.Int("scaling.rounds", 3, "rounds, each on the bare server and then on tickcast")
)

// BenchmarkScaling measures the cost of a delivery with few and many subscribers and topics. Subscribers are dealt out to
// topics; if there are more topics than subscribers, some topics have no subscriber. A sweep is one message to each topic,
// published in one go: it is one delivery to each subscriber, and "messages" is the number of messages that the server had
// to handle for a delivery. The number of sweeps of a round makes about the same number of deliveries everywhere. Each
// sweep is sent once the last has arrived. The bare server beside it writes one frame to as many connections, which have no
// topics. Figures are medians of the rounds, and of their sweeps.
func BenchmarkScaling(b *testing.B) {
	most := connections(b)
	for _, n := range []int{most / 15, most / 3, most} {
		if n == 0 {
			continue
		}
		b.Run(fmt.Sprintf("subscribers=%d", n), func(b *testing.B) {
			var table strings.Builder
			fmt.Fprintf(&table, "topics  messages  a delivery's server CPU, us: bare  tickcast  ratio"+
				"  mallocs  last arrival, ms: bare  tickcast\n")
			for _, topics := range scalingTopics {
				b.Run(fmt.Sprintf("topics=%d", topics), func(b *testing.B) {
					for b.Loop() {
						c := measureScaling(b, n, topics)
						c.report(b)
						c.row(&table)
					}
					if topics == scalingTopics[len(scalingTopics)-1] { // Go shows no log of the benchmarks above it
						b.Log(strings.TrimSuffix(table.String(), "\n"))
					}
				})
			}
		})
	}
}

// scalingTopics are the numbers of topics.
var scalingTopics = []int{1, 100, 10000}

// A scalingCell is one line of the table.
type scalingCell struct {
	subscribers, topics int
	rounds              []scalingRound
	mallocs             float64 // of tickcast, per delivery
}

// A scalingRound is a round on both servers.
type scalingRound struct{ bare, tickcast sweeps }

func (r scalingRound) ratio() float64 { return float64(r.tickcast.cpu) / float64(r.bare.cpu) }

// sweeps is the cost of some messages in a row.
type sweeps struct {
	cpu  time.Duration // of the server, per delivery
	last time.Duration // from before publishing to the last arrival, median
}

// measureScaling measures n subscribers of some topics.
func measureScaling(b *testing.B, n, topics int) scalingCell {
	b.Helper()
	server, err := startTickcast(b)
	if err != nil {
		b.Skipf("no server to measure: %v", err)
	}
	tickcast := server.listen(b, fleet.Config{Conns: n, Topics: numberedTopics(topics)}, payload128())
	server.awaitMetric(b, "tickcast_interests", float64(min(n, topics)))
	_, size := tickcast.send(b)
	bare := newBare(b, oneTopic(n), func() []byte { return likeTickcast(size) })
	bare.send(b)
	count := (*scalingDeliveries + n - 1) / n
	cell := scalingCell{subscribers: n, topics: topics}
	meter := server.startMallocs(b)
	for range *scalingRounds {
		cell.rounds = append(cell.rounds, scalingRound{bare.sweep(b, count), tickcast.sweep(b, count)})
	}
	cell.mallocs = meter.objects(b) / float64(*scalingRounds*count*n)
	return cell
}

// sweep sends count messages to all, each once the last has arrived.
func (c *contender) sweep(b *testing.B, count int) (s sweeps) {
	b.Helper()
	var lasts []time.Duration
	s.cpu = c.cost(b, func() {
		for range count {
			last, _ := c.send(b)
			lasts = append(lasts, last)
		}
	}) / time.Duration(count*c.conns)
	s.last = median(lasts, func(d time.Duration) time.Duration { return d })
	return s
}

// awaitMetric waits until a metric has the value.
func (s *tickcastServer) awaitMetric(b *testing.B, name string, want float64) {
	b.Helper()
	for begun := time.Now(); s.metric(b, name) != want; time.Sleep(10 * time.Millisecond) {
		if time.Since(begun) > orderTimeout {
			b.Fatalf("%s is %v, not %v", name, s.metric(b, name), want)
		}
	}
}

// messages returns the number of published messages for a delivery.
func (c *scalingCell) messages() float64 { return float64(c.topics) / float64(c.subscribers) }

// medians returns the medians of the rounds.
func (c *scalingCell) medians() (bare, tickcast sweeps, ratio float64) {
	of := func(what func(scalingRound) time.Duration) time.Duration { return median(c.rounds, what) }
	bare = sweeps{
		of(func(r scalingRound) time.Duration { return r.bare.cpu }),
		of(func(r scalingRound) time.Duration { return r.bare.last }),
	}
	tickcast = sweeps{
		of(func(r scalingRound) time.Duration { return r.tickcast.cpu }),
		of(func(r scalingRound) time.Duration { return r.tickcast.last }),
	}
	return bare, tickcast, median(c.rounds, scalingRound.ratio)
}

// report reports the medians.
func (c *scalingCell) report(b *testing.B) {
	bare, tickcast, ratio := c.medians()
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(bare.cpu), "bare-cpu-ns/delivery")
	b.ReportMetric(float64(tickcast.cpu), "tickcast-cpu-ns/delivery")
	b.ReportMetric(ratio, "cpu-ratio")
	b.ReportMetric(millis(bare.last), "bare-last-ms")
	b.ReportMetric(millis(tickcast.last), "tickcast-last-ms")
	b.ReportMetric(c.mallocs, "mallocs/delivery")
	b.ReportMetric(c.messages(), "messages/delivery")
}

// row adds c to the table.
func (c *scalingCell) row(table *strings.Builder) {
	bare, tickcast, ratio := c.medians()
	fmt.Fprintf(table, "%6d %9.3g %34.2f %9.2f %6.2f %8.3f %23.1f %9.1f\n", c.topics, c.messages(),
		micros(bare.cpu), micros(tickcast.cpu), ratio, c.mallocs, millis(bare.last), millis(tickcast.last))
}
