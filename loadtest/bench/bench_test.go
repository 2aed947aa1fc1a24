package bench

import (
	"cmp"
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tickcast/loadtest/fleet"
	"tickcast/loadtest/machine"
	"tickcast/wsproto"
)

// The common parts of all measurements of whole servers. Each server and each fleet is a process of its own.

var (
	benchConns    = flag.Int("fanout.conns", 15000, "connections of a fleet, at most three quarters of RLIMIT_NOFILE")
	benchRounds   = flag.Int("fanout.rounds", 7, "rounds, each on the bare server and then on tickcast")
	benchMessages = flag.Int("fanout.messages", 5, "messages in a round")
	benchRate     = flag.Float64("fanout.rate", 5, "messages a second")
	benchPause    = flag.Duration("fanout.pause", time.Millisecond, "fleet.Config.Pause")
	memorySettle  = flag.Duration("memory.settle", 40*time.Second, "how long to wait at most until memory has settled")
	memoryRuns    = flag.Int("memory.messages", 10, "messages to all before memory is looked at again")
)

// benchTopic is the topic of all clients.
const benchTopic = "px.AAPL"

// connections returns the number of connections to open. A quarter of the descriptors is reserved for the server, which
// keeps a distance to the limit.
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

// payload128 returns a function that returns benchPayload.
func payload128() func() []byte {
	payload := benchPayload()
	return func() []byte { return payload }
}

// A contender is a server with a fleet that listens to it.
type contender struct {
	server  int // process id
	fleet   *child
	conns   int
	data    int64       // data messages that the fleet should have
	publish func(n int) // n messages, each of which reaches the whole fleet once

	// together makes a bare server write the n messages of one publish in one call for each connection.
	together bool
}

// openFleet starts a fleet as a process of its own and waits until all its clients are open. It fills in the settings that
// all benchmarks have in common.
func openFleet(b *testing.B, cfg fleet.Config, acked bool) *child {
	b.Helper()
	fleet := startChild(b, "fleet")
	fleet.do(b, order{}) // the process runs after that
	var err error
	if fleet.empty, err = machine.ProcessMemory(fleet.PID()); err != nil {
		b.Fatal(err)
	}
	cfg.Ramp = cmp.Or(cfg.Ramp, 5000)
	cfg.Workers = 1
	cfg.Pause = *benchPause
	fleet.do(b, order{Open: &cfg, Subscribed: acked})
	return fleet
}

// newBare starts a bare server, which writes the result of message as one frame to the clients of cfg.
func newBare(b *testing.B, cfg fleet.Config, message func() []byte) *contender {
	b.Helper()
	server := startChild(b, "bare")
	cfg.URL = server.do(b, order{}).URL
	c := &contender{server: server.PID(), fleet: openFleet(b, cfg, false), conns: cfg.Conns}
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

// listen gives s the fleet of cfg. A message is published on each topic with the result of payload. It reaches each client
// once, so clients have one topic.
func (s *tickcastServer) listen(b *testing.B, cfg fleet.Config, payload func() []byte) *contender {
	b.Helper()
	cfg.URL = cmp.Or(cfg.URL, s.url)
	return &contender{
		server: s.pid,
		fleet:  openFleet(b, cfg, true),
		conns:  cfg.Conns,
		publish: func(n int) {
			// No flush: it would wait for the server, and the arrivals are counted anyway.
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
func oneTopic(n int) fleet.Config { return fleet.Config{Conns: n, Topics: []string{benchTopic}} }

// numberedTopics returns n topics, benchTopic the first.
func numberedTopics(n int) []string {
	topics := []string{benchTopic}
	for i := 1; i < n; i++ {
		topics = append(topics, fmt.Sprintf("px.T%03d", i))
	}
	return topics
}

// send publishes one message and waits until the whole fleet has it. It returns the time from before publishing to the
// last arrival, and the size of the message at the clients, in bytes.
func (c *contender) send(b *testing.B) (last time.Duration, size int) {
	b.Helper()
	before := c.fleet.do(b, order{}).Totals
	begun := machine.Monotime()
	c.publish(1)
	t := c.await(b, 1)
	return time.Duration(t.LastData - begun), int(t.Bytes-before.Bytes) / c.conns
}

// await waits until the whole fleet has n more messages. Any other message is fatal.
func (c *contender) await(b *testing.B, n int) fleet.Totals {
	b.Helper()
	c.data += int64(n) * int64(c.conns)
	t := c.fleet.do(b, order{Data: c.data}).Totals
	if t.Lost > 0 || int64(t.Data) != c.data {
		b.Fatalf("%d data messages instead of %d, %d connections lost: %s", t.Data, c.data, t.Lost, t.FaultList())
	}
	return t
}

// fly keeps inFlight messages under way while more, called with the number of messages so far, returns true. It publishes
// k more whenever the fleet has received another k for each of its clients, counted all together. It returns the number of
// messages once all of them have arrived.
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

// cost returns the server's CPU time during do.
func (c *contender) cost(b *testing.B, do func()) time.Duration {
	b.Helper()
	before := processCPU(b, c.server)
	do()
	return processCPU(b, c.server) - before
}

// A round is the cost of some messages to all connections.
type round struct {
	server, client time.Duration   // CPU time per delivery
	last           []time.Duration // of each message, from before publishing to the last arrival
}

// measure does one round, its messages sent at *benchRate.
func (c *contender) measure(b *testing.B) (r round) {
	b.Helper()
	server, client, begun := processCPU(b, c.server), processCPU(b, c.fleet.PID()), time.Now()
	for i := range *benchMessages {
		time.Sleep(time.Until(begun.Add(time.Duration(float64(i) / *benchRate * float64(time.Second)))))
		last, _ := c.send(b)
		r.last = append(r.last, last)
	}
	n := time.Duration(c.conns * *benchMessages)
	r.server = (processCPU(b, c.server) - server) / n
	r.client = (processCPU(b, c.fleet.PID()) - client) / n
	return r
}

// processCPU is machine.ProcessCPU for a process that must be there.
func processCPU(b *testing.B, pid int) time.Duration {
	b.Helper()
	cpu, err := machine.ProcessCPU(pid)
	if err != nil {
		b.Fatal(err)
	}
	return cpu
}

// median returns the median of the values of the list's elements, the mean of the two middle ones if there are two.
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
