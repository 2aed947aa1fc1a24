package eventloop

import (
	"time"

	"tickcast/wsproto"
)

// handleInput handles the messages in b until budget is spent, at least one. It returns the rest of b, which is empty if the
// connection is over.
func (l *loop) handleInput(c *conn, b []byte, budget time.Duration) []byte {
	var until time.Time
	for len(b) > 0 {
		m, n, err := c.decoder.Next(l.decodingOf(c), b)
		if err != nil {
			if l.flushAnswers(c) {
				l.failWith(c, err)
			}
			return nil
		}
		b = b[n:]
		if m.Op == wsproto.OpContinuation {
			continue
		}
		if !l.handleMessage(c, m) {
			return nil
		}
		if len(b) == 0 || l.busy(c) || l.stalls(c) {
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

// busy reports whether a command of c's client is under way. Its further input must wait.
func (l *loop) busy(c *conn) bool { return l.row(c).subscriber && l.shard.Busy(c.slot) }

// stalls reports whether the further input of c waits until the socket has taken the answers to the earlier: half of what may be
// kept waits, or pages of an answer. So a client may send all its commands at once and read the answers as fast as it can.
func (l *loop) stalls(c *conn) bool {
	return c.flags&flagBehind != 0 && (l.keepsUnread(c) || l.busy(c))
}

// keepsUnread reports whether half of the answers that may be kept for c wait for the socket.
func (l *loop) keepsUnread(c *conn) bool {
	most := l.row(c).queueBytes
	return c.flags&flagBehind != 0 && most >= 0 && int(l.queued[c.slot]) > most/answerUnit(most)/2
}

// handleMessage handles a whole message or control frame. It reports false if no more input is to be read.
func (l *loop) handleMessage(c *conn, m wsproto.Message) bool {
	if c.state == stateOpen && !m.Op.Control() {
		return l.row(c).message(l, c, m)
	}
	if c.state == stateOpen && m.Op == wsproto.OpPing {
		l.answers = wsproto.AppendFrame(l.answers, wsproto.OpPong, m.Payload)
		return l.countAnswer(c)
	}
	if !l.flushAnswers(c) {
		return false
	}
	if m.Op == wsproto.OpClose {
		l.answerClose(c, m.Code)
		return false
	}
	return true // a pong, or a message between our close frame and the client's, which RFC 6455 section 1.4 discards
}

// applyCommand passes a command to the shard.
func (l *loop) applyCommand(c *conn, m wsproto.Message) bool {
	if !l.acceptText(c, m) {
		return false
	}
	l.shard.Apply(c.slot, m.Payload)
	return c.state == stateOpen || c.state == stateClosing
}

// refuseCommand fails a connection of the raw form, which has no commands.
func (l *loop) refuseCommand(c *conn, m wsproto.Message) bool {
	if l.acceptText(c, m) {
		l.fail(c, StatusBadRequest, "tickcast.v1.raw takes no commands")
	}
	return false
}

// acceptText counts a text message, after the answers to the frames before it have been written. It fails the connection for a
// binary message, and beyond the limit of commands. It reports false if the connection is over.
func (l *loop) acceptText(c *conn, m wsproto.Message) bool {
	if !l.flushAnswers(c) {
		return false
	}
	if m.Op == wsproto.OpBinary {
		l.fail(c, wsproto.StatusUnsupportedData, "commands are text")
		return false
	}
	l.messages++
	return l.withinCommands(c)
}

// maxCollected bounds the bytes of pongs and echoes that are collected before they are written. Chosen by us.
const maxCollected = 4 << 10

// countAnswer counts an answer that was appended to the collected ones, and writes them if they are enough. It reports false if
// the connection is over.
func (l *loop) countAnswer(c *conn) bool {
	l.collected++
	return len(l.answers) < maxCollected || l.flushAnswers(c)
}

// flushAnswers writes the collected pongs and echoes in one call: a client may send thousands of pings at once. It reports
// false if the connection is over.
func (l *loop) flushAnswers(c *conn) bool {
	if len(l.answers) == 0 {
		return true
	}
	answers, count := l.answers, l.collected
	l.answers, l.collected = reuse(answers), 0
	return l.answer(c, answers, count)
}
