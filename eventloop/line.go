package eventloop

// The kernel's send buffer holds data that can no longer be conflated, so it is small: Config.SendBuffer. For a client that is behind
// it may be the wrong size. On a thin line it holds seconds of data, all of which are older than the newest message. Far away it is all
// that is sent in a round trip, and a large message takes many of them.

const (
	// thinAfter is the number of ticks without room in the socket after which the client's line is judged.
	thinAfter = 2
	// thinDelay is the time for which data may wait in the socket on a thin line, beyond a round trip. Chosen by us.
	thinDelay = 0.3
	// leastBuffer is the smallest send buffer: with less, a line of 64 kbit/s is idle at times. Chosen by us.
	leastBuffer = 4 << 10
)

// widenLine gives a client with a large message on its way the kernel's send buffer, which grows as the line takes it.
func (l *loop) widenLine(c *conn) {
	size := l.engine.cfg.SendBuffer
	if size > 0 && c.flags&flagWide == 0 && c.gc.OutboundBuffered() > size && unlockSendBuffer(c.fd) {
		c.flags = c.flags&^flagThin | flagWide
	}
}

// narrowLine gives a client that has made no room for thinAfter ticks a send buffer for thinDelay.
func (l *loop) narrowLine(c *conn) {
	c.flags |= flagJudged
	most := l.engine.cfg.SendBuffer
	if most <= 0 || c.flags&(flagThin|flagWide) != 0 {
		return
	}
	if size := int(lineBytes(c.fd, thinDelay)); size > 0 && size < most {
		setSendBuffer(c.fd, max(size, leastBuffer))
		c.flags |= flagThin
	}
}

// restoreLine gives a client that has caught up its usual send buffer, unless its line is still thin.
func (l *loop) restoreLine(c *conn) {
	c.flags &^= flagJudged
	usual := l.engine.cfg.SendBuffer
	if c.flags&flagWide != 0 || c.flags&flagThin != 0 && int(lineBytes(c.fd, thinDelay)) >= usual {
		setSendBuffer(c.fd, usual)
		c.flags &^= flagThin | flagWide
	}
}
