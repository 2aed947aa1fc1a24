package eventloop

import (
	"bytes"
	"context"
	"reflect"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tickcast/broadcast"
	"tickcast/wsproto"
)

// These tests hold the facts about gnet and the kernel on which this package relies, one test for each. A new version of gnet
// that behaves otherwise fails here first.

func TestAcceptedSocketsInheritTheListenersOptions(t *testing.T) {
	s := start(t)
	s.open("")
	s.onConns(func(_ *loop, c *conn) {
		for _, row := range []struct {
			name                string
			level, option, want int
		}{
			{"SO_SNDBUF", unix.SOL_SOCKET, unix.SO_SNDBUF, 2 * (16 << 10)}, // the kernel doubles it, for its bookkeeping
			{"TCP_NOTSENT_LOWAT", unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, 16 << 10},
			{"TCP_USER_TIMEOUT", unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, 30_000},
			{"TCP_NODELAY", unix.IPPROTO_TCP, unix.TCP_NODELAY, 1},
		} {
			if got, err := unix.GetsockoptInt(int(c.fd), row.level, row.option); err != nil || got != row.want {
				t.Errorf("%s: %d, %v; want %d", row.name, got, err, row.want)
			}
		}
		flags, err := unix.FcntlInt(uintptr(c.fd), unix.F_GETFL, 0)
		if err != nil || flags&unix.O_NONBLOCK == 0 {
			t.Errorf("the socket blocks: %#x, %v", flags, err)
		}
	})
}

func TestSecondListenChangesTheBacklog(t *testing.T) {
	s := start(t, func(c *Config, _ *broadcast.Config) { c.Backlog = 77 })
	fd, err := s.engine.gnet.DupListener("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil {
		t.Fatal(err)
	}
	if info.Sacked != 77 { // the backlog, of a listening socket
		t.Errorf("the backlog is %d", info.Sacked)
	}
}

// An endless task that continues through another goroutine, in slices, lets the loop answer its clients.
func TestTaskPostedFromAnotherGoroutineLetsIOThrough(t *testing.T) {
	s := start(t, func(c *Config, _ *broadcast.Config) { c.Loops = 1 })
	c := s.open("")
	end := make(chan struct{})
	ended := make(chan struct{})
	s.onLoops(func(l *loop) {
		var endless loopTask
		endless = func(context.Context) error {
			select {
			case <-end:
				close(ended)
			default:
				for until := time.Now().Add(2 * time.Millisecond); time.Now().Before(until); {
				}
				l.continueWith(endless)
			}
			return nil
		}
		l.continueWith(endless)
	})
	for range 20 {
		c.send(masked(wsproto.OpPing, ""))
		c.frame(wsproto.OpPong)
	}
	close(end)
	<-ended
}

type loopTask func(context.Context) error

func (f loopTask) Run(ctx context.Context) error { return f(ctx) }

// The same for an endless fan-out, where messages come faster than they can be written.
func TestEndlessFanoutLetsIOThrough(t *testing.T) {
	s := start(t, func(c *Config, _ *broadcast.Config) { c.Loops = 1 })
	for range 100 {
		c := s.open("topics=a")
		go func() {
			var b [4096]byte
			for {
				if _, err := c.Read(b[:]); err != nil {
					return
				}
			}
		}()
	}
	c := s.open("")
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for payload := []byte(`"` + strings.Repeat("x", 100) + `"`); ; {
			select {
			case <-end:
				return
			default:
				s.hub.Publish("a", payload)
			}
		}
	}()
	for range 20 {
		c.send(masked(wsproto.OpPing, ""))
		c.frame(wsproto.OpPong)
	}
	close(end)
	<-ended
}

// reset ends the connection while the loop is busy and does not notice.
func (c *client) reset(l *loop, fd int32) {
	c.t.Helper()
	l.owner.Check(foreign)
	_ = c.tcp().SetLinger(0)
	c.Close()
	eventually(c.t, "the reset arrives", func() bool {
		info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
		return err != nil || info.State == 7 // TCP_CLOSE
	})
}

