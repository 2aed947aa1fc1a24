package eventloop

import (
	"time"

	"tickcast/broadcast/wire"
	"tickcast/wsproto"
)

// runExpired runs expired timers until the deadline. It reports whether more of them are left.
func (l *loop) runExpired(until time.Time) (more bool) {
	for n := 1; ; n++ {
		c := l.wheel.popExpired()
		if c == nil {
			return false
		}
		before := c.state
		l.timeout(c)
		if ended := c.state != before; (ended || n%32 == 0) && time.Now().After(until) { // with all its subscriptions, which takes long
			return l.wheel.heads[expired] != 0
		}
	}
}

// timeout applies c's deadline, and schedules the next one.
func (l *loop) timeout(c *conn) {
	switch c.state {
	case stateRequest:
		if c.withinRequest() {
			l.refuse(c, status408, "the request did not arrive in time")
		} else if l.handshakeQueued(c) { // we are late, not the client
			l.wheel.schedule(c, l.now+l.engine.handshake)
		} else { // no request, or all of them answered: an empty line is none
			l.countTimeout(c)
			l.drop(c)
		}
	case stateTurnedAway: // the client says nothing
		l.answerTurnedAway(c)
	case stateOpen:
		if l.row(c).poll {
			l.keepPoll(c)
			return
		}
		l.keepAlive(c)
	case stateClosing, stateLinger:
		if l.closingOver(c) {
			l.discard(c)
		} else {
			l.wheel.schedule(c, l.now+l.engine.closing)
		}
	}
}

var pingFrame = wsproto.AppendFrame(nil, wsproto.OpPing, nil)

// keepAlive applies the deadlines of an open connection: it closes it, pings the client or sends it a heartbeat.
func (l *loop) keepAlive(c *conn) {
	t, now := l.row(c), l.now
	next := now + wheelSize
	if t.first > 0 && !l.shard.Subscribed(c.slot) {
		if now-c.opened >= t.first {
			l.closeWith(c, StatusNothingAsked, "nothing subscribed in time")
			return
		}
		next = min(next, c.opened+t.first)
	}
	if expiry, ok := l.checkToken(c); !ok {
		return
	} else if expiry > 0 {
		next = min(next, expiry)
	}
	if end := l.ageLimit(c); end > 0 {
		if now >= end && l.exceeded(limitAge) {
			l.closeWith(c, StatusMaxAge, "maximum age, come back")
			return
		}
		if end > now { // else it was counted
			next = min(next, end)
		}
	}
	if t.idle > 0 {
		if now-c.heard >= t.idle {
			l.pongTimeouts++
			l.closeWith(c, StatusHeartbeatTimeout, "heartbeat timeout")
			return
		}
		next = min(next, c.heard+t.idle)
	}
	if t.ping > 0 && c.flags&flagPinged == 0 {
		if now-c.heard >= t.ping {
			c.flags |= flagPinged
			l.pings++
			sent := c.sent
			if !l.tell(c, pingFrame) {
				return
			}
			c.sent = sent                // a browser's page does not see pings: they do not delay a heartbeat
			next = min(next, now+t.ping) // if the pong comes, the next ping is due soon after that
		} else {
			next = min(next, c.heard+t.ping)
		}
	}
	if t.heartbeat > 0 {
		if now-c.sent >= t.heartbeat {
			if c.flags&flagBehind == 0 && !l.tell(c, l.heartbeatOf(t)) {
				return
			}
			next = min(next, now+t.heartbeat)
		} else {
			next = min(next, c.sent+t.heartbeat)
		}
	}
	l.wheel.schedule(c, next)
}

// heartbeatOf returns the heartbeat of a transport: a comment or {"op":"hb"}, the same bytes for all clients in a tick.
func (l *loop) heartbeatOf(t *transport) []byte {
	if t.beat != nil {
		return t.beat
	}
	if l.heartbeat == nil || l.heartbeatTick != l.now {
		l.heartbeat, l.heartbeatTick = wire.Heartbeat(time.Now()), l.now
	}
	return l.heartbeat
}
