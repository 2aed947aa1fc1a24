package loadtest

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"tickcast/loadtest/fleet"
	"tickcast/wsproto"
)

// A badFeed is a server that passes on the messages of NATS, with the faults that a test chooses.
type badFeed struct {
	mu      sync.Mutex
	clients []*feedClient
	entered int // clients so far
	count   int // deliveries

	// spoil replaces delivery n, counted from 1, to a client; nil: all are passed on.
	spoil func(c *feedClient, n int, frame []byte) [][]byte
	// deaf is the number of subscriptions after which no more are answered; 0: all are.
	deaf int
	// stall is called before each message of the feed; it may be nil.
	stall func(n int)
}

type feedClient struct {
	conn  net.Conn
	n     int    // of the client, in the order of subscribing
	got   int    // messages sent to it
	kept  []byte // a frame held back
	write chan []byte
	gone  chan struct{} // closed once it has left
}

// serveFeed starts the server, and NATS; it returns their URLs.
func serveFeed(t *testing.T, f *badFeed) (url, natsURL string) {
	t.Helper()
	natsURL = startNATS(t).ClientURL()
	nc, err := nats.Connect(natsURL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	messages := 0
	if _, err := nc.Subscribe("load.>", func(m *nats.Msg) {
		messages++
		if f.stall != nil {
			f.stall(messages)
		}
		f.broadcast(m.Subject, m.Data)
	}); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	return serveRaw(t, func(c *net.TCPConn, key []byte) {
		c.Write(upgrade(key))
		readMessage(c) // the subscription, for all that there is
		client := f.enter(c)
		defer f.leave(client)
		go client.writeAll()
		drain(c)
	}), natsURL
}

// enter makes a connection one of the subscribers.
func (f *badFeed) enter(c net.Conn) *feedClient {
	client := &feedClient{conn: c, write: make(chan []byte, 1<<16), gone: make(chan struct{})}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.deaf == 0 || f.entered < f.deaf {
		client.write <- wsproto.AppendFrame(nil, wsproto.OpText, []byte(ackMessage))
	}
	client.n = f.entered
	f.entered++
	f.clients = append(f.clients, client)
	return client
}

func (f *badFeed) leave(c *feedClient) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.clients = slices.DeleteFunc(f.clients, func(o *feedClient) bool { return o == c })
	close(c.gone)
}

// writeAll writes the client's frames until it has left.
func (c *feedClient) writeAll() {
	for {
		var b []byte
		select {
		case b = <-c.write:
		case <-c.gone:
			return
		}
		for more := true; more; { // few writes for many messages
			select {
			case next := <-c.write:
				b = append(b, next...)
			default:
				more = false
			}
		}
		if _, err := c.conn.Write(b); err != nil {
			return
		}
	}
}

// runFeed carries a plan out against a feed whose only topic is load.A.
func runFeed(t *testing.T, f *badFeed, plan Plan) *Report {
	t.Helper()
	return paced(t, func() *Report {
		ctx := testContext(t)
		plan.Fleet.URL, plan.Publish.URL = serveFeed(t, &badFeed{spoil: f.spoil, deaf: f.deaf, stall: f.stall})
		plan.Fleet.Topics = []string{"load.A"}
		run, err := NewRun(ctx, plan)
		if err != nil {
			t.Fatal(err)
		}
		r, err := run.Do(ctx, nil)
		if err != nil {
			t.Fatal(err)
		}
		return r
	})
}

// readMessage reads one message of a client.
func readMessage(c net.Conn) string {
	var d wsproto.Decoder
	for buf := make([]byte, 4096); ; {
		n, err := c.Read(buf)
		if err != nil {
			return ""
		}
		m, _, err := d.Next(nil, buf[:n])
		if err != nil || m.Op != 0 {
			return string(m.Payload)
		}
	}
}

func (f *badFeed) broadcast(subject string, data []byte) {
	frame := wsproto.AppendFrame(nil, wsproto.OpText, []byte(`{"t":"`+subject+`","s":1,"d":`+string(data)+`}`))
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.clients {
		f.count++
		c.got++
		frames := [][]byte{frame}
		if f.spoil != nil {
			frames = f.spoil(c, f.count, frame)
		}
		for _, b := range frames {
			c.write <- append([]byte(nil), b...)
		}
	}
}

// one wraps a spoiler so that it is called for one delivery in every.
func oneIn(every int, spoil func(c *feedClient, frame []byte) [][]byte) func(*feedClient, int, []byte) [][]byte {
	return func(c *feedClient, n int, frame []byte) [][]byte {
		if n%every == every/2 {
			return spoil(c, frame)
		}
		return [][]byte{frame}
	}
}

// A spoiler is a fault of a server and the report that a run has to make of it.
type spoiler struct {
	name  string
	spoil func(*feedClient, int, []byte) [][]byte
	want  Deliveries
	say   string
}

// lateAfter is the bound of latency in the runs below, lateBy how late a late delivery is.
const lateAfter, lateBy = 4 * time.Second, 4500 * time.Millisecond

