package eventloop

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"tickcast/broadcast"
	"tickcast/eventloop/admission"
)

// limits changes the limits of a server.
func limits(change func(*Limits)) setting {
	return func(c *Config, _ *broadcast.Config) {
		c.Limits.Addresses.Track = 1000
		change(&c.Limits)
	}
}

// from connects from another address of the loopback network.
func (s *server) from(last byte) *client {
	s.t.Helper()
	return s.dialWith(net.Dialer{Timeout: patience, LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, last)}})
}

// status sends a request and returns the status of the response; 0 = the connection ended without one.
func (c *client) status(request string) int {
	c.t.Helper()
	io.WriteString(c, request) // the answer may come before it, and the end too
	b, _ := io.ReadAll(io.LimitReader(c.r, int64(len("HTTP/1.1 200"))))
	var status int
	fmt.Sscanf(string(b), "HTTP/1.1 %d", &status)
	return status
}

func TestConnectionsOfAnAddress(t *testing.T) {
	s := start(t, limits(func(l *Limits) { l.Addresses.Connections = 2 }))
	first := s.from(2)
	if got := first.status(request("")); got != 101 {
		t.Fatal(got)
	}
	if got := s.from(2).status(request("")); got != 101 {
		t.Fatal(got)
	}
	if got := s.from(2).status(request("")); got != early(429) {
		t.Errorf("the third: %d", got)
	}
	if got := s.from(3).status(request("")); got != 101 {
		t.Errorf("another address: %d", got)
	}
	first.Close()
	eventually(t, "the place of a connection that has ended is free", func() bool { return s.from(2).status(request("")) == 101 })
	if n := s.stats().Limited["connections_per_address"]; n == 0 {
		t.Error("not counted")
	}
}

func TestNewConnectionsAreLimited(t *testing.T) {
	all := start(t, limits(func(l *Limits) { l.ConnectionsPerSecond = 2 }))
	one := start(t, limits(func(l *Limits) { l.Addresses.PerSecond = 2 }))
	for _, row := range []struct {
		s      *server
		limit  string
		status int
	}{{all, "connections_per_second", 503}, {one, "connections_per_second_per_address", 429}} {
		refused := false
		for range 50 {
			refused = refused || row.s.from(2).status(get("/")) == early(row.status)
		}
		if !refused || row.s.stats().Limited[row.limit] == 0 {
			t.Errorf("%s does not hold", row.limit)
		}
	}
	if got := one.from(3).status(get("/")); got != 200 {
		t.Errorf("another address: %d", got)
	}
}

func TestCommandsAndBytesAreLimited(t *testing.T) {
	for _, row := range []struct {
		name  string
		limit admission.Inbound
		send  string
	}{
		{"commands_per_second", admission.Inbound{CommandsPerSecond: 1, CommandsBurst: 5}, strings.Repeat(masked(1, `{"op":"ping"}`), 20)},
		{"bytes_per_second", admission.Inbound{BytesPerSecond: 1000, BytesBurst: 1}, strings.Repeat(masked(9, ""), 8000)},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := start(t, limits(func(l *Limits) { l.Inbound = row.limit }))
			c := s.open("")
			c.t = t
			c.send(row.send)
			for {
				m, err := c.next()
				if err != nil {
					t.Fatal(err)
				}
				if m.Code == StatusInboundRate {
					break
				}
			}
			c.ended()
			s.closedWith(uint16(StatusInboundRate))
			if n := s.stats().Limited[row.name]; n != 1 {
				t.Errorf("%d times counted", n)
			}
		})
	}
}

// Requests of one connection are commands.
func TestRequestsAreLimited(t *testing.T) {
	s := start(t, limits(func(l *Limits) { l.Inbound = admission.Inbound{CommandsPerSecond: 1, CommandsBurst: 3} }))
	c := s.dial()
	c.send(strings.Repeat(get("/"), 10))
	b, err := io.ReadAll(c.r)
	if n := strings.Count(string(b), "HTTP/1.1 200"); err != nil || n != 3 || !strings.Contains(string(b), "HTTP/1.1 429") {
		t.Errorf("%d pages, %v", n, err)
	}
	c = s.dial() // no answer to HEAD has a body, a refusal neither
	c.send(strings.Repeat(strings.Replace(get("/"), "GET", "HEAD", 1), 10))
	b, err = io.ReadAll(c.r)
	if !strings.Contains(string(b), "HTTP/1.1 429") || !strings.HasSuffix(string(b), "\r\n\r\n") || err != nil {
		t.Errorf("%q, %v", b, err)
	}
}

