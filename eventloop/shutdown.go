package eventloop

import (
	"context"
	"time"

	"tickcast/wsproto"
)

// drain refuses what is new, sends every client close code 1001 and waits until all connections are gone. It reports
// whether that came about within grace.
func (e *Engine) drain(grace time.Duration) bool {
	e.draining.Store(true)
	e.mu.Lock()
	loops := e.loops
	e.mu.Unlock()
	for _, l := range loops {
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

// gone notes the end of a connection. The loops call it.
func (e *Engine) gone() {
	if e.connections.Add(-1) == 0 && e.draining.Load() {
		e.emptied.Do(func() { close(e.empty) })
	}
}

// stop ends gnet with the connections that are left. Rotate's return tells when it has.
func (e *Engine) stop() {
	ctx, cancel := context.WithCancel(context.Background())
	cancel() // Stop would look every half a second
	_ = e.gnet.Stop(ctx)
}

// end starts the closing handshake with every client, in slices.
func (l *loop) end() {
	until := time.Now().Add(l.engine.cfg.Slice)
	for n := 1; l.ending < l.conns.made; n++ {
		c := l.conns.at(l.ending)
		l.ending++
		switch c.state {
		case stateOpen:
			l.closeWith(c, wsproto.StatusGoingAway, "server going away")
		case stateRequest:
			if c.flags&flagBehind != 0 { // its response is on the way
				l.linger(c)
			} else if c.aside == nil { // between requests
				l.drop(c)
			}
		}
		if n%32 == 0 && time.Now().After(until) {
			l.again(l.tasks.end)
			return
		}
	}
}
