package wsproto

// minBuffer is the least that a collecting buffer is made with, unless the message is known to be smaller: in bytes.
// Chosen by us.
const minBuffer = 256

// Decoder turns the bytes of one connection into messages. The zero value is ready. It belongs to one goroutine at a
// time. It is one pointer long: what an unfinished frame or message needs is allocated when it is cut, and let go
// when it is complete. A peer that compresses with context takeover has its window kept from the first such message on.
type Decoder struct {
	p *partial
}

// partial is all that is known of an unfinished frame or message. Its size is a size class, see TestDecoderSize.
type partial struct {
	window Window // what the next compressed message may refer to; outlives the message

	buf      []byte          // the message so far, unmasked; behind it the open control frame's payload so far
	size     int             // bytes of buf that belong to the message
	left     int64           // payload bytes of the open frame that are still to come
	key      [4]byte         // masking key, turned so that it begins with the next byte's part
	head     [maxHeader]byte // the first nhead bytes of a header that was cut
	nhead    uint8
	op       Opcode // of the message; 0 when none is open, only a header or a control frame
	text     uint8  // state of the UTF-8 automaton at the end of the message so far
	frame    Opcode // of the open frame
	fin      bool   // of the open frame
	open     bool   // a header was read and its payload is not complete
	deflated bool   // the message is compressed
}

// Idle reports whether d holds no bytes of an unfinished frame or message: the moment at which d costs no heap, unless
// its peer has a window.
func (d *Decoder) Idle() bool {
	return d.p == nil || d.p.op == 0 && !d.p.open && d.p.nhead == 0
}

// WindowBytes returns how many bytes of memory the peer's window takes: 0 without context takeover.
func (d *Decoder) WindowBytes() int {
	if d.p == nil {
		return 0
	}
	return d.p.window.Bytes()
}

// rest lets go what a message needed: everything but the window.
func (d *Decoder) rest() {
	switch {
	case d.p == nil:
	case d.p.window.b == nil:
		d.p = nil
	default:
		*d.p = partial{window: d.p.window}
	}
}

// Next decodes up to one message from b, the bytes that came after those of the last call. It uses all of b, n ==
// len(b), unless a message ends before that: then n is where, and the caller goes on with b[n:]. m.Op ==
// [OpContinuation] means that no message was completed.
//
// Payloads are unmasked in place, so the first n bytes of b are changed. A frame that lies whole in b is neither
// copied nor allocated: m.Payload points into b. Everything else is collected in a buffer that grows with what came,
// to at most twice that, and never beyond cfg.MaxMessage and one control frame; of a compressed message an eighth more
// may come, in case compressing has made it longer. m.Payload is valid until the next call, of a compressed message the
// next call of any decoder with the same Inflater, or until b is used again.
//
// The error is one of this package's [ProtocolError] values and comes at the first byte that shows it: sizes are
// judged by the header, before the payload; text by each byte that has arrived, also of an unfinished frame. A compressed
// message is judged when it is complete, and no further than the first byte beyond cfg.MaxMessage. n means
// nothing then, and d must not be used again. After a close message, RFC 6455 §5.5.1 wants what follows ignored; that
// is the caller's part.
func (d *Decoder) Next(cfg *Config, b []byte) (m Message, n int, err error) {
	for {
		if d.p == nil || !d.p.open {
			h, used, ok, err := d.header(cfg, b[n:])
			n += used
			if !ok || err != nil {
				return Message{}, n, err
			}
			between := d.p != nil && d.p.op != 0 // a message is open
			if rest := b[n:]; h.Length <= int64(len(rest)) && (h.Op.Control() || h.Fin && !between) {
				if !between {
					d.rest() // it held no more than the first part of this header
				}
				payload := rest[:h.Length:h.Length]
				Mask(payload, h.Key, 0)
				if h.RSV != 0 {
					m, err = d.inflate(cfg, h.Op, payload)
				} else {
					m, err = whole(h.Op, payload)
				}
				return m, n + len(payload), err
			}
			d.begin(h)
		}
		used, err := d.collect(cfg, b[n:])
		n += used
		if err != nil || d.p.left > 0 {
			return Message{}, n, err
		}
		if m, err = d.end(cfg); err != nil || m.Op != OpContinuation {
			return m, n, err
		}
	}
}

// header reads the next frame's header from the bytes kept of it and from b, of which it uses the first used bytes.
// Without ok it is not complete, and b is kept.
func (d *Decoder) header(cfg *Config, b []byte) (h Header, used int, ok bool, err error) {
	if len(b) == 0 {
		return Header{}, 0, false, nil
	}
	src, kept := b, 0
	if d.p != nil && d.p.nhead > 0 {
		kept = int(d.p.nhead)
		src = d.p.head[:kept+copy(d.p.head[kept:], b)]
	}
	if err = d.check(cfg, src); err != nil {
		return Header{}, 0, false, err
	}
	h, n, err := ParseHeader(src)
	if err != nil {
		return Header{}, 0, false, err
	}
	if n == 0 {
		if d.p == nil {
			d.p = new(partial)
		}
		if kept == 0 {
			copy(d.p.head[:], src)
		}
		d.p.nhead = uint8(len(src))
		return Header{}, len(b), false, nil
	}
	if d.p != nil {
		d.p.nhead = 0
	}
	if !h.Op.Control() {
		room := cfg.maxCollected(h.RSV != 0 || d.p != nil && d.p.deflated)
		if d.p != nil {
			room -= int64(d.p.size)
		}
		if h.Length > room {
			return Header{}, 0, false, ErrMessageTooBig
		}
	}
	return h, n - kept, true, nil
}