// spoilers are servers that spoil one delivery in every, n of all, with so many messages to each client.
func spoilers(messages, every int, n uint64) []spoiler {
	say := func(what string) string { return fmt.Sprintf("%d deliveries %s", n, what) }
	last := func(c *feedClient) bool { return c.got == messages && uint64(c.n) < n }
	return []spoiler{
		{"drops", oneIn(every, func(*feedClient, []byte) [][]byte { return nil }), Deliveries{Missing: n}, say("missing")},
		{"doubles", oneIn(every, func(_ *feedClient, f []byte) [][]byte { return [][]byte{f, f} }), Deliveries{Doubled: n}, say("doubled")},
		{"reorders", func(c *feedClient, i int, frame []byte) [][]byte {
			if kept := c.kept; kept != nil {
				c.kept = nil
				return [][]byte{frame, kept}
			}
			if i%every == every/2 {
				c.kept = frame
				return nil
			}
			return [][]byte{frame}
		}, Deliveries{OutOfOrder: n}, say("out of order")},
		{"corrupts", oneIn(every, func(_ *feedClient, f []byte) [][]byte {
			return [][]byte{[]byte(strings.Replace(string(f), "hijk", "hiJk", 1))}
		}), Deliveries{Corrupted: n}, say("corrupted")},
		{"delays", func(c *feedClient, _ int, frame []byte) [][]byte {
			if last(c) { // only this one is to come late
				time.AfterFunc(lateBy, func() { c.write <- frame })
				return nil
			}
			return [][]byte{frame}
		}, Deliveries{Late: n}, say("later than 4s")},
		{"drops the last", func(c *feedClient, _ int, frame []byte) [][]byte {
			if last(c) {
				return nil
			}
			return [][]byte{frame}
		}, Deliveries{Missing: n}, say("missing")},
		{"misroutes", oneIn(every, func(_ *feedClient, f []byte) [][]byte {
			return [][]byte{[]byte(strings.ReplaceAll(string(f), "load.A", "load.B"))}
		}), Deliveries{Corrupted: n}, say("corrupted")},
	}
}

// check runs a spoiler and compares.
func (s spoiler) check(t *testing.T, conns, messages int) {
	plan := Plan{
		Fleet: fleet.Config{Conns: conns}, Processes: 2, Lossless: true, Settle: 3 * time.Second,
		Publish: PublishPlan{Rate: 1000, Messages: uint64(messages), Payload: 200},
	}
	if s.want.Late > 0 {
		plan.MaxLatency, plan.Settle = lateAfter, lateBy+3*time.Second
	}
	r := runFeed(t, &badFeed{spoil: s.spoil}, plan)
	want := s.want
	want.Expected = uint64(conns * messages)
	want.Received = want.Expected - want.Missing
	got := r.Deliveries
	got.Messages, got.Bytes = 0, 0
	if got != want {
		t.Errorf("deliveries %+v, want %+v", got, want)
	}
	if r.Clean != (s.say == "") || strings.Join(r.Reasons, "; ") != s.say {
		t.Errorf("clean %v, reasons %q, want %q", r.Clean, r.Reasons, s.say)
	}
	if s.say != "" && uint64(len(r.Troubles)) != want.Missing+want.Doubled+want.OutOfOrder+want.Corrupted+want.Late {
		t.Errorf("troubles %+v", r.Troubles)
	}
}

// A server that spoils some deliveries makes the run unclean, with their count.
func TestRunFindsFaults(t *testing.T) {
	const conns, messages, every = 50, 200, 5000 // two faults
	for _, s := range append(spoilers(messages, every, 2), spoiler{name: "nothing"}) {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			s.check(t, conns, messages)
		})
	}
}

// One delivery in 100,000 is enough.
func TestRunFindsOneOfMany(t *testing.T) {
	if testing.Short() {
		t.Skip("100,000 deliveries for each fault")
	}
	const conns, messages = 50, 2000
	for _, s := range spoilers(messages, conns*messages, 1)[:5] {
		t.Run(s.name, func(t *testing.T) { s.check(t, conns, messages) })
	}
}

// A stall of the server shows in the latencies with all messages that were due meanwhile, not with the one that hit it.
func TestRunSeesStalls(t *testing.T) {
	const rate, stall = 500, 500 * time.Millisecond
	r := runFeed(t, &badFeed{stall: func(n int) {
		if n == rate {
			time.Sleep(stall) // the time that is measured
		}
	}}, Plan{
		Fleet:   fleet.Config{Conns: 10},
		Publish: PublishPlan{Rate: rate, Messages: 2 * rate, Payload: 128}, Lossless: true,
	})
	l := r.Latency
	if !r.Clean || l.Count != 10*2*rate || l.P999 < 490 || l.P90 < 200 || l.P50 > l.P90*2/3 {
		t.Errorf("reasons %q, latency %+v", r.Reasons, l)
	}
}
