package eventloop

import (
	"time"

	"github.com/panjf2000/gnet/v2"
)

// A connection beyond Limits.ConnectionsPerSecond waits for its turn, for up to Limits.ConnectionsWait: a browser does not tell a page
// the status and Retry-After of a WebSocket that is refused, so that a page could only guess when to come back. It holds a descriptor and
// the bytes of its request, and nothing is read, answered or computed for it.

// A held is an entry of loop.held. Its connection has ended meanwhile if the slot has another gc, or another state than stateHeld.
type held struct {
	slot uint32
	gc   gnet.Conn
}

// admitNew judges a new connection by the rate of all connections.
func (l *loop) admitNew(c *conn) (admitted bool, action gnet.Action) {
	e := l.engine
	switch {
	case e.held.Load() == 0 && e.accepts.Take(e.now64()) || !l.exceeded(limitNewConnections):
		return true, gnet.None
	case e.held.Load() >= e.maxHeld:
		return false, l.refuseEarly(c, awayTooMany)
	}
	c.state = stateHeld
	l.held.push(held{c.slot, c.gc})
	e.held.Add(1)
	return false, gnet.None
}

// leaveUnread leaves the input of a held connection with gnet, up to the length of a request's head or of a ClientHello: thousands may
// be held. One that sends more is refused.
func (l *loop) leaveUnread(c *conn) {
	const hello = 16 << 10 // bytes
	if c.gc.InboundBuffered() > max(l.engine.cfg.MaxHeaderSize, hello) {
		l.refuseHeld(c, awayTooMany)
	}
}

// refuseHeld refuses a held connection. The answer follows at once if the client has sent something.
func (l *loop) refuseHeld(c *conn, why turnAway) {
	c.state = stateRequest
	switch {
	case l.refuseEarly(c, why) == gnet.Close:
		l.drop(c)
	case c.gc.InboundBuffered() > 0:
		_, _ = c.gc.Discard(-1)
		l.answerTurnedAway(c)
	}
}

// admitHeld admits the loop's share of the connections that the limit allows in some ticks.
func (l *loop) admitHeld(ticks uint32) {
	e := l.engine
	allowed := e.accepts.Within(time.Duration(ticks) * tick)
	turns := 1 + allowed*int64(l.held.len())/max(e.held.Load(), 1)
	for l.held.len() > 0 {
		h := l.held.head()
		c := l.conns.At(h.slot)
		waits := c.state == stateHeld && c.gc == h.gc
		if waits && (turns == 0 || !e.accepts.Take(e.now64())) {
			return
		}
		l.held.pop()
		e.held.Add(-1)
		if waits {
			turns--
			l.begin(c)
		}
	}
}

// begin admits a held connection and reads its bytes.
func (l *loop) begin(c *conn) {
	c.state, c.heard = stateRequest, l.now
	l.wheel.schedule(c, l.now+l.engine.handshake)
	if c.gc.InboundBuffered() > 0 {
		l.engine.OnTraffic(c.gc)
	}
}
