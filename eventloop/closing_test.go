package eventloop

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"tickcast/broadcast"
	"tickcast/wsproto"
)

// The connection is failed with the code of the broken rule. The client receives it even if it goes on sending.
func TestBrokenRules(t *testing.T) {
	const limit = 16 << 10
	unmasked := string(wsproto.AppendFrame(nil, wsproto.OpText, []byte("{}")))
	header := func(op wsproto.Opcode, length int64) string {
		return string(wsproto.AppendHeader(nil, wsproto.Header{Fin: true, Op: op, Masked: true, Length: length}))
	}
	for _, row := range []struct {
		name string
		sent string
		code wsproto.StatusCode
	}{
		{"binary", masked(wsproto.OpBinary, "x"), 1003},
		{"fragmented binary", fragment(false, wsproto.OpBinary, "x") + fragment(true, wsproto.OpContinuation, "y"), 1003},
		{"unmasked", unmasked, 1002},
		{"unmasked behind a command", masked(wsproto.OpPong, "") + unmasked, 1002},
		{"reserved bit", "\xc1" + masked(wsproto.OpText, "{}")[1:], 1002},
		{"reserved opcode", masked(0x3, ""), 1002},
		{"fragmented ping", fragment(false, wsproto.OpPing, "x"), 1002},
		{"long ping", header(wsproto.OpPing, 126), 1002},
		{"continuation of nothing", fragment(true, wsproto.OpContinuation, "x"), 1002},
		{"message inside a message", fragment(false, wsproto.OpText, "x") + masked(wsproto.OpText, "y"), 1002},
		{"close frame of one byte", masked(wsproto.OpClose, "x"), 1002},
		{"close code that must not be sent", masked(wsproto.OpClose, "\x03\xed"), 1002},
		{"bad UTF-8", masked(wsproto.OpText, "\xff"), 1007},
		{"bad UTF-8 in an unfinished message", fragment(false, wsproto.OpText, "\xc3") + fragment(false, wsproto.OpContinuation, "\x28"), 1007},
		{"end inside a character", masked(wsproto.OpText, "\xe2\x82"), 1007},
		{"bad UTF-8 in the reason", masked(wsproto.OpClose, "\x03\xe8\xff"), 1007},
		{"too big by its header", header(wsproto.OpText, limit+1), 1009},
		{"too big by far", header(wsproto.OpText, 1<<62), 1009},
		{"too big in the end", fragment(false, wsproto.OpText, strings.Repeat("x", limit)) + fragment(true, wsproto.OpContinuation, "y"), 1009},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := start(t)
			c := s.open("")
			c.send(row.sent)
			c.send(strings.Repeat("\xff", 4<<20))
			c.expectClose(row.code)
			c.ended()
			c.Close()
			s.closedWith(uint16(row.code))
		})
	}
}

// A message of the largest size is accepted: the limits are not one too low.
func TestLargestMessageIsTaken(t *testing.T) {
	s := start(t)
	c := s.open("")
	const limit = 16 << 10
	space := func(n int) string { return strings.Repeat(" ", n) }
	c.command(space(limit-20) + `{"op":"ping","id":1}`)
	c.expect(`{"op":"ack","id":1`)
	c.send(fragment(false, wsproto.OpText, space(limit-20)) + fragment(true, wsproto.OpContinuation, `{"op":"ping","id":2}`))
	c.expect(`{"op":"ack","id":2`)
}

// The server answers with the same code and then ends the connection first, RFC 6455 sections 5.5.1 and 7.1.1.
func TestCloseIsEchoed(t *testing.T) {
	for _, row := range []struct {
		name    string
		sent    string
		echo    wsproto.StatusCode
		counted uint16
	}{
		{"1000", closeFrame(1000, "bye"), 1000, 1000},
		{"1001", closeFrame(1001, ""), 1001, 1001},
		{"4999", closeFrame(4999, ""), 4999, uint16(StatusForeign)},
		{"no code", masked(wsproto.OpClose, ""), wsproto.StatusNoStatus, 1005},
		{"inside a fragmented message", fragment(false, wsproto.OpText, "x") + closeFrame(1000, ""), 1000, 1000},
		{"frames behind it", closeFrame(1000, "") + masked(wsproto.OpPing, "late") + "\xff\xff", 1000, 1000},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := start(t)
			c := s.open("")
			c.send(row.sent)
			c.expectClose(row.echo)
			c.ended()
			s.closedWith(row.counted)
			eventually(t, "no connection is left", func() bool { return s.engine.Connections() == 0 })
		})
	}
}

