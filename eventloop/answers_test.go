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

// large is a payload that no socket takes at once.
var large = `"` + strings.Repeat("x", 1<<20) + `"`

// behindLarge returns a client to which a large message is on its way, the newest of topic "a".
func (s *server) behindLarge() *client {
	s.t.Helper()
	c := s.slow()
	c.frames = &wsproto.Config{Client: true, MaxMessage: 2 << 20}
	c.send(request("topics=a"))
	c.upgraded()
	c.expect(`{"op":"ack"`)
	s.hub.Publish("a", []byte(large))
	eventually(s.t, "the socket is full", func() bool { n, _ := s.buffered(); return n > s.engine.cfg.QueueBytes })
	return c
}

// A client that speaks while a large message is on its way to it gets the message, and then its answers.
func TestAnswersWaitBehindALargeMessage(t *testing.T) {
	const each = 50
	s := start(t)
	c := s.behindLarge()
	for i := range each {
		c.send(masked(wsproto.OpPing, "x") + masked(wsproto.OpText, fmt.Sprintf(`{"op":"ping","id":%d}`, i)))
	}
	s.onConns(func(l *loop, c *conn) { l.tell(c, pingFrame) })
	if u := c.update(); len(u.Data) != len(large) {
		t.Fatalf("%d bytes", len(u.Data))
	}
	got := map[wsproto.Opcode]int{}
	for got[wsproto.OpText] < each || got[wsproto.OpPong] < each {
		m, err := c.next()
		if err != nil {
			t.Fatalf("after %v: %v", got, err)
		}
		got[m.Op]++
	}
}

// A pong may fill the socket before the shard knows of it. The data that comes next is no answer.
func TestDataBehindAnAnswerIsNoAnswer(t *testing.T) {
	s := start(t)
	c := s.behindLarge()
	s.onConns(func(l *loop, c *conn) {
		if _, out := l.send(c, []byte(large), 0, ofShard); out != outcomeGone {
			t.Error("a backlog of answers is not bounded")
		}
	})
	s.closedWith(uint16(StatusSlowConsumer))
	c.Close()

	s = start(t)
	c = s.slow()
	c.frames = &wsproto.Config{Client: true, MaxMessage: 2 << 20}
	c.send(request("topics=a"))
	c.upgraded()
	c.expect(`{"op":"ack"`)
	s.onConns(func(l *loop, c *conn) { l.listBehind(c) })
	s.hub.Publish("a", []byte(large))
	if u := c.update(); len(u.Data) != len(large) {
		t.Errorf("%d bytes", len(u.Data))
	}
}

// The close frame follows the large message, however long that takes a client that reads: the close timeout counts from its end.
func TestCloseTimeoutCountsFromTheEndOfTheBacklog(t *testing.T) {
	const timeout = time.Second // a busy machine may hold up the last part that much
	s := startWithGrace(t, patience, func(c *Config, _ *broadcast.Config) { c.CloseTimeout = timeout })
	c := s.behindLarge()
	s.cancel()
	begin := time.Now()
	r, w := io.Pipe()
	go func() { // a slow link: it is the test's subject
		b := make([]byte, 64<<10)
		for {
			n, err := c.r.Read(b)
			if _, failed := w.Write(b[:n]); err != nil || failed != nil {
				w.CloseWithError(err)
				return
			}
			time.Sleep(timeout / 40)
		}
	}()
	all, err := io.ReadAll(r)
	if d := time.Since(begin); d < 2*timeout {
		t.Skipf("the client was too fast: %v", d)
	}
	end := string(wsproto.AppendClose(nil, wsproto.StatusServiceRestart, "service restart"))
	if len(all) < len(large) || !strings.HasSuffix(string(all), end) {
		t.Errorf("%d bytes, without a close frame in the end: %v", len(all), err)
	}
	s.join()
}

// A client that closes and does not read is cut off.
func TestCloseTimeoutEndsAClientThatDoesNotRead(t *testing.T) {
	s := startWithGrace(t, patience, func(c *Config, _ *broadcast.Config) { c.CloseTimeout = 200 * time.Millisecond })
	s.behindLarge()
	s.cancel()
	s.join()
	if closed := s.engine.Stats().Closed; closed[1012] != 1 {
		t.Errorf("closed: %v", closed)
	}
}

// A client may send all its commands at once, and read the answers as slowly as it can: nothing of that is a flood.
func TestManyCommandsAtOnceAreAnswered(t *testing.T) {
	const topics = 1000
	for _, row := range []struct{ name, prefix, between string }{
		{"topics", "a.", ""},
		{"lossless topics", "ord.", ""},
		{"between pings", "a.", masked(wsproto.OpPing, strings.Repeat("p", 125))},
		{"between lists", "a.", masked(wsproto.OpText, `{"op":"list","id":0}`)},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := start(t, classes(lossless), func(c *Config, h *broadcast.Config) { c.InputBytes, h.MaxTopicsPerConnection = 256<<10, topics })
			c := s.slow()
			c.send(request(""))
			c.upgraded()
			var all strings.Builder
			for i, id := 0, 1; i < topics; id++ {
				var names []string
				for ; i < topics && len(names) < 70; i++ {
					names = append(names, fmt.Sprintf("%q", fmt.Sprint(row.prefix, strings.Repeat("ü", 100), i)))
				}
				all.WriteString(masked(wsproto.OpText, fmt.Sprintf(`{"op":"sub","id":%d,"topics":[%s]}`, id, strings.Join(names, ","))))
				all.WriteString(row.between)
			}
			c.send(all.String())
			eventually(t, "the input waits for the answers", func() (waits bool) {
				s.onConns(func(l *loop, c *conn) { waits = c.extra != nil && c.extra.stalled })
				return waits
			})
			for answered := 0; answered < topics; {
				m, err := c.next()
				if err != nil || m.Op == wsproto.OpClose {
					t.Fatalf("after %d topics: %v %q", answered, err, m.Payload)
				}
				if id := strings.Contains(string(m.Payload), `"id":0`); m.Op == wsproto.OpText && !id {
					answered += strings.Count(string(m.Payload), `"t":`)
				}
			}
		})
	}
}
