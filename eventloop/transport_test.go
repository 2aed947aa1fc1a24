package eventloop

import (
	"testing"
	"time"

	"tickcast/broadcast"
	"tickcast/wsproto"
)

// The raw form has no heartbeats and no commands, with context takeover and without.
func TestRawForm(t *testing.T) {
	const raw = "tickcast.v1.raw"
	s := start(t, compressing(wsproto.DeflatePolicy{ServerTakeover: true, ClientTakeover: true}), func(c *Config, _ *broadcast.Config) {
		c.Subprotocols, c.Heartbeat = []string{raw}, time.Hour
	})
	for _, row := range []struct {
		topic, offer string
		transport    transportKind
		op           wsproto.Opcode // of a message to the server
		code         wsproto.StatusCode
	}{
		{"a", "", transportRaw, wsproto.OpText, StatusBadRequest},
		{"b", "permessage-deflate", transportRawTakeover, wsproto.OpBinary, wsproto.StatusUnsupportedData},
	} {
		c := s.dial()
		c.send(withHeader(requestFor("/stream?topics="+row.topic, row.offer), "Sec-WebSocket-Protocol", raw))
		if r, body := c.response("GET"); r.StatusCode != 101 || r.Header.Get("Sec-WebSocket-Protocol") != raw {
			t.Fatalf("%s %s", r.Status, body)
		}
		if row.offer != "" {
			c.frames = &wsproto.Config{Client: true, MaxMessage: 1 << 20, Deflate: takeover, Inflater: new(wsproto.Inflater)}
		}
		s.onConns(func(l *loop, c *conn) {
			if c.state == stateOpen && c.transport != row.transport {
				t.Errorf("%q: transport %d, want %d", row.offer, c.transport, row.transport)
			}
			c.sent = l.now - ticks(time.Hour) // a heartbeat would be due
			l.keepAlive(c)
		})
		payload := quote(1, 2000)
		s.hub.Publish(row.topic, []byte(payload))
		if text := c.expect(""); text != payload || c.compressed != (row.offer != "") {
			t.Errorf("%q: compressed: %v, got %s", row.offer, c.compressed, text)
		}
		c.send(masked(row.op, "{}"))
		c.expectClose(row.code)
		c.Close()
		eventually(t, "the connection ends", func() bool { return s.engine.Connections() == 0 })
	}
}
