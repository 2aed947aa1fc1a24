package fleet

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"tickcast/wsproto"
)

// testContext ends when a test has taken so long that it must be stuck.
func testContext(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// startFleet starts a fleet that the test's end closes.
func startFleet(t testing.TB, cfg Config) *Fleet {
	t.Helper()
	f, err := Start(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// serveWS runs a WebSocket server of another project; handle serves each connection. It returns the URL.
func serveWS(t *testing.T, handle func(ctx context.Context, c *websocket.Conn)) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{Subprotocol}})
		if err != nil {
			t.Errorf("accept: %v", err)
			return
		}
		defer c.CloseNow()
		if got := c.Subprotocol(); got != Subprotocol {
			t.Errorf("subprotocol %q", got)
		}
		handle(r.Context(), c)
	}))
	t.Cleanup(s.Close)
	return "ws" + strings.TrimPrefix(s.URL, "http") + "/stream?x=1"
}

// wantSubscribe reads the subscribe message of a client.
func wantSubscribe(t *testing.T, ctx context.Context, c *websocket.Conn) string {
	t.Helper()
	typ, b, err := c.Read(ctx)
	if err != nil || typ != websocket.MessageText {
		t.Errorf("subscribe message: %v, %v", typ, err)
	}
	return string(b)
}

func TestFleet(t *testing.T) {
	const conns, messages = 200, 20
	ctx := testContext(t)
	topics := []string{"px.A", "px.B", "px.C"}
	var mu sync.Mutex
	var got []string
	start := make(chan struct{})
	var pinged atomic.Int64
	url := serveWS(t, func(ctx context.Context, c *websocket.Conn) {
		c.Write(ctx, websocket.MessageText, []byte(`{"op":"hello","v":1}`))
		sub := wantSubscribe(t, ctx, c)
		mu.Lock()
		got = append(got, sub)
		mu.Unlock()
		c.Write(ctx, websocket.MessageText, []byte(`{"op":"ack","id":1,"topics":[],"errors":[]}`))
		ctx = c.CloseRead(ctx) // lets Ping see its pong
		<-start
		for i := range messages {
			if i == messages/2 {
				if err := c.Ping(ctx); err != nil {
					t.Errorf("ping: %v", err)
				}
				pinged.Add(1)
			}
			if err := c.Write(ctx, websocket.MessageText, []byte(`{"t":"px.A","s":1,"d":{}}`)); err != nil {
				t.Errorf("write: %v", err)
			}
		}
		<-ctx.Done()
		if code := websocket.CloseStatus(context.Cause(ctx)); code != -1 && code != websocket.StatusNormalClosure {
			t.Errorf("closed with %v", code)
		}
	})
	f := startFleet(t, Config{
		URL: url, Conns: conns, Workers: 3, Topics: topics,
		Subscribe: `{"op":"sub","id":{i},"topics":["{topic}"]}`,
	})
	if err := f.WaitOpen(ctx); err != nil {
		t.Fatal(err)
	}
	if err := f.WaitSubscribed(ctx); err != nil {
		t.Fatal(err)
	}
	before := f.now()
	close(start)
	if err := f.WaitData(ctx, conns*messages); err != nil {
		t.Fatalf("%v: %+v", err, f.Totals())
	}
	totals := f.Totals()
	if totals.LastData < before || totals.LastData > f.now() {
		t.Errorf("last data at %d, outside of the run", totals.LastData)
	}
	want := Totals{
		Conns: conns, Open: conns, Opened: conns, Acked: conns, Subscribed: conns, Pings: conns,
		Ledger: Ledger{
			Messages: conns * (messages + 2),
			Data:     conns * messages,
			Bytes:    conns * (messages*uint64(len(`{"t":"px.A","s":1,"d":{}}`)) + 20 + 43),
		},
	}
	checkTotals(t, totals, want)
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	want.Open, want.Subscribed = 0, 0
	checkTotals(t, f.Totals(), want)
	if n := pinged.Load(); n != conns {
		t.Errorf("%d pongs came back", n)
	}
	var subs []string
	for i := range conns {
		subs = append(subs, fmt.Sprintf(`{"op":"sub","id":%d,"topics":["%s"]}`, i, topics[i%3]))
	}
	slices.Sort(subs)
	slices.Sort(got)
	if !slices.Equal(subs, got) {
		t.Errorf("subscribe messages differ: %q", got)
	}
}

// checkTotals compares all fields except the clock.
func checkTotals(t *testing.T, got, want Totals) {
	t.Helper()
	faults, wantFaults := got.FaultList(), want.FaultList()
	got.LastData, want.LastData, got.Faults, want.Faults = 0, 0, nil, nil
	if fmt.Sprint(got) != fmt.Sprint(want) || faults != wantFaults {
		t.Errorf("totals\n got %+v faults %s\nwant %+v faults %s", got, faults, want, wantFaults)
	}
}

