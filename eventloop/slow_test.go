package eventloop

import (
	"encoding/json"
	"fmt"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"tickcast/broadcast"
	"tickcast/broadcast/topics"
	"tickcast/broadcast/wire"
	"tickcast/wsproto"
)

// slow connects with a small receive buffer, which is soon full.
func (s *server) slow() *client {
	s.t.Helper()
	d := net.Dialer{Timeout: patience, Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		if e := c.Control(func(fd uintptr) {
			err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4096)
		}); e != nil {
			return e
		}
		return err
	}}
	return s.dialWith(d)
}

// buffered returns the most bytes that gnet holds for any connection, and the number of connections that are behind.
func (s *server) buffered() (most, behind int) {
	s.t.Helper()
	s.onLoops(func(l *loop) { behind += len(l.behind) })
	s.onConns(func(_ *loop, c *conn) { most = max(most, c.gc.OutboundBuffered()) })
	return most, behind
}

// One client never reads while 10,000 messages are published. The others get every one of them. The server keeps less than one
// message for the slow client. When it reads at last, it gets the newest value and the number of messages that it missed.
func TestSlowReader(t *testing.T) {
	const (
		messages = 10_000
		burst    = 50 // messages that fit into the fast clients' sockets
	)
	s := start(t, func(c *Config, _ *broadcast.Config) { c.SendBuffer = 128 << 10 })
	var fast []*client
	for range 3 {
		c := s.open("topics=a")
		c.expect(`{"op":"ack"`)
		fast = append(fast, c)
	}
	slow := s.slow()
	slow.send(request("topics=a"))
	slow.upgraded()
	slow.expect(`{"op":"ack"`)

	payload := func(n int) []byte {
		b, _ := json.Marshal(map[string]any{"n": n, "pad": strings.Repeat("x", 200)})
		return b
	}
	for n := 0; n < messages; {
		for range burst {
			n++
			s.hub.Publish("a", payload(n))
		}
		for _, c := range fast {
			for k := n - burst + 1; k <= n; k++ {
				if u := c.update(); u.Seq != uint64(k) {
					t.Fatalf("got %+v, want message %d", u, k)
				}
			}
		}
	}
	if most, behind := s.buffered(); most > 1024+sealedAhead() || behind != 1 {
		t.Errorf("%d bytes are kept, %d connections are behind", most, behind)
	}

	var got, seq, lag uint64
	for lag == 0 {
		switch u := slow.update(); {
		case u.Op == "lag":
			lag = u.Conflated
		case u.Seq <= seq:
			t.Fatalf("message %d after %d", u.Seq, seq)
		default:
			got, seq = got+1, u.Seq
		}
	}
	if seq != messages || got+lag != messages {
		t.Errorf("got %d messages up to %d, and %d are said to be conflated", got, seq, lag)
	}
	if n := s.hub.Stats().Conflated; n != lag {
		t.Errorf("%d are counted as conflated, the client is told %d", n, lag)
	}
	s.hub.Publish("a", payload(0)) // from now on it is a client like the others
	if u := slow.update(); u.Seq != messages+1 {
		t.Errorf("got %+v", u)
	}
	if most, behind := s.buffered(); most != 0 || behind != 0 {
		t.Errorf("%d bytes are kept, %d connections are behind", most, behind)
	}
}

// A response that does not fit into the socket arrives whole, also if the connection ends after it.
func TestSlowDownload(t *testing.T) {
	s := start(t)
	c := s.slow()
	for _, header := range []string{"Connection: keep-alive", "Connection: close"} {
		c.send(get("/big.js", header))
		eventually(t, "the socket is full", func() bool { n, _ := s.buffered(); return n > 0 })
		if r, body := c.response("GET"); r.StatusCode != 200 || len(body) != 300<<10 {
			t.Errorf("%s, %d bytes", r.Status, len(body))
		}
	}
	c.ended()
}

// behind subscribes to topic "a" and falls behind.
func (s *server) behind() *client {
	s.t.Helper()
	c := s.slow()
	c.send(request("topics=a"))
	c.upgraded()
	c.expect(`{"op":"ack"`)
	for behind := 0; behind == 0; _, behind = s.buffered() {
		for range 100 {
			s.hub.Publish("a", []byte(`"`+strings.Repeat("x", 500)+`"`))
		}
	}
	return c
}

// toTheClose reads data until a close frame comes, which must have code.
func (c *client) toTheClose(code wsproto.StatusCode) {
	c.t.Helper()
	for {
		m, err := c.next()
		if err != nil {
			c.t.Fatalf("no close frame: %v", err)
		}
		if m.Op == wsproto.OpClose {
			if m.Code != code {
				c.t.Errorf("close code %d, want %d", m.Code, code)
			}
			return
		}
	}
}

