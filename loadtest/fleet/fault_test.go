package fleet

import (
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"tickcast/wsproto"
)

// upgrade is the whole answer to a good request, the subprotocol included.
func upgrade(key []byte) []byte {
	return wsproto.AppendUpgrade(nil, key, Subprotocol, wsproto.Deflate{})
}

// drain reads frames until the client has sent its close frame or closed.
func drain(c net.Conn) {
	var d wsproto.Decoder
	for buf := make([]byte, 4096); ; {
		n, err := c.Read(buf)
		if err != nil {
			return
		}
		for b := buf[:n]; len(b) > 0; {
			m, n, err := d.Next(nil, b)
			if err != nil || m.Op == wsproto.OpClose {
				return
			}
			b = b[n:]
		}
	}
}

// Each fault that a server can cause is distinguished from the others.
func TestFleetFaults(t *testing.T) {
	const conns = 20
	for _, tt := range []struct {
		name   string
		server func(c *net.TCPConn, key []byte)
		opens  bool
		want   string
	}{
		{"status", func(c *net.TCPConn, key []byte) {
			io.WriteString(c, "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nRetry-After: 1\r\n\r\n")
			drain(c)
		}, false, "status 503 x20"},
		{"wrong accept", func(c *net.TCPConn, key []byte) {
			c.Write(upgrade([]byte("AAAAAAAAAAAAAAAAAAAAAA==")))
			drain(c)
		}, false, "handshake x20"},
		{"not HTTP", func(c *net.TCPConn, key []byte) {
			io.WriteString(c, "SSH-2.0-server\r\n\r\n\r\n")
			drain(c)
		}, false, "handshake x20"},
		{"ends before its answer", func(c *net.TCPConn, key []byte) {}, false, "eof x20"},
		{"resets before its answer", func(c *net.TCPConn, key []byte) { c.SetLinger(0) }, false, "reset ECONNRESET x20"},
		{"ends", func(c *net.TCPConn, key []byte) { c.Write(upgrade(key)); c.CloseWrite(); drain(c) }, true, "eof x20"},
		{"resets", func(c *net.TCPConn, key []byte) {
			c.Write(upgrade(key))
			var first [1]byte
			c.Read(first[:]) // the client has seen the answer
			c.SetLinger(0)
		}, true, "reset ECONNRESET x20"},
		{"close with a code", func(c *net.TCPConn, key []byte) {
			c.Write(wsproto.AppendClose(upgrade(key), 4503, "kicked"))
			drain(c)
		}, true, "closed 4503 x20"},
		{"close without a code", func(c *net.TCPConn, key []byte) {
			c.Write(wsproto.AppendClose(upgrade(key), wsproto.StatusNoStatus, ""))
			drain(c)
		}, true, "closed 1005 x20"},
		{"masked frame", func(c *net.TCPConn, key []byte) {
			c.Write(wsproto.AppendMaskedFrame(upgrade(key), wsproto.OpText, [4]byte{1, 2, 3, 4}, []byte("x")))
			drain(c)
		}, true, "protocol 1002 x20"},
		{"bad UTF-8", func(c *net.TCPConn, key []byte) {
			c.Write(wsproto.AppendFrame(upgrade(key), wsproto.OpText, []byte("\xff")))
			drain(c)
		}, true, "protocol 1007 x20"},
		{"message too big", func(c *net.TCPConn, key []byte) {
			c.Write(wsproto.AppendHeader(upgrade(key), wsproto.Header{Fin: true, Op: wsproto.OpText, Length: maxMessage + 1}))
			drain(c)
		}, true, "protocol 1009 x20"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ctx := testContext(t)
			f := startFleet(t, Config{URL: serveRaw(t, tt.server), Conns: conns, Topics: []string{"px.A"}})
			// All clients count as answered after their end, which each of these servers causes.
			if err := f.WaitSubscribed(ctx); err == nil {
				t.Error("WaitSubscribed returned nil")
			}
			err := f.WaitOpen(ctx)
			want := Totals{Conns: conns}
			if tt.opens {
				want.Opened, want.Lost = conns, conns
			} else {
				want.Failed = conns
				if err == nil || !strings.HasSuffix(err.Error(), tt.want) {
					t.Errorf("WaitOpen: %v", err)
				}
			}
			got := f.Totals()
			if list := got.FaultList(); list != tt.want {
				t.Errorf("faults %q, want %q", list, tt.want)
			}
			got.Faults = nil
			checkTotals(t, got, want)
		})
	}
}

// A client that detects an error answers with a close frame with its code.
func TestFleetClosesWithCode(t *testing.T) {
	got := make(chan wsproto.Message, 1)
	url := serveRaw(t, func(c *net.TCPConn, key []byte) {
		c.Write(append(upgrade(key), 0xf1, 0x00)) // reserved bits
		b, err := io.ReadAll(c)
		if err != nil {
			t.Errorf("read: %v", err)
		}
		var d wsproto.Decoder
		m, _, err := d.Next(&wsproto.Config{}, b)
		if err != nil {
			t.Errorf("client's frame: %v", err)
		}
		got <- m
	})
	startFleet(t, Config{URL: url, Conns: 1})
	select {
	case m := <-got:
		if m.Op != wsproto.OpClose || m.Code != wsproto.StatusProtocolError {
			t.Errorf("got %v %d", m.Op, m.Code)
		}
	case <-testContext(t).Done():
		t.Fatal("no close frame")
	}
}

