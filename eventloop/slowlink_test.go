package eventloop

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"tickcast/broadcast"
	"tickcast/wsproto"
)

// A slowLink reads at most 4 KiB, the buffer before it, in each beat: about 0.4 MB a second. A slow link is the subject of the tests that have one.
type slowLink struct{ io.Reader }

func (l slowLink) Read(b []byte) (int, error) {
	time.Sleep(10 * time.Millisecond)
	return l.Reader.Read(b[:min(len(b), 4<<10)])
}

// behindSlowLink is behindLarge with a client that reads at the pace of a slow link.
func (s *server) behindSlowLink() *client {
	s.t.Helper()
	c := s.behindLarge()
	c.r = bufio.NewReader(slowLink{c.r})
	return c
}

// A client on a slow link that pings and subscribes while a large message is on its way gets the message, then its answers in
// order. At a shutdown with enough time it is closed after its last whole frame.
func TestSlowLinkGetsAllBeforeTheEnd(t *testing.T) {
	const each = 20
	s := startWithGrace(t, patience, func(c *Config, _ *broadcast.Config) { c.CloseTimeout = time.Second })
	c := s.behindSlowLink()
	for i := range each {
		c.send(masked(wsproto.OpPing, "x") + masked(wsproto.OpText, fmt.Sprintf(`{"op":"ping","id":%d}`, 2*i)) +
			masked(wsproto.OpText, fmt.Sprintf(`{"op":"sub","id":%d,"topics":["b.%d"]}`, 2*i+1, i)))
	}
	eventually(t, "all has been heard", func() bool { return s.hub.Stats().Commands >= 2*each+1 })
	s.cancel()
	begin := time.Now()
	if u := c.update(); len(u.Data) != len(large) {
		t.Fatalf("%d bytes", len(u.Data))
	}
	if d := time.Since(begin); d < 2*s.engine.cfg.CloseTimeout {
		t.Errorf("the link is too fast for this test: %v", d)
	}
	for answers, pongs := 0, 0; answers < 2*each || pongs < each; {
		m, err := c.next()
		switch {
		case err != nil:
			t.Fatalf("after %d answers and %d pongs: %v", answers, pongs, err)
		case m.Op == wsproto.OpPong:
			pongs++
		case !strings.HasPrefix(string(m.Payload), fmt.Sprintf(`{"op":"ack","id":%d,`, answers)):
			t.Fatalf("%s in place of answer %d", m.Payload, answers)
		default:
			answers++
		}
	}
	c.expectClose(1012)
	c.send(closeFrame(1001, ""))
	c.ended()
	s.join()
}

// Without a paced drain the code is 1001, after the last whole frame: the client is in the middle of a large message.
func TestSlowLinkWithoutADrain(t *testing.T) {
	s := startWithGrace(t, patience, func(c *Config, _ *broadcast.Config) { c.CloseTimeout, c.Drain = time.Second, Drain{} })
	c, other := s.behindSlowLink(), s.open("")
	s.cancel()
	other.expectClose(1001)
	other.send(closeFrame(1001, ""))
	if u := c.update(); len(u.Data) != len(large) {
		t.Fatalf("%d bytes", len(u.Data))
	}
	c.expectClose(1001)
	c.send(closeFrame(1001, ""))
	c.ended()
	s.join()
	if st := s.engine.Stats(); st.Closed[1001] != 2 {
		t.Errorf("%+v", st.Closed)
	}
}

// A client whose message takes longer than the time for the shutdown is cut off, and the log counts it.
func TestSlowLinkIsCutAtTheBound(t *testing.T) {
	const bound = 100 * time.Millisecond
	var log bytes.Buffer
	s := startWithGrace(t, bound, func(c *Config, _ *broadcast.Config) { c.Log = slog.New(slog.NewTextHandler(&log, nil)) })
	c := s.behindSlowLink()
	s.cancel()
	begin := time.Now()
	s.join()
	if d := time.Since(begin); d < bound || d > patience/2 {
		t.Errorf("Run returned after %v", d)
	}
	if !strings.Contains(log.String(), `msg="connections were cut off" connections=1`) {
		t.Errorf("the log says %s", log.String())
	}
	if m, err := c.next(); err == nil {
		t.Errorf("the client got %d bytes whole", len(m.Payload))
	}
}
