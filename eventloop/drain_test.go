package eventloop

import (
	"encoding/json"
	"io"
	"strconv"
	"strings"
	"testing"
	"time"

	"tickcast/broadcast"
	"tickcast/wsproto"
)

func draining(window, duration time.Duration) setting {
	return func(c *Config, _ *broadcast.Config) { c.Drain = Drain{window, duration} }
}

// Every client is told a time of its own to come back, and those of lossless topics a cursor.
func TestDrain(t *testing.T) {
	clearTextOnly(t)
	const window = 40 * time.Second
	s := startWithGrace(t, patience, classes(lossless), draining(window, time.Millisecond))
	last, all := s.open("topics=px.A"), s.open("topics=ord.A")
	last.expect(`{"op":"ack"`)
	all.expect(`{"op":"ack"`)
	events, mixed := s.events("topics=ord.A"), s.events("topics=ord.A,px.A")
	poll := s.dial()
	after := poll.poll("topics=ord.A").cursor
	poll.send(get("/stream?topics=ord.A&after=" + after))
	eventually(t, "it waits", func() bool { return s.stats().Polls == 1 })
	s.hub.Publish("ord.A", []byte("1"))
	poll.wantReply(poll.reply(), 200, `{"t":"ord.A"`)
	poll.send(get("/stream?topics=px.A&after=" + after))
	eventually(t, "it waits", func() bool { return s.stats().Polls == 1 })
	all.expect(`{"t":"ord.A"`)
	for _, e := range []*eventStream{events, mixed} {
		e.want(`{"op":"hello"`)
		e.want(`{"op":"ack"`)
		e.want(`{"t":"ord.A"`)
	}
	s.cancel()
	cursor := s.hub.Epoch() + ":1"
	var times []int
	told := func(text string) {
		t.Helper()
		var m struct{ After [2]int }
		if err := json.Unmarshal([]byte(text), &m); err != nil || m.After[0] < 0 || m.After[1] <= m.After[0] || m.After[1] > int(window.Milliseconds()) {
			t.Errorf("%s: %v", text, err)
		}
		times = append(times, m.After[0])
	}
	told(last.expect(`{"op":"drain","after":[`))
	told(all.expect(`{"op":"drain","after":[`))
	for c, want := range map[*client]string{last: "service restart", all: "service restart: resume after " + cursor} {
		if m := c.frame(wsproto.OpClose); m.Code != wsproto.StatusServiceRestart || string(m.Payload[:]) == "" || !strings.HasSuffix(string(m.Payload), want) {
			t.Errorf("%d %q, want %q", m.Code, m.Payload, want)
		}
		c.Close()
	}
	for _, e := range []*eventStream{events, mixed} {
		told(e.want(`{"op":"drain"`))
		if ms, err := strconv.Atoi(e.retry); err != nil || ms < times[len(times)-1] || ms > times[len(times)-1]+10_000 {
			t.Errorf("retry %s", e.retry)
		}
		e.want(`{"op":"close","code":1012,"reason":"service restart: resume after ` + cursor + `"`)
		if _, err := e.next(); err != io.EOF || e.id != cursor {
			t.Errorf("%v, id %s, want %s", err, e.id, cursor)
		}
		e.Close()
	}
	a := poll.reply()
	if seconds, err := strconv.Atoi(a.head.Get("Retry-After")); a.status != 503 || err != nil || seconds < 1 || seconds > 30 {
		t.Errorf("%d %v", a.status, a.head)
	}
	poll.Close()
	s.join()
	for i, at := range times {
		for _, other := range times[:i] {
			if at == other {
				t.Errorf("two clients are told %d", at)
			}
		}
	}
}

// Connections end one after the other, and all of them within the grace.
func TestDrainIsPaced(t *testing.T) {
	clearTextOnly(t)
	const n = 400
	for _, row := range []struct{ grace, duration time.Duration }{{patience, 2 * time.Second}, {4 * time.Second, patience}} {
		grace, duration := row.grace, row.duration
		s := startWithGrace(t, grace, draining(time.Minute, duration), func(c *Config, _ *broadcast.Config) { c.CloseTimeout = 200 * time.Millisecond })
		var clients []*client
		for range n {
			clients = append(clients, s.open(""))
		}
		begin := time.Now()
		s.cancel()
		closed := make(chan time.Duration, n)
		for _, c := range clients {
			go func() {
				for {
					m, err := c.next()
					if err != nil || m.Op == wsproto.OpClose {
						if err != nil { // as those have that the grace cuts off
							t.Errorf("grace %v: ended without a close frame: %v", grace, err)
						}
						closed <- time.Since(begin)
						c.Close()
						return
					}
				}
			}()
		}
		var first, last time.Duration
		late := 0
		for i := range n {
			d := <-closed
			if last = d; i == 0 {
				first = d
			}
			if d > duration/4 {
				late++
			}
		}
		if first > grace/2 || grace == patience && (last < duration/2 || late < n/10) {
			t.Errorf("grace %v: closed from %v to %v, %d late", grace, first, last, late)
		}
		s.join()
	}
}

// Clients come back when the connections have ended, within the window, but in half of it at least.
func TestClientsComeBackBehindTheCloses(t *testing.T) {
	for _, row := range []struct{ window, duration, elapsed, from, until time.Duration }{
		{15 * time.Second, 5 * time.Second, 0, 5 * time.Second, 15 * time.Second},
		{15 * time.Second, 5 * time.Second, 3 * time.Second, 2 * time.Second, 12 * time.Second},
		{15 * time.Second, 0, 0, 0, 15 * time.Second},
		{time.Minute, time.Hour, 0, 30 * time.Second, time.Minute},
		{time.Minute, time.Hour, 2 * time.Minute, 0, 15 * time.Second},
	} {
		e := &Engine{drainTime: row.duration}
		e.cfg.Drain = Drain{row.window, row.duration}
		e.drainFrom = time.Now().Add(-row.elapsed)
		e.draining.Store(true)
		for range 1000 {
			after, before := e.comeBack()
			passed := time.Since(e.drainFrom) - row.elapsed // while the test ran
			if after < row.from-passed || before <= after || before > row.until {
				t.Fatalf("%+v: from %v to %v", row, after, before)
			}
			seconds, err := strconv.Atoi(strings.TrimSuffix(strings.TrimPrefix(e.goingAway().headers, "Retry-After: "), "\r\n"))
			if at := time.Duration(seconds) * time.Second; err != nil || at < row.from-passed || at > row.until {
				t.Fatalf("%+v: %d s, %v", row, seconds, err)
			}
		}
	}
	if after, before := new(Engine).comeBack(); after != 0 || before != 0 {
		t.Errorf("without a window: %v, %v", after, before)
	}
}
