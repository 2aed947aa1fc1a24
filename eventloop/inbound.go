package eventloop

import "github.com/panjf2000/gnet/v2"

// OnTraffic is where bytes become calls. gnet calls it on the connection's loop whenever the socket is readable.
func (e *Engine) OnTraffic(gc gnet.Conn) gnet.Action {
	c, ok := gc.Context().(*conn)
	if !ok {
		return onPoke(gc)
	}
	l := e.byIndex[c.loop]
	l.owner.Check(foreign)
	l.interleave()
	if c.state == stateFree { // that has ended it
		return gnet.None
	}
	defer l.recover(c)
	defer l.enter().leave()
	if c.state == stateHeld {
		l.leaveUnread(c)
		return gnet.None
	}
	b, err := gc.Next(-1) // all of it: one byte left behind would keep a buffer
	if err != nil || len(b) == 0 {
		return gnet.None
	}
	l.doing.begin(doesInput)
	l.bytesReceived += uint64(len(b))
	within := l.withinBytes(c, len(b))
	c.heard = l.now
	if !within || c.state == stateFree || c.state == stateLinger {
		return gnet.None
	}
	if c.state == stateTurnedAway {
		l.answerTurnedAway(c)
		return gnet.None
	}
	if c.flags&flagTLS != 0 && c.transport != transportProxied { // a PROXY header comes before TLS
		l.readSecure(c, b)
	} else {
		l.receive(c, b)
	}
	return gnet.None // a handler that ended the connection has closed it already
}

// onPoke runs the tasks that the loop has put off for itself.
func onPoke(gc gnet.Conn) gnet.Action {
	end, ok := gc.Context().(*pokeEnd)
	if !ok {
		return gnet.Close
	}
	if _, err := gc.Next(-1); err == nil {
		end.runTasks()
	}
	return gnet.None
}

// readFrames reads input of a WebSocket.
func (l *loop) readFrames(c *conn, b []byte) {
	c.flags &^= flagPinged
	if c.extra != nil && len(c.extra.input) > 0 || l.busy(c) || l.stalls(c) { // its turn has not come
		l.postponeInput(c, b)
		return
	}
	if b = l.handleInput(c, b, l.share); len(b) > 0 {
		l.postponeInput(c, b)
	}
}
