package eventloop

import "tickcast/eventloop/tlsrecord"

// busyTicks is the time between two writes below which a connection is busy. Chosen by us: the heartbeats of idle clients are
// further apart.
const busyTicks = 10

// keptCost is about the memory of a cipher that is kept: 820 bytes and the collector's reserve for them.
const keptCost = 1400

// keepCipher keeps the cipher of a busy connection, while there is room. An idle one builds it for each write.
// A new connection is not busy: its first answers follow each other, and then it may be silent. The flag is in the cache line that a
// delivery needs anyway; the time of the opening is not.
func (l *loop) keepCipher(c *conn) {
	if c.flags&flagKept != 0 || l.now-c.sent >= busyTicks || l.now-c.opened < 2*busyTicks || len(l.kept) >= l.engine.keptMost {
		return
	}
	if r, ok := (*l.conns.session(c.slot)).(*tlsrecord.Records); ok && r.Keep() {
		l.kept = append(l.kept, c.slot)
		c.flags |= flagKept
	}
}

// forgetCiphers releases the ciphers of connections that are busy no longer: 4 s after the last write at the latest, as ticks are. A slot may
// have got another connection, or stand twice in the list; neither does harm.
func (l *loop) forgetCiphers() {
	if l.now-l.keptSeen < busyTicks {
		return
	}
	l.keptSeen = l.now
	kept := l.kept
	l.kept = kept[:0]
	for _, slot := range kept {
		c := l.conns.At(slot)
		if c.flags&flagTLS == 0 {
			continue
		}
		r, ok := (*l.conns.session(slot)).(*tlsrecord.Records)
		switch {
		case !ok:
		case l.now-c.sent < 3*busyTicks:
			l.kept = append(l.kept, slot)
		default:
			r.Forget()
			c.flags &^= flagKept
		}
	}
	if len(l.kept) == 0 {
		l.kept = nil
	}
	l.counters.keptCiphers.Store(int64(len(l.kept)))
}

// KeptCiphers returns the number of ciphers that are kept for busy connections with TLS, 1.4 KB each. Any goroutine may call it.
func (e *Engine) KeptCiphers() (n int64) {
	for _, l := range e.shownLoops() {
		n += l.counters.keptCiphers.Load()
	}
	return n
}
