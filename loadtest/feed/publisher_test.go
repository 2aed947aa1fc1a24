package feed

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"net"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

func TestMetronome(t *testing.T) {
	const ms = time.Millisecond
	m := metronome{pace: Constant(100), burst: 5, maxLag: time.Second} // one message every 10 ms
	for _, c := range []struct {
		name    string
		elapsed time.Duration
		done    uint64

		skip, send uint64
		wake       time.Duration
	}{
		{"message 0 is due at the start", 0, 0, 0, 1, 10 * ms},
		{"nothing is due yet", 9 * ms, 1, 0, 0, 10 * ms},
		{"on time", 10 * ms, 1, 0, 1, 20 * ms},
		{"late, and no drift: the next is due at its own time", 17 * ms, 1, 0, 1, 20 * ms},
		{"two at once", 25 * ms, 1, 0, 2, 30 * ms},
		{"exactly one burst", 50 * ms, 1, 0, 5, 60 * ms},
		{"more than a burst: the rest at twice the rate", 60 * ms, 1, 0, 5, 85 * ms},
		{"a stall of the maximum lag loses nothing", 1010 * ms, 1, 0, 5, 1035 * ms},
		{"a longer one gives up what is older", 1110 * ms, 1, 10, 5, 1135 * ms},
		{"an hour", time.Hour, 1, 360000 - 100 - 1, 5, time.Hour + 25*ms},
		{"ahead of time, as after a clock step", 10 * ms, 50, 0, 0, 500 * ms},
		{"before the start", -ms, 0, 0, 0, 0},
	} {
		skip, send, wake := m.next(c.elapsed, c.done)
		if skip != c.skip || send != c.send || wake != c.wake {
			t.Errorf("%s: skip %d, send %d, wake %v; want %d, %d, %v",
				c.name, skip, send, wake, c.skip, c.send, c.wake)
		}
	}
}

// Simulated hours at rates that do not divide a second: the count must be exact, no message early by more than rounding, and
// never two turns at the same time without end.
func TestMetronomeDoesNotDrift(t *testing.T) {
	for _, rate := range []float64{0.3, 7, 999, 33_333.3} {
		m := metronome{pace: Constant(rate), burst: max(1, uint64(rate/100)), maxLag: time.Second}
		end := time.Duration(50_000 / rate * float64(time.Second))
		var now time.Duration
		var done uint64
		for turn := 0; now < end; turn++ {
			skip, send, wake := m.next(now, done)
			if skip != 0 {
				t.Fatalf("rate %g: skipped %d at %v", rate, skip, now)
			}
			if first := m.due(done); send > 0 && first > now+time.Nanosecond {
				t.Fatalf("rate %g: message %d due at %v sent at %v", rate, done, first, now)
			}
			done += send
			if turn > 10*50_000 {
				t.Fatalf("rate %g: still at %v", rate, now)
			}
			now = wake + time.Duration(turn%1700)*time.Microsecond // woken late, as by a real timer
		}
		if want := end.Seconds() * rate; math.Abs(float64(done)-want) > 1+rate/500 {
			t.Errorf("rate %g: %d messages in %v, want %.0f", rate, done, end, want)
		}
	}
}

func TestNewPublisherChecksItsConfig(t *testing.T) {
	source := NewMarket(MarketConfig{}).Message
	for _, rate := range []float64{0, -1, math.NaN(), math.Inf(1)} {
		if _, err := NewPublisher(PublisherConfig{Source: source, Rate: rate}); err == nil {
			t.Errorf("rate %v accepted", rate)
		}
	}
	if _, err := NewPublisher(PublisherConfig{Rate: 1}); err == nil {
		t.Error("no source accepted")
	}
}

func TestPublisherPublishesAMarket(t *testing.T) {
	ns := startNATS(t, -1)
	for name, cfg := range map[string]PublisherConfig{
		"connection": {Conn: connectNATS(t, ns)},
		"url":        {URL: ns.ClientURL()},
		"in process": {InProcess: ns},
	} {
		t.Run(name, func(t *testing.T) {
			received := make(chan *nats.Msg, 4096)
			nc := connectNATS(t, ns)
			if _, err := nc.ChanSubscribe("px.>", received); err != nil {
				t.Fatal(err)
			}
			if err := nc.Flush(); err != nil {
				t.Fatal(err)
			}
			cfg.Source, cfg.Rate = NewMarket(MarketConfig{Seed: 5}).Message, 2000
			p, stop := runPublisher(t, cfg)
			oracle := NewMarket(MarketConfig{Seed: 5})
			begin := time.Now().Add(-time.Second).UnixMilli()
			for i := range 200 {
				msg := receiveSoon(t, received)
				want := oracle.Next()
				var got struct {
					Last json.Number `json:"l"`
					TS   int64       `json:"ts"`
				}
				if err := json.Unmarshal(msg.Data, &got); err != nil {
					t.Fatalf("%s: %v", msg.Data, err)
				}
				last := string(appendPrice(nil, want.Last, want.Decimals))
				if msg.Subject != want.Subject || got.Last.String() != last {
					t.Fatalf("message %d: %s %s, want %s at %s", i, msg.Subject, msg.Data, want.Subject, last)
				}
				if now := time.Now().UnixMilli(); got.TS < begin || got.TS > now {
					t.Fatalf("ts %d is not between %d and %d", got.TS, begin, now)
				}
			}
			if err := stop(); err != nil {
				t.Error(err)
			}
			if s := p.Stats(); s.Sent < 200 || s.Failed != 0 {
				t.Errorf("%+v", s)
			}
			if cfg.Conn != nil && cfg.Conn.IsClosed() {
				t.Error("closed a connection that it was given")
			}
		})
	}
}

