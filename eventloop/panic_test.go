package eventloop

import (
	"testing"

	"github.com/panjf2000/gnet/v2"

	"tickcast/broadcast"
	"tickcast/wsproto"
)

// A faulty stands in for a connection's gnet.Conn and panics once, as an error of ours would.
type faulty struct {
	gnet.Conn
	conn *conn
}

func (f faulty) OutboundBuffered() int {
	f.conn.gc = f.Conn
	panic("test")
}

// A panic while a client's input is handled ends that client's connection and no other one.
func TestPanicEndsOneConnection(t *testing.T) {
	s := start(t, func(c *Config, _ *broadcast.Config) { c.Loops = 1 })
	s.panics = 2
	other := s.open("topics=a")
	other.expect(`{"op":"ack"`)
	page, socket := s.dial(), s.open("topics=a")
	socket.expect(`{"op":"ack"`)
	page.send(get("/"))
	if r, _ := page.response("GET"); r.StatusCode != 200 {
		t.Fatal(r.Status)
	}
	s.onConns(func(_ *loop, c *conn) {
		switch c.slot {
		case 1: // page
			c.gc = faulty{c.gc, c}
		case 2: // socket
			c.flags |= flagBehind // so that an answer asks gnet
			c.gc = faulty{c.gc, c}
		}
	})
	page.send(get("/"))
	page.ended()
	socket.send(masked(wsproto.OpPing, ""))
	socket.ended()

	s.hub.Publish("a", []byte("1"))
	if u := other.update(); u.Seq != 1 {
		t.Errorf("%+v", u)
	}
	st := s.stats()
	if st.Panics != 2 || st.Connections != 1 || st.Closed[1011] != 1 || len(st.Closed) != 1 {
		t.Errorf("%+v", st)
	}
}

// After a panic in the middle of a fan-out, fan-outs go on.
func TestPanicDuringAFanout(t *testing.T) {
	first := true
	s := start(t, func(c *Config, h *broadcast.Config) {
		c.Loops = 1
		h.ObserveFanout = func(float64) {
			if first {
				first = false
				panic("test")
			}
		}
	})
	s.panics = 1
	c := s.open("topics=a")
	c.expect(`{"op":"ack"`)
	for seq := range uint64(3) {
		s.hub.Publish("a", []byte("1"))
		if u := c.update(); u.Seq != seq+1 {
			t.Errorf("%+v", u)
		}
	}
	if n := s.stats().Panics; n != 1 {
		t.Errorf("%d panics are counted", n)
	}
}
