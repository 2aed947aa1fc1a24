package loadtest

import (
	"flag"
	"fmt"
	"strings"
	"testing"
	"time"
)

var (
	slowGood = flag.Int("slow.good", 2000, "clients that read, at most what -slow.deaf leaves of -fanout.conns")
	slowDeaf = flag.Int("slow.deaf", 1000, "clients that do not, at most a third of -fanout.conns")
	slowRate = flag.Float64("slow.rate", 20, "messages a second")
	slowTime = flag.Duration("slow.time", 2*time.Second, "length of a round on one server")
)

// slowFill is how many messages make the sockets of who does not read full: 1 KiB each, into the server's send buffer
// and the client's receive buffer of a few KiB.
const slowFill = 96

// BenchmarkSlowReaders measures what clients that subscribe and never read do to the others. Two servers have the same
// number of good clients, and one of them has deaf ones besides, whose sockets are full; they get the same messages at
// the same rate in turns, slowly enough that there is CPU time to spare. The latency of each delivery to a good client
// counts from when its message was due, until the client has read it. The ratio is the 99th percentile with deaf
// clients to that without, the median of the rounds. The bare server, without deaf clients, is there for scale.
//
// The servers do not close deaf clients by TCP_USER_TIMEOUT, which would end most of them during the run.
func BenchmarkSlowReaders(b *testing.B) {
	n := connections(b)
	deaf := min(*slowDeaf, n/3)
	good := min(*slowGood, n-deaf)
	b.Run(fmt.Sprintf("good=%d/deaf=%d", good, deaf), func(b *testing.B) {
		s := newSlowReaders(b, good, deaf)
		for b.Loop() {
			for range *benchRounds {
				s.round(b)
			}
			s.report(b)
		}
	})
}

// slowReaders is the servers and their clients.
type slowReaders struct {
	alone, beside *tickcastServer
	deaf          *child // the clients of beside that do not read
	deafCount     int
	payload       stampedPayload

	contenders [3]*contender // bare, alone, beside
	rounds     []slowRound
	opened     [2]int64 // RSS of alone and beside before there were messages
	filled     [2]int64 // when the deaf ones' sockets were full
	conflated  float64  // of beside, then
}

// A slowRound is how long the deliveries of bare, alone and beside took.
type slowRound [3]Latencies

func (r slowRound) p50(i int) time.Duration { return r[i].Quantile(0.5) }
func (r slowRound) p99(i int) time.Duration { return r[i].Quantile(0.99) }
func (r slowRound) ratio() float64          { return float64(r.p99(2)) / float64(r.p99(1)) }

// newSlowReaders starts all and makes the deaf ones' sockets full.
func newSlowReaders(b *testing.B, good, deaf int) *slowReaders {
	b.Helper()
	s := &slowReaders{deafCount: deaf}
	start := func() *tickcastServer {
		server, err := startTickcast(b, "TICKCAST_SERVER_TCP_USER_TIMEOUT=0")
		if err != nil {
			b.Skipf("no server to measure: %v", err)
		}
		return server
	}
	s.alone, s.beside = start(), start()
	cfg := oneTopic(good)
	cfg.Stamp = "at"
	s.contenders = [3]*contender{
		newBare(b, cfg, s.payload.message),
		s.alone.listen(b, cfg, s.payload.json),
		s.beside.listen(b, cfg, s.payload.json),
	}
	silent := oneTopic(deaf)
	silent.URL, silent.Deaf, silent.ReceiveBuffer = s.beside.url, true, 4096
	s.deaf = openFleet(b, silent, true)
	s.opened = s.rss(b)
	for _, c := range s.contenders {
		c.fly(b, 4, func(sent int) bool { return sent < slowFill })
	}
	s.filled = s.rss(b)
	s.conflated = s.beside.metric(b, "tickcast_conflated_total")
	return s
}

// rss returns the memory of alone and beside.
func (s *slowReaders) rss(b *testing.B) (rss [2]int64) {
	b.Helper()
	for i, server := range []*tickcastServer{s.alone, s.beside} {
		m, err := ProcessMemory(server.pid)
		if err != nil {
			b.Fatal(err)
		}
		rss[i] = m.RSS
	}
	return rss
}

