package eventloop

import (
	"context"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"tickcast/broadcast"
	"tickcast/broadcast/topics"
)

// Every client gets a close frame, and Run returns as soon as the last one is gone.
func TestShutdown(t *testing.T) {
	s := startWithGrace(t, patience)
	subscribed, silent := s.open("topics=a"), s.open("")
	subscribed.expect(`{"op":"ack"`)
	idle := s.dial() // between two requests
	idle.send(get("/"))
	if r, _ := idle.response("GET"); r.StatusCode != 200 {
		t.Fatal(r.Status)
	}
	s.cancel()
	begin := time.Now()
	for _, c := range []*client{subscribed, silent} {
		c.expectClose(1012)
		c.send(closeFrame(1001, ""))
		c.ended()
	}
	idle.ended()
	s.join()
	if d := time.Since(begin); d > patience/2 {
		t.Errorf("Run returned after %v", d)
	}
	if st := s.engine.Stats(); len(st.Closed) != 1 || st.Closed[1012] != 2 || st.Connections != 0 || st.WebSockets != 0 {
		t.Errorf("%+v", st)
	}
	if !s.engine.Draining() {
		t.Error("not draining")
	}
}

// Clients that never answer, or never read, delay Run's return by the grace at most.
func TestShutdownWithClientsThatDoNotAnswer(t *testing.T) {
	const grace = 300 * time.Millisecond
	s := startWithGrace(t, grace)
	mute := s.open("")
	half := s.dial()
	half.send("GET / HT")
	deaf := s.slow()
	deaf.send(get("/big.js"))
	eventually(t, "all are there", func() bool { _, behind := s.buffered(); return behind == 1 && s.engine.Connections() == 3 })
	begin := time.Now()
	s.cancel()
	s.join()
	if d := time.Since(begin); d < grace || d > patience/2 {
		t.Errorf("Run returned after %v", d)
	}
	mute.expectClose(1012)
	if _, err := net.Dial("tcp", s.addr); err == nil {
		t.Error("the listener is open")
	}
}

// Run does not wait for the whole grace if CloseTimeout has ended the last client.
func TestShutdownAfterTheCloseTimeout(t *testing.T) {
	s := startWithGrace(t, patience, func(c *Config, _ *broadcast.Config) { c.CloseTimeout = 200 * time.Millisecond })
	c := s.open("")
	begin := time.Now()
	s.cancel()
	s.join()
	if d := time.Since(begin); d > patience/2 {
		t.Errorf("Run returned after %v", d)
	}
	c.expectClose(1012)
	c.ended()
}

func TestNewConnectionsDuringShutdown(t *testing.T) {
	clearTextOnly(t)
	s := startWithGrace(t, patience)
	last := s.open("") // keeps the engine from ending
	half, page := s.dial(), s.dial()
	upgrade := request("")
	half.send(upgrade[:20])
	page.send(get("/")[:10])
	eventually(t, "the halves are there", func() bool {
		n := 0
		s.onConns(func(_ *loop, c *conn) {
			if c.extra != nil {
				n++
			}
		})
		return n == 2
	})
	s.cancel()
	last.expectClose(1012)

	late := s.dial()
	late.send(upgrade)
	half.send(upgrade[20:])
	for _, c := range []*client{late, half} {
		r, body := c.response("GET")
		if r.StatusCode != 503 || r.Header.Get("Retry-After") == "" || !strings.Contains(body, "going away") {
			t.Errorf("%s %v %q", r.Status, r.Header, body)
		}
		c.ended()
		c.Close()
	}
	page.send(get("/")[10:])
	if r, _ := page.response("GET"); r.StatusCode != 200 || !r.Close {
		t.Errorf("%s, close %v", r.Status, r.Close)
	}
	page.ended()
	page.Close()
	last.send(closeFrame(1001, ""))
	last.ended()
	s.join()
}

