package eventloop

import (
	"errors"
	"fmt"
	"math"

	"tickcast/wsproto"
)

// Close ends the connection of the client in slot; see broadcast.Outlet.
func (l *loop) Close(slot uint32, code wsproto.StatusCode, reason string) {
	l.closeWith(l.conns.At(slot), code, reason)
}

// closeWith sends our close frame and waits for the client's, for at most Config.CloseTimeout after the client has got it. The
// frame stands behind the bytes that gnet holds: a client that reads slowly needs its code, and the cursor in its reason.
func (l *loop) closeWith(c *conn, code wsproto.StatusCode, reason string) {
	if c.state != stateOpen {
		return
	}
	if end := l.row(c).end; end != nil {
		end(l, c, code, reason)
		return
	}
	l.leaveShard(c)
	c.state, c.code, c.opened = stateClosing, code, neverLooked
	l.wheel.schedule(c, l.now+l.engine.closing)
	l.tell(c, wsproto.AppendClose(nil, code, reason))
}

// neverLooked stands in conn.opened of a connection that closes until the first look of closingOver.
const neverLooked = math.MaxUint32

// closingOver reports whether a connection that closes has had its time: Config.CloseTimeout without a byte that the client
// acknowledged. A large message may be on its way in front of our close frame. conn.opened holds the bytes that were left at the
// last look.
func (l *loop) closingOver(c *conn) bool {
	before, left := c.opened, uint32(min(c.gc.OutboundBuffered()+unacknowledged(c.fd), neverLooked-1))
	c.opened = left
	return left >= before || left == 0 && before == neverLooked
}

// fail sends our close frame after the client broke the protocol, and reads no more input
// (RFC 6455 section 7.1.7, Fail the WebSocket Connection).
func (l *loop) fail(c *conn, code wsproto.StatusCode, reason string) {
	l.closeWith(c, code, reason)
	if c.state == stateClosing {
		l.linger(c)
	}
}

// failWith fails the connection with the code of the decoder's error.
func (l *loop) failWith(c *conn, err error) {
	if c.state != stateOpen { // our close frame was the last
		l.linger(c)
		return
	}
	var p *wsproto.ProtocolError
	if !errors.As(err, &p) {
		p = &wsproto.ProtocolError{Code: wsproto.StatusInternalError, Reason: "internal error"}
	}
	if p.Code == wsproto.StatusMessageTooBig {
		p = &wsproto.ProtocolError{Code: p.Code, Reason: fmt.Sprintf("message over limits.max_message_size, %d bytes", l.engine.frames.MaxMessage)}
	}
	l.offend(c)
	l.fail(c, p.Code, p.Reason)
}

// answerClose ends a connection whose client sent a close frame, with an answer unless it is itself the answer to ours. Then the
// server closes first (RFC 6455 section 7.1.1): its sending side, until the client has closed its own. If it closed both sides at
// once, the kernel would answer further input with a reset, which can overtake our last frames.
func (l *loop) answerClose(c *conn, code wsproto.StatusCode) {
	if c.state == stateOpen {
		l.leaveShard(c)
		c.state, c.code = stateClosing, countedCode(code)
		l.scratch = wsproto.AppendClose(l.scratch[:0], code, "")
		if !l.tell(c, l.scratch) {
			return
		}
	}
	l.linger(c)
}

// countedCode returns the code under which a client's code is counted: itself if RFC 6455 or its registry defines it.
func countedCode(code wsproto.StatusCode) wsproto.StatusCode {
	if code >= 3000 {
		return StatusForeign
	}
	return code
}

// linger ends our side of the connection and waits for the client to end its own.
func (l *loop) linger(c *conn) {
	c.state, c.opened = stateLinger, neverLooked
	l.releaseInput(c)
	l.wheel.schedule(c, l.now+l.engine.closing)
	if !l.checkBehind(c) {
		l.endSending(c)
	}
}
