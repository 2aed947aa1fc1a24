package eventloop

import (
	"math"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"tickcast/wsproto"
)

// An outcome is the result of a send.
type outcome uint8

const (
	outcomeSent   outcome = iota // the socket accepted everything
	outcomeBehind                // the socket refused a part: gnet holds it, or some frames were not accepted
	outcomeGone                  // the connection has ended
)

// An origin is the reason for which bytes are sent.
type origin uint8

const (
	ofShard  origin = iota // data and answers of the shard
	ofClient               // an answer to a frame of the client: bounded while the client is behind
	ofServer               // unasked, such as a ping or a close frame: seldom, and never held against the client
)

// send sends count frames, or bytes that are no frame with a count of 0. It is the only way of bytes to a client, and counts
// them. It is also the hot path: one system call, a few fields of one cache line.
//
// If the socket is full, gnet buffers the part that the socket refused. With bytes of the shard, it buffers up to the end of a
// frame only: taken counts the bytes of the accepted frames, and the others stay with the caller. All frames of other
// bytes, of a packed frame and for a client that is behind already are accepted.
func (l *loop) send(c *conn, frames []byte, count int, from origin) (taken int, out outcome) {
	taken = len(frames)
	mayCut := from == ofShard
	if pack := l.row(c).pack; pack != nil {
		l.packed = pack(l, l.packed, c, frames)
		frames, mayCut = l.packed, false // the client's window has moved on
		l.packed = reuse(frames)
	}
	if c.flags&flagTLS != 0 {
		n, out := l.sendSealed(c, frames, count, from, mayCut)
		if mayCut {
			taken = n
		}
		return taken, out
	}
	if c.flags&flagBehind != 0 {
		out = l.enqueue(c, frames, l.bounds(c, from))
	} else if n, errno := l.write(c.fd, frames); n == len(frames) {
		c.sent = l.now
	} else {
		all := len(frames)
		if mayCut {
			taken, count = framesUpTo(frames, n, l.row(c).size)
			frames = frames[:taken]
		}
		out = l.buffer(c, frames[n:], errno)
		if out == outcomeSent && len(frames) < all { // there is room again: the next sweep tells the shard
			l.listBehind(c)
			out = outcomeBehind
		}
	}
	if out != outcomeGone {
		l.frames += uint64(count)
		l.bytesSent += uint64(len(frames))
	}
	return taken, out
}

// write writes to the socket.
func (l *loop) write(fd int32, b []byte) (int, unix.Errno) {
	if l.lastResponse {
		return writeLast(fd, b)
	}
	return writeNow(fd, b)
}

// answer sends an answer to the client: a pong, an echo, a response. It waits if the client is behind. answer reports false if
// the connection is over.
func (l *loop) answer(c *conn, b []byte, frames int) bool {
	_, out := l.send(c, b, frames, ofClient)
	return out != outcomeGone
}

// tell sends a frame for which the client has not asked: a ping, a heartbeat, a close frame. It reports false if the connection
// is over.
func (l *loop) tell(c *conn, frame []byte) bool {
	_, out := l.send(c, frame, 1, ofServer)
	return out != outcomeGone
}

// longWrite is the number of bytes from which on a write takes long: if the socket does not take them, gnet copies them, which took 0.2
// to 1.5 ms for 500 KB. Chosen by us.
const longWrite = 64 << 10

// Write sends data of the shard; see broadcast.Outlet.
func (l *loop) Write(slot uint32, frames []byte, count int) (taken int, ok bool) {
	if len(frames) > longWrite {
		l.shard.LookAtClock()
	}
	taken, out := l.send(l.conns.At(slot), frames, count, ofShard)
	return taken, out == outcomeSent
}

// bounds reports whether bytes for a client that is behind count as an answer. Data does once at most: until the shard knows.
func (l *loop) bounds(c *conn, from origin) bool {
	return from == ofClient || from == ofShard && l.shard.Behind(c.slot)
}

// framesUpTo returns the length and the number of the frames up to and including the one that holds byte n. The frames are ours,
// so they are well-formed. sizeOf is transport.size.
func framesUpTo(frames []byte, n int, sizeOf func([]byte) int) (size, count int) {
	if sizeOf == nil {
		sizeOf = frameSize
	}
	for size <= n && size < len(frames) {
		size += sizeOf(frames[size:])
		count++
	}
	return size, count
}

// frameSize returns the length of the first of frames, which are ours.
func frameSize(frames []byte) int {
	h, n, err := wsproto.ParseHeader(frames)
	if size := n + int(h.Length); err == nil && n > 0 && size <= len(frames) {
		return size
	}
	return len(frames) // not reached
}