func TestShutdownOfAClientThatIsBehind(t *testing.T) {
	s := startWithGrace(t, patience)
	c := s.behind()
	s.cancel()
	eventually(t, "it is closing", s.engine.Draining)
	c.toTheClose(1012)
	c.send(closeFrame(1001, ""))
	c.ended()
	s.join()
}

// A response under way is completed, then the connection ends.
func TestShutdownDuringADownload(t *testing.T) {
	s := startWithGrace(t, patience)
	c := s.slow()
	c.send(get("/big.js"))
	eventually(t, "the socket is full", func() bool { n, _ := s.buffered(); return n > 0 })
	s.cancel()
	eventually(t, "it is closing", s.engine.Draining)
	if r, body := c.response("GET"); r.StatusCode != 200 || len(body) != 300<<10 {
		t.Errorf("%s, %d bytes", r.Status, len(body))
	}
	c.ended()
	c.Close()
	s.join()
}

func TestNoGoroutineIsLeftAfterRun(t *testing.T) {
	before := runtime.NumGoroutine()
	s := startWithGrace(t, 0)
	for range 10 {
		s.open("topics=a").expect(`{"op":"ack"`)
	}
	for range 100 {
		s.hub.Publish("a", []byte("1"))
	}
	s.cancel()
	s.join()
	eventually(t, "its goroutines end", func() bool { return runtime.NumGoroutine() <= before })
	s.hub.Publish("a", []byte("1")) // wakes no loop
	if n := s.engine.Connections(); n != 0 {
		t.Errorf("%d connections", n)
	}
}

func TestRunOfAContextThatIsDone(t *testing.T) {
	s, err := launch(grace)
	if err != nil {
		t.Fatal(err)
	}
	s.t = t
	s.cancel()
	s.join()

	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	e, err := New(s.engine.cfg, broadcast.New(broadcast.Config{Config: topics.Config{Shards: 2}}))
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Run(ctx, grace); err != nil {
		t.Error(err)
	}
}

func TestRunWithoutAnAddress(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, listen := range []string{taken.Addr().String(), "127.0.0.1", "127.0.0.1:port", "256.0.0.1:1", "192.0.2.1:0"} {
		_, err := launch(grace, func(c *Config, _ *broadcast.Config) { c.Listen = []string{"127.0.0.1:0", listen} })
		if err == nil || !strings.HasPrefix(err.Error(), "eventloop: ") {
			t.Errorf("%s: %v", listen, err)
		}
	}
}

func TestRunTellsWhichSocketOptionIsWrong(t *testing.T) {
	_, err := launch(grace, func(c *Config, _ *broadcast.Config) { c.TCPUserTimeout = 30 * 24 * time.Hour }) // 32 bits of ms
	if err == nil || !strings.Contains(err.Error(), "127.0.0.1:0: TCP_USER_TIMEOUT 2592000000: invalid argument") {
		t.Error(err)
	}
}

func TestSeveralAddresses(t *testing.T) {
	s := start(t, func(c *Config, _ *broadcast.Config) {
		c.Listen = []string{"127.0.0.1:0", "[::1]:0", "127.0.0.2:0", ":0"}
	})
	if len(s.engine.Addrs()) != 4 {
		t.Fatal(s.engine.Addrs())
	}
	for _, addr := range s.engine.Addrs() {
		s.addr = reachable(addr)
		s.open("")
	}
}

// The engine resets the connections that are left: half a response cannot pass for a whole one.
func TestConnectionsAreCutOffAtTheEnd(t *testing.T) {
	s := startWithGrace(t, 0)
	c := s.slow()
	c.send(get("/big.js"))
	eventually(t, "the socket is full", func() bool { n, _ := s.buffered(); return n > 0 })
	s.cancel()
	s.join()
	b, err := io.ReadAll(c.r)
	if len(b) == 0 || len(b) > 300<<10 {
		t.Errorf("%d bytes, %v", len(b), err)
	}
}
