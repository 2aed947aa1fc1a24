package eventloop

import (
	"time"

	"tickcast/broadcast"
)

// tick is the grain of all deadlines.
const tick = 100 * time.Millisecond

// ticks converts a duration to ticks, rounded up; a duration above zero is at least one tick.
func ticks(d time.Duration) uint32 { return uint32((d + tick - 1) / tick) }

const (
	wheelSize = 512 // buckets: one turn is 51.2 s. A later deadline stays in its bucket for another turn
	expired   = wheelSize
	noBucket  = wheelSize + 1
)

// A wheel holds at most one timer for each connection of a loop, in lists through conn.next and conn.prev. Nothing is
// allocated, and a timer that is moved later is not touched: whoever fires looks at what is really due.
type wheel struct {
	heads [wheelSize + 1]uint32 // slot+1 of the first in each bucket; the last one holds what has expired
	now   uint32                // the tick up to which buckets have been emptied
}

// schedule sets c's timer to fire at tick due, or now if that is over.
func (l *loop) schedule(c *conn, due uint32) {
	w := &l.wheel
	l.unschedule(c)
	c.due = due
	if due <= w.now {
		due = w.now + 1
	}
	l.link(c, uint16(due%wheelSize))
}

func (l *loop) link(c *conn, bucket uint16) {
	head := &l.wheel.heads[bucket]
	c.bucket, c.prev, c.next = bucket, 0, *head
	if c.next != 0 {
		l.conns.at(c.next - 1).prev = c.slot + 1
	}
	*head = c.slot + 1
}

// unschedule takes c's timer out of the wheel.
func (l *loop) unschedule(c *conn) {
	if c.bucket == noBucket {
		return
	}
	if c.prev != 0 {
		l.conns.at(c.prev - 1).next = c.next
	} else {
		l.wheel.heads[c.bucket] = c.next
	}
	if c.next != 0 {
		l.conns.at(c.next - 1).prev = c.prev
	}
	c.bucket, c.next, c.prev = noBucket, 0, 0
}

// advance moves the timers that are due at tick now to the expired ones.
func (l *loop) advance(now uint32) {
	w := &l.wheel
	if now-w.now > wheelSize { // the loop stood still for more than a turn: each bucket once is enough
		w.now = now - wheelSize
	}
	for w.now < now {
		w.now++
		for at := w.heads[w.now%wheelSize]; at != 0; {
			c := l.conns.at(at - 1)
			at = c.next
			if c.due <= now {
				l.unschedule(c)
				l.link(c, expired)
			}
		}
	}
}

// fire runs expired timers until the deadline. It reports whether some are left.
func (l *loop) fire(until time.Time) (more bool) {
	for n := 1; ; n++ {
		at := l.wheel.heads[expired]
		if at == 0 {
			return false
		}
		if n%32 == 0 && time.Now().After(until) {
			return true
		}
		c := l.conns.at(at - 1)
		l.unschedule(c)
		l.timeout(c)
	}
}

// timeout does what is due for c and schedules what is next.
func (l *loop) timeout(c *conn) {
	switch c.state {
	case stateRequest:
		if c.aside != nil {
			l.refuse(c, status408, "the request did not arrive in time")
		} else { // nothing was asked, or all of it answered
			l.drop(c)
		}
	case stateOpen:
		l.keepAlive(c)
	case stateClosing, stateLinger:
		l.discard(c)
	}
}

// keepAlive does what an open connection is due for: it ends it, pings it or sends it a heartbeat.
func (l *loop) keepAlive(c *conn) {
	t, now := &l.times, l.now
	next := now + wheelSize
	echo := c.flags&flagEcho != 0
	if t.first > 0 && !echo && !l.shard.Subscribed(c.slot) {
		if now-c.since >= t.first {
			l.closeWith(c, StatusNothingAsked, "nothing subscribed in time")
			return
		}
		next = min(next, c.since+t.first)
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
			if !l.control(c, pingFrame) {
				return
			}
			c.sent = sent                // a browser's page does not see pings: they put no heartbeat off
			next = min(next, now+t.ping) // if the pong comes, the next ping is due soon after that
		} else {
			next = min(next, c.heard+t.ping)
		}
	}
	if t.heartbeat > 0 && !echo && l.shard.Codec(c.slot) != broadcast.CodecRaw { // it would be taken for an echo, or a payload
		if now-c.sent >= t.heartbeat {
			if c.flags&flagBehind == 0 && !l.control(c, l.heartbeatFrame()) {
				return
			}
			next = min(next, now+t.heartbeat)
		} else {
			next = min(next, c.sent+t.heartbeat)
		}
	}
	l.schedule(c, next)
}
