package eventloop

import "tickcast/wsproto"

// deflate notes what was agreed on with c's client, after the upgrade. Without context takeover nothing has to be kept, and
// flagDeflate says all that there is to know.
func (l *loop) deflate(c *conn, d wsproto.Deflate) {
	if !d.Agreed() {
		return
	}
	c.flags |= flagDeflate
	echo := c.flags&flagEcho != 0
	if d.ServerTakeover && !echo {
		c.flags |= flagTakeover
	}
	if d.ServerTakeover || d.ClientTakeover || echo {
		c.aside = &aside{
			frames: wsproto.Config{MaxMessage: l.engine.frames.MaxMessage, Deflate: d, Inflater: &l.inflater},
		}
	}
}

// framesOf returns the configuration for decoding what c's client sends.
func (l *loop) framesOf(c *conn) *wsproto.Config {
	switch {
	case c.flags&flagDeflate == 0:
		return &l.engine.frames
	case c.aside != nil && c.aside.frames.Deflate.Agreed():
		return &c.aside.frames
	}
	return &l.inflating
}

// appendCompressed appends a message to c's client, compressed if that makes it shorter.
func (l *loop) appendCompressed(dst []byte, c *conn, op wsproto.Opcode, payload []byte) []byte {
	agreed := &c.aside.frames.Deflate
	var w *wsproto.Window
	if agreed.ServerTakeover {
		w = &c.aside.window
	}
	start := len(dst)
	dst = l.engine.deflater.AppendFrame(dst, op, payload, agreed.ServerWindowBits, w)
	if dst[start]&rsv1Bit != 0 {
		l.compressed++
	}
	l.countWindows(c)
	return dst
}

// rsv1Bit, in a frame's first byte, says that the message is compressed, RFC 7692 section 6.
const rsv1Bit = 0x40

// appendOwn appends a frame to c, which has flagTakeover, as its client is sent it: a message compressed if it is long
// enough, anything else as it is.
func (l *loop) appendOwn(dst []byte, c *conn, frame []byte) []byte {
	h, n, err := wsproto.ParseHeader(frame)
	if err != nil || h.Op.Control() || h.Length < int64(l.engine.cfg.Compression.MinSize) {
		return append(dst, frame...)
	}
	l.shard.LookAtClock() // a fan-out that compresses for each subscriber is slow
	return l.appendCompressed(dst, c, h.Op, frame[n:n+int(h.Length)])
}

// countWindows counts the memory that c's windows take by now.
func (l *loop) countWindows(c *conn) {
	a := c.aside
	if a == nil {
		return
	}
	if now := a.window.Bytes() + c.decoder.WindowBytes(); now != a.kept {
		l.counters.windowBytes.Add(int64(now - a.kept))
		a.kept = now
	}
}

// forget lets go of what c's requests and messages need: it sends and reads no more of them.
func (l *loop) forget(c *conn) {
	if c.aside != nil {
		l.counters.windowBytes.Add(int64(-c.aside.kept))
	}
	c.decoder, c.aside = wsproto.Decoder{}, nil
	c.flags &^= flagDeflate | flagTakeover
}
