package eventloop

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"tickcast/broadcast"
	"tickcast/wsproto"
)

// docs/strictness.md names the rule of each of these tests.

// rawFrame reads the bytes of one frame as they came.
func (c *client) rawFrame() (h wsproto.Header, head, payload []byte) {
	c.t.Helper()
	for {
		b, err := c.r.ReadByte()
		if err != nil {
			c.t.Fatalf("header % x: %v", head, err)
		}
		head = append(head, b)
		h, n, err := wsproto.ParseHeader(head)
		if err != nil {
			c.t.Fatalf("header % x: %v", head, err)
		}
		if n == 0 {
			continue
		}
		payload = make([]byte, h.Length)
		if _, err := io.ReadFull(c.r, payload); err != nil {
			c.t.Fatalf("payload: %v", err)
		}
		return h, head, payload
	}
}

// The server's frames are whole and not masked, without reserved bits unless an extension defines them, with the shortest length
// and UTF-8 text: RFC 6455 sections 5.1, 5.2, 5.5, 5.6 and 6.1. A decoder would forgive some faults, so the test reads the bytes.
func TestFramesAsTheyAreSent(t *testing.T) {
	for _, row := range []struct {
		name       string
		settings   setting
		offer      string // Sec-WebSocket-Extensions
		compressed bool   // some messages must be
	}{
		{"no extension", func(*Config, *broadcast.Config) {}, "", false},
		{"an offer that is not taken up", func(*Config, *broadcast.Config) {}, "permessage-deflate", false},
		{"compression that was not asked for", compressing(wsproto.DeflatePolicy{}), "", false},
		{"compression", compressing(wsproto.DeflatePolicy{}), "permessage-deflate", true},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := start(t, row.settings)
			c := s.dial()
			c.send(withHeader(request("topics=a,%ff"), "Sec-WebSocket-Extensions", row.offer))
			if r, _ := c.response("GET"); r.StatusCode != 101 {
				t.Fatal(r.Status)
			}
			compressed := 0
			expect := func(prefix string) {
				t.Helper()
				for {
					h, text := c.answer(row.compressed)
					if h.Op != wsproto.OpText {
						t.Fatalf("%+v, want a message %s...", h, prefix)
					}
					if h.RSV != 0 {
						compressed++
					}
					if strings.HasPrefix(text, prefix) {
						return
					}
				}
			}
			c.command(`{"op":"ping","id":1}`)
			expect(`{"op":"ack","id":1`)
			s.hub.Publish("a", []byte("\xff")) // not UTF-8: it must not be sent as text
			s.hub.Publish("a", []byte("\"\xed\xa0\x80\""))
			for _, size := range []int{1, 100, 500, 70_000} {
				s.hub.Publish("a", []byte(`"`+strings.Repeat("€", size)+`"`))
				expect(`{"t":"a"`)
			}
			c.command("nonsense")
			expect(`{"op":"err"`)
			c.send(masked(wsproto.OpPing, strings.Repeat("\xff", 125)))
			if h, _ := c.answer(row.compressed); h.Op != wsproto.OpPong || h.Length != 125 {
				t.Errorf("%+v", h)
			}
			c.send(closeFrame(1000, strings.Repeat("r", 123)))
			if h, _ := c.answer(row.compressed); h.Op != wsproto.OpClose || h.Length != 2 {
				t.Errorf("%+v", h)
			}
			c.ended()
			if row.compressed != (compressed > 0) {
				t.Errorf("%d compressed frames", compressed)
			}
		})
	}
}

// withHeader is request with one more line, or as it is if value is empty.
func withHeader(request, name, value string) string {
	if value == "" {
		return request
	}
	return strings.TrimSuffix(request, "\r\n") + name + ": " + value + "\r\n\r\n"
}

