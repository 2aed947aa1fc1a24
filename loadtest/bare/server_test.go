package bare

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"tickcast/loadtest/fleet"
	"tickcast/wsproto"
)

// serveBare runs a bare server until the test ends.
func serveBare(t testing.TB) *Server {
	t.Helper()
	b, err := Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- b.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Serve: %v", err)
		}
		if _, err := b.Broadcast(context.Background(), nil); err != ErrEnded {
			t.Errorf("Broadcast after the end: %v", err)
		}
	})
	return b
}

// startFleet starts a fleet that the test's end closes, and waits until its clients are open.
func startFleet(t *testing.T, cfg fleet.Config) *fleet.Fleet {
	t.Helper()
	f, err := fleet.Start(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func TestBroadcast(t *testing.T) {
	const conns = 200
	ctx := testContext(t)
	server := serveBare(t)
	f := startFleet(t, fleet.Config{URL: server.URL(), Conns: conns, Workers: 2})
	if err := f.WaitOpen(ctx); err != nil {
		t.Fatal(err)
	}
	if n := server.Open(); n != conns {
		t.Errorf("%d open", n)
	}
	payload := `{"t":"px.A","s":1,"d":{}}`
	frame := wsproto.AppendFrame(nil, wsproto.OpText, []byte(payload))
	for round := range 3 {
		sweep, err := server.Broadcast(ctx, frame)
		if err != nil {
			t.Fatal(err)
		}
		if sweep.Delivered != conns || sweep.Missed != 0 || sweep.Wall <= 0 || sweep.CPU < 0 {
			t.Errorf("round %d: %+v", round, sweep)
		}
		if err := f.WaitData(ctx, int64((round+1)*conns)); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if got, want := f.Totals().Ledger, (fleet.Ledger{Messages: 3 * conns, Data: 3 * conns, Bytes: uint64(conns * 3 * len(payload))}); got != want {
		t.Fatalf("received %+v, want %+v", got, want)
	}
	// The server has answered each close frame, so all are gone and their places are free.
	if sweep, err := server.Broadcast(ctx, frame); err != nil || sweep.Delivered != 0 || server.Open() != 0 {
		t.Errorf("after the fleet: %+v, %v, %d open", sweep, err, server.Open())
	}
	again := startFleet(t, fleet.Config{URL: server.URL(), Conns: 5, Pause: time.Millisecond})
	if err := again.WaitOpen(ctx); err != nil {
		t.Fatal(err)
	}
	if sweep, err := server.Broadcast(ctx, frame); err != nil || sweep.Delivered != 5 {
		t.Errorf("second fleet: %+v, %v", sweep, err)
	}
	if err := again.WaitData(ctx, 5); err != nil {
		t.Error(err)
	}
}

// Several frames in one broadcast are one delivery to the kernel and several messages to each client.
func TestBroadcastOfSeveral(t *testing.T) {
	const conns = 20
	ctx := testContext(t)
	server := serveBare(t)
	f := startFleet(t, fleet.Config{URL: server.URL(), Conns: conns})
	if err := f.WaitOpen(ctx); err != nil {
		t.Fatal(err)
	}
	sweep, err := server.Broadcast(ctx, bytes.Repeat(wsproto.AppendFrame(nil, wsproto.OpText, []byte(`{"t":"px.A","s":1,"d":{}}`)), 3))
	if err != nil || sweep.Delivered != conns || sweep.Missed != 0 {
		t.Errorf("%+v, %v", sweep, err)
	}
	if err := f.WaitData(ctx, 3*conns); err != nil {
		t.Error(err)
	}
}

func TestHandshake(t *testing.T) {
	server := serveBare(t)
	addr := strings.TrimSuffix(strings.TrimPrefix(server.URL(), "ws://"), "/stream")
	whole := string(wsproto.AppendRequest(nil, wsproto.ClientRequest{Host: addr, Key: "dGhlIHNhbXBsZSBub25jZQ=="}))
	for _, tt := range []struct {
		name, request string
		want          string
	}{
		{"whole", whole, "HTTP/1.1 101"},
		{"not an upgrade", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", ""},
		{"not HTTP", "\x00\x01\x02\r\n\r\n", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, err := net.Dial("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			half := len(tt.request) / 2
			io.WriteString(c, tt.request[:half])
			io.WriteString(c, tt.request[half:])
			got := make([]byte, len("HTTP/1.1 101"))
			n, _ := io.ReadFull(c, got)
			if string(got[:n]) != tt.want {
				t.Errorf("answer %q, want %q", got[:n], tt.want)
			}
		})
	}
}

func TestListenErrors(t *testing.T) {
	server := serveBare(t)
	taken := strings.TrimSuffix(strings.TrimPrefix(server.URL(), "ws://"), "/stream")
	for _, addr := range []string{"", "127.0.0.1", "[::1]:0", taken} {
		if b, err := Listen(addr); err == nil {
			b.release()
			t.Errorf("Listen(%q) succeeded", addr)
		} else if errors.Unwrap(err) == nil && addr == taken {
			t.Errorf("cause is lost: %v", err)
		}
	}
}

// testContext ends when a test has taken so long that it must be stuck.
func testContext(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}
