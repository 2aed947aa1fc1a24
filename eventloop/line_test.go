package eventloop

import (
	"testing"

	"golang.org/x/sys/unix"

	"tickcast/broadcast"
	"tickcast/wsproto"
)

// sendBuffer returns the size that setSendBuffer set, and whether the kernel may change it.
func sendBuffer(t *testing.T, fd int32) (size int, locked bool) {
	t.Helper()
	double, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_SNDBUF)
	if err != nil {
		t.Fatal(err)
	}
	lock, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_BUF_LOCK)
	if err != nil {
		t.Fatal(err)
	}
	return double / 2, lock&1 != 0
}

// While a large message is on its way to a client, the kernel chooses the size of its send buffer. Afterwards it is the usual one.
func TestSendBufferOfALargeMessage(t *testing.T) {
	s := start(t, func(c *Config, _ *broadcast.Config) { c.Loops = 1 })
	usual := s.engine.cfg.SendBuffer
	c := s.behindLarge()
	s.onConns(func(_ *loop, c *conn) {
		if _, locked := sendBuffer(t, c.fd); locked || c.flags&flagWide == 0 {
			t.Error("a large message is on its way, and the send buffer is locked")
		}
	})
	if u := c.update(); len(u.Data) != len(large) {
		t.Fatalf("%d bytes", len(u.Data))
	}
	c.send(masked(wsproto.OpPing, ""))
	c.frame(wsproto.OpPong)
	eventually(t, "it is not behind", func() bool { _, behind := s.buffered(); return behind == 0 })
	s.onConns(func(_ *loop, c *conn) {
		if size, locked := sendBuffer(t, c.fd); size != usual || !locked || c.flags&flagWide != 0 {
			t.Errorf("the send buffer has %d bytes, locked: %v", size, locked)
		}
	})
}

// A line is thin by the kernel's estimate alone: a client on the loopback interface that does not read has a fast one, and gets its
// usual send buffer back.
func TestSendBufferOfAThinLine(t *testing.T) {
	s := start(t, func(c *Config, _ *broadcast.Config) { c.Loops = 1 })
	usual := s.engine.cfg.SendBuffer
	var held *client
	eventually(t, "the kernel takes the loopback interface for fast", func() (fast bool) { // not on a busy machine
		if held != nil {
			held.Close()
			eventually(t, "the one before has gone", func() bool { return s.engine.Connections() == 0 })
		}
		held = s.behind()
		s.onConns(func(_ *loop, c *conn) { fast = lineBytes(c.fd, thinDelay) >= float64(usual) })
		return fast
	})
	s.onConns(func(l *loop, c *conn) {
		c.flags &^= flagJudged
		if l.narrowLine(c); c.flags&(flagJudged|flagThin) != flagJudged {
			t.Errorf("a fast line: flags %b", c.flags)
		}
		setSendBuffer(c.fd, leastBuffer)
		c.flags |= flagThin
		if l.restoreLine(c); c.flags&(flagThin|flagJudged) != 0 {
			t.Errorf("restored: flags %b", c.flags)
		}
		if size, locked := sendBuffer(t, c.fd); size != usual || !locked {
			t.Errorf("the send buffer has %d bytes, locked: %v", size, locked)
		}
	})
}