// messages returns how many messages are in a round.
func (s *slowReaders) messages() int { return max(1, int(slowTime.Seconds()**slowRate)) }

// round measures each server once.
func (s *slowReaders) round(b *testing.B) {
	var r slowRound
	for i, c := range s.contenders {
		r[i] = s.paced(b, c)
	}
	s.rounds = append(s.rounds, r)
}

// paced sends a round's messages at -slow.rate and returns how long their deliveries took.
func (s *slowReaders) paced(b *testing.B, c *contender) Latencies {
	b.Helper()
	before := c.fleet.do(b, order{Latencies: true}).Latencies
	begun, clock := time.Now(), monotonic(b)
	for i := range s.messages() {
		due := time.Duration(float64(i) / *slowRate * float64(time.Second))
		time.Sleep(time.Until(begun.Add(due)))
		s.payload.at = clock + int64(due)
		c.publish(1)
	}
	c.await(b, s.messages())
	l := c.fleet.do(b, order{Latencies: true}).Latencies.Since(before)
	if n := uint64(s.messages() * c.conns); l.Count() != n {
		b.Fatalf("%d latencies of %d deliveries", l.Count(), n)
	}
	return l
}

// report reports the medians, and prints the rounds and the memory.
func (s *slowReaders) report(b *testing.B) {
	ended := s.rss(b)
	growth := func(to, from [2]int64) float64 { return float64(to[1]-from[1]-(to[0]-from[0])) / float64(s.deafCount) }
	skipped := s.beside.metric(b, "tickcast_conflated_total") - s.conflated
	skipped /= float64(s.deafCount * s.messages() * len(s.rounds))
	lost := s.deaf.do(b, order{}).Totals.Lost

	b.ReportMetric(0, "ns/op")
	for i, name := range []string{"bare", "alone", "beside"} {
		b.ReportMetric(millis(median(s.rounds, func(r slowRound) time.Duration { return r.p50(i) })), name+"-p50-ms")
		b.ReportMetric(millis(median(s.rounds, func(r slowRound) time.Duration { return r.p99(i) })), name+"-p99-ms")
	}
	b.ReportMetric(median(s.rounds, slowRound.ratio), "p99-ratio")
	b.ReportMetric(growth(ended, s.opened), "rss-B/deaf")
	b.ReportMetric(growth(ended, s.filled), "rss-growth-B/deaf")
	b.ReportMetric(skipped, "conflated/deaf-message")

	const mb = 1 << 20
	var table strings.Builder
	fmt.Fprintf(&table, "latency, ms:  bare p50    p99  alone p50    p99  with deaf p50    p99  ratio of p99\n")
	for i, r := range s.rounds {
		fmt.Fprintf(&table, "round %2d %13.1f %6.1f %10.1f %6.1f %14.1f %6.1f %13.2f\n", i+1, millis(r.p50(0)), millis(r.p99(0)),
			millis(r.p50(1)), millis(r.p99(1)), millis(r.p50(2)), millis(r.p99(2)), r.ratio())
	}
	fmt.Fprintf(&table, "RSS, M: alone %.1f, full sockets %.1f, end %.1f; with deaf %.1f, %.1f, %.1f; deaf lost: %d",
		float64(s.opened[0])/mb, float64(s.filled[0])/mb, float64(ended[0])/mb,
		float64(s.opened[1])/mb, float64(s.filled[1])/mb, float64(ended[1])/mb, lost)
	b.Log(table.String())
}

// A stampedPayload makes payloads of 1 KiB that say when they were sent.
type stampedPayload struct{ at int64 }

// json returns the payload; a time of 0 is no stamp.
func (p *stampedPayload) json() []byte {
	const size = 1024
	payload := fmt.Appendf(nil, `{"at":%d,"n":"`, p.at)
	for len(payload) < size-2 {
		payload = append(payload, 'x')
	}
	return append(payload, `"}`...)
}

// message returns it as tickcast sends it.
func (p *stampedPayload) message() []byte {
	return append(append([]byte(`{"t":"px.AAPL","s":1234567,"d":`), p.json()...), '}')
}
