package wsproto

import (
	"fmt"
	"sync"

	"github.com/klauspost/compress/flate"
)

// A Deflater compresses messages, RFC 7692 §7.2.1. Any goroutine may use it: compressors are pooled by their window and
// lent for one message, since each takes about a megabyte.
type Deflater struct {
	level int
	pools [MaxWindowBits + 1]sync.Pool // of *compressor, by the bits of the window
}

// NewDeflater returns a Deflater of a level from 1, the fastest, to 9, the smallest; what is beyond counts as the nearest.
// The level is that of the largest window: the library has but one for the others.
func NewDeflater(level int) *Deflater {
	return &Deflater{level: min(max(level, flate.BestSpeed), flate.BestCompression)}
}

// AppendFrame appends one whole message as a server sends it, text or binary, compressed with a window of 2^bits bytes (8
// to 15) if that makes it shorter, else as it is. Without w the frame stands for itself, so that one serves all clients
// with that window or a larger one; with w, context takeover, it is for w's connection alone, to be sent in this order,
// w is brought up to date, and what may help the next message to be shorter is compressed though it got a few bytes longer.
func (d *Deflater) AppendFrame(dst []byte, op Opcode, payload []byte, bits uint8, w *Window) []byte {
	return d.append(dst, Header{Fin: true, Op: op}, payload, bits, w)
}

// AppendMaskedFrame is AppendFrame for a client: the frame is masked with key.
func (d *Deflater) AppendMaskedFrame(dst []byte, op Opcode, key [4]byte, payload []byte, bits uint8, w *Window) []byte {
	return d.append(dst, Header{Fin: true, Op: op, Masked: true, Key: key}, payload, bits, w)
}

// What the library's fast compressors do with little, be it in the size of a payload: they store it as it is, or they do
// not look at what came before. Bringing them a window would take most of the time for nothing.
const (
	storedSize = 32  // bytes: stored up to this size
	aloneSize  = 127 // bytes: compressed without regard to the window up to this size
	fastLevels = 6   // these and all windows below the largest have a fast compressor
	mostGrowth = 8   // bytes: what a payload that cannot be compressed grows by, unless it is longer than any window
)

func (d *Deflater) append(dst []byte, h Header, payload []byte, bits uint8, w *Window) []byte {
	fast := bits < MaxWindowBits || d.level <= fastLevels
	if fast && len(payload) <= storedSize {
		return appendPayload(dst, h, payload)
	}
	var history []byte
	remembers := w != nil && !(fast && len(payload) <= aloneSize)
	if remembers {
		history = w.b
	}
	c := d.lend(bits)
	data := c.compress(payload, history)
	// What does not get shorter by itself is remembered all the same: the next one may be like it.
	if len(data) < len(payload) || remembers && len(data) <= len(payload)+mostGrowth {
		h.RSV = compressedBit
		if w != nil {
			w.add(payload, bits)
		}
	} else {
		data = payload
	}
	dst = appendPayload(dst, h, data)
	c.out = reuse(c.out)
	d.pools[bits].Put(c)
	return dst
}

// lend takes a compressor out of the pool, or makes one.
func (d *Deflater) lend(bits uint8) *compressor {
	if bits < MinWindowBits || bits > MaxWindowBits {
		panic(fmt.Sprintf("wsproto: window of %d bits", bits)) // a mistake of the caller's
	}
	if c, ok := d.pools[bits].Get().(*compressor); ok {
		return c
	}
	c := new(compressor)
	var err error
	if bits == MaxWindowBits {
		c.w, err = flate.NewWriter(c, d.level)
	} else {
		c.w, err = flate.NewWriterWindow(c, 1<<bits)
	}
	if err != nil {
		panic(fmt.Sprintf("wsproto: level %d, window of %d bits: %v", d.level, bits, err)) // the library takes all of these
	}
	return c
}

// A compressor is the library's, with the buffer that it writes to.
type compressor struct {
	w   *flate.Writer
	out []byte
}

func (c *compressor) Write(p []byte) (int, error) {
	c.out = append(c.out, p...)
	return len(p), nil
}

// compress returns payload compressed as one message that may refer to history. It is valid until the next call.
func (c *compressor) compress(payload, history []byte) []byte {
	c.out = c.out[:0]
	c.w.ResetDict(c, history)
	// The errors would be Write's, and it has none.
	_, _ = c.w.Write(payload)
	_ = c.w.Flush()
	// "Remove 4 octets (that are 0x00 0x00 0xff 0xff) from the tail end."
	return c.out[:len(c.out)-4]
}