// A client that floods the server while its poll waits is told so.
func TestFloodBehindAPoll(t *testing.T) {
	s := start(t, limits(func(l *Limits) { l.Inbound = admission.Inbound{BytesPerSecond: 1, BytesBurst: 4000} }))
	c := s.dial()
	c.send(get("/stream?topics=px.A&after=" + c.poll("topics=px.A").cursor))
	eventually(t, "it waits", func() bool { return s.stats().Polls == 1 })
	c.send(strings.Repeat(get("/"), 1000))
	if a := c.reply(); a.status != 429 || a.head.Get("Retry-After") == "" {
		t.Errorf("%d %v %s", a.status, a.head, a.text)
	}
}

func TestOffencesAreBanned(t *testing.T) {
	s := start(t, limits(func(l *Limits) {
		l.Addresses.BanAfter, l.Addresses.BanWindow, l.Addresses.BanFor = 3, time.Hour, time.Hour
	}))
	for range 3 {
		if got := s.from(2).status("bad request\r\n\r\n"); got != 400 {
			t.Fatal(got)
		}
	}
	eventually(t, "the address is banned", func() bool { return s.from(2).status(get("/")) == 0 })
	if got := s.from(3).status(get("/")); got != 200 {
		t.Errorf("another address: %d", got)
	}
	if st := s.stats(); st.Bans != 1 || st.Limited["ban"] == 0 || st.Rejected["banned"] == 0 {
		t.Errorf("%+v", st)
	}
}

func TestMaxAgeWithJitter(t *testing.T) {
	s := start(t, limits(func(l *Limits) { l.MaxAge, l.AgeJitter = 1500*time.Millisecond, 60 }))
	began := time.Now()
	var ages []time.Duration
	var clients []*client
	for range 8 {
		clients = append(clients, s.open(""))
	}
	for _, c := range clients {
		c.expectClose(StatusMaxAge)
		ages = append(ages, time.Since(began))
	}
	if last := ages[len(ages)-1]; last < 300*time.Millisecond || last > patience/2 {
		t.Errorf("ages %v", ages)
	}
	spread := make(map[uint32]bool)
	l := &loop{engine: s.engine}
	for slot := range uint32(100) {
		end := l.ageLimit(&conn{slot: slot, opened: 50})
		if end > 65 || end < 56 {
			t.Fatalf("slot %d ends at %d", slot, end)
		}
		spread[end] = true
	}
	if len(spread) < 6 {
		t.Errorf("the ends are not scattered: %v", spread)
	}
}

// TestMaxAgeOfRequests ends connections on which no WebSocket is opened with a response that says so.
func TestMaxAgeOfRequests(t *testing.T) {
	for _, path := range []string{"/", "/nothing", "/stream?topics=a&wait=20ms", "/latest?topics=a"} {
		s := start(t, limits(func(l *Limits) { l.MaxAge = 300 * time.Millisecond }))
		c := s.dial()
		for began := time.Now(); ; {
			c.send(get(path, "Accept: application/json"))
			r, _ := c.response("GET")
			if r.Close {
				break
			}
			if time.Since(began) > patience {
				t.Fatalf("%s: no end", path)
			}
		}
		c.ended()
		if st := s.stats(); st.Limited["max_age"] != 1 {
			t.Errorf("%s: counted %d times", path, st.Limited["max_age"])
		}
	}
}

func TestDryRunRefusesNothing(t *testing.T) {
	s := start(t, limits(func(l *Limits) {
		l.DryRun, l.ConnectionsPerSecond, l.MaxAge = true, 1, 200*time.Millisecond
		l.Addresses.Connections, l.Addresses.PerSecond, l.Addresses.BanAfter, l.Addresses.BanFor = 1, 1, 1, time.Hour
		l.Inbound = admission.Inbound{CommandsPerSecond: 1, CommandsBurst: 1, BytesPerSecond: 1, BytesBurst: 1}
	}))
	s.dial().status("\x00")
	a, b := s.open(""), s.open("")
	for range 2000 {
		a.command(`{"op":"ping"}`)
	}
	for range 2000 {
		a.expect(`{"op":"ack"`)
	}
	eventually(t, "all limits are counted", func() bool {
		st := s.stats()
		return st.Limited["commands_per_second"] > 0 && st.Limited["bytes_per_second"] > 0 && st.Limited["max_age"] > 0 &&
			st.Limited["connections_per_second"] > 0 && st.Limited["ban"] > 0
	})
	b.command(`{"op":"ping"}`)
	b.expect(`{"op":"ack"`)
}
