package loadtest

import (
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tickcast/wsproto"
)

// What all measurements of whole servers share. Each server and each fleet is a process of its own.

var (
	benchConns    = flag.Int("fanout.conns", 15000, "connections of a fleet, at most three quarters of RLIMIT_NOFILE")
	benchRounds   = flag.Int("fanout.rounds", 7, "rounds, each on the bare server and then on tickcast")
	benchMessages = flag.Int("fanout.messages", 5, "messages in a round")
	benchRate     = flag.Float64("fanout.rate", 5, "messages a second")
	benchPause    = flag.Duration("fanout.pause", time.Millisecond, "FleetConfig.Pause")
	memorySettle  = flag.Duration("memory.settle", 40*time.Second, "how long to wait at most until memory has settled")
	memoryRuns    = flag.Int("memory.messages", 10, "messages to all before memory is looked at again")
)

// benchTopic is what everybody subscribes to.
const benchTopic = "px.AAPL"

// connections returns how many connections to open. A quarter of the descriptors is left to the server, which keeps a
// distance to the limit.
func connections(b *testing.B) int {
	b.Helper()
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		b.Fatal(err)
	}
	return int(min(uint64(*benchConns), limit.Cur/4*3))
}

// benchPayload returns a JSON object of 128 bytes.
func benchPayload() []byte {
	const size, start, end = 128, `{"b":189.12,"a":189.14,"n":"`, `"}`
	return []byte(start + strings.Repeat("x", size-len(start)-len(end)) + end)
}

// payload128 is benchPayload as what all messages carry.
func payload128() func() []byte {
	payload := benchPayload()
	return func() []byte { return payload }
}

// A contender is a server with a fleet that listens to it.
type contender struct {
	server  int // process id
	fleet   *child
	conns   int
	data    int64       // data messages that the fleet has been asked for
	publish func(n int) // n messages, each of which reaches the whole fleet once

	// together makes a bare server write the n messages of one publish in one call for each connection.
	together bool
}

// openFleet starts a fleet as a process of its own and waits until all its clients are open. What cfg leaves out and all
// benchmarks have in common is filled in.
func openFleet(b *testing.B, cfg FleetConfig, acked bool) *child {
	b.Helper()
	fleet := startChild(b, "fleet")
	fleet.do(b, order{}) // it runs
	var err error
	if fleet.empty, err = ProcessMemory(fleet.pid); err != nil {
		b.Fatal(err)
	}
	cfg.Ramp = orDefault(cfg.Ramp, 5000)
	cfg.Workers = 1
	cfg.Pause = *benchPause
	fleet.do(b, order{Open: &cfg, Subscribed: acked})
	return fleet
}

// newBare starts a bare server, which writes what message returns as one frame to the clients of cfg.
func newBare(b *testing.B, cfg FleetConfig, message func() []byte) *contender {
	b.Helper()
	server := startChild(b, "bare")
	cfg.URL = server.next(b).URL
	c := &contender{server: server.pid, fleet: openFleet(b, cfg, false), conns: cfg.Conns}
	c.publish = func(n int) {
		var frames []byte
		for i := range n {
			frames = wsproto.AppendFrame(frames, wsproto.OpText, message())
			if c.together && i < n-1 {
				continue
			}
			if s := server.do(b, order{Broadcast: frames}).Sweep; s.Delivered != cfg.Conns {
				b.Fatalf("bare: %d of %d delivered", s.Delivered, cfg.Conns)
			}
			frames = frames[:0]
		}
	}
	return c
}

// listen gives s the fleet of cfg. A message is one to each topic, and carries what payload returns; it reaches each
// client once, so clients have one topic.
func (s *tickcastServer) listen(b *testing.B, cfg FleetConfig, payload func() []byte) *contender {
	b.Helper()
	cfg.URL = s.url
	return &contender{
		server: s.pid,
		fleet:  openFleet(b, cfg, true),
		conns:  cfg.Conns,
		publish: func(n int) {
			// Not flushed by hand: that would wait for the server, and the arrivals say it all.
			for range n {
				for _, topic := range cfg.Topics {
					if err := s.nats.Publish(topic, payload()); err != nil {
						b.Fatal(err)
					}
				}
			}
		},
	}
}

// oneTopic is a fleet of n clients that all subscribe to benchTopic.
func oneTopic(n int) FleetConfig { return FleetConfig{Conns: n, Topics: []string{benchTopic}} }

