package eventloop

import (
	"bytes"
	"errors"
	"time"

	"github.com/panjf2000/gnet/v2"

	"tickcast/broadcast"
	"tickcast/wsproto"
)

// OnTraffic is where bytes become calls. gnet calls it on the connection's loop whenever there is something to read.
func (e *Engine) OnTraffic(gc gnet.Conn) gnet.Action {
	c, ok := gc.Context().(*conn)
	if !ok {
		return poked(gc)
	}
	l := c.loop
	l.check()
	defer l.recover(c)
	b, err := gc.Next(-1) // all of it: one byte left behind would keep a buffer
	if err != nil || len(b) == 0 {
		return gnet.None
	}
	l.bytesReceived += uint64(len(b))
	c.heard = l.now
	switch c.state {
	case stateRequest:
		l.readRequests(c, b)
	case stateOpen, stateClosing:
		l.readFrames(c, b)
	}
	return gnet.None // whoever ended the connection has closed it already
}

// poked goes on with what the loop has put off for itself.
func poked(gc gnet.Conn) gnet.Action {
	end, ok := gc.Context().(*pokeEnd)
	if !ok {
		return gnet.Close
	}
	if _, err := gc.Next(-1); err == nil {
		end.run()
	}
	return gnet.None
}

// readFrames takes what came on a WebSocket.
func (l *loop) readFrames(c *conn, b []byte) {
	c.flags &^= flagPinged
	if c.aside != nil && len(c.aside.rest) > 0 { // its turn has not come
		l.postpone(c, b)
		return
	}
	if rest := l.handle(c, b, l.share()); len(rest) > 0 {
		l.postpone(c, rest)
	}
}

// handle handles the messages in b, until budget is spent and at least one, and returns what is left: nothing if the
// connection is over.
func (l *loop) handle(c *conn, b []byte, budget time.Duration) (rest []byte) {
	var until time.Time
	for len(b) > 0 {
		m, n, err := c.decoder.Next(l.framesOf(c), b)
		if err != nil {
			if l.flushAnswers(c) {
				l.protocolError(c, err)
			}
			return nil
		}
		b = b[n:]
		if m.Op == wsproto.OpContinuation {
			continue
		}
		if !l.message(c, m) {
			return nil
		}
		if len(b) == 0 {
			break
		}
		if now := time.Now(); until.IsZero() {
			until = now.Add(budget)
		} else if now.After(until) {
			break
		}
	}
	l.countWindows(c)
	if !l.flushAnswers(c) {
		return nil
	}
	return b
}

// share is how long one client may keep the loop: Config.Slice, and a part of it while others wait for their turn.
func (l *loop) share() time.Duration {
	return l.engine.cfg.Slice / time.Duration(min(len(l.waiting)+1, 8))
}

// postpone keeps what c's client sent until its turn comes: a few bytes can ask for much work, above all compressed ones.
func (l *loop) postpone(c *conn, b []byte) {
	most := l.engine.cfg.InputBytes
	if c.flags&flagEcho != 0 {
		most = l.engine.cfg.EchoQueueBytes
	}
	if c.aside == nil {
		c.aside = new(aside)
	}
	switch a := c.aside; {
	case len(a.rest)+len(b) > most:
		l.fail(c, StatusInboundRate, "more than can be handled")
	case len(a.rest) > 0:
		a.rest = append(a.rest, b...)
	default:
		a.rest = bytes.Clone(b)
		l.waiting = append(l.waiting, c.slot)
		l.goOn()
	}
}

// goOn sees to it that those who wait get their turn, after the loop has looked at its sockets.
func (l *loop) goOn() {
	if len(l.waiting) > 0 && !l.turning {
		l.turning = true
		l.again(l.tasks.turns)
	}
}

// turns lets those who wait go on, one after the other, for a slice in all.
func (l *loop) turns() {
	l.turning = false
	defer l.goOn()
	for until := time.Now().Add(l.engine.cfg.Slice); len(l.waiting) > 0 && time.Now().Before(until); {
		c := l.conns.at(l.waiting[0])
		l.waiting = l.waiting[:copy(l.waiting, l.waiting[1:])]
		l.turn(c)
	}
}