func TestPublisherSurvivesAnOutage(t *testing.T) {
	ns := startNATS(t, -1)
	down := make(chan struct{}, 1)
	nc := connectNATS(t, ns,
		nats.MaxReconnects(-1), nats.ReconnectWait(time.Millisecond),
		nats.DisconnectErrHandler(func(*nats.Conn, error) { down <- struct{}{} }))

	var made atomic.Int64 // the number of the newest message
	source := func(dst []byte, _ time.Time) (string, []byte) {
		return "px.A", strconv.AppendInt(dst, made.Add(1), 10)
	}
	p, stop := runPublisher(t, PublisherConfig{Conn: nc, Source: source, Rate: 1000})

	port := ns.Addr().(*net.TCPAddr).Port
	ns.Shutdown()
	receiveSoon(t, down)
	waitFailed(t, p, 20)
	newest := int(made.Load())

	back := startNATS(t, port)
	received := make(chan *nats.Msg, 4096)
	sub := connectNATS(t, back)
	if _, err := sub.ChanSubscribe("px.A", received); err != nil {
		t.Fatal(err)
	}
	for { // messages in the client's buffer when NATS went away may come first
		n, err := strconv.Atoi(string(receiveSoon(t, received).Data))
		if err != nil {
			t.Fatal(err)
		}
		if n > newest {
			break
		}
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// waitFailed waits until so many messages have failed.
func waitFailed(t *testing.T, p *Publisher, n uint64) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); p.Stats().Failed < n; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%+v", p.Stats())
		}
	}
}

func TestPublisherEndsWithItsConnection(t *testing.T) {
	nc := connectNATS(t, startNATS(t, -1))
	nc.Close()
	p, err := NewPublisher(PublisherConfig{Conn: nc, Source: NewMarket(MarketConfig{}).Message, Rate: 1})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Run(testContext(t)); !errors.Is(err, nats.ErrConnectionClosed) {
		t.Errorf("got %v, want %v", err, nats.ErrConnectionClosed)
	}
}

// A server that cannot be reached yet is no error; a URL that cannot be parsed is.
func TestPublisherConnects(t *testing.T) {
	source := NewMarket(MarketConfig{}).Message
	p, err := NewPublisher(PublisherConfig{URL: "nats://[", Source: source, Rate: 1})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Run(testContext(t)); err == nil {
		t.Error("a malformed URL is no error")
	}

	ln, err := net.Listen("tcp", "127.0.0.1:0") // a port without a listener later
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	ln.Close()
	p, stop := runPublisher(t, PublisherConfig{
		URL:  "nats://" + addr,
		Rate: 1000,
		Source: func(dst []byte, _ time.Time) (string, []byte) {
			t.Error("a message is made that nobody takes")
			return "px.A", dst
		},
	})
	waitFailed(t, p, 10)
	if s := p.Stats(); s.Sent != 0 {
		t.Errorf("without a server: %+v", s)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// startNATS runs a NATS server on the loopback until the test ends; port -1 is any.
func startNATS(t *testing.T, port int) *server.Server {
	t.Helper()
	ns, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: port, NoLog: true, NoSigs: true})
	if err != nil {
		t.Fatal(err)
	}
	ns.Start()
	t.Cleanup(func() { ns.Shutdown(); ns.WaitForShutdown() })
	if !ns.ReadyForConnections(30 * time.Second) {
		t.Fatal("NATS server does not start")
	}
	return ns
}

func connectNATS(t *testing.T, ns *server.Server, options ...nats.Option) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect(ns.ClientURL(), options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// runPublisher runs a publisher until stop is called, which returns Run's error.
func runPublisher(t *testing.T, cfg PublisherConfig) (p *Publisher, stop func() error) {
	t.Helper()
	p, err := NewPublisher(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	t.Cleanup(cancel)
	return p, func() error {
		cancel()
		return receiveSoon(t, ended)
	}
}

// receiveSoon returns the next value of c, which must come within 20 s.
func receiveSoon[T any](t *testing.T, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(30 * time.Second):
		t.Fatal("nothing received in 20 s")
		panic("unreachable")
	}
}

// testContext ends when a test has taken so long that it must be stuck.
func testContext(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}
