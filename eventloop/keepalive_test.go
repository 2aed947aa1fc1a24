package eventloop

import (
	"testing"
	"time"

	"tickcast/broadcast"
	"tickcast/wsproto"
)

func TestFirstMessageTimeout(t *testing.T) {
	s := start(t, func(c *Config, h *broadcast.Config) {
		c.FirstMessageTimeout = 2 * time.Second // in which the innocent ones subscribe
		h.Subscribe = []string{"px.>"}
	})
	inAddress := s.open("topics=px.A")
	inCommand := s.open("")
	inCommand.subscribe("px.A")
	left := s.open("topics=px.A") // has subscribed once
	left.expect(`{"op":"ack"`)
	left.command(`{"op":"unsub","topics":["px.A"]}`)
	left.expect(`{"op":"ack"`)
	inAddress.expect(`{"op":"ack"`)

	silent := s.open("")
	talks := s.open("topics=adm.A") // was refused
	talks.expect(`{"op":"ack"`)
	talks.command(`{"op":"ping"}`)
	talks.expect(`{"op":"ack"`)
	for _, c := range []*client{silent, talks} {
		c.expectClose(4001)
		c.send(closeFrame(4001, ""))
		c.ended()
	}
	for _, c := range []*client{inAddress, inCommand, left} {
		c.send(masked(wsproto.OpPing, ""))
		c.frame(wsproto.OpPong)
	}
	eventually(t, "both are gone", func() bool { return s.engine.Connections() == 3 })
	if closed := s.engine.Stats().Closed; len(closed) != 1 || closed[4001] != 2 {
		t.Errorf("closed: %v", closed)
	}
}

func TestIdleClientIsPingedAndThenClosed(t *testing.T) {
	s := start(t, func(c *Config, _ *broadcast.Config) {
		c.PingInterval, c.IdleTimeout = 300*time.Millisecond, 900*time.Millisecond
	})
	begin := time.Now()
	c := s.open("")
	if m := c.frame(wsproto.OpPing); len(m.Payload) > 0 {
		t.Errorf("ping %q", m.Payload)
	}
	// A tick is 0.1 s.
	if d := time.Since(begin); d < 200*time.Millisecond {
		t.Errorf("pinged after %v", d)
	}
	c.expectClose(4000) // it is pinged once
	if d := time.Since(begin); d < 800*time.Millisecond {
		t.Errorf("closed after %v", d)
	}
	c.send(closeFrame(4000, ""))
	c.ended()
	s.closedWith(4000)
	if st := s.stats(); st.Pings != 1 || st.PongTimeouts != 1 {
		t.Errorf("%d pings, %d timeouts", st.Pings, st.PongTimeouts)
	}
}

// Each ping comes one interval after the client was last heard, however long the idle timeout is.
func TestPingsGoOnWhileTheyAreAnswered(t *testing.T) {
	s := start(t, func(c *Config, _ *broadcast.Config) {
		c.PingInterval, c.IdleTimeout = 200*time.Millisecond, patience
	})
	c := s.open("")
	for range 4 {
		begin := time.Now()
		c.frame(wsproto.OpPing)
		if d := time.Since(begin); d > patience/2 {
			t.Fatalf("pinged after %v", d)
		}
		c.send(masked(wsproto.OpPong, ""))
	}
}

// A client that sends anything is neither pinged nor closed.
func TestClientThatIsHeardIsLeftAlone(t *testing.T) {
	s := start(t, func(c *Config, _ *broadcast.Config) {
		c.PingInterval, c.IdleTimeout = 1500*time.Millisecond, 2500*time.Millisecond
	})
	c := s.open("")
	every := time.NewTicker(100 * time.Millisecond)
	defer every.Stop()
	for range 30 {
		<-every.C
		c.command(`{"op":"ping","id":1}`)
		c.expect(`{"op":"ack"`)
	}
}

func TestHeartbeatForIdleClientsOnly(t *testing.T) {
	s := start(t, func(c *Config, h *broadcast.Config) {
		c.Loops = 1
		c.Heartbeat = 1500 * time.Millisecond
		h.Heartbeat = c.Heartbeat
	})
	idle, busy := s.open(""), s.open("topics=a")
	busy.expect(`{"op":"ack"`)
	every := time.NewTicker(50 * time.Millisecond)
	defer every.Stop()
	for n := 1; n <= 40; n++ {
		<-every.C
		s.hub.Publish("a", []byte("1"))
		if u := busy.update(); u.Topic != "a" {
			t.Errorf("got %+v after %d updates", u, n)
		}
	}
	for _, c := range []*client{idle, idle, busy} {
		if u := c.update(); u.Op != "hb" {
			t.Errorf("got %+v", u)
		}
	}
}
