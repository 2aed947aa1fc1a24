package wsproto

import (
	"bytes"
	"io"

	"github.com/klauspost/compress/flate"
)

// Chosen by us.
const (
	minInflated = 512      // bytes: the least room that is made for a message
	keepBuffer  = 64 << 10 // bytes: a larger buffer is let go with the next message

	// A deflate stream may be ended and begun anew within a message, §7.2.3.4, and each time the window is laid out
	// again: a few bytes that cost 32 KiB of copying. So many ends are allowed, and one more for each finalEvery bytes.
	finalBlocks = 8
	finalEvery  = 1 << 10
)

// deflateTail is what the sender cut off, RFC 7692 §7.2.2 ("Append 4 octets of 0x00 0x00 0xff 0xff to the tail end of the
// payload of the message"), and an empty final block, with which the stream ends for the library.
const deflateTail = "\x00\x00\xff\xff\x01\x00\x00\xff\xff"

// An Inflater decompresses messages for the decoders of one goroutine, which borrow it for one message at a time. The
// zero value is ready. It takes about 45 KB from its first message on, and its buffers.
type Inflater struct {
	r    io.ReadCloser // nil until it is needed
	src  bytes.Reader  // r reads from it
	in   []byte        // what src reads: a message and deflateTail
	out  []byte
	dict []byte // scratch
}

// inflate decompresses one message, RFC 7692 §7.2.2. It stops with an error at the first byte beyond most, and of text at
// the first read that is not UTF-8. w is what the sender may refer to, nil without context takeover, and is brought up to
// date; bits is the size that w may have. The result is valid until the next call.
func (f *Inflater) inflate(payload []byte, text bool, most int64, w *Window, bits uint8) ([]byte, error) {
	f.in = append(append(f.in[:0], payload...), deflateTail...)
	f.src.Reset(f.in)
	var dict []byte
	if w != nil {
		dict = w.b
	}
	if err := f.begin(dict); err != nil {
		return nil, err
	}
	out := reuse(f.out)
	defer func() { f.in, f.out = reuse(f.in), out }()
	state := uint8(utf8Start)
	for finals := finalBlocks + len(payload)/finalEvery; ; {
		if len(out) == cap(out) {
			room := max(2*int64(cap(out)), 4*int64(len(payload)), minInflated)
			out = append(make([]byte, 0, min(room, most+1)), out...)
		}
		n, err := f.r.Read(out[len(out):cap(out)])
		read := out[len(out) : len(out)+n]
		out = out[:len(out)+n]
		if int64(len(out)) > most {
			return nil, ErrMessageTooBig
		}
		if text {
			if state = stepUTF8(state, read); state == utf8Bad {
				return nil, ErrInvalidUTF8
			}
		}
		if err == nil {
			continue
		}
		if err != io.EOF {
			return nil, ErrCompressedData
		}
		if f.src.Len() == 0 {
			break
		}
		// The sender ended the stream within the message, and went on.
		if finals--; finals < 0 {
			return nil, ErrCompressedData
		}
		if f.dict = append(f.dict[:0], dict...); len(out) > 0 {
			f.dict = append(f.dict, out[max(0, len(out)-1<<MaxWindowBits):]...)
		}
		if err := f.begin(f.dict[max(0, len(f.dict)-1<<MaxWindowBits):]); err != nil {
			return nil, err
		}
	}
	if state != utf8Start {
		return nil, ErrInvalidUTF8
	}
	if w != nil {
		w.add(out, bits)
	}
	return out, nil
}

// begin has r read src from where it is, as if dict had been its output before.
func (f *Inflater) begin(dict []byte) error {
	if f.r == nil {
		f.r = flate.NewReaderDict(&f.src, dict)
		return nil
	}
	if err := f.r.(flate.Resetter).Reset(&f.src, dict); err != nil {
		return ErrCompressedData
	}
	return nil
}

// reuse empties a buffer, or lets it go if one message has made it large.
func reuse(b []byte) []byte {
	if cap(b) > keepBuffer {
		return nil
	}
	return b[:0]
}
