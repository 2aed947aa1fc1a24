package wsproto

// minBuffer is the smallest capacity of a message's buffer in bytes, unless the message is known to be smaller.
// Chosen by us.
const minBuffer = 256

// Decoder turns the bytes of one connection into messages. The zero value is ready. It belongs to one goroutine at a
// time. It is one pointer long: the state of an unfinished frame or message is allocated when the input ends inside it, and
// released when it is complete. For a peer with context takeover its window is kept from the first compressed message on.
type Decoder struct {
	p *partial
}

// partial is the state of an unfinished frame or message. Its size is an allocator's size class, see TestDecoderSize.
type partial struct {
	window Window // history of the peer's compressed messages; outlives the message

	buf       []byte          // the message so far, unmasked; after it the payload so far of an open control frame
	size      int             // bytes of buf that belong to the message
	remaining int64           // payload bytes of the open frame that have not arrived
	key       [4]byte         // masking key, rotated to the next byte
	head      [maxHeader]byte // the first nhead bytes of an incomplete header
	nhead     uint8
	op        Opcode // of the message; 0 when no message is open, only a header or a control frame
	text      uint8  // UTF-8 state at the end of the message so far
	frame     Opcode // of the open frame
	fin       bool   // of the open frame
	open      bool   // the header is complete, its payload is not
	deflated  bool   // the message is compressed
}

// Idle reports whether d holds no bytes of an unfinished frame or message. An idle Decoder uses no heap unless its peer
// has a window.
func (d *Decoder) Idle() bool {
	return d.p == nil || d.p.op == 0 && !d.p.open && d.p.nhead == 0
}

// WindowBytes returns the size of the peer's window in memory, in bytes: 0 without context takeover.
func (d *Decoder) WindowBytes() int {
	if d.p == nil {
		return 0
	}
	return d.p.window.Bytes()
}

// dropMessage releases the state of a message, except the window.
func (d *Decoder) dropMessage() {
	switch {
	case d.p == nil:
	case d.p.window.b == nil:
		d.p = nil
	default:
		*d.p = partial{window: d.p.window}
	}
}

// Next decodes up to one message from b, the bytes that follow those of the last call. It uses all of b, n == len(b),
// unless a message ends before that. Then n is the end of the message, and the caller continues with b[n:]. m.Op ==
// [OpContinuation] means that no message was completed.
//
// Payloads are unmasked in place, so the first n bytes of b are changed. A frame that lies whole in b is neither copied
// nor allocated: m.Payload points into b. All other payloads are collected in a buffer of at most twice the received bytes,
// and never more than cfg.MaxMessage and one control frame. A compressed message may need an eighth more, since compression
// can make it longer. m.Payload is valid until the next call or until b is reused. The payload of a compressed message is
// valid until the next call of any decoder with the same Inflater.
//
// The error is one of this package's [ProtocolError] values and comes with the first byte that shows it. Sizes are checked
// by the header, before the payload. Text is checked byte by byte, in an unfinished frame too. A compressed message is
// checked when it is complete, up to the first byte beyond cfg.MaxMessage. After an error n has no meaning, and d must not
// be used again. RFC 6455 §5.5.1 requires that the input after a close message is ignored; that is the caller's task.
func (d *Decoder) Next(cfg *Config, b []byte) (m Message, n int, err error) {
	for {
		if d.p == nil || !d.p.open {
			h, used, ok, err := d.readHeader(cfg, b[n:])
			n += used
			if !ok || err != nil {
				return Message{}, n, err
			}
			inMessage := d.p != nil && d.p.op != 0
			if input := b[n:]; h.Length <= int64(len(input)) && (h.Op.Control() || h.Fin && !inMessage) {
				if !inMessage {
					d.dropMessage() // d.p held only the first part of this header
				}
				payload := input[:h.Length:h.Length]
				Mask(payload, h.Key, 0)
				if h.RSV != 0 {
					m, err = d.inflateMessage(cfg, h.Op, payload)
				} else {
					m, err = frameMessage(h.Op, payload)
				}
				return m, n + len(payload), err
			}
			d.openFrame(h)
		}
		used, err := d.collectPayload(cfg, b[n:])
		n += used
		if err != nil || d.p.remaining > 0 {
			return Message{}, n, err
		}
		if m, err = d.finishFrame(cfg); err != nil || m.Op != OpContinuation {
			return m, n, err
		}
	}
}

