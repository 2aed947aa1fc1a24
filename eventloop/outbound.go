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

// Write sends whole frames to the client in slot; see broadcast.Outlet. It is the hot path: one system call, a few fields of
// one cache line.
func (l *loop) Write(slot uint32, frames []byte, count int) (taken int, ok bool) {
	c := l.conns.at(slot)
	if c.flags&(flagBehind|flagTakeover) != 0 {
		return l.writeSeldom(c, frames)
	}
	n, errno := writeNow(c.fd, frames)
	if n == len(frames) {
		l.frames += uint64(count)
		l.bytesSent += uint64(n)
		c.sent = l.now
		return n, true
	}
	return l.writeSome(c, frames, n, errno)
}

// writeSeldom is Write for a client that is behind, so that it is an answer which has to wait, or that is sent frames of its
// own, which then are all taken.
func (l *loop) writeSeldom(c *conn, frames []byte) (taken int, ok bool) {
	if c.flags&flagTakeover == 0 {
		return len(frames), l.write(c, frames)
	}
	l.frames-- // writeOwn counts one
	b := l.packed
	for rest := frames; len(rest) > 0; {
		size := frameSize(rest)
		b = l.appendOwn(b, c, rest[:size])
		rest = rest[size:]
		l.frames++
	}
	l.packed = reuse(b)
	return len(frames), l.writeOwn(c, b)
}

// frameSize returns the length of the first of frames of ours.
func frameSize(frames []byte) int {
	h, n, err := wsproto.ParseHeader(frames)
	if size := n + int(h.Length); err == nil && n > 0 && size <= len(frames) {
		return size
	}
	return len(frames) // not reached
}

// writeSome goes on with frames of which the socket took n bytes: gnet keeps the rest of the one that was cut, and the shard
// has those after it back.
func (l *loop) writeSome(c *conn, frames []byte, n int, errno unix.Errno) (taken int, ok bool) {
	l.frames-- // writeRest counts one
	for taken <= n && taken < len(frames) {
		taken += frameSize(frames[taken:])
		l.frames++
	}
	ok = l.writeRest(c, frames[:taken], n, errno)
	if ok && taken < len(frames) { // there is room again: the next sweep tells the shard
		l.list(c)
		ok = false
	}
	return taken, ok
}

// Close ends the connection of the client in slot; see broadcast.Outlet.
func (l *loop) Close(slot uint32, code wsproto.StatusCode, reason string) {
	c := l.conns.at(slot)
	if c.flags&flagBehind == 0 {
		l.closeWith(c, code, reason)
		return
	}
	l.endSlow(c, code, reason)
}

// endSlow ends a connection whose client does not read. There is no closing handshake: the client would not see it in time.
func (l *loop) endSlow(c *conn, code wsproto.StatusCode, reason string) {
	c.code = code
	_, _ = c.gc.Write(wsproto.AppendClose(nil, code, reason)) // appends to gnet's buffer; cannot fail
	l.discard(c)
}

// write sends a whole frame, or several that must not be told apart. It reports false if the client is behind, or gone.
func (l *loop) write(c *conn, frame []byte) bool {
	if c.flags&flagTakeover != 0 {
		l.packed = l.appendOwn(l.packed, c, frame)
		frame = l.packed
		l.packed = reuse(frame)
	}
	return l.writeOwn(c, frame)
}

// writeOwn is write for bytes that are as they are to be sent.
func (l *loop) writeOwn(c *conn, b []byte) bool {
	if c.flags&flagBehind != 0 {
		l.enqueue(c, b)
		return false
	}
	n, errno := writeNow(c.fd, b)
	if n == len(b) {
		l.frames++
		l.bytesSent += uint64(n)
		c.sent = l.now
		return true
	}
	return l.writeRest(c, b, n, errno)
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
	if c.gc.OutboundBuffered() == 0 {
		c.queued = 0 // all have gone since, the next sweep will see it
	}
	if !l.mayWait(c, len(frame)) {
		l.endSlow(c, StatusSlowConsumer, "answers are not read")
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

// checkBehind lists c as behind if gnet holds bytes of it, and reports that.
func (l *loop) checkBehind(c *conn) bool {
	if c.gc.OutboundBuffered() > 0 {
		l.list(c)
	}
	return c.flags&flagBehind != 0
}

// list has the next sweep look at c.
func (l *loop) list(c *conn) {
	if c.flags&flagBehind == 0 {
		c.flags |= flagBehind
		l.behind = append(l.behind, c.slot)
	}
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