func TestClientThatVanishes(t *testing.T) {
	for _, row := range []struct {
		name string
		end  func(*client)
	}{
		{"end of the connection", func(c *client) { c.Close() }},
		{"reset", func(c *client) { _ = c.tcp().SetLinger(0); c.Close() }},
		{"half an end", func(c *client) { _ = c.tcp().CloseWrite(); c.ended() }},
		{"inside a frame", func(c *client) { c.send(masked(wsproto.OpText, "{}")[:4]); c.Close() }},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := start(t)
			c := s.open("")
			c.subscribe("a")
			row.end(c)
			s.closedWith(1006)
			if n := s.hub.Stats().Subscriptions; n != 0 {
				t.Errorf("%d subscriptions are left", n)
			}
			s.onLoops(func(l *loop) {
				if n := int(l.conns.made) - len(l.conns.free); n != 0 {
					t.Errorf("%d slots are in use", n)
				}
			})
		})
	}
}

func nothingAsked(c *Config, _ *broadcast.Config) { c.FirstMessageTimeout = 200 * time.Millisecond }

// The server starts the closing handshake. Commands that the client sent before it knew are not applied, its close frame ends the
// connection, and the server's code is counted.
func TestClientAnswersOurClose(t *testing.T) {
	s := start(t, nothingAsked)
	c := s.open("")
	c.expectClose(4001)
	c.command(`{"op":"sub","topics":["a"]}`)
	c.send(masked(wsproto.OpPing, "late") + masked(wsproto.OpBinary, "late"))
	c.send(closeFrame(1000, ""))
	c.ended()
	s.closedWith(4001)
	if st := s.hub.Stats(); st.Commands != 0 || st.Subscribers != 0 {
		t.Errorf("%+v", st)
	}
}

func TestClientNeverAnswersOurClose(t *testing.T) {
	s := start(t, nothingAsked, func(c *Config, _ *broadcast.Config) { c.CloseTimeout = 200 * time.Millisecond })
	c := s.open("")
	c.expectClose(4001)
	c.ended()
	s.closedWith(4001)
}

// The server waits a limited time for a client that has sent its close frame and does not end its side.
func TestClientNeverEndsItsSide(t *testing.T) {
	for _, row := range []struct {
		name    string
		ourCode wsproto.StatusCode // 0 = the client begins
		want    uint16
	}{
		{"the client began", 0, 1000},
		{"the server began", StatusNothingAsked, uint16(StatusNothingAsked)},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := start(t, func(c *Config, h *broadcast.Config) {
				c.CloseTimeout = time.Second
				if row.ourCode != 0 {
					nothingAsked(c, h)
				}
			})
			c := s.open("")
			if row.ourCode != 0 {
				c.expectClose(row.ourCode)
			}
			c.send(closeFrame(1000, ""))
			if row.ourCode == 0 {
				c.expectClose(1000)
			}
			c.atEnd()
			s.closedWith(row.want)
		})
	}
}

// The server does not wait for a client that answers with nonsense.
func TestClientAnswersOurCloseWithNonsense(t *testing.T) {
	s := start(t, nothingAsked)
	c := s.open("")
	c.expectClose(4001)
	c.send("\xff\xff\xff\xff")
	c.ended()
	s.closedWith(4001)
}

// The close frame carries the reason with the code.
func TestCloseReason(t *testing.T) {
	s := start(t)
	c := s.open("")
	c.send(masked(wsproto.OpBinary, ""))
	if m := c.frame(wsproto.OpClose); !bytes.Equal(m.Payload, []byte("commands are text")) {
		t.Errorf("reason %q", m.Payload)
	}
}
