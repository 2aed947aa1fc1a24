package eventloop

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"tickcast/broadcast"
	"tickcast/wsproto"
)

// echoing makes path the echo endpoint.
func echoing(path string) setting {
	return func(c *Config, _ *broadcast.Config) { c.EchoPath = path }
}

// requestFor returns an opening handshake for path, with an offer of extensions unless that is empty.
func requestFor(path, extensions string) string {
	r := string(wsproto.AppendRequest(nil, wsproto.ClientRequest{Host: "test", Path: path, Key: testKey}))
	if extensions != "" {
		r = strings.TrimSuffix(r, "\r\n") + "Sec-WebSocket-Extensions: " + extensions + "\r\n\r\n"
	}
	return r
}

// openEcho connects to the echo endpoint.
func (c *client) openEcho() *client {
	c.t.Helper()
	c.send(requestFor("/echo", ""))
	if r, body := c.response("GET"); r.StatusCode != 101 {
		c.t.Fatalf("not upgraded: %s %q", r.Status, body)
	}
	return c
}

func TestEchoPath(t *testing.T) {
	const upgrade, stream = 101, 1
	for _, row := range []struct {
		echo, method, path string
		want               int
	}{
		{"", "upgrade", "/", 200}, // the page, as ever
		{"", "upgrade", "/echo", 404},
		{"/echo", "upgrade", "/echo", upgrade},
		{"/echo", "upgrade", "/echo/x", 404},
		{"/echo", "upgrade", "/echox", 404},
		{"/echo", "GET", "/echo", 426},
		{"/echo", "HEAD", "/echo", 405},
		{"/echo", "POST", "/echo", 405},
		{"/echo", "upgrade", "/stream", stream},
		{"/e/", "upgrade", "/e/", upgrade},
		{"/e/", "upgrade", "/e/f/g", upgrade},
		{"/e/", "upgrade", "/e", 404},
		{"/e/", "GET", "/e/f", 404},
		{"/", "upgrade", "/", upgrade},
		{"/", "upgrade", "/any?thing=1", upgrade},
		{"/", "upgrade", "/big.js", upgrade},
		{"/", "upgrade", "/stream", stream},
		{"/", "GET", "/", 200},
		{"/", "GET", "/big.js", 200},
		{"/", "GET", "/any", 404},
	} {
		t.Run(fmt.Sprintf("%s %s with echo at %q", row.method, row.path, row.echo), func(t *testing.T) {
			c := start(t, echoing(row.echo)).dial()
			method := row.method
			if method == "upgrade" {
				method = "GET"
				c.send(requestFor(row.path, ""))
			} else {
				c.send(method + " " + row.path + " HTTP/1.1\r\nHost: test\r\n\r\n")
			}
			r, _ := c.response(method)
			switch row.want {
			case stream:
				c.expect(`{"op":"hello"`)
			case upgrade:
				c.send(masked(wsproto.OpText, "x"))
				if m := c.frame(wsproto.OpText); string(m.Payload) != "x" {
					t.Errorf("got %q", m.Payload)
				}
			default:
				if r.StatusCode != row.want {
					t.Errorf("%s, want %d", r.Status, row.want)
				}
			}
		})
	}
}

