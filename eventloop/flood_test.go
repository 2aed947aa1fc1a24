package eventloop

import (
	"errors"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"

	"tickcast/broadcast"
	"tickcast/wsproto"
)

// flood sends s over and over without reading, until the server ends the connection.
func (c *client) flood(s string) {
	c.t.Helper()
	b := []byte(strings.Repeat(s, 1+8192/len(s)))
	for {
		if _, err := c.Write(b); errors.Is(err, os.ErrDeadlineExceeded) {
			c.t.Fatal("the server neither reads nor ends the connection")
		} else if err != nil {
			return
		}
	}
}

func TestClientThatAsksAndDoesNotReadIsClosed(t *testing.T) {
	const queue = 64 << 10
	for _, row := range []struct {
		name  string
		flood string
	}{
		{"pings", masked(wsproto.OpPing, strings.Repeat("p", 125))},
		{"short pings", masked(wsproto.OpPing, "")},
		{"commands", masked(wsproto.OpText, `{"op":"list","id":1}`)},
		{"nonsense", masked(wsproto.OpText, `nonsense`)},
		{"subscriptions", masked(wsproto.OpText, `{"op":"sub","topics":["a"]}`) + masked(wsproto.OpText, `{"op":"unsub","topics":["a"]}`)},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := start(t, func(c *Config, _ *broadcast.Config) { c.QueueBytes, c.InputBytes = queue, 1<<30 })
			c := s.slow()
			c.send(request(""))
			c.upgraded()
			done := make(chan struct{})
			go func() {
				defer close(done)
				c.flood(row.flood)
			}()
			most := 0
			for open := true; open; {
				select {
				case <-done:
					open = false
				default:
					n, _ := s.buffered()
					most = max(most, n)
				}
			}
			if most > queue {
				t.Errorf("%d bytes were kept", most)
			}
			s.closedWith(4003)
		})
	}
}

// gnet needs far more memory for a pong than its two bytes.
func TestSmallAnswersCountForWhatTheyCost(t *testing.T) {
	s := start(t)
	s.behind()
	s.onConns(func(l *loop, c *conn) {
		n := 0
		for ; c.state == stateOpen; n++ {
			l.enqueue(c, pingFrame, true)
		}
		if queue := s.engine.cfg.QueueBytes; n > queue/answerCost || n < queue/answerCost/2 {
			t.Errorf("%d answers were kept", n)
		}
	})
	s.closedWith(4003)
}

func TestClientThatPipelinesAndDoesNotReadIsClosed(t *testing.T) {
	s := start(t)
	for _, path := range []string{"/", "/big.js", "/nothing"} {
		c := s.slow()
		c.endHandshake()
		c.flood(get(path))
	}
	eventually(t, "they are gone", func() bool { return s.engine.Connections() == 0 })
	if n := s.stats().Rejected["not_reading"]; n != 3 {
		t.Errorf("%d are counted", n)
	}
}

// The bytes to a client that is closed for not reading may be cut off, but are never out of order.
func TestBytesOfASlowReaderAreInOrder(t *testing.T) {
	s := start(t, func(c *Config, _ *broadcast.Config) { c.QueueBytes, c.InputBytes = 32<<10, 1<<30 })
	c := s.slow()
	c.send(request(""))
	c.upgraded()
	go c.flood(masked(wsproto.OpText, `{"op":"list","id":1}`))
	s.closedWith(4003)
	for {
		m, err := c.next()
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if m.Op == wsproto.OpClose {
			if m.Code != 4003 {
				t.Errorf("close code %d", m.Code)
			}
			return
		}
		if string(m.Payload) != `{"op":"ack","id":1,"topics":[]}` {
			t.Fatalf("got %v %q", m.Op, m.Payload)
		}
	}
}
