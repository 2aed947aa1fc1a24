package eventloop

import (
	"fmt"
	"time"

	"github.com/panjf2000/gnet/v2"
)

// OnBoot is called when gnet listens but its loops do not exist yet.
func (e *Engine) OnBoot(g gnet.Engine) gnet.Action {
	e.gnet = g
	addrs, err := e.tuneListeners(g)
	if err != nil {
		e.failed = fmt.Errorf("set up the listening sockets: %w", err)
		return gnet.Shutdown
	}
	e.addrs = addrs
	return gnet.None
}

// OnTick is called on a goroutine of gnet's, first when the loops run.
func (e *Engine) OnTick() (time.Duration, gnet.Action) {
	select {
	case <-e.ready:
	default:
		close(e.ready)
	}
	loops := e.shownLoops()
	e.reportStuck(loops)
	for _, l := range loops {
		if l.ticking.CompareAndSwap(false, true) {
			l.posted.Store(int64(time.Since(e.started)))
			l.post(l.tasks.tick)
		}
	}
	e.pokeListeners()
	return tick, gnet.None
}

// OnOpen is called on its loop for each accepted connection.
func (e *Engine) OnOpen(gc gnet.Conn) ([]byte, gnet.Action) {
	if end, ok := gc.Context().(*pokeEnd); ok {
		end.attach()
		return nil, gnet.None
	}
	l := e.loopOf(gc.EventLoop())
	if l == nil {
		return nil, gnet.Close
	}
	l.owner.Check(foreign)
	l.interleave()
	defer l.recover(nil)
	defer l.enter().leave()
	return nil, l.open(gc)
}

// OnClose is called on its loop for each connection that ends, for whatever reason.
func (e *Engine) OnClose(gc gnet.Conn, _ error) gnet.Action {
	switch c := gc.Context().(type) {
	case *conn:
		l := e.byIndex[c.loop]
		l.owner.Check(foreign)
		defer l.recover(nil)
		l.onClose(c)
		l.interleave() // not before: the shard might write to it
	case *pokeEnd:
		c.detach()
	}
	return gnet.None
}

// loopOf returns the loop of el. gnet has no list of its loops: the engine learns of a loop at its first connection, before which
// the loop is idle.
func (e *Engine) loopOf(el gnet.EventLoop) *loop {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, l := range e.loops {
		if l.el == el {
			return l
		}
	}
	if len(e.loops) == e.cfg.Loops {
		return nil // cannot be: gnet runs the configured number
	}
	l := newLoop(e, len(e.loops))
	l.el = el
	l.now = e.tick()
	l.wheel.now = l.now
	l.shard.Attach(l, l.scheduleFanOut)
	l.poke = newPoke(el)
	e.loops = append(e.loops, l)
	return l
}

// open admits a connection that gnet accepted, or refuses it.
func (l *loop) open(gc gnet.Conn) gnet.Action {
	c := l.conns.claim()
	c.gc, c.loop, c.fd = gc, uint16(l.index), int32(gc.Fd())
	c.state, c.opened = stateRequest, l.now
	gc.SetContext(c)
	l.accepted++
	l.counters.connections.Add(1)
	e := l.engine
	switch l.listenerOf(gc) {
	case listenerTLS:
		c.flags |= flagTLS
		l.conns.makeSession(c)
	case listenerRedirect:
		c.flags |= flagRedirect
	}
	switch n := e.connections.Add(1) - e.refused.Load(); {
	case n > e.maxConnections && (e.refused.Load() >= e.reserve/2 || c.flags&flagTLS != 0): // too many are being refused already, or no response is possible
		l.rejected[rejectMaxConnections]++
		return gnet.Close
	case n > e.maxConnections:
		c.flags |= flagRefused
		e.refused.Add(1)
		l.turnAway(c, awayFull)
	case e.draining.Load() && c.flags&flagTLS != 0:
		l.rejected[rejectDraining]++
		return gnet.Close
	case e.draining.Load():
		l.turnAway(c, awayDraining)
	default:
		admitted, action := l.admitPeer(c)
		if admitted {
			l.wheel.schedule(c, l.now+e.handshake)
		}
		return action
	}
	return gnet.None
}

// onClose takes a connection out of the loop, which gnet is about to close.
func (l *loop) onClose(c *conn) {
	l.doing.begin(doesClose)
	l.wheel.remove(c)
	l.releaseInput(c)
	l.releaseSession(c)
	if c.state == stateOpen {
		l.leaveShard(c)
	}
	switch t := l.row(c); {
	case t.webSocket:
		l.counters.webSockets.Add(-1)
		l.counters.countClosed(l.counters.closed, c.code)
	case t.poll:
		l.counters.polls.Add(-1)
	case t.events:
		l.counters.eventStreams.Add(-1)
		l.counters.countClosed(l.counters.closedEvents, c.code)
	}
	l.shard.Forget(c.slot)
	l.leaveAddress(c)
	l.leavePass(c)
	l.forgetCertificate(c)
	if c.flags&flagRefused != 0 {
		l.engine.refused.Add(-1)
	}
	if c.flags&flagBehind != 0 {
		delete(l.queued, c.slot)
		*c = conn{slot: c.slot} // the next sweep takes it off the list and releases the slot
	} else {
		l.conns.release(c)
	}
	l.counters.connections.Add(-1)
	l.engine.connectionEnded()
}