func TestEcho(t *testing.T) {
	s := start(t, echoing("/echo"))
	c := s.dial()
	c.send(strings.TrimSuffix(requestFor("/echo", ""), "\r\n") + "Sec-WebSocket-Protocol: tickcast.v1.json\r\n\r\n")
	if r, _ := c.response("GET"); r.StatusCode != 101 || len(r.Header["Sec-Websocket-Protocol"]) > 0 {
		t.Fatalf("%s, %v", r.Status, r.Header)
	}
	// All at once: the echoes keep the order.
	c.send(masked(wsproto.OpText, "é") + masked(wsproto.OpPing, "1") + masked(wsproto.OpBinary, "\xff") +
		fragment(false, wsproto.OpText, "ab") + masked(wsproto.OpPing, "2") + fragment(true, wsproto.OpContinuation, "cd") +
		masked(wsproto.OpText, "") + masked(wsproto.OpPong, "ignored") + masked(wsproto.OpBinary, ""))
	for _, want := range []wsproto.Message{
		{Op: wsproto.OpText, Payload: []byte("é")}, {Op: wsproto.OpPong, Payload: []byte("1")},
		{Op: wsproto.OpBinary, Payload: []byte("\xff")}, {Op: wsproto.OpPong, Payload: []byte("2")},
		{Op: wsproto.OpText, Payload: []byte("abcd")}, {Op: wsproto.OpText}, {Op: wsproto.OpBinary},
	} {
		if m := c.frame(want.Op); !bytes.Equal(m.Payload, want.Payload) {
			t.Errorf("got %v %q, want %q", m.Op, m.Payload, want.Payload)
		}
	}
	large := strings.Repeat("x", 16<<10) // the longest message
	c.command(large)
	if m := c.frame(wsproto.OpText); string(m.Payload) != large {
		t.Errorf("%d bytes came back", len(m.Payload))
	}
	if st := s.stats(); st.MessagesReceived != 6 || st.FramesSent != 8 || s.hub.Stats().Subscribers != 0 {
		t.Errorf("%+v", st)
	}
	c.send(masked(wsproto.OpText, "last") + closeFrame(4321, "bye") + masked(wsproto.OpText, "late"))
	c.expect("last")
	c.expectClose(4321)
	c.ended()
}

func TestEchoOfTooMuch(t *testing.T) {
	c := start(t, echoing("/echo")).dial().openEcho()
	c.send(masked(wsproto.OpText, "first") + masked(wsproto.OpBinary, strings.Repeat("x", 16<<10+1)))
	c.expect("first")
	c.expectClose(wsproto.StatusMessageTooBig)
}

// An echo client is pinged. It gets no heartbeat, which it would take for an echo, and it need not subscribe.
func TestEchoClientHearsPingsOnly(t *testing.T) {
	s := start(t, echoing("/echo"), func(c *Config, _ *broadcast.Config) {
		c.Heartbeat, c.FirstMessageTimeout, c.PingInterval, c.IdleTimeout = tick, tick, 2*tick, patience
	})
	c := s.dial().openEcho()
	for range 3 {
		c.frame(wsproto.OpPing)
		c.send(masked(wsproto.OpPong, ""))
	}
	c.command("x")
	c.expect("x")
}

// A client may send far ahead of its reading, in small messages.
func TestEchoOfManySmallMessages(t *testing.T) {
	const messages = 100_000
	s := start(t, echoing("/echo"), func(c *Config, _ *broadcast.Config) { c.EchoQueueBytes = 16 << 20 })
	c := s.slow().openEcho()
	var b []byte
	for n := range messages {
		b = wsproto.AppendMaskedFrame(b, wsproto.OpText, clientMask, fmt.Appendf(nil, "%010d", n))
	}
	c.send(string(b))
	eventually(t, "all has arrived", func() bool { return s.stats().MessagesReceived == messages })
	for n := range messages {
		if m := c.frame(wsproto.OpText); string(m.Payload) != fmt.Sprintf("%010d", n) {
			t.Fatalf("message %d: %q", n, m.Payload)
		}
	}
	eventually(t, "nothing waits any more", func() bool { most, behind := s.buffered(); return most == 0 && behind == 0 })
}

// The echoes that wait for a client that does not read have a bound, of at least two messages of the largest size.
func TestEchoIsBounded(t *testing.T) {
	s := start(t, echoing("/echo"), func(c *Config, _ *broadcast.Config) { c.MaxMessageSize, c.EchoQueueBytes = 64<<10, 1 })
	c := s.slow().openEcho()
	message := masked(wsproto.OpBinary, strings.Repeat("x", 64<<10))
	c.send(message + message)
	for range 2 {
		c.frame(wsproto.OpBinary)
	}
	for {
		if _, err := io.WriteString(c, message); err != nil {
			break // the server has ended the connection
		}
	}
	s.closedWith(uint16(StatusSlowConsumer))
}

