package eventloop

import (
	"context"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"tickcast/broadcast"
)

// patience bounds every wait of these tests. A working server stays far below it.
const patience = 60 * time.Second

func TestMain(m *testing.M) {
	broadcast.CheckOwners(true)
	if child := children[os.Getenv(childVariable)]; child != nil {
		os.Exit(child())
	}
	os.Exit(m.Run())
}

// A server is an engine on a free port of 127.0.0.1 with a hub of its own.
type server struct {
	t      testing.TB
	engine *Engine
	hub    *broadcast.Shards
	addr   string // the first one
	secure bool   // it has TLS
	cancel context.CancelFunc
	result chan error // of Run
	panics uint64     // that the test makes
}

// A setting changes the server that start makes.
type setting func(*Config, *broadcast.Config)

// grace is the grace with which the servers of these tests stop; tests of the end of connections pass another one.
const grace = 0

// start runs a server with production's settings, but without deadlines except for the test's own. It stops at the end of the
// test, which fails if Run does.
func start(t testing.TB, settings ...setting) *server {
	t.Helper()
	return startWithGrace(t, grace, settings...)
}

func startWithGrace(t testing.TB, grace time.Duration, settings ...setting) *server {
	t.Helper()
	s, err := launch(grace, settings...)
	if err != nil {
		t.Fatal(err)
	}
	s.t = t
	t.Cleanup(func() {
		s.cancel()
		s.join()
	})
	return s
}

// launch is start without a test.
func launch(grace time.Duration, settings ...setting) (*server, error) {
	cfg := Config{
		Listen:     []string{"127.0.0.1:0"},
		StreamPath: "/stream",
		Pages: []Page{
			{Path: "/", ContentType: "text/html; charset=utf-8", Body: []byte("<!doctype html><title>Tickcast</title>\n")},
			{Path: "/big.js", ContentType: "text/javascript", Body: make([]byte, 300<<10)},
		},
		Subprotocols: []string{"tickcast.v1.json"},
		Loops:        2,
		Backlog:      1024,
		SendBuffer:   16 << 10, NotSentLowat: 16 << 10, TCPUserTimeout: 30 * time.Second,
		MaxHeaderSize: 8 << 10, MaxMessageSize: 16 << 10, QueueBytes: 128 << 10,
		HandshakeTimeout: patience, CloseTimeout: patience, Drain: Drain{Duration: time.Millisecond},
		Slice: 2 * time.Millisecond,
		TLS:   testTLSConfig(),
	}
	hub := broadcast.Config{Node: "test", Subscribe: []string{">"}, MaxMessageSize: cfg.MaxMessageSize}
	hub.ConflateAfter = patience // tests count messages, and the machine may be busy
	for _, change := range settings {
		change(&cfg, &hub)
	}
	if testTLS != "" && len(cfg.TLS.Listen) == 0 {
		cfg.Listen, cfg.TLS.Listen = nil, cfg.Listen
	}
	hub.Shards = cfg.Loops
	s := &server{hub: broadcast.New(hub), result: make(chan error, 1)}
	var err error
	if s.engine, err = New(cfg, s.hub); err != nil {
		return nil, err
	}
	s.engine.stopWithin = patience // the machine may be busy
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	go func() { s.result <- s.engine.Run(ctx, grace) }()
	select {
	case <-s.engine.Ready():
		s.addr = s.engine.Addrs()[0]
		s.secure = len(cfg.Listen) == 0
		return s, nil
	case err := <-s.result:
		cancel()
		return nil, err
	}
}

// join waits for the end of Run, after cancel. It may be called again.
func (s *server) join() {
	s.t.Helper()
	select {
	case err := <-s.result:
		s.result <- nil
		if err != nil {
			s.t.Errorf("Run: %v", err)
		}
		if n := s.engine.Stats().Panics; n > s.panics {
			s.t.Errorf("%d panics", n)
		}
	case <-time.After(patience):
		s.t.Fatal("Run does not return")
	}
}

// onLoops runs f on each loop that has shown itself, one after the other.
func (s *server) onLoops(f func(*loop)) {
	s.t.Helper()
	s.engine.mu.Lock()
	loops := s.engine.loops
	s.engine.mu.Unlock()
	for _, l := range loops {
		done := make(chan struct{})
		l.post(l.task(func() {
			defer close(done)
			f(l)
		}))
		select {
		case <-done:
		case <-time.After(patience):
			s.t.Fatal("a loop does not run its tasks")
		}
	}
}

// onConns runs f on its loop for each connection.
func (s *server) onConns(f func(*loop, *conn)) {
	s.t.Helper()
	s.onLoops(func(l *loop) {
		for slot := range l.conns.made {
			if c := l.conns.At(slot); c.state != stateFree {
				f(l, c)
			}
		}
	})
}

// atOnce publishes messages, each a topic, a space and the data, while the loop of the only connection stands: no turn of a slower
// rate comes between them.
func (s *server) atOnce(messages ...string) {
	s.t.Helper()
	s.onConns(func(*loop, *conn) {
		for _, m := range messages {
			topic, data, _ := strings.Cut(m, " ")
			s.hub.Publish(topic, []byte(data))
		}
	})
}

// stats returns the present figures.
func (s *server) stats() Stats {
	s.t.Helper()
	s.onLoops(func(l *loop) { l.counters.publish(&l.tally) })
	return s.engine.Stats()
}

// eventually waits until ok: for events without a notice, such as the end of a connection.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it does not come about that %s", what)
		}
	}
}

// whenReached runs f on loop l as soon as something from the server is at c's socket. f sees how far the loop has come by then,
// however late the test looks, which must not read before.
func (s *server) whenReached(l *loop, c *client, f func()) {
	raw, err := c.tcp().SyscallConn()
	if err != nil {
		s.t.Error(err)
		return
	}
	var look func()
	look = func() {
		n := 0
		_ = raw.Control(func(fd uintptr) {
			n, _, _ = syscall.Recvfrom(int(fd), make([]byte, 1), syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		})
		if n > 0 {
			f()
			return
		}
		l.continueWith(l.task(look))
	}
	l.post(l.task(look)) // behind a fan-out that is due
}

// closedWith waits until one WebSocket has ended, and checks the code under which it is counted.
func (s *server) closedWith(code uint16) {
	s.t.Helper()
	eventually(s.t, "a connection ends", func() bool { return len(s.engine.Stats().Closed) > 0 })
	if closed := s.engine.Stats().Closed; len(closed) != 1 || closed[code] != 1 {
		s.t.Errorf("closed: %v, want one %d", closed, code)
	}
}