// readHeader reads the next frame's header from its bytes in d.p.head and from b, and uses the first used bytes of b. If
// the header is not complete, b is stored and ok is false.
func (d *Decoder) readHeader(cfg *Config, b []byte) (h Header, used int, ok bool, err error) {
	if len(b) == 0 {
		return Header{}, 0, false, nil
	}
	src, kept := b, 0
	if d.p != nil && d.p.nhead > 0 {
		kept = int(d.p.nhead)
		src = d.p.head[:kept+copy(d.p.head[kept:], b)]
	}
	if err = d.checkHeader(cfg, src); err != nil {
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

// checkHeader checks the first one or two bytes of a header, as many as src holds, against the state of the stream.
func (d *Decoder) checkHeader(cfg *Config, src []byte) error {
	op := Opcode(src[0] & opcodeBits)
	// "MUST be 0 unless an extension is negotiated that defines meanings for non-zero values." permessage-deflate does
	// for RSV1, "on the first fragment of a data message" (RFC 7692 §6).
	if rsv := src[0] & rsvBits; rsv != 0 && (rsv != RSV1Bit || op != OpText && op != OpBinary || !cfg.deflates()) {
		return ErrReservedBits
	}
	if op.Reserved() {
		return ErrReservedOpcode
	}
	inMessage := d.p != nil && d.p.op != 0
	switch {
	case op.Control():
		// "All control frames MUST have a payload length of 125 bytes or less and MUST NOT be fragmented."
		if src[0]&finBit == 0 {
			return ErrFragmentedControl
		}
	case op == OpContinuation && !inMessage:
		return ErrUnexpectedContinuation
	case op != OpContinuation && inMessage:
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

// openFrame starts a frame whose payload must be collected.
func (d *Decoder) openFrame(h Header) {
	if d.p == nil {
		d.p = new(partial)
	}
	p := d.p
	p.open, p.fin, p.frame, p.key, p.remaining = true, h.Fin, h.Op, h.Key, h.Length
	if h.Op == OpText || h.Op == OpBinary {
		p.op, p.text, p.deflated = h.Op, utf8Start, h.RSV != 0
	}
}

// collectPayload moves the bytes of the open frame from b into the buffer.
func (d *Decoder) collectPayload(cfg *Config, b []byte) (used int, err error) {
	p := d.p
	b = b[:min(int64(len(b)), p.remaining)]
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
	p.growBuffer(cfg, len(b))
	p.buf = append(p.buf, b...)
	p.key = rotateKey(p.key, len(b))
	p.remaining -= int64(len(b))
	return len(b), nil
}

// growBuffer makes room for n more bytes of the open frame. Subtle: the buffer doubles, so that a message in many small
// pieces costs linear time. Only the last frame of a message has a known end and gets the exact size.
func (p *partial) growBuffer(cfg *Config, n int) {
	need := int64(len(p.buf) + n)
	if need <= int64(cap(p.buf)) {
		return
	}
	most := cfg.maxCollected(p.deflated) + maxControl
	if p.op == 0 || p.fin && !p.frame.Control() {
		most = int64(len(p.buf)) + p.remaining
	}
	p.buf = append(make([]byte, 0, min(max(2*need, minBuffer), most)), p.buf...)
}

// finishFrame ends a frame whose payload is complete. m.Op is OpContinuation if its message continues.
func (d *Decoder) finishFrame(cfg *Config) (m Message, err error) {
	p := d.p
	p.open = false
	if p.frame.Control() {
		op, payload := p.frame, p.buf[p.size:]
		p.buf = p.buf[:p.size]
		if p.op == 0 {
			d.dropMessage()
		}
		return frameMessage(op, payload)
	}
	p.size = len(p.buf)
	if !p.fin {
		return Message{}, nil
	}
	op, payload, deflated, text := p.op, p.buf, p.deflated, p.text
	d.dropMessage()
	if deflated {
		return d.inflateMessage(cfg, op, payload)
	}
	if op == OpText && text != utf8Start {
		return Message{}, ErrInvalidUTF8 // the text ends inside a character
	}
	return Message{Op: op, Payload: payload}, nil
}

// inflateMessage decompresses a complete message.
func (d *Decoder) inflateMessage(cfg *Config, op Opcode, payload []byte) (m Message, err error) {
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