// answer reads one frame of the server and checks its form. text is its payload, uncompressed.
func (c *client) answer(deflate bool) (h wsproto.Header, text string) {
	c.t.Helper()
	h, head, payload := c.rawFrame()
	if !h.Fin || h.Masked || h.Op.Reserved() || h.Op == wsproto.OpContinuation || h.Op.Control() && h.Length > 125 {
		c.t.Fatalf("% x: %+v", head, h)
	}
	if h.RSV != 0 && (!deflate || h.RSV != 4 || h.Op != wsproto.OpText) {
		c.t.Fatalf("% x: a reserved bit", head)
	}
	if shortest := wsproto.AppendHeader(nil, h); string(shortest) != string(head) {
		c.t.Fatalf("header % x, want % x", head, shortest)
	}
	cfg := wsproto.Config{Client: true, MaxMessage: 1 << 20}
	if deflate {
		cfg.Inflater, cfg.Deflate = new(wsproto.Inflater), wsproto.Deflate{ServerWindowBits: 15, ClientWindowBits: 15}
	}
	m, _, err := new(wsproto.Decoder).Next(&cfg, append(head, payload...))
	if err != nil || m.Op == wsproto.OpText && !utf8.Valid(m.Payload) {
		c.t.Fatalf("%.100q: %v", m.Payload, err)
	}
	return h, string(m.Payload)
}

// The server answers with an extension of the offer only: RFC 6455 sections 4.2.2 and 9, RFC 7692 section 5. See also
// TestCompressionIsAgreedOn.
func TestExtensionsAreChosenFromTheOffer(t *testing.T) {
	s := start(t, compressing(wsproto.DeflatePolicy{}))
	const agreed = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
	for _, row := range []struct{ name, offer, want string }{
		{"others alone", "permessage-bzip2, x-foo; a=\"b\"", ""},
		{"behind another one", "x-foo, permessage-deflate", agreed},
		{"on the second line", "x-foo\r\nSec-WebSocket-Extensions: permessage-deflate, x-bar", agreed},
		{"with an unknown parameter", "permessage-deflate; x", ""},
		{"twice", "permessage-deflate, permessage-deflate", agreed},
	} {
		c := s.dial()
		c.t = t
		c.send(withHeader(request(""), "Sec-WebSocket-Extensions", row.offer))
		if got := strings.Join(c.upgraded().Header.Values("Sec-WebSocket-Extensions"), "|"); got != row.want {
			t.Errorf("%s: %q, want %q", row.name, got, row.want)
		}
	}
}

// A handshake that breaks RFC 6455 sections 4.1, 4.2.1, 9.1 or 11.3 is refused with a status. Headers that the server does not
// judge are accepted.
func TestOpeningHandshakeIsJudged(t *testing.T) {
	s := start(t)
	add := func(name, value string) string { return withHeader(request(""), name, value) }
	for _, row := range []struct {
		name    string
		request string
		status  int
	}{
		{"another path", strings.Replace(request(""), "/stream", "/nothing", 1), 404},
		{"two keys", add("Sec-WebSocket-Key", testKey), 400},
		{"two versions", add("Sec-WebSocket-Version", "13"), 400},
		{"two Origins", add("Origin", "http://a\r\nOrigin: http://b"), 400},
		{"Upgrade to something else", upgrade("Upgrade: h2c"), 426},
		{"subprotocol twice", add("Sec-WebSocket-Protocol", "a, b, a"), 400},
		{"subprotocol that is no token", add("Sec-WebSocket-Protocol", "a b"), 400},
		{"extension that breaks the grammar", add("Sec-WebSocket-Extensions", "permessage-deflate; a=\"b"), 400},
		{"extension that breaks the grammar on its second line", add("Sec-WebSocket-Extensions", "permessage-deflate\r\nSec-WebSocket-Extensions: ;"), 400},

		{"an Origin", add("Origin", "https://test"), 101},
		{"an Origin that is not allowed", add("Origin", "https://example.com"), 403},
		{"headers that nobody knows", add("X-Whatever", "\xff; =, \"\r\nForwarded: for=192.0.2.1"), 101},
		{"key, Upgrade and Connection in other words", upgrade("Upgrade: WEBSOCKET", "Connection: keep-alive, uPGRADE"), 101},
	} {
		c := s.dial()
		c.t = t
		c.send(row.request)
		r, _ := c.response("GET")
		if r.StatusCode != row.status {
			t.Errorf("%s: %s, want %d", row.name, r.Status, row.status)
		}
		if _, ok := r.Header[http.CanonicalHeaderKey("Sec-WebSocket-Accept")]; ok != (row.status == 101) {
			t.Errorf("%s: Sec-WebSocket-Accept: %v", row.name, ok)
		}
	}
}

