package eventloop

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"tickcast/broadcast"
	"tickcast/wsproto"
)

// What one client sends at once is handled in turns, in its order, and another client is heard in between.
func TestInputIsHandledInTurns(t *testing.T) {
	const commands = 20_000
	s := start(t, func(c *Config, _ *broadcast.Config) {
		c.Loops, c.Slice, c.InputBytes, c.QueueBytes = 1, 100*time.Microsecond, 1<<30, 1<<30
	})
	busy, other := s.open(""), s.open("")
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		var b strings.Builder
		for i := range commands {
			b.WriteString(masked(wsproto.OpText, fmt.Sprintf(`{"op":"list","id":%d}`, i)))
		}
		busy.send(b.String())
	}()
	eventually(t, "something waits", func() bool {
		waiting := 0
		s.onLoops(func(l *loop) { waiting += len(l.waiting) })
		return waiting > 0
	})
	other.send(masked(wsproto.OpPing, "x"))
	other.frame(wsproto.OpPong)
	if n := s.hub.Stats().Commands; n >= commands {
		t.Errorf("%d commands were handled before another client was heard", n)
	}
	for i := range commands {
		busy.expect(fmt.Sprintf(`{"op":"ack","id":%d,`, i))
	}
	<-sent
	s.onConns(func(l *loop, c *conn) {
		if len(l.waiting) > 0 || c.aside != nil && c.aside.rest != nil {
			t.Error("something is left")
		}
	})
}

// A few bytes may ask for much work. What waits for that has a bound.
func TestInputIsBounded(t *testing.T) {
	s := start(t, compressing(wsproto.DeflatePolicy{}), func(c *Config, _ *broadcast.Config) {
		c.Loops, c.CloseTimeout, c.QueueBytes = 1, 200*time.Millisecond, 1<<30
	})
	c := s.dial().openWith("/stream", "permessage-deflate", noTakeover)
	command := `{"op":"sub","topics":["a"` + strings.Repeat(`,"a"`, 1000) + `]}`
	go c.flood(string(wsproto.NewDeflater(1).AppendMaskedFrame(nil, wsproto.OpText, clientMask, []byte(command), 15, nil)))
	most := 0
	eventually(t, "the connection is gone", func() bool {
		s.onConns(func(_ *loop, c *conn) {
			if c.aside != nil {
				most = max(most, len(c.aside.rest))
			}
		})
		return s.engine.Connections() == 0
	})
	s.closedWith(uint16(StatusInboundRate))
	if most > s.engine.cfg.InputBytes {
		t.Errorf("%d bytes waited", most)
	}
}

// What a client sends while its loop stands still counts, although the loop reads it late.
func TestLateLoopReadsBeforeItJudges(t *testing.T) {
	const idle = 500 * time.Millisecond
	s := start(t, func(c *Config, _ *broadcast.Config) { c.Loops, c.IdleTimeout = 1, idle })
	c := s.open("")
	stands := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.onLoops(func(*loop) {
			close(stands)
			time.Sleep(3 * idle) // what keeps the loop is what is tested
		})
	}()
	<-stands
	c.send(masked(wsproto.OpPing, "x"))
	c.frame(wsproto.OpPong)
	<-done
	c.command(`{"op":"ping","id":1}`)
	c.expect(`{"op":"ack","id":1`)
	if n := s.stats().PongTimeouts; n != 0 {
		t.Errorf("%d clients timed out", n)
	}
}
