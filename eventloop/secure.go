package eventloop

import (
	"tickcast/broadcast"
	"tickcast/eventloop/tlsrecord"
)

// seal returns b as the client reads it. It is valid until the next call.
func (l *loop) seal(c *conn, b []byte) []byte {
	if c.flags&flagTLS == 0 {
		return b
	}
	b = (*l.conns.session(c.slot)).Seal(l.sealed[:0], b)
	l.sealed = reuse(b)
	return b
}

// canRespond reports whether c can be sent a response: with TLS, its session has begun.
func (l *loop) canRespond(c *conn) bool {
	if c.flags&flagTLS == 0 {
		return true
	}
	s := *l.conns.session(c.slot)
	_, shakes := s.(*tlsrecord.Handshake)
	return s != nil && !shakes
}

// sealAtOnce is about the number of bytes that are sealed before the socket is asked for room: frames that are sealed cannot be
// conflated any more. Chosen by us; below the limit of a record, so that small frames leave in one.
const sealAtOnce = 8 << 10

// sendSealed is send for a connection with TLS. Frames are sealed just before they are written, and those of one call leave in one
// record. A part of a record that the socket refused goes to gnet; with mayCut, frames of further records stay with the caller.
func (l *loop) sendSealed(c *conn, frames []byte, count int, from origin, mayCut bool) (taken int, out outcome) {
	if c.flags&flagBehind != 0 {
		b := l.seal(c, frames)
		if out = l.enqueue(c, b, l.bounds(c, from)); out != outcomeGone {
			l.frames += uint64(count)
			l.bytesSent += uint64(len(b))
		}
		return len(frames), out
	}
	l.keepCipher(c)
	for out == outcomeSent && taken < len(frames) {
		part, n := frames[taken:], count
		if mayCut && len(part) > sealAtOnce {
			var size int
			size, n = framesUpTo(part, sealAtOnce, l.row(c).size)
			part = part[:size]
		}
		b := l.seal(c, part)
		if l.lastResponse && len(part) == len(frames)-taken {
			b = (*l.conns.session(c.slot)).End(b, nil) // close_notify in the same write
			l.sealed = reuse(b)
		}
		out = l.transmitFrames(c, b, n)
		taken, count = taken+len(part), count-n
	}
	if out == outcomeSent {
		c.sent = l.now
	}
	return taken, out
}

// A sealGroup is scratch space of WriteAll: the records that are sealed together.
type sealGroup struct {
	records  [broadcast.WritingsMost]*tlsrecord.Records
	writings [broadcast.WritingsMost]*broadcast.Writing // of the records
	ends     [broadcast.WritingsMost]int                // of the records, in loop.sealed
}

// WriteAll sends data of the shard to several clients; see broadcast.GroupOutlet. Small frames for connections whose ciphers are kept are all
// sealed first, and then written: between two system calls, neither the code nor the keys are in the processor's near caches.
func (l *loop) WriteAll(writings []broadcast.Writing) {
	g, n := &l.sealing, 0
	for i := range writings {
		w := &writings[i]
		if r := l.recordsToGroup(w); r != nil {
			g.records[n], g.writings[n] = r, w
			n++
		} else {
			w.Taken, w.OK = l.Write(w.Slot, w.Frames, w.Count)
		}
	}
	if n == 0 {
		return
	}
	tlsrecord.Warm(g.records[:n])
	b := l.sealed[:0]
	for i, r := range g.records[:n] {
		b = r.Seal(b, g.writings[i].Frames)
		g.ends[i] = len(b)
	}
	begin := 0
	for i, w := range g.writings[:n] {
		c := l.conns.At(w.Slot)
		out := l.transmitFrames(c, b[begin:g.ends[i]], w.Count)
		if out == outcomeSent {
			c.sent = l.now
		}
		w.Taken, w.OK = len(w.Frames), out == outcomeSent
		begin = g.ends[i]
	}
	l.sealed = reuse(b)
}

// recordsToGroup returns the session of a connection whose frames may be sealed with those of others; nil = they may not. Nothing is sealed
// for a client that is behind, and a large record would hold the others up.
func (l *loop) recordsToGroup(w *broadcast.Writing) *tlsrecord.Records {
	c := l.conns.At(w.Slot)
	if c.flags&(flagKept|flagBehind) != flagKept || len(w.Frames) > sealAtOnce || l.row(c).pack != nil {
		return nil
	}
	r, _ := (*l.conns.session(w.Slot)).(*tlsrecord.Records)
	return r
}

// transmitFrames is transmit for a record of count frames, which it counts.
func (l *loop) transmitFrames(c *conn, record []byte, count int) outcome {
	out := l.transmit(c, record)
	if out != outcomeGone {
		l.frames += uint64(count)
		l.bytesSent += uint64(len(record))
	}
	return out
}

// transmit writes bytes of the TLS session. gnet holds those that the socket refuses.
func (l *loop) transmit(c *conn, b []byte) outcome {
	if c.flags&flagBehind != 0 {
		_, _ = c.gc.Write(b) // appends to gnet's buffer; cannot fail
		return outcomeBehind
	}
	n, errno := l.write(c.fd, b)
	if n == len(b) {
		return outcomeSent
	}
	return l.buffer(c, b[n:], errno)
}

// endSession sends the last record: close_notify, or the alert for err. It reports false if gnet holds it, or if the connection is
// over. There is nothing to send for a connection without TLS, or the second time.
func (l *loop) endSession(c *conn, err error) bool {
	if c.flags&flagTLS == 0 {
		return true
	}
	s := *l.conns.session(c.slot)
	if s == nil {
		return true
	}
	b := s.End(nil, err)
	return len(b) == 0 || l.transmit(c, b) == outcomeSent
}

// sayGoodbye sends close_notify on a connection that is about to be closed, if there is room for it.
func (l *loop) sayGoodbye(c *conn) {
	if c.flags&(flagTLS|flagBehind|flagShutdown) != flagTLS {
		return
	}
	if s := *l.conns.session(c.slot); s != nil {
		if b := s.End(nil, nil); len(b) > 0 {
			_, _ = writeNow(c.fd, b)
		}
	}
}
