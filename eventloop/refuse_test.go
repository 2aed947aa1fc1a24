package eventloop

import (
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"tickcast/broadcast"
)

// A socket that is closed while bytes wait in it is reset, and a reset can overtake the answer.
func TestRefusedClientThatKeepsSendingGetsTheAnswer(t *testing.T) {
	s := start(t)
	for _, row := range []struct {
		name  string
		first string
		want  string
	}{
		{"body", "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 4000000\r\n\r\n", "HTTP/1.1 400 "},
		{"endless header", "GET / HTTP/1.1\r\nHost: test\r\nA: ", "HTTP/1.1 431 "},
		{"TLS", "\x16\x03\x01\x02\x00\x01", "HTTP/1.1 400 "},
		{"no upgrade", get("/stream", "Sec-WebSocket-Version: 13"), "HTTP/1.1 426 "},
		{"behind Connection: close", get("/", "Connection: close"), "HTTP/1.1 200 "},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := s.dial()
			c.t = t
			c.endHandshake()
			c.send(row.first)
			c.send(strings.Repeat("a", 4<<20)) // more than the sockets hold: the server must read it
			b, err := io.ReadAll(c.r)
			if err != nil || !strings.HasPrefix(string(b), row.want) {
				t.Errorf("got %.40q, %v; want %q", b, err, row.want)
			}
		})
	}
}

// The server waits a limited time for a client that it has refused.
func TestRefusedClientThatStaysIsCutOff(t *testing.T) {
	s := start(t, func(c *Config, _ *broadcast.Config) { c.CloseTimeout = 200 * time.Millisecond })
	c := s.dial()
	c.send("\x16\x03\x01")
	if r, _ := c.response("GET"); r.StatusCode != 400 {
		t.Error(r.Status)
	}
	c.ended() // the server's side
	eventually(t, "the connection is given up", func() bool { return s.engine.Connections() == 0 })
}

func shortHandshake(c *Config, _ *broadcast.Config) { c.HandshakeTimeout = 2 * time.Second }

func TestHandshakeTimeout(t *testing.T) {
	s := start(t, shortHandshake)
	var all sync.WaitGroup
	for _, row := range []struct {
		name string
		sent string
		want string // status codes
	}{
		{"nothing", "", ""},
		{"half a request", "GET /stream HTTP/1.1\r\nHost: te", "408 "},
		{"one byte", "G", "408 "},
		{"half of a second request", get("/nothing") + "GET", "404 408 "},
		{"no second request", get("/nothing"), "404 "},
		{"an empty line behind a request", get("/nothing") + "\r\n", "404 "},
		{"half an empty line behind a request", get("/nothing") + "\r", "404 "},
		{"an empty line alone", "\r\n", ""},
	} {
		all.Go(func() {
			begin := time.Now() // the server may accept before dial returns
			c := s.dial()
			c.send(row.sent)
			b, err := io.ReadAll(c.r)
			got := ""
			for _, r := range strings.Split(string(b), "HTTP/1.1 ")[1:] {
				got += r[:4]
			}
			if err != nil || got != row.want {
				t.Errorf("%s: got %q, %v; want %q", row.name, b, err, row.want)
			}
			// A tick is 0.1 s, and a deadline may be one early. The upper bound is for a busy machine.
			if d := time.Since(begin); d < s.engine.cfg.HandshakeTimeout-tick || d > patience/2 {
				t.Errorf("%s: after %v", row.name, d)
			}
		})
	}
	all.Wait()
	if n := s.stats().Rejected["timeout"]; n != 3 { // a connection without a request is no refused request
		t.Errorf("%d timeouts are counted", n)
	}
}

// The whole request must come before the deadline: single bytes do not move it.
func TestHandshakeTimeoutOfAClientThatDrips(t *testing.T) {
	s := start(t, shortHandshake)
	c := s.dial()
	c.send("GET /")
	var b [4096]byte
	for {
		_ = c.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
		n, err := c.Read(b[:])
		if n > 0 {
			if !strings.HasPrefix(string(b[:n]), "HTTP/1.1 408 ") {
				t.Errorf("%q", b[:n])
			}
			return
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal(err)
		}
		c.send("a")
	}
}

// A request that comes in time moves the deadline to the next one.
func TestHandshakeTimeoutStartsAgainBehindARequest(t *testing.T) {
	s := start(t, func(c *Config, _ *broadcast.Config) { c.HandshakeTimeout = 1500 * time.Millisecond })
	c := s.dial()
	for end := time.Now().Add(2500 * time.Millisecond); time.Now().Before(end); {
		c.send(get("/"))
		if r, _ := c.response("GET"); r.StatusCode != 200 {
			t.Fatal(r.Status)
		}
		_ = c.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		if _, err := c.r.ReadByte(); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("ended between two requests: %v", err)
		}
		_ = c.SetReadDeadline(time.Now().Add(patience))
	}
}

func TestMaxConnections(t *testing.T) {
	clearTextOnly(t)
	s := start(t, func(c *Config, _ *broadcast.Config) { c.MaxConnections = 3 })
	var admitted, refused []*client
	for range 3 {
		admitted = append(admitted, s.open(""))
	}
	// Above the limit: an answer, as long as few connections wait for theirs.
	for range s.engine.reserve / 2 {
		c := s.dial()
		c.send(request(""))
		r, _ := c.response("GET")
		if r.StatusCode != 503 || r.Header.Get("Retry-After") == "" {
			t.Fatal(r.Status, r.Header)
		}
		c.atEnd()
		refused = append(refused, c)
	}
	// Well above it: no answer. The end may be a reset.
	c := s.dial()
	if b, err := io.ReadAll(c.r); len(b) > 0 {
		t.Errorf("%q, %v", b, err)
	} else if ne := net.Error(nil); errors.As(err, &ne) && ne.Timeout() {
		t.Error("the connection is held")
	}
	if n := s.engine.Connections(); n != 3+s.engine.reserve/2 {
		t.Errorf("%d connections", n)
	}

	for _, c := range refused {
		c.Close()
	}
	eventually(t, "the refused ones are gone", func() bool { return s.engine.Connections() == 3 })
	c = s.dial()
	c.send(request(""))
	if r, _ := c.response("GET"); r.StatusCode != 503 {
		t.Errorf("at the limit: %s", r.Status)
	}
	c.Close()
	admitted[0].Close()
	eventually(t, "one has left", func() bool { return s.engine.Connections() == 2 })
	s.open("")

	st := s.stats()
	if n := st.Rejected["max_connections"]; n != uint64(s.engine.reserve/2)+2 {
		t.Errorf("%d rejections are counted", n)
	}
	if st.MaxConnections != 3 || st.WebSockets != 3 || st.Opened != 4 {
		t.Errorf("%+v", st)
	}
}

func TestLimitOfOpenFilesBoundsMaxConnections(t *testing.T) {
	admitted, reserve, err := connectionLimit(0)
	if err != nil || admitted < 1 || reserve < 128 {
		t.Fatal(admitted, reserve, err)
	}
	if n, _, err := connectionLimit(int(admitted)); err != nil || n != admitted {
		t.Errorf("%d connections, %v", n, err)
	}
	if _, _, err := connectionLimit(int(admitted) + 1); err == nil || !strings.Contains(err.Error(), "limit of open files") {
		t.Errorf("error %v", err)
	}
}