func TestEchoClientIsToldToGo(t *testing.T) {
	s := startWithGrace(t, patience, echoing("/echo"))
	c := s.dial().openEcho()
	c.command("x")
	c.expect("x")
	s.cancel()
	c.expectClose(wsproto.StatusServiceRestart)
	c.send(closeFrame(wsproto.StatusGoingAway, ""))
	c.ended()
	s.join()
}

// Another implementation of compression, both ways, with all its offers.
func TestEchoOfCompressedMessages(t *testing.T) {
	s := start(t, echoing("/echo"), func(c *Config, _ *broadcast.Config) { c.MaxMessageSize = 1 << 20 })
	for _, row := range []struct {
		name string
		mode websocket.CompressionMode
		kept bool
	}{
		{"context takeover", websocket.CompressionContextTakeover, true},
		{"no context takeover", websocket.CompressionNoContextTakeover, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			c, r, err := websocket.Dial(ctx, s.url("/echo"),
				&websocket.DialOptions{HTTPClient: webClient, CompressionMode: row.mode, CompressionThreshold: 1})
			if err != nil {
				t.Fatal(err)
			}
			defer c.CloseNow()
			if !strings.HasPrefix(r.Header.Get("Sec-WebSocket-Extensions"), "permessage-deflate") {
				t.Fatalf("extensions %q", r.Header.Get("Sec-WebSocket-Extensions"))
			}
			c.SetReadLimit(1 << 20)
			before := s.stats()
			random := rand.New(rand.NewPCG(1, 2))
			for n := range 200 {
				payload := bytes.Repeat(fmt.Appendf(nil, "%d and again, ", n%10), random.IntN(1<<random.IntN(13)))
				if n%3 == 0 {
					for i := range payload { // hardly compressible
						payload[i] = byte(random.Uint32())
					}
				}
				kind := websocket.MessageText
				if n%3 != 1 {
					kind = websocket.MessageBinary
				}
				if err := c.Write(ctx, kind, payload); err != nil {
					t.Fatal(err)
				}
				got, echo, err := c.Read(ctx)
				if err != nil || got != kind || !bytes.Equal(echo, payload) {
					t.Fatalf("message %d, %d bytes: %v, %d bytes, %v", n, len(payload), got, len(echo), err)
				}
			}
			st := s.stats()
			if n := st.OwnCompressed - before.OwnCompressed; n < 50 {
				t.Errorf("%d echoes were compressed", n)
			}
			if (st.WindowBytes > 0) != row.kept {
				t.Errorf("%d bytes are kept", st.WindowBytes)
			}
			if err := c.Close(websocket.StatusNormalClosure, ""); err != nil {
				t.Error(err)
			}
			eventually(t, "nothing is kept any more", func() bool { return s.stats().WindowBytes == 0 })
		})
	}
}

// The stream's settings do not apply to echoes.
func TestEchoAgreesToEverything(t *testing.T) {
	s := start(t, echoing("/echo"), compressing(wsproto.DeflatePolicy{ServerWindowBits: 9, ClientWindowBits: 9}))
	for offer, want := range map[string]string{
		"":                   "",
		"permessage-deflate": "permessage-deflate",
		"permessage-deflate; client_max_window_bits":                                 "permessage-deflate",
		"permessage-deflate; server_max_window_bits=8; client_max_window_bits=10":    "permessage-deflate; server_max_window_bits=8; client_max_window_bits=10",
		"permessage-deflate; server_no_context_takeover; client_no_context_takeover": "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
		"permessage-brotli": "",
	} {
		c := s.dial()
		c.send(requestFor("/echo", offer))
		if r, _ := c.response("GET"); r.StatusCode != http.StatusSwitchingProtocols || r.Header.Get("Sec-WebSocket-Extensions") != want {
			t.Errorf("%q: %s, answered %q, want %q", offer, r.Status, r.Header.Get("Sec-WebSocket-Extensions"), want)
		}
	}
}
