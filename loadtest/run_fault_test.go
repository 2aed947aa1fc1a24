package loadtest

import (
	"context"
	"net"
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
	count   int // deliveries

	// spoil makes something else of delivery n, counted from 1, to a client; nil: nothing.
	spoil func(c *feedClient, n int, frame []byte) [][]byte
	// stall is called before each message of the feed; nil: nothing.
	stall func(n int)
}

type feedClient struct {
	conn  net.Conn
	n     int    // of the client, in the order of subscribing
	got   int    // messages sent to it
	kept  []byte // a frame held back
	write chan []byte
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
		f.mu.Lock()
		client := &feedClient{conn: c, n: len(f.clients), write: make(chan []byte, 1<<16)}
		f.clients = append(f.clients, client)
		f.mu.Unlock()
		client.write <- wsproto.AppendFrame(nil, wsproto.OpText, []byte(ackMessage))
		go func() {
			for b := range client.write {
				for more := true; more; { // few writes for many messages
					select {
					case next, ok := <-client.write:
						b, more = append(b, next...), ok
					default:
						more = false
					}
				}
				if _, err := c.Write(b); err != nil {
					return
				}
			}
		}()
		drain(c)
	}), natsURL
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

// A server that spoils one delivery in 100,000 makes the run unclean, with that count.
func TestRunFindsFaults(t *testing.T) {
	const conns, messages, every = 50, 4000, 100_000 // two faults
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
			ctx := testContext(t)
			url, natsURL := serveFeed(t, &feed{spoil: tt.spoil})
			run, err := NewRun(ctx, Plan{
				Fleet: FleetConfig{URL: url, Conns: conns, Topics: []string{"load.A"}}, Processes: 2, Lossless: true,
				Publish:    PublishPlan{URL: natsURL, Rate: 4000, Messages: messages, Payload: 200},
				MaxLatency: 2 * time.Second, Settle: 3 * time.Second,
			})
			if err != nil {
				t.Fatal(err)
			}
			r, err := run.Do(ctx, nil)
			if err != nil {
				t.Fatal(err)
			}
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

// A stall of the server shows in the latencies with all messages that were due meanwhile, not with the one that hit it.
func TestRunSeesStalls(t *testing.T) {
	const rate, stall = 500, 500 * time.Millisecond
	ctx := testContext(t)
	url, natsURL := serveFeed(t, &feed{stall: func(n int) {
		if n == rate {
			time.Sleep(stall) // what is measured
		}
	}})
	run, err := NewRun(ctx, Plan{
		Fleet:   FleetConfig{URL: url, Conns: 10, Topics: []string{"load.A"}},
		Publish: PublishPlan{URL: natsURL, Rate: rate, Messages: 2 * rate, Payload: 128}, Lossless: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	r, err := run.Do(context.WithoutCancel(ctx), nil)
	if err != nil {
		t.Fatal(err)
	}
	l := r.Latency
	if !r.Clean || l.Count != 10*2*rate || l.P999 < 490 || l.P90 < 200 || l.P50 > 100 {
		t.Errorf("reasons %q, latency %+v", r.Reasons, l)
	}
}