func TestFleetRefused(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	url := "ws://" + ln.Addr().String()
	ln.Close()
	f := startFleet(t, Config{URL: url, Conns: 50, Workers: 4, InFlight: 8})
	err = f.WaitOpen(testContext(t))
	if err == nil || !strings.HasSuffix(err.Error(), "0 of 50 connections opened, faults: refused x50") {
		t.Errorf("WaitOpen: %v", err)
	}
}

// A server that accepts and stays silent costs the client its timeout and no more. One slow connection must not delay the
// result of those behind it.
func TestFleetTimeout(t *testing.T) {
	ctx := testContext(t)
	url := serveRaw(t, func(c *net.TCPConn, key []byte) { drain(c) })
	begun := time.Now()
	f := startFleet(t, Config{URL: url, Conns: 30, InFlight: 10, Workers: 1, Timeout: 50 * time.Millisecond})
	if err := f.settled.wait(ctx, 30); err != nil {
		t.Fatal(err)
	}
	totals := f.Totals()
	if list := totals.FaultList(); list != "timeout x30" {
		t.Errorf("faults %q", list)
	}
	if took := time.Since(begun); took < 150*time.Millisecond {
		t.Errorf("three batches of 10 timed out in %v: more than 10 were in flight", took)
	}
}

// A refused subscription is a fault but no loss.
func TestFleetSubscriptionRefused(t *testing.T) {
	ctx := testContext(t)
	for _, answer := range []string{
		`{"op":"ack","id":1,"topics":[],"errors":[{"t":"px.A","code":102,"msg":"unknown topic"}]}`,
		`{"op":"err","id":1,"code":107,"msg":"bad request"}`,
	} {
		url := serveRaw(t, func(c *net.TCPConn, key []byte) {
			b := upgrade(key)
			b = wsproto.AppendFrame(b, wsproto.OpText, []byte(`{"op":"hb","ts":1}`))
			c.Write(wsproto.AppendFrame(b, wsproto.OpText, []byte(answer)))
			drain(c)
		})
		f := startFleet(t, Config{URL: url, Conns: 3, Topics: []string{"px.A"}})
		if err := f.WaitSubscribed(ctx); err == nil || !strings.Contains(err.Error(), "subscribe x3") {
			t.Errorf("WaitSubscribed: %v", err)
		}
		if totals := f.Totals(); totals.Open != 3 || totals.Lost != 0 || totals.Messages != 6 {
			t.Errorf("totals %+v", totals)
		}
	}
}

// The same messages arrive for every cut of the server's bytes: in the head of the answer, in frame headers, in fragments
// with a ping in between.
func TestFleetCutBytes(t *testing.T) {
	ctx := testContext(t)
	text := `{"t":"px.A","s":1,"d":"` + strings.Repeat("ü", 100) + `"}`
	frames := wsproto.AppendFrame(nil, wsproto.OpText, []byte(`{"op":"ack","id":1}`))
	frames = wsproto.AppendHeader(frames, wsproto.Header{Op: wsproto.OpText, Length: 30})
	frames = append(frames, text[:30]...)
	frames = wsproto.AppendFrame(frames, wsproto.OpPing, []byte("are you there"))
	frames = wsproto.AppendHeader(frames, wsproto.Header{Op: wsproto.OpContinuation, Length: 0})
	frames = wsproto.AppendHeader(frames, wsproto.Header{Fin: true, Op: wsproto.OpContinuation, Length: int64(len(text) - 30)})
	frames = append(frames, text[30:]...)
	frames = wsproto.AppendFrame(frames, wsproto.OpText, []byte(text))
	frames = wsproto.AppendFrame(frames, wsproto.OpBinary, []byte("\x01\x00"))
	url := serveRaw(t, func(c *net.TCPConn, key []byte) {
		all := append(upgrade(key), frames...)
		// TCP_NODELAY is Go's default: each write is a segment of its own, unless the client is slow.
		for len(all) > 0 {
			n := min(3, len(all))
			if _, err := c.Write(all[:n]); err != nil {
				t.Errorf("write: %v", err)
				return
			}
			all = all[n:]
		}
		drain(c)
	})
	f := startFleet(t, Config{URL: url, Conns: 10, Workers: 2, Topics: []string{"px.A"}})
	if err := f.WaitSubscribed(ctx); err != nil {
		t.Fatal(err)
	}
	if err := f.WaitData(ctx, 20); err != nil {
		t.Fatal(err)
	}
	f.Close()
	want := Ledger{Messages: 40, Data: 20, Bytes: uint64(10 * (2*len(text) + len(`{"op":"ack","id":1}`) + 2))}
	got := f.Totals().Ledger
	late := want.Messages - got.Messages // Close may overtake the last, binary messages
	if got.Messages, got.Bytes = got.Messages+late, got.Bytes+2*late; got != want || late > 10 {
		t.Errorf("received %+v, want %+v, %d late", got, want, late)
	}
	if totals := f.Totals(); totals.Pings != 10 || len(totals.Faults) != 0 {
		t.Errorf("totals %+v", totals)
	}
}