// A close frame waits behind the bytes that the socket has refused, and is not lost.
func TestCloseOfASlowReader(t *testing.T) {
	for _, row := range []struct {
		name string
		sent string
		code wsproto.StatusCode
	}{
		{"the client closes", closeFrame(1000, ""), 1000},
		{"the client breaks a rule", masked(wsproto.OpBinary, ""), 1003},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := start(t)
			c := s.behind()
			c.send(row.sent)
			eventually(t, "it has left", func() bool { return s.hub.Stats().Subscribers == 0 })
			c.toTheClose(row.code)
			c.ended()
			c.Close()
			s.closedWith(uint16(row.code))
		})
	}
}

// A client that reads too slowly for a lossless topic is told where to go on: right behind the messages that it has.
func TestCloseOfASlowConsumerHasItsCursor(t *testing.T) {
	s := start(t, func(c *Config, hub *broadcast.Config) {
		hub.QueueBytes = 32 << 10
		hub.Classes = []topics.Class{{Match: "a", Mode: topics.ModeAll}}
	})
	c := s.slow()
	c.send(request("topics=a"))
	c.upgraded()
	c.expect(`{"op":"ack"`)
	for s.hub.Stats().SlowClosed == 0 {
		s.hub.Publish("a", []byte(`"`+strings.Repeat("x", 500)+`"`))
	}
	for seq := uint64(0); ; seq++ {
		m, err := c.next()
		if err != nil {
			t.Fatalf("after message %d: %v", seq, err)
		}
		if m.Op == wsproto.OpClose {
			if want := fmt.Sprintf(":%d", seq); m.Code != wire.StatusSlowConsumer || !strings.HasSuffix(string(m.Payload), want) {
				t.Errorf("after message %d: %d %q", seq, m.Code, m.Payload)
			}
			break
		}
		if want := fmt.Sprintf(`{"t":"a","s":%d,`, seq+1); !strings.HasPrefix(string(m.Payload), want) {
			t.Fatalf("got %.40q, want %s", m.Payload, want)
		}
	}
	c.Close()
	s.closedWith(uint16(wire.StatusSlowConsumer))
}

// The upgrade too may wait behind a response that the socket has refused.
func TestUpgradeBehindASlowDownload(t *testing.T) {
	body := strings.Repeat("x", 60<<10)
	s := start(t, func(c *Config, _ *broadcast.Config) {
		c.SendBuffer = 4096
		c.Pages = append(c.Pages, Page{Path: "/x", ContentType: "text/plain", Body: []byte(body)})
	})
	c := s.slow()
	c.send(get("/x") + request("topics=a") + masked(wsproto.OpPing, "x"))
	eventually(t, "it has subscribed", func() bool { return s.hub.Stats().Subscriptions == 1 })
	s.hub.Publish("a", []byte("1"))
	if _, behind := s.buffered(); behind != 1 {
		t.Errorf("%d are behind", behind)
	}
	if r, got := c.response("GET"); r.StatusCode != 200 || got != body {
		t.Errorf("%s, %d bytes", r.Status, len(got))
	}
	c.upgraded()
	c.expect(`{"op":"ack"`)
	c.frame(wsproto.OpPong)
	if u := c.update(); u.Seq != 1 {
		t.Errorf("%+v", u)
	}
}

// The slot of a client that vanished while it was behind goes to another client, which is not behind.
func TestSlotOfASlowReaderIsReused(t *testing.T) {
	s := start(t, func(c *Config, _ *broadcast.Config) { c.Loops = 1 })
	for range 3 {
		var all []*client
		for range 3 {
			c := s.slow()
			c.send(get("/big.js"))
			all = append(all, c)
		}
		eventually(t, "all are behind", func() bool { _, n := s.buffered(); return n == 3 })
		for _, c := range all {
			_ = c.tcp().SetLinger(0)
			c.Close()
		}
		eventually(t, "nobody is listed as behind", func() bool { _, n := s.buffered(); return n == 0 })
		if n := s.engine.Connections(); n != 0 {
			t.Errorf("%d connections", n)
		}
	}
	c := s.open("topics=a")
	c.expect(`{"op":"ack"`)
	s.hub.Publish("a", []byte("1"))
	c.update()
	s.onLoops(func(l *loop) {
		if l.conns.made != 3 || len(l.conns.free) != 2 {
			t.Errorf("%d slots were made, %d are free", l.conns.made, len(l.conns.free))
		}
	})
}

// Clients that read now and then, while fan-outs are cut into the smallest slices: each sees every topic grow.
func TestUpdatesGrowWhateverTheReader(t *testing.T) {
	const clients, messages = 40, 1000
	s := start(t, func(c *Config, _ *broadcast.Config) { c.Loops, c.Slice = 1, 1 })
	errs := make(chan error, clients)
	for k := range clients {
		c := s.slow()
		c.send(request("topics=a"))
		c.upgraded()
		c.expect(`{"op":"ack"`)
		go func() { errs <- c.growing(messages, time.Duration(k%4)*time.Millisecond) }()
	}
	payload := []byte(`"` + strings.Repeat("x", 500) + `"`)
	for range messages {
		s.hub.Publish("a", payload)
	}
	for range clients {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}
