package eventloop

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"tickcast/broadcast"
)

// The answer to a connection that is refused before its request follows the request: HTTP clients have no use for an earlier one.
func TestConnectionsTurnedAwayAreAnsweredAtTheirRequest(t *testing.T) {
	clearTextOnly(t)
	for _, row := range []struct {
		name   string
		set    setting
		reason string
		status int
		body   string
	}{
		{"full", func(c *Config, _ *broadcast.Config) { c.MaxConnections = 1 }, "max_connections", 503, "too many connections"},
		{"fast", limits(func(l *Limits) { l.ConnectionsPerSecond = 1 }), "rate", 503, "too many new connections"},
		{"address is full", limits(func(l *Limits) { l.Addresses.Connections = 1 }), "rate", 429, "connections of this address"},
		{"address is fast", limits(func(l *Limits) { l.Addresses.PerSecond = 1 }), "rate", 429, "new connections of this address"},
		{"draining", nil, "draining", 503, "going away"},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := startWithGrace(t, patience, func(c *Config, b *broadcast.Config) {
				if row.set != nil {
					row.set(c, b)
				}
			})
			first := s.open("")
			if row.set == nil {
				s.cancel()
				first.expectClose(1012)
			}
			var c *client
			for s.stats().Rejected[row.reason] == 0 { // a slow machine may take longer than a second
				accepted := s.stats().Accepted
				c = s.dial()
				eventually(t, "it is accepted", func() bool { return s.stats().Accepted > accepted })
			}
			_ = c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
			if b, err := c.r.Peek(1); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatalf("before its request: %q, %v", b, err)
			}
			_ = c.SetReadDeadline(time.Now().Add(patience))
			c.send(request(""))
			r, body := c.response("GET")
			if r.StatusCode != row.status || r.Header.Get("Retry-After") == "" || !r.Close || !strings.Contains(body, row.body) {
				t.Errorf("%s %v %q", r.Status, r.Header, body)
			}
			c.ended()
			if n := s.stats().Rejected[row.reason]; n != 1 {
				t.Errorf("counted %d times", n)
			}
			first.Close()
		})
	}
}

// A client that was turned away and asks for nothing is not kept.
func TestConnectionsTurnedAwayEnd(t *testing.T) {
	clearTextOnly(t)
	s := start(t, func(c *Config, _ *broadcast.Config) { c.MaxConnections, c.CloseTimeout = 1, 300*time.Millisecond })
	s.open("")
	c := s.dial()
	if r, _ := c.response("GET"); r.StatusCode != 503 {
		t.Error(r.Status)
	}
	c.ended()
}