// check judges the first one or two bytes of a header, as many as src holds, by what may come at this point.
func (d *Decoder) check(cfg *Config, src []byte) error {
	op := Opcode(src[0] & opcodeBits)
	// "MUST be 0 unless an extension is negotiated that defines meanings for non-zero values." permessage-deflate does
	// for RSV1, "on the first fragment of a data message" (RFC 7692 §6).
	if rsv := src[0] & rsvBits; rsv != 0 && (rsv != rsv1Bit || op != OpText && op != OpBinary || !cfg.deflates()) {
		return ErrReservedBits
	}
	if op.Reserved() {
		return ErrReservedOpcode
	}
	between := d.p != nil && d.p.op != 0
	switch {
	case op.Control():
		// "All control frames MUST have a payload length of 125 bytes or less and MUST NOT be fragmented."
		if src[0]&finBit == 0 {
			return ErrFragmentedControl
		}
	case op == OpContinuation && !between:
		return ErrUnexpectedContinuation
	case op != OpContinuation && between:
		// "The fragments of one message MUST NOT be interleaved between the fragments of another message"
		return ErrExpectedContinuation
	}
	if len(src) < 2 {
		return nil
	}
	// "The server MUST close the connection upon receiving a frame that is not masked. [...] A client MUST close a
	// connection if it detects a masked frame."
	client := cfg != nil && cfg.Client
	if masked := src[1]&maskBit != 0; masked == client {
		if client {
			return ErrMasked
		}
		return ErrUnmasked
	}
	if op.Control() {
		length := src[1] & lengthBits
		if length > maxControl {
			return ErrControlTooLong
		}
		// "If there is a body, the first two bytes of the body MUST be a 2-byte unsigned integer"
		if op == OpClose && length == 1 {
			return ErrClosePayload
		}
	}
	return nil
}

// begin opens a frame whose payload is not handed out straight from the input.
func (d *Decoder) begin(h Header) {
	if d.p == nil {
		d.p = new(partial)
	}
	p := d.p
	p.open, p.fin, p.frame, p.key, p.left = true, h.Fin, h.Op, h.Key, h.Length
	if h.Op == OpText || h.Op == OpBinary {
		p.op, p.text, p.deflated = h.Op, utf8Start, h.RSV != 0
	}
}

// collect moves what b holds of the open frame into the buffer.
func (d *Decoder) collect(cfg *Config, b []byte) (used int, err error) {
	p := d.p
	b = b[:min(int64(len(b)), p.left)]
	if len(b) == 0 {
		return 0, nil
	}
	Mask(b, p.key, 0)
	if p.op == OpText && !p.deflated && !p.frame.Control() {
		// "When an endpoint is to interpret a byte stream as UTF-8 but finds that the byte stream is not, in fact, a
		// valid UTF-8 stream, that endpoint MUST _Fail the WebSocket Connection_."
		if p.text = stepUTF8(p.text, b); p.text == utf8Bad {
			return 0, ErrInvalidUTF8
		}
	}
	p.grow(cfg, len(b))
	p.buf = append(p.buf, b...)
	p.key = rotate(p.key, len(b))
	p.left -= int64(len(b))
	return len(b), nil
}

// grow makes room for n more bytes of the open frame. Subtle: the buffer doubles, so that a message in many small
// pieces costs linear time; only the last frame of a message has a known end, which then is the exact size.
func (p *partial) grow(cfg *Config, n int) {
	need := int64(len(p.buf) + n)
	if need <= int64(cap(p.buf)) {
		return
	}
	most := cfg.maxCollected(p.deflated) + maxControl
	if p.op == 0 || p.fin && !p.frame.Control() {
		most = int64(len(p.buf)) + p.left
	}
	p.buf = append(make([]byte, 0, min(max(2*need, minBuffer), most)), p.buf...)
}

// end closes the frame whose payload is complete. m.Op is OpContinuation if its message goes on.
func (d *Decoder) end(cfg *Config) (m Message, err error) {
	p := d.p
	p.open = false
	if p.frame.Control() {
		op, payload := p.frame, p.buf[p.size:]
		p.buf = p.buf[:p.size]
		if p.op == 0 {
			d.rest()
		}
		return whole(op, payload)
	}
	p.size = len(p.buf)
	if !p.fin {
		return Message{}, nil
	}
	op, payload, deflated, text := p.op, p.buf, p.deflated, p.text
	d.rest()
	if deflated {
		return d.inflate(cfg, op, payload)
	}
	if op == OpText && text != utf8Start {
		return Message{}, ErrInvalidUTF8 // it ends inside a character
	}
	return Message{Op: op, Payload: payload}, nil
}

// inflate makes the message whose compressed payload has arrived.
func (d *Decoder) inflate(cfg *Config, op Opcode, payload []byte) (m Message, err error) {
	var w *Window
	bits, takeover := cfg.takeover()
	if takeover {
		if d.p == nil {
			d.p = new(partial)
		}
		w = &d.p.window
	}
	payload, err = cfg.Inflater.inflate(payload, op == OpText, cfg.maxMessage(), w, bits)
	if err != nil {
		return Message{}, err
	}
	return Message{Op: op, Payload: payload}, nil
}
