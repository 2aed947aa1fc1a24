package loadtest

import (
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"tickcast/wsproto"
)

// A feed is a server that passes on what it gets from NATS, and does so badly if a test wants it to.
type feed struct {
	mu      sync.Mutex
	clients []*feedClient
	entered int // clients so far
	count   int // deliveries

	// spoil makes something else of delivery n, counted from 1, to a client; nil: nothing.
	spoil func(c *feedClient, n int, frame []byte) [][]byte
	// deaf says that only the first so many subscriptions are answered; 0: all.
	deaf int
	// stall is called before each message of the feed; nil: nothing.
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
func serveFeed(t *testing.T, f *feed) (url, natsURL string) {
	t.Helper()
	natsURL = startNATS(t, -1).ClientURL()
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
func (f *feed) enter(c net.Conn) *feedClient {
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

func (f *feed) leave(c *feedClient) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.clients = slices.DeleteFunc(f.clients, func(o *feedClient) bool { return o == c })
	close(c.gone)
}

// writeAll writes what is sent to the client until it has left.
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
func runFeed(t *testing.T, f *feed, plan Plan) *Report {
	t.Helper()
	ctx := testContext(t)
	plan.Fleet.URL, plan.Publish.URL = serveFeed(t, f)
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

func (f *feed) broadcast(subject string, data []byte) {
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

// A server that spoils one delivery in 5,000 makes the run unclean, with that count.
func TestRunFindsFaults(t *testing.T) {
	const conns, messages, every = 50, 200, 5000 // two faults
	reordered := func(c *feedClient, n int, frame []byte) [][]byte {
		if c.kept != nil {
			kept := c.kept
			c.kept = nil
			return [][]byte{frame, kept}
		}
		if n%every == every/2 {
			c.kept = frame
			return nil
		}
		return [][]byte{frame}
	}
	for _, tt := range []struct {
		name  string
		spoil func(*feedClient, int, []byte) [][]byte
		want  Deliveries
		say   string
	}{
		{"nothing", nil, Deliveries{}, ""},
		{"drops", oneIn(every, func(*feedClient, []byte) [][]byte { return nil }), Deliveries{Missing: 2}, "2 deliveries missing"},
		{"drops the last", func(c *feedClient, n int, frame []byte) [][]byte {
			if c.got == messages && c.n < 2 {
				return nil
			}
			return [][]byte{frame}
		}, Deliveries{Missing: 2}, "2 deliveries missing"},
		{"doubles", oneIn(every, func(_ *feedClient, f []byte) [][]byte { return [][]byte{f, f} }), Deliveries{Doubled: 2}, "2 deliveries doubled"},
		{"reorders", reordered, Deliveries{OutOfOrder: 2}, "2 deliveries out of order"},
		{"corrupts", oneIn(every, func(_ *feedClient, f []byte) [][]byte {
			return [][]byte{[]byte(strings.Replace(string(f), "hijk", "hiJk", 1))}
		}), Deliveries{Corrupted: 2}, "2 deliveries corrupted"},
		{"delays", func(c *feedClient, n int, frame []byte) [][]byte {
			if c.got == messages && c.n < 2 { // the last: nothing else is to come late
				time.AfterFunc(2500*time.Millisecond, func() { c.write <- frame })
				return nil
			}
			return [][]byte{frame}
		}, Deliveries{Late: 2}, "2 deliveries later than 2s"},
		{"misroutes", oneIn(every, func(_ *feedClient, f []byte) [][]byte {
			return [][]byte{[]byte(strings.ReplaceAll(string(f), "load.A", "load.B"))}
		}), Deliveries{Corrupted: 2}, "2 deliveries corrupted"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			plan := Plan{
				Fleet: FleetConfig{Conns: conns}, Lossless: true, Settle: time.Second,
				Publish: PublishPlan{Rate: 1000, Messages: messages, Payload: 200},
			}
			if tt.want.Late > 0 {
				plan.MaxLatency, plan.Settle = 2*time.Second, 3*time.Second
			}
			r := runFeed(t, &feed{spoil: tt.spoil}, plan)
			want := tt.want
			want.Expected = conns * messages
			want.Received = want.Expected - want.Missing
			got := r.Deliveries
			got.Messages, got.Bytes = 0, 0
			if got != want {
				t.Errorf("deliveries %+v, want %+v", got, want)
			}
			if r.Clean != (tt.say == "") || strings.Join(r.Reasons, "; ") != tt.say {
				t.Errorf("clean %v, reasons %q", r.Clean, r.Reasons)
			}
			if tt.say != "" && len(r.Troubles) != 2 {
				t.Errorf("troubles %+v", r.Troubles)
			}
		})
	}
}

// One lost delivery in 100,000 is enough.
func TestRunFindsOneOfMany(t *testing.T) {
	if testing.Short() {
		t.Skip("200,000 deliveries")
	}
	const conns, messages = 50, 4000
	drop := oneIn(100_000, func(*feedClient, []byte) [][]byte { return nil })
	r := runFeed(t, &feed{spoil: drop}, Plan{
		Fleet: FleetConfig{Conns: conns}, Processes: 2, Lossless: true, Settle: time.Second,
		Publish: PublishPlan{Rate: 4000, Messages: messages, Payload: 128},
	})
	if d := r.Deliveries; r.Clean || d.Expected != conns*messages || d.Missing != 2 || d.Received != d.Expected-2 || len(r.Troubles) != 2 {
		t.Errorf("reasons %q, deliveries %+v, troubles %+v", r.Reasons, d, r.Troubles)
	}
}

// A stall of the server shows in the latencies with all messages that were due meanwhile, not with the one that hit it.
func TestRunSeesStalls(t *testing.T) {
	const rate, stall = 500, 500 * time.Millisecond
	r := runFeed(t, &feed{stall: func(n int) {
		if n == rate {
			time.Sleep(stall) // what is measured
		}
	}}, Plan{
		Fleet:   FleetConfig{Conns: 10},
		Publish: PublishPlan{Rate: rate, Messages: 2 * rate, Payload: 128}, Lossless: true,
	})
	l := r.Latency
	if !r.Clean || l.Count != 10*2*rate || l.P999 < 490 || l.P90 < 200 || l.P50 > 100 {
		t.Errorf("reasons %q, latency %+v", r.Reasons, l)
	}
}
