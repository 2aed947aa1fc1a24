package eventloop

import "tickcast/wsproto"

// agreeDeflate notes the agreement with c's client, after the upgrade. For a subscriber without context takeover flagDeflate is
// all the state: the shard compresses its frames.
func (l *loop) agreeDeflate(c *conn, d wsproto.Deflate) {
	if !d.Agreed() {
		return
	}
	c.flags |= flagDeflate
	if d.ServerTakeover {
		c.transport = l.row(c).takeover
	}
	if d.ServerTakeover || d.ClientTakeover || !l.row(c).subscriber {
		c.extra = &extra{
			decoding: wsproto.Config{MaxMessage: l.engine.frames.MaxMessage, Deflate: d, Inflater: &l.inflater},
		}
	}
}

// decodingOf returns the configuration for decoding frames of c's client.
func (l *loop) decodingOf(c *conn) *wsproto.Config {
	switch {
	case c.flags&flagDeflate == 0:
		return &l.engine.frames
	case c.extra != nil && c.extra.decoding.Deflate.Agreed():
		return &c.extra.decoding
	}
	return &l.inflating
}

// appendCompressed appends a message to c's client, compressed if that makes it shorter.
func (l *loop) appendCompressed(dst []byte, c *conn, op wsproto.Opcode, payload []byte) []byte {
	agreed := &c.extra.decoding.Deflate
	var w *wsproto.Window
	if agreed.ServerTakeover {
		w = &c.extra.window
	}
	start := len(dst)
	dst = l.engine.deflater.AppendFrame(dst, op, payload, agreed.ServerWindowBits, w)
	if dst[start]&wsproto.RSV1Bit != 0 {
		l.compressed++
	}
	l.countWindows(c)
	return dst
}

// packFrames appends frames as c's client reads them, for which the server takes over its context: long messages are
// compressed, short ones and control frames copied.
func (l *loop) packFrames(dst []byte, c *conn, frames []byte) []byte {
	for len(frames) > 0 {
		frame := frames[:frameSize(frames)]
		frames = frames[len(frame):]
		h, n, err := wsproto.ParseHeader(frame)
		if err != nil || h.Op.Control() || h.Length < int64(l.engine.cfg.Compression.MinSize) {
			dst = append(dst, frame...)
			continue
		}
		l.shard.LookAtClock() // a fan-out that compresses for each subscriber is slow
		dst = l.appendCompressed(dst, c, h.Op, frame[n:n+int(h.Length)])
	}
	return dst
}

// countWindows counts the memory of c's windows, which grow with the messages.
func (l *loop) countWindows(c *conn) {
	x := c.extra
	if x == nil {
		return
	}
	if n := x.window.Bytes() + c.decoder.WindowBytes(); n != x.counted {
		l.counters.windowBytes.Add(int64(n - x.counted))
		x.counted = n
	}
}

// releaseInput releases the memory for input and compression of c, which sends and reads no more messages.
func (l *loop) releaseInput(c *conn) {
	if c.extra != nil {
		l.counters.windowBytes.Add(int64(-c.extra.counted))
		l.counters.inputBytes.Add(-int64(len(c.extra.input)))
	}
	c.decoder, c.extra = wsproto.Decoder{}, nil
	c.flags &^= flagDeflate
}
