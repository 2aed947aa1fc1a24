package bench

import (
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"tickcast/loadtest/fleet"
	"tickcast/loadtest/machine"
)

var (
	slowGood   = flag.Int("slow.good", 2000, "clients that read, at most what -slow.deaf leaves of -fanout.conns")
	slowDeaf   = flag.Int("slow.deaf", 1000, "clients that do not, at most a third of -fanout.conns")
	slowRate   = flag.Float64("slow.rate", 10, "messages a second, all servers together")
	slowRounds = flag.Int("slow.rounds", 35, "rounds")
	slowEach   = flag.Int("slow.messages", 5, "messages to each server in a round")
)

// slowFill is the number of messages that fill the sockets of a deaf client: 1 KiB each, into the server's send buffer and
// the client's receive buffer of a few KiB.
const slowFill = 96

// BenchmarkSlowReaders measures the effect of clients that subscribe and never read on the others. Two servers have the same
// number of good clients, and one of them has deaf ones besides, whose sockets are full. The servers get their messages in
// turns, so slowly that there is CPU time to spare. The latency of each delivery to a good client counts from the due time
// of its message until the client has read it. The ratio is the 99th percentile with deaf clients to that without, the
// median of the rounds. Rounds are short, so that other load of the machine spoils few. The bare server, without deaf
// clients, gives the scale.
//
// The servers do not close deaf clients by TCP_USER_TIMEOUT, which would end most of them during the run.
func BenchmarkSlowReaders(b *testing.B) {
	n := connections(b)
	deaf := min(*slowDeaf, n/3)
	good := min(*slowGood, n-deaf)
	b.Run(fmt.Sprintf("good=%d/deaf=%d", good, deaf), func(b *testing.B) {
		s := newSlowReaders(b, good, deaf)
		for b.Loop() {
			for range *slowRounds {
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

// A slowRound holds the latencies of deliveries of bare, alone and beside.
type slowRound [3]fleet.Counts

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
		m, err := machine.ProcessMemory(server.pid)
		if err != nil {
			b.Fatal(err)
		}
		rss[i] = m.RSS
	}
	return rss
}

// round sends the servers their messages in turns, and keeps the latencies of the deliveries.
func (s *slowReaders) round(b *testing.B) {
	b.Helper()
	var before slowRound
	for i, c := range s.contenders {
		before[i] = c.latencies(b)
	}
	begun, clock := time.Now(), machine.Monotime()
	for i := range *slowEach * len(s.contenders) {
		due := time.Duration(float64(i) / *slowRate * float64(time.Second))
		time.Sleep(time.Until(begun.Add(due)))
		s.payload.at = clock + int64(due)
		s.contenders[i%len(s.contenders)].publish(1)
	}
	var r slowRound
	for i, c := range s.contenders {
		c.await(b, *slowEach)
		r[i] = c.latencies(b).Since(before[i])
		if n := int64(*slowEach * c.conns); r[i].Count() != n {
			b.Fatalf("%d latencies of %d deliveries", r[i].Count(), n)
		}
	}
	s.rounds = append(s.rounds, r)
}

// latencies returns the fleet's latencies so far.
func (c *contender) latencies(b *testing.B) fleet.Counts {
	b.Helper()
	return c.fleet.do(b, order{Latencies: true}).Latencies
}

// report reports the medians, and prints the spread of the rounds and the memory.
func (s *slowReaders) report(b *testing.B) {
	ended := s.rss(b)
	growth := func(to, from [2]int64) float64 { return float64(to[1]-from[1]-(to[0]-from[0])) / float64(s.deafCount) }
	skipped := s.beside.metric(b, "tickcast_conflated_total") - s.conflated
	skipped /= float64(s.deafCount * *slowEach * len(s.rounds))
	lost := s.deaf.do(b, order{}).Totals.Lost

	b.ReportMetric(0, "ns/op")
	b.ReportMetric(growth(ended, s.opened), "rss-B/deaf")
	b.ReportMetric(growth(ended, s.filled), "rss-growth-B/deaf")
	b.ReportMetric(skipped, "conflated/deaf-message")
	var table strings.Builder
	fmt.Fprintf(&table, "of %2d rounds      lowest   1st quarter   median   3rd quarter   highest\n", len(s.rounds))
	line := func(name, metric string, of func(slowRound) float64) {
		b.ReportMetric(median(s.rounds, of), metric)
		var v []float64
		for _, r := range s.rounds {
			v = append(v, of(r))
		}
		slices.Sort(v)
		last := len(v) - 1
		fmt.Fprintf(&table, "%-17s %6.2f %13.2f %8.2f %13.2f %9.2f\n", name,
			v[0], v[last/4], median(s.rounds, of), v[(3*last+3)/4], v[last])
	}
	for i, name := range []string{"bare", "alone", "with-deaf"} {
		if i > 0 {
			line(name+" p50, ms", name+"-p50-ms", func(r slowRound) float64 { return millis(r[i].Quantile(0.5)) })
		}
		line(name+" p99, ms", name+"-p99-ms", func(r slowRound) float64 { return millis(r.p99(i)) })
	}
	line("ratio of p99", "p99-ratio", slowRound.ratio)
	const mb = 1 << 20
	fmt.Fprintf(&table, "RSS, M: alone %.1f, full sockets %.1f, end %.1f; with deaf %.1f, %.1f, %.1f; deaf lost: %d",
		float64(s.opened[0])/mb, float64(s.filled[0])/mb, float64(ended[0])/mb,
		float64(s.opened[1])/mb, float64(s.filled[1])/mb, float64(ended[1])/mb, lost)
	b.Log(table.String())
}

// A stampedPayload makes payloads of 1 KiB with their time of sending.
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