// turn lets c go on. Its slot may have been given to another connection, which then has nothing that waits, or a place of its
// own among those who wait.
func (l *loop) turn(c *conn) {
	if c.aside == nil || len(c.aside.rest) == 0 {
		return
	}
	defer l.recover(c)
	b := c.aside.rest
	c.aside.rest = nil
	c.heard = l.now
	if rest := l.handle(c, b, l.share()); len(rest) > 0 {
		c.aside.rest = rest
		l.waiting = append(l.waiting, c.slot)
	}
}

// answersAtOnce is how many bytes of pongs and echoes are collected before they are written. Chosen by us.
const answersAtOnce = 4 << 10

// answered counts an answer that was appended to those that have been collected, and writes them if they are enough. It
// reports false when the connection is over.
func (l *loop) answered(c *conn) bool {
	l.collected++
	return len(l.answers) < answersAtOnce || l.flushAnswers(c)
}

// flushAnswers writes the pongs and echoes that have been collected, in one call: a client may send thousands of pings at
// once. It reports false when the connection is over.
func (l *loop) flushAnswers(c *conn) bool {
	if len(l.answers) == 0 {
		return true
	}
	l.frames += l.collected - 1 // the write counts one
	answers := l.answers
	l.answers, l.collected = reuse(answers), 0
	return l.control(c, answers)
}

// reuse empties scratch space, or lets it go if something large has made it so.
func reuse(scratch []byte) []byte {
	if cap(scratch) > 64<<10 {
		return nil
	}
	return scratch[:0]
}

// message handles a whole message or control frame. It reports false when nothing more is to be read.
func (l *loop) message(c *conn, m wsproto.Message) bool {
	if m.Op == wsproto.OpPing && c.state == stateOpen {
		l.answers = wsproto.AppendFrame(l.answers, wsproto.OpPong, m.Payload)
		return l.answered(c)
	}
	if c.flags&flagEcho != 0 && c.state == stateOpen && !m.Op.Control() {
		return l.echo(c, m)
	}
	if !l.flushAnswers(c) {
		return false
	}
	if m.Op == wsproto.OpClose {
		l.peerClosed(c, m.Code)
		return false
	}
	if c.state != stateOpen {
		return true // between our close frame and the client's: RFC 6455 section 1.4 has it discarded
	}
	switch m.Op {
	case wsproto.OpText:
		l.messages++
		if l.shard.Codec(c.slot) == broadcast.CodecRaw {
			l.fail(c, StatusBadRequest, "tickcast.v1.raw takes no commands")
		} else {
			l.shard.Apply(c.slot, m.Payload)
		}
	case wsproto.OpBinary:
		l.fail(c, wsproto.StatusUnsupportedData, "commands are text")
	}
	return c.state == stateOpen || c.state == stateClosing
}

// peerClosed ends a connection whose client sent a close frame: it is answered unless it is the answer to ours, and then
// the server closes first (RFC 6455 section 7.1.1): its sending side, until the client has closed its own. Closing both at
// once would have the kernel answer what the client still sends with a reset, and that can overtake our last frames.
func (l *loop) peerClosed(c *conn, code wsproto.StatusCode) {
	if c.state == stateOpen {
		l.shard.Leave(c.slot)
		c.state, c.code = stateClosing, counted(code)
		l.scratch = wsproto.AppendClose(l.scratch[:0], code, "")
		if !l.control(c, l.scratch) {
			return
		}
	}
	l.linger(c)
}

// StatusForeign stands for codes of the clients' own in the figures: they may be any, and must not look like ours. It is never on the wire.
const StatusForeign wsproto.StatusCode = 1

// counted is code as it is counted: as itself if RFC 6455 or its registry gives it a meaning.
func counted(code wsproto.StatusCode) wsproto.StatusCode {
	if code >= 3000 {
		return StatusForeign
	}
	return code
}

// protocolError fails the connection with the code that the decoder gave.
func (l *loop) protocolError(c *conn, err error) {
	if c.state != stateOpen { // our close frame was the last
		l.linger(c)
		return
	}
	var p *wsproto.ProtocolError
	if !errors.As(err, &p) {
		p = &wsproto.ProtocolError{Code: wsproto.StatusInternalError, Reason: "internal error"}
	}
	l.fail(c, p.Code, p.Reason)
}
