package eventloop

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"tickcast/broadcast"
	"tickcast/broadcast/auth"
	"tickcast/broadcast/topics"
)

// Streams of events and polls have the rights of their tokens, count as connections of their users, and end with their tokens.
func TestTokensOfEventsAndPolls(t *testing.T) {
	s, p := secretServer(t, limits(func(l *Limits) { l.ConnectionsPerUser = 2 }), func(c *Config, h *broadcast.Config) {
		c.Auth.Notice, c.Auth.Grace = time.Minute, 100*time.Millisecond
		h.Classes = []topics.Class{{Match: ">", Private: true}}
	})
	token := func(user string, left time.Duration) string {
		return "Authorization: Bearer " + p.Sign(t, "", claimed(map[string]any{"sub": user, "exp": time.Now().Add(left).Unix()}))
	}
	events := get("/stream?topics=px.FX.A,px.A", "Accept: text/event-stream", token("a", time.Hour))
	e, err := s.tryEvents(events)
	if err != nil {
		t.Fatal(err)
	}
	e.want(`{"op":"hello"`)
	if ack := e.want(`{"op":"ack","topics":[{"t":"px.FX.A"`); !strings.Contains(ack, `"errors":[{"t":"px.A","code":103`) {
		t.Error(ack)
	}
	c := s.dial()
	if a := c.poll("topics=px.FX.A"); a.status != 403 && a.status != 401 { // without a token
		t.Errorf("%d %s", a.status, a.text)
	}
	first := c.poll("topics=px.FX.A", token("a", time.Hour))
	c.wantReply(first, 200, `{"op":"ack"`)
	waits := get("/stream?topics=px.FX.A&after="+first.cursor, token("a", time.Hour))
	c.send(waits)
	eventually(t, "it waits", func() bool { return s.stats().Polls == 1 })
	if r, _ := s.try(events).response("GET"); r.StatusCode != 429 {
		t.Errorf("the third of a user: %s", r.Status)
	}
	now := time.Now()
	s.engine.Revoke(auth.Revocation{User: "a", Since: now, Until: now.Add(time.Hour)})
	e.want(`{"op":"close","code":4503`)
	if _, err := e.next(); err != io.EOF {
		t.Error(err)
	}
	if a := c.reply(); a.status != 403 {
		t.Errorf("%d %s", a.status, a.text)
	}
	c.ended()

	e, err = s.tryEvents(get("/stream?topics=px.FX.A", "Accept: text/event-stream", token("b", 5*time.Second)))
	if err != nil {
		t.Fatal(err)
	}
	c = s.dial()
	c.send(get(fmt.Sprintf("/stream?topics=px.FX.A&after=%s", first.cursor), token("b", 5*time.Second)))
	e.want(`{"op":"hello"`)
	e.want(`{"op":"expire","in":`)
	e.want(`{"op":"ack"`)
	e.want(`{"op":"close","code":4002`)
	if a := c.reply(); a.status != 401 {
		t.Errorf("%d %s", a.status, a.text)
	}
}

// A connection that has answered a poll is no connection of that client any more: a proxy uses it for others.
func TestAnsweredPollsCountNoMore(t *testing.T) {
	s, p := secretServer(t, limits(func(l *Limits) { l.ConnectionsPerUser = 1 }), func(_ *Config, h *broadcast.Config) {
		h.Classes = []topics.Class{{Match: ">", Private: true}}
	})
	token := "Authorization: Bearer " + p.Sign(t, "", claimed(nil))
	var first *client
	for range 3 { // a connection each, which stays open
		first = s.dial()
		first.wantReply(first.poll("topics=px.FX.A", token), 200, `{"op":"ack"`)
	}
	first.send(get("/stream?topics=px.FX.A&after="+first.poll("topics=px.FX.A", token).cursor, token))
	eventually(t, "it waits", func() bool { return s.stats().Polls == 1 })
	if a := s.dial().poll("topics=px.FX.A", token); a.status != 429 {
		t.Errorf("beside a poll that waits: %d %s", a.status, a.text)
	}

	s = start(t, behindProxies(ProxyOff))
	for range 3 {
		c := s.proxied(1)
		c.wantReply(c.poll("topics=px.A", "X-Forwarded-For: 192.0.2.1"), 200, `{"op":"ack"`)
	}
	c := s.proxied(1)
	c.send(get("/stream?topics=px.A&after="+c.poll("topics=px.A", "X-Forwarded-For: 192.0.2.1").cursor, "X-Forwarded-For: 192.0.2.1"))
	eventually(t, "it waits", func() bool { return s.stats().Polls == 1 })
	if a := s.proxied(1).poll("topics=px.A", "X-Forwarded-For: 192.0.2.1"); a.status != 429 {
		t.Errorf("beside a poll that waits: %d %s", a.status, a.text)
	}
}