// buffer gives gnet the bytes that the socket refused with errno, or with 0 for a part of them.
func (l *loop) buffer(c *conn, b []byte, errno unix.Errno) outcome {
	if errno != 0 && errno != unix.EAGAIN {
		l.drop(c)
		return outcomeGone
	}
	if _, err := c.gc.Write(b); err != nil { // gnet has closed the connection
		return outcomeGone
	}
	if l.checkBehind(c) {
		l.widenLine(c)
		return outcomeBehind
	}
	c.sent = l.now
	return outcomeSent
}

// answerCost is about the memory of one answer in gnet beyond its bytes: many small ones would take far more than
// Config.QueueBytes.
const answerCost = 64

// answerUnit returns the unit of loop.queued in bytes: most, the bound of a transport, fits.
func answerUnit(most int) int { return max(answerCost, most/math.MaxUint16+1) }

// enqueue adds bytes to those that gnet holds for c, which is behind. Answers are counted and bounded: of the bytes that gnet
// holds they are the last, so that a large message in front of them does not count.
func (l *loop) enqueue(c *conn, b []byte, answer bool) outcome {
	held := c.gc.OutboundBuffered()
	if most := l.row(c).queueBytes; answer && most >= 0 {
		unit := answerUnit(most)
		queued := min(int(l.queued[c.slot]), held*(1+answerCost/2)/unit+1) // an answer has two bytes at least: more are not left
		queued += (len(b) + answerCost + unit - 1) / unit
		if queued > most/unit {
			l.endFlooding(c, StatusSlowConsumer, "answers are not read")
			return outcomeGone
		}
		l.queued[c.slot] = uint16(queued)
	}
	_, _ = c.gc.Write(b) // appends to gnet's buffer; cannot fail
	return outcomeBehind
}

// checkBehind reports whether c is behind, and lists it if gnet holds bytes of it.
func (l *loop) checkBehind(c *conn) bool {
	if c.gc.OutboundBuffered() > 0 {
		l.listBehind(c)
	}
	return c.flags&flagBehind != 0
}

// listBehind puts c on the list of the next sweep.
func (l *loop) listBehind(c *conn) {
	if c.flags&flagBehind == 0 {
		c.flags |= flagBehind
		l.behind = append(l.behind, c.slot)
	}
}

// endFlooding ends a connection whose client asks and does not read. There is no closing handshake, during which it could go on
// asking. The frame is not counted, and rarely arrives.
func (l *loop) endFlooding(c *conn, code wsproto.StatusCode, reason string) {
	if l.row(c).end != nil {
		l.closeWith(c, code, reason)
		return
	}
	c.code = code
	_, _ = c.gc.Write(l.seal(c, wsproto.AppendClose(nil, code, reason))) // appends to gnet's buffer; cannot fail
	l.discard(c)
}

// sweepInterval is the shortest time between two sweeps for the sake of a fan-out.
const sweepInterval = 5 * time.Millisecond

// sweep finds the connections whose bytes the socket has accepted since, and lets them go on. gnet has no callback for that. After a
// slice the others stay listed for the next sweep, which then is soon and begins with them.
func (l *loop) sweep() {
	l.doing.begin(doesSweep)
	l.lastSweep = time.Now()
	until := l.lastSweep.Add(l.engine.cfg.Slice)
	held, late, first := 0, false, 0
	slots := l.behind
	l.behind = slots[:0] // in place: each slot comes back at most once
	for _, slot := range slots {
		c := l.conns.At(slot)
		if c.state == stateFree {
			l.conns.release(c)
			continue
		}
		if n := c.gc.OutboundBuffered(); n > 0 {
			held += n
			l.behind = append(l.behind, slot)
			if l.now-c.sent >= thinAfter && c.flags&flagJudged == 0 {
				l.narrowLine(c)
			}
			continue
		}
		if late {
			l.behind = append(l.behind, slot)
			continue
		}
		l.restoreLine(c)
		c.flags &^= flagBehind
		delete(l.queued, slot)
		c.sent = l.now
		l.goOnInput(c)
		switch {
		case c.state == stateLinger:
			l.endSending(c)
		case c.state == stateOpen && l.row(c).subscriber:
			l.shard.Writable(slot)
		}
		if late = !time.Now().Before(until); late {
			first = len(l.behind)
		}
	}
	l.counters.outputBytes.Store(int64(held))
	if late && first < len(l.behind) {
		l.behind = slices.Concat(l.behind[first:], l.behind[:first])
		l.scheduleSweep()
	}
}

// scheduleSweep schedules a sweep, after the loop has looked at its sockets.
func (l *loop) scheduleSweep() {
	if !l.sweepDue {
		l.sweepDue = true
		l.continueWith(l.tasks.sweep)
	}
}

// endSending ends our side of the connection, once.
func (l *loop) endSending(c *conn) {
	if c.flags&flagShutdown == 0 && l.endSession(c, nil) {
		c.flags |= flagShutdown
		shutdownWrite(c.fd)
	}
}
