package wsproto

import (
	"fmt"
	"sync"

	"github.com/klauspost/compress/flate"
)

// A Deflater compresses messages, RFC 7692 §7.2.1. Any goroutine may use it. Compressors are pooled by the size of their
// window and borrowed for one message, since each takes about a megabyte.
type Deflater struct {
	level int
	pools [MaxWindowBits + 1]sync.Pool // of *compressor, by the bits of the window
}

// NewDeflater returns a Deflater of a level from 1, the fastest, to 9, the smallest; other values count as the nearest.
// The level applies to the largest window only. The library has a single level for the others.
func NewDeflater(level int) *Deflater {
	return &Deflater{level: min(max(level, flate.BestSpeed), flate.BestCompression)}
}

// AppendFrame appends one whole message as a server sends it, text or binary. It is compressed with a window of 2^bits
// bytes (8 to 15) if that makes it shorter, otherwise sent plain. Without w the frame is independent, so that one frame
// serves all clients with that window or a larger one. With w, context takeover, the frame is for w's connection only and
// must be sent in this order. w is updated. A message that got a few bytes longer is then compressed all the same, since it
// may make the next one shorter.
func (d *Deflater) AppendFrame(dst []byte, op Opcode, payload []byte, bits uint8, w *Window) []byte {
	return d.appendCompressed(dst, Header{Fin: true, Op: op}, payload, bits, w)
}

// AppendMaskedFrame is AppendFrame for a client: the frame is masked with key.
func (d *Deflater) AppendMaskedFrame(dst []byte, op Opcode, key [4]byte, payload []byte, bits uint8, w *Window) []byte {
	return d.appendCompressed(dst, Header{Fin: true, Op: op, Masked: true, Key: key}, payload, bits, w)
}

// Limits of the library's fast compressors. They store a small payload, or compress it without its window. Loading the
// window for it would take most of the time and save no byte.
const (
	storedSize = 32  // bytes: payloads up to this size are stored
	aloneSize  = 127 // bytes: payloads up to this size are compressed without the window
	fastLevels = 6   // levels up to this one, and all windows below the largest, have a fast compressor
	mostGrowth = 8   // bytes: growth of an incompressible payload that is not longer than any window
)

func (d *Deflater) appendCompressed(dst []byte, h Header, payload []byte, bits uint8, w *Window) []byte {
	fast := bits < MaxWindowBits || d.level <= fastLevels
	if fast && len(payload) <= storedSize {
		return appendPayload(dst, h, payload)
	}
	var history []byte
	usesWindow := w != nil && !(fast && len(payload) <= aloneSize)
	if usesWindow {
		history = w.b
	}
	c := d.borrowCompressor(bits)
	data := c.compress(payload, history)
	// A payload that does not get shorter still goes into the window: the next one may repeat it.
	if len(data) < len(payload) || usesWindow && len(data) <= len(payload)+mostGrowth {
		h.RSV = compressedRSV
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

// borrowCompressor takes a compressor from the pool or creates one.
func (d *Deflater) borrowCompressor(bits uint8) *compressor {
	if bits < MinWindowBits || bits > MaxWindowBits {
		panic(fmt.Sprintf("wsproto: window of %d bits", bits)) // an error of the caller
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
		panic(fmt.Sprintf("wsproto: level %d, window of %d bits: %v", d.level, bits, err)) // the library supports all of these
	}
	return c
}

// A compressor is the library's compressor with its output buffer.
type compressor struct {
	w   *flate.Writer
	out []byte
}

func (c *compressor) Write(p []byte) (int, error) {
	c.out = append(c.out, p...)
	return len(p), nil
}

// compress returns payload compressed as one message that may refer to history. The result is valid until the next call.
func (c *compressor) compress(payload, history []byte) []byte {
	c.out = c.out[:0]
	c.w.ResetDict(c, history)
	// An error could only come from compressor.Write, which returns none.
	_, _ = c.w.Write(payload)
	_ = c.w.Flush()
	// "Remove 4 octets (that are 0x00 0x00 0xff 0xff) from the tail end."
	return c.out[:len(c.out)-4]
}