// After its close frame the server sends no further frame, whatever is published or asked: RFC 6455 section 5.5.1.
func TestNothingIsSentBehindOurClose(t *testing.T) {
	s := startWithGrace(t, patience)
	c := s.open("topics=a")
	c.expect(`{"op":"ack"`)
	s.cancel()
	c.expectClose(1012)
	s.hub.Publish("a", []byte("1"))
	s.onLoops(func(*loop) {}) // behind the fan-out, if there is one
	c.send(masked(wsproto.OpPing, "late"))
	c.command(`{"op":"ping","id":1}`)
	c.send(closeFrame(1000, ""))
	c.ended()
	s.closedWith(1012)
}

// Commands after a broken rule or a close frame are not applied, in the same segment or a later one, and the connection ends
// though the client does not end it: RFC 6455 sections 1.4, 5.1 and 7.1.7.
func TestNothingIsReadBehindTheEnd(t *testing.T) {
	for _, row := range []struct {
		name string
		sent string
		code wsproto.StatusCode
	}{
		{"behind a broken rule", fragment(true, wsproto.OpContinuation, "x"), 1002},
		{"behind an unmasked frame", string(wsproto.AppendFrame(nil, wsproto.OpText, []byte("{}"))), 1002},
		{"behind bad text", masked(wsproto.OpText, "\xff"), 1007},
		{"behind a binary message", masked(wsproto.OpBinary, "x"), 1003},
		{"behind the client's close frame", closeFrame(1000, ""), 1000},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := start(t, func(c *Config, _ *broadcast.Config) { c.CloseTimeout = 200 * time.Millisecond })
			c := s.open("")
			const command = `{"op":"sub","id":1,"topics":["a"]}`
			c.send(row.sent + masked(wsproto.OpText, command) + masked(wsproto.OpPing, "late"))
			c.expectClose(row.code)
			_, _ = io.WriteString(c, masked(wsproto.OpText, command)) // may find the connection gone
			if left, _ := io.ReadAll(c.r); len(left)+len(c.rest) > 0 {
				t.Errorf("%q, %q behind the close frame", c.rest, left)
			}
			eventually(t, "the connection is gone", func() bool { return s.engine.Connections() == 0 })
			if st := s.hub.Stats(); st.Commands != 0 || st.Subscribers != 0 {
				t.Errorf("%+v", st)
			}
			s.closedWith(uint16(row.code))
		})
	}
}

// Text is judged while its frame is incomplete: RFC 6455 section 8.1.
func TestBadTextEndsAnUnfinishedFrame(t *testing.T) {
	for _, row := range []struct {
		name string
		sent string
	}{
		{"first bytes", "\xc0"},
		{"behind a whole character", "€\xed\xa0"},
		{"over a cut", "\xf4|\x90"},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := start(t)
			c := s.open("")
			text := strings.ReplaceAll(row.sent, "|", "")
			frame := masked(wsproto.OpText, text+strings.Repeat("x", 100))
			frame = frame[:len(frame)-100]
			if _, after, cut := strings.Cut(row.sent, "|"); cut {
				c.send(frame[:len(frame)-len(after)])
				s.taken(uint64(len(request("")) + len(frame) - len(after)))
				frame = frame[len(frame)-len(after):]
			}
			c.send(frame)
			c.expectClose(1007)
			c.ended()
		})
	}
}

// taken waits until the server has read n bytes.
func (s *server) taken(n uint64) {
	s.t.Helper()
	eventually(s.t, fmt.Sprint(n, " bytes are read"), func() bool { return s.stats().BytesReceived >= n })
}