// numberedTopics returns n topics, benchTopic the first.
func numberedTopics(n int) []string {
	topics := []string{benchTopic}
	for i := 1; i < n; i++ {
		topics = append(topics, fmt.Sprintf("px.T%03d", i))
	}
	return topics
}

// send publishes one message and waits until the whole fleet has it. It returns the time from before publishing to the
// last arrival, and how long the message was as the clients saw it, in bytes.
func (c *contender) send(b *testing.B) (last time.Duration, size int) {
	b.Helper()
	before := c.fleet.do(b, order{}).Totals
	begun := monotonic(b)
	c.publish(1)
	t := c.await(b, 1)
	return time.Duration(t.LastData - begun), int(t.Bytes-before.Bytes) / c.conns
}

// await waits until the whole fleet has n messages more, and no other.
func (c *contender) await(b *testing.B, n int) Totals {
	b.Helper()
	c.data += int64(n) * int64(c.conns)
	t := c.fleet.do(b, order{Data: c.data}).Totals
	if t.Lost > 0 || int64(t.Data) != c.data {
		b.Fatalf("%d data messages instead of %d, %d connections lost: %s", t.Data, c.data, t.Lost, t.FaultList())
	}
	return t
}

// fly keeps inFlight messages under way as long as more, asked with the number of messages so far, says yes. It
// publishes k more whenever the fleet has received another k for each of its clients, counted all together. It returns
// how many it published once all of them have arrived.
func (c *contender) fly(b *testing.B, inFlight int, more func(sent int) bool) (sent int) {
	b.Helper()
	for arrived := 0; ; {
		k := 0
		for sent+k-arrived < inFlight && more(sent+k) {
			k++
		}
		if k > 0 {
			c.publish(k)
			sent += k
		}
		if arrived == sent {
			c.await(b, sent)
			return sent
		}
		next := c.data + int64(arrived+1)*int64(c.conns)
		t := c.fleet.do(b, order{Data: next}).Totals
		arrived = int((int64(t.Data) - c.data) / int64(c.conns))
	}
}

// cost returns the server's CPU time for what do does.
func (c *contender) cost(b *testing.B, do func()) time.Duration {
	b.Helper()
	before := processCPU(b, c.server)
	do()
	return processCPU(b, c.server) - before
}

// A round is what some messages to all connections have cost.
type round struct {
	server, client time.Duration   // CPU time per delivery
	last           []time.Duration // of each message, from before publishing to the last arrival
}

// measure does one round, its messages sent at *benchRate.
func (c *contender) measure(b *testing.B) (r round) {
	b.Helper()
	server, client, begun := processCPU(b, c.server), processCPU(b, c.fleet.pid), time.Now()
	for i := range *benchMessages {
		time.Sleep(time.Until(begun.Add(time.Duration(float64(i) / *benchRate * float64(time.Second)))))
		last, _ := c.send(b)
		r.last = append(r.last, last)
	}
	n := time.Duration(c.conns * *benchMessages)
	r.server = (processCPU(b, c.server) - server) / n
	r.client = (processCPU(b, c.fleet.pid) - client) / n
	return r
}

// processCPU is ProcessCPU for a process that must be there.
func processCPU(b *testing.B, pid int) time.Duration {
	b.Helper()
	cpu, err := ProcessCPU(pid)
	if err != nil {
		b.Fatal(err)
	}
	return cpu
}

// monotonic returns CLOCK_MONOTONIC in nanoseconds.
func monotonic(b *testing.B) int64 {
	b.Helper()
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		b.Fatal(err)
	}
	return ts.Nano()
}

// median returns the middle of what of takes from each element; the mean of two middles.
func median[E any, V float64 | time.Duration](list []E, of func(E) V) V {
	var v []V
	for _, e := range list {
		v = append(v, of(e))
	}
	slices.Sort(v)
	if n := len(v); n%2 == 0 && n > 0 {
		return (v[n/2-1] + v[n/2]) / 2
	} else if n == 0 {
		return 0
	}
	return v[len(v)/2]
}

// millis returns d in milliseconds, for a metric.
func millis(d time.Duration) float64 { return float64(d) / 1e6 }

// connsName names a sub-benchmark by its size.
func connsName(n int) string { return fmt.Sprintf("conns=%d", n) }
