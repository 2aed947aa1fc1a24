package eventloop

import (
	"context"
	"math/rand/v2"
	"strconv"
	"time"

	"tickcast/broadcast/wire"
	"tickcast/wsproto"
)

// drain refuses new connections, tells every client when to come back, closes all of them, each at its time within
// Config.Drain.Duration, and waits until all connections are gone, or for grace. It reports whether they are gone.
func (e *Engine) drain(grace time.Duration) bool {
	e.drainTime = max(min(e.cfg.Drain.Duration, grace-e.cfg.CloseTimeout, grace/2), 0) // the closing handshakes take time as well
	e.drainFrom = time.Now()
	e.draining.Store(true)
	for _, l := range e.shownLoops() {
		l.post(l.tasks.end)
	}
	if e.connections.Load() == 0 {
		return true
	}
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-e.empty:
		return true
	case <-timer.C:
		return false
	}
}

// stop ends gnet with the connections that are left. gnet.Rotate returns when they are closed.
func (e *Engine) stop() {
	ctx, cancel := context.WithCancel(context.Background())
	cancel() // Stop would look every half a second
	_ = e.gnet.Stop(ctx)
}

// comeBack returns a time of its own for each client to come back, and the time until which it should, both from now: within
// Config.Drain.Window, and not before backFrom.
func (e *Engine) comeBack() (after, before time.Duration) {
	from, window := e.backFrom(), e.cfg.Drain.Window
	since, _ := e.drainSoFar()
	until := max(window-since, from+window/4)
	quarter := (until - from) / 4
	if quarter <= 0 {
		return 0, 0
	}
	after = from + rand.N(3*quarter)
	return after, after + quarter
}

// backFrom returns the time from now on at which clients should come back: when the connections have ended, but half of the window is
// left. Until then this server refuses them, and a client that is refused again and again comes ever more seldom.
func (e *Engine) backFrom() time.Duration {
	since, length := e.drainSoFar()
	return max(min(length, e.cfg.Drain.Window/2)-since, 0)
}

// drainSoFar returns the time since the drain began, and its length; both are 0 before: a poll may have to go at any time.
func (e *Engine) drainSoFar() (since, length time.Duration) {
	if !e.draining.Load() {
		return 0, 0
	}
	return time.Since(e.drainFrom), e.drainTime
}

// goingAway returns the refusal of a request because the server ends.
func (e *Engine) goingAway() *refusal {
	after, before := e.comeBack()
	if before == 0 {
		return status503Draining
	}
	return retryAfter(max(after*2/3, e.backFrom()), rejectDraining) // clients wait for once to one and a half times this
}

// endConnections tells every client that the server ends, and then ends the connections whose time has come, in slices.
func (l *loop) endConnections() {
	l.doing.begin(doesEnd)
	l.endDue = false
	until := time.Now().Add(l.engine.cfg.Slice)
	for {
		switch {
		case l.engine.cfg.Drain.Window > 0 && l.told < l.conns.made:
			l.tellDrain(l.conns.At(l.told))
			l.told++
		case l.ending < l.endingUpTo():
			l.endConnection(l.conns.At(l.ending))
			l.ending++
		default:
			return // the next tick goes on
		}
		if time.Now().After(until) { // a connection with lossless patterns takes its time
			l.endDue = true
			l.continueWith(l.tasks.end)
			return
		}
	}
}

// endsAtOnce is the number of connections that end at once, however long Config.Drain.Duration is. Chosen by us.
const endsAtOnce = 64

// endingUpTo returns the slot up to which connections end by now.
func (l *loop) endingUpTo() uint32 {
	e := l.engine
	elapsed := time.Since(e.drainFrom)
	if elapsed >= e.drainTime {
		return l.conns.made
	}
	share := float64(elapsed) / float64(e.drainTime)
	return min(uint32(share*float64(l.conns.made))+endsAtOnce, l.conns.made)
}

// tellDrain tells the client when to come back.
func (l *loop) tellDrain(c *conn) {
	t := l.row(c)
	if c.state != stateOpen || !t.notices {
		return
	}
	after, before := l.engine.comeBack()
	frame := t.formOf(wire.Drain(after, before))
	if t.events { // for browsers that do not read on
		retry := after + rand.N(before-after)
		frame = append(wire.AppendLine(nil, "retry: "+strconv.FormatInt(retry.Milliseconds(), 10)), frame...)
	}
	l.tell(c, frame)
}

// endCode returns the close code of the server's end, and its reason: 1012 if the closes are paced, so that clients can come back at the
// same pace, else 1001.
func (e *Engine) endCode() (code wsproto.StatusCode, reason string) {
	if e.cfg.Drain.Duration > 0 {
		return wsproto.StatusServiceRestart, "service restart"
	}
	return wsproto.StatusGoingAway, "going away"
}

// endConnection ends a connection, with the cursor of a client with lossless topics.
func (l *loop) endConnection(c *conn) {
	switch c.state {
	case stateOpen:
		code, reason := l.engine.endCode()
		if t := l.row(c); t.subscriber && !t.poll {
			if cursor := l.shard.ResumeAfter(c.slot); cursor != "" {
				const longest = 123 // RFC 6455 section 5.5: 125 bytes less the code
				if with := reason + ": resume after " + cursor; len(with) <= longest {
					reason = with
				}
			}
		}
		l.closeWith(c, code, reason)
	case stateTurnedAway:
		l.answerTurnedAway(c)
	case stateHeld:
		l.refuseHeld(c, awayDraining)
	case stateRequest:
		if c.flags&flagBehind != 0 { // its response is under way
			l.linger(c)
		} else if !c.withinRequest() {
			l.drop(c)
		}
	}
}
