package eventloop

import (
	"math"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"tickcast/wsproto"
)

var pingFrame = wsproto.AppendFrame(nil, wsproto.OpPing, nil)

// sweepInterval is how often, at most, fan-outs look for connections that have caught up.
const sweepInterval = 5 * time.Millisecond

// Write sends a whole frame to the client in slot; see broadcast.Outlet.
func (l *loop) Write(slot uint32, frame []byte) bool { return l.write(l.conns.at(slot), frame) }

// write sends a whole frame. It is the hot path: one system call, a few fields of one cache line.
func (l *loop) write(c *conn, frame []byte) bool {
	if c.flags&(flagBehind|flagTakeover) != 0 {
		if frame = l.prepare(c, frame); frame == nil {
			return false
		}
	}
	n, errno := writeNow(c.fd, frame)
	if n == len(frame) {
		l.frames++
		l.bytesSent += uint64(n)
		c.sent = l.now
		return true
	}
	return l.writeRest(c, frame, n, errno)
}

// prepare returns what is to be written for a frame to a client that is sent frames of its own. To a client that is behind
// nothing is, and nil comes back: the frame waits in the queue, or the connection is over.
func (l *loop) prepare(c *conn, frame []byte) []byte {
	if c.flags&flagTakeover != 0 {
		frame = l.appendOwn(l.packed, c, frame)
		l.packed = reuse(frame)
	}
	if c.flags&flagBehind != 0 {
		l.enqueue(c, frame)
		return nil
	}
	return frame
}

// writeNow is write(2) without telling the scheduler: the descriptor does not block, so the call returns at once.
func writeNow(fd int32, b []byte) (int, unix.Errno) {
	for {
		n, _, errno := unix.RawSyscall(unix.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
		if errno == 0 {
			return int(n), 0
		}
		if errno != unix.EINTR {
			return 0, errno
		}
	}
}

// writeRest goes on with a frame of which the socket took n bytes.
func (l *loop) writeRest(c *conn, frame []byte, n int, errno unix.Errno) bool {
	if errno != 0 && errno != unix.EAGAIN {
		l.drop(c)
		return false
	}
	l.frames++
	l.bytesSent += uint64(len(frame))
	if _, err := c.gc.Write(frame[n:]); err != nil {
		return false // gnet has closed the connection
	}
	if l.checkBehind(c) {
		return false
	}
	c.sent = l.now
	return true
}

// answerCost is about what gnet needs to hold one answer beyond its bytes: many small ones would take far more memory than
// Config.QueueBytes.
const answerCost = 64

// enqueue adds an answer to what gnet holds for c, which is behind.
func (l *loop) enqueue(c *conn, frame []byte) {
	if !l.mayWait(c, len(frame)) {
		// No closing handshake: the client does not read, so it would not see it in time.
		c.code = StatusSlowConsumer
		_, _ = c.gc.Write(wsproto.AppendClose(nil, StatusSlowConsumer, "answers are not read"))
		l.drop(c)
		return
	}
	c.queued++
	l.frames++
	l.bytesSent += uint64(len(frame))
	_, _ = c.gc.Write(frame) // appends to gnet's buffer; cannot fail
}

// mayWait reports whether gnet may hold size bytes more for c, an answer or those of one read.
func (l *loop) mayWait(c *conn, size int) bool {
	most := l.engine.cfg.QueueBytes
	if c.flags&flagEcho != 0 {
		most = l.engine.cfg.EchoQueueBytes
	}
	return c.gc.OutboundBuffered()+size+answerCost*int(c.queued) <= most && c.queued < math.MaxUint16
}

// Writev sends frames at once; see broadcast.Outlet.
func (l *loop) Writev(slot uint32, frames [][]byte) bool {
	c := l.conns.at(slot)
	if len(frames) == 1 {
		return l.write(c, frames[0])
	}
	if c.flags&flagTakeover != 0 {
		b := l.packed
		for i, f := range frames {
			start := len(b)
			b = l.appendOwn(b, c, f)
			frames[i] = b[start:]
		}
		l.packed = reuse(b)
	}
	size := 0
	for _, f := range frames {
		size += len(f)
	}
	l.frames += uint64(len(frames))
	l.bytesSent += uint64(size)
	if _, err := c.gc.Writev(frames); err != nil {
		return false
	}
	c.sent = l.now
	return !l.checkBehind(c)
}

// checkBehind lists c as behind if gnet holds bytes of it, and reports that.
func (l *loop) checkBehind(c *conn) bool {
	if c.flags&flagBehind == 0 && c.gc.OutboundBuffered() > 0 {
		c.flags |= flagBehind
		l.behind = append(l.behind, c.slot)
	}
	return c.flags&flagBehind != 0
}

// control writes a frame of the connection itself. It reports false when the connection is over.
func (l *loop) control(c *conn, frame []byte) bool {
	l.write(c, frame)
	return c.state != stateFree
}

// sweep finds the connections whose bytes gnet has got rid of, and lets them go on. gnet has no callback for that.
func (l *loop) sweep() {
	l.swept = time.Now()
	slots := l.behind
	l.behind = slots[:0] // in place: each slot looked at leaves at most itself behind
	for _, slot := range slots {
		c := l.conns.at(slot)
		if c.state == stateFree {
			l.conns.put(c)
			continue
		}
		if c.gc.OutboundBuffered() > 0 {
			l.behind = append(l.behind, slot)
			continue
		}
		c.flags &^= flagBehind
		c.queued = 0
		c.sent = l.now
		switch c.state {
		case stateOpen:
			if c.flags&flagEcho == 0 {
				l.shard.Writable(slot)
			}
		case stateLinger:
			l.shutdownWrite(c)
		}
	}
}

// closeWith sends our close frame and waits for the client's, for at most Config.CloseTimeout.
func (l *loop) closeWith(c *conn, code wsproto.StatusCode, reason string) {
	if c.state != stateOpen {
		return
	}
	l.shard.Leave(c.slot)
	c.state, c.since, c.code = stateClosing, l.now, code
	l.schedule(c, l.now+l.times.closing)
	l.write(c, wsproto.AppendClose(nil, code, reason))
}

// fail sends our close frame after the client broke the protocol, and reads nothing more
// (RFC 6455 section 7.1.7, Fail the WebSocket Connection).
func (l *loop) fail(c *conn, code wsproto.StatusCode, reason string) {
	l.closeWith(c, code, reason)
	if c.state == stateClosing {
		l.linger(c)
	}
}

// linger ends our side of the connection and waits for the client to end its own.
func (l *loop) linger(c *conn) {
	c.state, c.since = stateLinger, l.now
	l.forget(c)
	l.schedule(c, l.now+l.times.closing)
	if !l.checkBehind(c) {
		l.shutdownWrite(c)
	}
}

func (l *loop) shutdownWrite(c *conn) {
	if c.flags&flagShutdown == 0 {
		c.flags |= flagShutdown
		_ = unix.Shutdown(int(c.fd), unix.SHUT_WR) // fails only if the client is gone
	}
}
