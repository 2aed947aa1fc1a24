package eventloop

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"tickcast/broadcast"
	"tickcast/wsproto"
)

// Much input of one client is handled in turns, in its order, and another client has its turn in between.
func TestInputIsHandledInTurns(t *testing.T) {
	const commands = 20_000
	s := start(t, func(c *Config, _ *broadcast.Config) {
		c.Loops, c.Slice, c.InputBytes, c.QueueBytes = 1, 100*time.Microsecond, 1<<30, 1<<30
	})
	busy, other := s.open(""), s.open("")
	_ = busy.SetDeadline(time.Now().Add(4 * patience)) // 20,000 commands are much for the race detector
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		var b strings.Builder
		for i := range commands {
			b.WriteString(masked(wsproto.OpText, fmt.Sprintf(`{"op":"list","id":%d}`, i)))
		}
		busy.send(b.String())
	}()
	l, handled := s.engine.shownLoops()[0], make(chan uint64, 1)
	var look func()
	look = func() { // on the loop, which would be through with everything before a late look from outside
		if l.waiting.len() == 0 {
			l.continueWith(l.task(look))
			return
		}
		_, _ = io.WriteString(other, masked(wsproto.OpPing, "x"))
		s.whenReached(l, other, func() { handled <- s.hub.Stats().Commands })
	}
	l.post(l.task(look))
	if n := <-handled; n >= commands {
		t.Errorf("%d commands were handled before another client was heard", n)
	}
	other.frame(wsproto.OpPong)
	for i := range commands {
		busy.expect(fmt.Sprintf(`{"op":"ack","id":%d,`, i))
	}
	<-sent
	s.onConns(func(l *loop, c *conn) {
		if l.waiting.len() > 0 || c.extra != nil && c.extra.input != nil {
			t.Error("something is left")
		}
	})
}

// A few bytes may ask for much work. The input that waits for that has a bound.
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
			if c.extra != nil {
				most = max(most, len(c.extra.input))
			}
		})
		return s.engine.Connections() == 0
	})
	s.closedWith(uint16(StatusInboundRate))
	if most > s.engine.cfg.InputBytes {
		t.Errorf("%d bytes waited", most)
	}
}

// Input that comes while the loop stands still counts, although the loop reads it late.
func TestLateLoopReadsBeforeItJudges(t *testing.T) {
	const idle = 1500 * time.Millisecond
	s := start(t, func(c *Config, _ *broadcast.Config) { c.Loops, c.IdleTimeout = 1, idle })
	c := s.open("")
	stands := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.onLoops(func(*loop) {
			close(stands)
			time.Sleep(2 * idle) // the stalled loop is the test's subject
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

// A command that names many topics is carried out in shares: the client's further commands wait for its end, whether they came
// with it or later, and another client has its turn in between.
func TestCommandsWaitForTheOneUnderWay(t *testing.T) {
	const names, each = 1000, 20
	s := start(t, func(c *Config, b *broadcast.Config) { c.Loops, b.CommandSteps = 1, 1 })
	busy, other := s.open(""), s.open("")
	var list []string
	for i := range names {
		list = append(list, fmt.Sprintf(`"t.%d"`, i))
	}
	command := masked(wsproto.OpText, `{"op":"sub","id":0,"topics":[`+strings.Join(list, ",")+`]}`)
	for i := 1; i <= each; i++ {
		command += masked(wsproto.OpText, fmt.Sprintf(`{"op":"ping","id":%d}`, i))
	}
	busy.send(command)
	eventually(t, "the command has begun", func() bool { return s.hub.Stats().Topics > 0 })
	for i := each + 1; i <= 2*each; i++ {
		busy.send(masked(wsproto.OpText, fmt.Sprintf(`{"op":"ping","id":%d}`, i)))
	}
	other.command(`{"op":"ping","id":1}`)
	other.expect(`{"op":"ack","id":1`)
	if n := s.hub.Stats().Topics; n >= names {
		t.Logf("another client was heard after %d topics", n)
	}
	for answered := 0; answered < names; {
		m, err := busy.next()
		if err != nil || !strings.HasPrefix(string(m.Payload), `{"op":"ack","id":0`) {
			t.Fatalf("%.80s after %d topics: %v", m.Payload, answered, err)
		}
		answered += strings.Count(string(m.Payload), `"t":`)
	}
	for i := 1; i <= 2*each; i++ {
		busy.expect(fmt.Sprintf(`{"op":"ack","id":%d,`, i))
	}
	s.onConns(func(l *loop, c *conn) {
		if l.waiting.len() > 0 || c.extra != nil && c.extra.input != nil {
			t.Error("something is left")
		}
	})
}

// Thousands of connections may end at once: messages do not wait until the loop is through with them.
func TestFanOutComesBetweenEnds(t *testing.T) {
	const clients = 1000
	s := start(t, func(c *Config, _ *broadcast.Config) { c.Loops, c.Slice = 1, 100*time.Microsecond })
	reader := s.open("topics=a")
	reader.expect(`{"op":"ack"`)
	var others []*client
	for range clients {
		others = append(others, s.open(""))
	}
	s.onLoops(func(l *loop) {
		l.continueWith(l.task(func() { // among the calls for sockets, and nothing is handled until all have ended
			for _, c := range others {
				_ = c.tcp().SetLinger(0)
				c.Close()
			}
			s.hub.Publish("a", []byte("1"))
		}))
	})
	reader.update()
	if n := s.engine.Connections(); n < clients/2 {
		t.Errorf("%d of %d ends came before the message", clients+1-n, clients)
	}
	eventually(t, "all have ended", func() bool { return s.engine.Connections() == 1 })
}