func TestWriteToABrokenConnectionRunsOnCloseBeforeItReturns(t *testing.T) {
	for _, row := range []struct {
		name  string
		write func(*loop, uint32) bool
	}{
		{"Write", func(l *loop, slot uint32) bool { _, ok := l.Write(slot, pingFrame, 1); return ok }},
		{"two", func(l *loop, slot uint32) bool {
			_, ok := l.Write(slot, append(bytes.Clone(pingFrame), pingFrame...), 2)
			return ok
		}},
		{"answer", func(l *loop, slot uint32) bool { return l.answer(l.conns.At(slot), pingFrame, 1) }},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := start(t)
			c := s.open("")
			s.onConns(func(l *loop, served *conn) {
				slot := served.slot
				c.reset(l, served.fd)
				if row.write(l, slot) {
					t.Error("the write is said to have gone through")
				}
				if served.state != stateFree || s.engine.Connections() != 0 || s.engine.Stats().Closed[1006] != 1 {
					t.Errorf("the connection is in state %d", served.state)
				}
			})
		})
	}
}

func TestFanoutGoesOnBehindABrokenConnection(t *testing.T) {
	s := start(t, func(c *Config, _ *broadcast.Config) { c.Loops = 1 })
	var all []*client
	for range 5 {
		c := s.open("topics=a")
		c.expect(`{"op":"ack"`)
		all = append(all, c)
	}
	s.onLoops(func(l *loop) {
		for _, slot := range []uint32{1, 3} {
			all[slot].reset(l, l.conns.At(slot).fd)
		}
		s.hub.Publish("a", []byte("1")) // delivered after this task, before the loop looks at its sockets
	})
	for _, k := range []int{0, 2, 4} {
		if u := all[k].update(); u.Seq != 1 {
			t.Errorf("client %d got %+v", k, u)
		}
	}
	s.onLoops(func(*loop) {}) // behind the fan-out
	if n := s.hub.Stats().Subscribers; n != 3 || s.engine.Connections() != 3 {
		t.Errorf("%d subscribers, %d connections", n, s.engine.Connections())
	}
}

// The ring is 1 KiB that gnet would keep for each connection.
func TestNextOfEverythingLeavesNoInboundRing(t *testing.T) {
	s := start(t)
	c := s.open("")
	half := s.dial()
	half.send("GET / HT")
	c.send(masked(wsproto.OpText, strings.Repeat(" ", 5000))[:3000])
	eventually(t, "both halves are there", func() bool {
		n := 0
		s.onConns(func(_ *loop, c *conn) {
			if c.extra != nil || !c.decoder.Idle() {
				n++
			}
		})
		return n == 2
	})
	s.onConns(func(_ *loop, c *conn) {
		if n := c.gc.InboundBuffered(); n != 0 {
			t.Errorf("%d bytes are left in gnet", n)
		}
		if !reflect.ValueOf(c.gc).Elem().FieldByName("inboundBuffer").FieldByName("rb").IsNil() {
			t.Error("gnet holds an inbound ring")
		}
	})
}

func TestEngineThatStopsUnaskedIsAnError(t *testing.T) {
	s, err := launch(patience)
	if err != nil {
		t.Fatal(err)
	}
	s.t = t
	s.open("")
	s.engine.stop()
	if err := <-s.result; err == nil || err.Error() != "eventloop: the engine stopped without being asked" {
		t.Errorf("Run: %v", err)
	}
	if n := s.engine.Connections(); n != 0 {
		t.Errorf("%d connections are left", n)
	}
}

// Two engines of one process share gnet's default logger, and no other state.
func TestEnginesSideBySide(t *testing.T) {
	a, b := start(t), start(t)
	ca, cb := a.open("topics=x"), b.open("topics=x")
	ca.expect(`{"op":"ack"`)
	cb.expect(`{"op":"ack"`)
	a.cancel()
	a.join()
	b.hub.Publish("x", []byte("1"))
	if u := cb.update(); u.Seq != 1 {
		t.Errorf("%+v", u)
	}
}

// gnet's table of connections is found and can be replaced by its loop: its connections go on, end, and others come.
func TestGnetsTableBecomesSmall(t *testing.T) {
	s := start(t)
	clients := []*client{s.open(""), s.open(""), s.open("")}
	s.onConns(func(_ *loop, c *conn) {
		if !shrinkTableOf(c.gc) {
			t.Error("gnet has another table: see shrinkTableOf")
		}
	})
	clients = append(clients, s.open(""))
	for _, c := range clients {
		c.command(`{"op":"ping","id":1}`)
		c.expect(`{"op":"ack","id":1`)
	}
	for _, c := range clients {
		c.send(masked(wsproto.OpClose, "\x03\xe8"))
		c.frame(wsproto.OpClose)
		c.ended()
	}
	eventually(t, "all have ended", func() bool { return s.engine.Connections() == 0 })
}