func TestFleetLosses(t *testing.T) {
	const conns = 90
	ctx := testContext(t)
	url := serveWS(t, func(ctx context.Context, c *websocket.Conn) {
		var i int
		fmt.Sscanf(wantSubscribe(t, ctx, c), "client %d", &i)
		switch i % 3 {
		case 0:
			c.Close(websocket.StatusServiceRestart, "maintenance")
		case 1:
			c.CloseNow()
		case 2:
			c.Write(ctx, websocket.MessageText, []byte(`{"op":"ack","id":1,"topics":[]}`))
			c.Write(ctx, websocket.MessageText, []byte(`{"t":"px.A","s":1,"d":{}}`))
			<-c.CloseRead(ctx).Done()
		}
	})
	f := startFleet(t, Config{URL: url, Conns: conns, Subscribe: "client {i}", Ack: `{"op":"ack"`})
	if err := f.WaitOpen(ctx); err != nil {
		t.Fatal(err)
	}
	err := f.WaitSubscribed(ctx)
	if err == nil || !strings.Contains(err.Error(), "30 of 90 subscriptions acknowledged") {
		t.Errorf("WaitSubscribed: %v", err)
	}
	if err := f.WaitData(ctx, conns/3); err != nil {
		t.Error(err)
	}
	totals := f.Totals()
	if totals.Opened != conns || totals.Lost != 60 || totals.Open != 30 || totals.Failed != 0 {
		t.Errorf("totals %+v", totals)
	}
	if got, want := totals.FaultList(), "closed 1012 x30, eof x30"; got != want {
		t.Errorf("faults %q, want %q", got, want)
	}
	f.Close()
	if again := f.Totals(); again.Lost != 60 || again.Open != 0 {
		t.Errorf("totals after Close %+v", again)
	}
}

func TestFleetContextCloses(t *testing.T) {
	ctx, cancel := context.WithCancel(testContext(t))
	codes := make(chan websocket.StatusCode, 10)
	url := serveWS(t, func(ctx context.Context, c *websocket.Conn) {
		_, _, err := c.Read(ctx)
		codes <- websocket.CloseStatus(err)
	})
	f, err := Start(ctx, Config{URL: url, Conns: 10})
	if err != nil {
		t.Fatal(err)
	}
	if err := f.WaitOpen(ctx); err != nil {
		t.Fatal(err)
	}
	cancel()
	f.running.Wait() // without Close
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	for range 10 {
		if code := <-codes; code != websocket.StatusNormalClosure {
			t.Errorf("a client closed with %d", code)
		}
	}
	if totals := f.Totals(); totals.Lost != 0 || totals.Open != 0 || len(totals.Faults) != 0 {
		t.Errorf("totals %+v", totals)
	}
}

// Close during the ramp ends all waits for connections.
func TestFleetCloseDuringRamp(t *testing.T) {
	ctx := testContext(t)
	url := serveWS(t, func(ctx context.Context, c *websocket.Conn) { c.Read(ctx) })
	f := startFleet(t, Config{URL: url, Conns: 100, Ramp: 1, Workers: 2}) // would take 99 s
	waited := make(chan error, 1)
	go func() { waited <- f.WaitOpen(ctx) }()
	if err := f.settled.wait(ctx, 1); err != nil {
		t.Fatal(err)
	}
	f.Close()
	if err := <-waited; err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("WaitOpen: %v", err)
	}
	if err := f.WaitSubscribed(ctx); err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("WaitSubscribed: %v", err)
	}
}

func TestFleetRamp(t *testing.T) {
	ctx := testContext(t)
	url := serveWS(t, func(ctx context.Context, c *websocket.Conn) { c.Read(ctx) })
	f := startFleet(t, Config{URL: url, Conns: 21, Ramp: 200, Workers: 2})
	if err := f.WaitOpen(ctx); err != nil {
		t.Fatal(err)
	}
	// The 21st is due after 20 intervals of 5 ms. On a busy machine only this lower bound is certain.
	if took := time.Since(f.begun); took < 100*time.Millisecond {
		t.Errorf("21 connections at 200/s took %v", took)
	}
}

func TestFleetStartErrors(t *testing.T) {
	for _, tt := range []struct {
		name string
		cfg  Config
		want string
	}{
		{"no connections", Config{URL: "ws://127.0.0.1:1/"}, "Conns must be at least 1"},
		{"negative", Config{URL: "ws://127.0.0.1:1/", Conns: 1, Ramp: -1}, "no number negative"},
		{"negative topics", Config{URL: "ws://127.0.0.1:1/", Conns: 1, TopicsPerConn: -1}, "no number negative"},
		{"too few topics", Config{URL: "ws://127.0.0.1:1/", Conns: 1, Topics: []string{"a"}, TopicsPerConn: 2}, "only 1 topics"},
		{"other scheme", Config{URL: "http://127.0.0.1:1/", Conns: 1}, "not of the form"},
		{"port range", Config{URL: "ws://127.0.0.1:9-8/", Conns: 1}, "no valid range of ports"},
		{"no host", Config{URL: "ws:///stream", Conns: 1}, "not of the form"},
		{"not a URL", Config{URL: "ws://%", Conns: 1}, "invalid URL escape"},
		{"port 0", Config{URL: "ws://127.0.0.1:0/", Conns: 1}, "no valid port"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f, err := Start(context.Background(), tt.cfg)
			if err == nil {
				f.Close()
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
	var limit *LimitError
	if _, err := Start(context.Background(), Config{URL: "ws://127.0.0.1:1/", Conns: 1 << 40}); !errors.As(err, &limit) {
		t.Errorf("too many connections: %v", err)
	}
}

// serveRaw runs a TCP server; each connection is handed to handle after its upgrade request was read, and closed when
// that returns.
func serveRaw(t *testing.T, handle func(c *net.TCPConn, key []byte)) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				var head []byte
				for buf := make([]byte, 4096); ; {
					n, err := c.Read(buf)
					if err != nil {
						return
					}
					head = append(head, buf[:n]...)
					if r, n, err := wsproto.ParseRequest(head, wsproto.RequestLimits{}); err != nil {
						t.Errorf("request: %v", err)
						return
					} else if n > 0 {
						if err := r.CheckUpgrade(); err != nil {
							t.Errorf("upgrade: %v", err)
						}
						handle(c.(*net.TCPConn), r.Key)
						return
					}
				}
			}()
		}
	}()
	return "ws://" + ln.Addr().String() + "/"
}
