package wsproto

import (
	"bytes"
	"io"

	"github.com/klauspost/compress/flate"
)

// Chosen by us.
const (
	minInflated = 512      // bytes: the smallest buffer for a message
	keepBuffer  = 64 << 10 // bytes: a larger buffer is released with the next message

	// A deflate stream may end and start again within a message, §7.2.3.4. Each end costs the sender a few bytes, and the
	// receiver 32 KiB of copying for a new window. This many ends are allowed, and one more for each finalEvery bytes.
	finalBlocks = 8
	finalEvery  = 1 << 10
)

// deflateTail holds the bytes that the sender cut off, RFC 7692 §7.2.2 ("Append 4 octets of 0x00 0x00 0xff 0xff to the tail
// end of the payload of the message"), and an empty final block, which ends the stream for the library.
const deflateTail = "\x00\x00\xff\xff\x01\x00\x00\xff\xff"

// An Inflater decompresses messages for the decoders of one goroutine. They borrow it for one message at a time. The zero
// value is ready. From its first message on it holds about 45 KB and its buffers.
type Inflater struct {
	r    io.ReadCloser // nil before the first message
	src  bytes.Reader  // r reads from it
	in   []byte        // the input of src: a message and deflateTail
	out  []byte
	dict []byte // scratch
}

// inflate decompresses one message, RFC 7692 §7.2.2. It stops with an error at the first byte beyond most. If text is set,
// it also stops at the first read that is not UTF-8. w is the sender's window, nil without context takeover. inflate updates
// it, to at most 2^bits bytes. The result is valid until the next call.
func (f *Inflater) inflate(payload []byte, text bool, most int64, w *Window, bits uint8) ([]byte, error) {
	f.in = append(append(f.in[:0], payload...), deflateTail...)
	f.src.Reset(f.in)
	var dict []byte
	if w != nil {
		dict = w.b
	}
	if err := f.resetReader(dict); err != nil {
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
		// The sender ended the stream within the message and started another one.
		if finals--; finals < 0 {
			return nil, ErrCompressedData
		}
		if f.dict = append(f.dict[:0], dict...); len(out) > 0 {
			f.dict = append(f.dict, out[max(0, len(out)-1<<MaxWindowBits):]...)
		}
		if err := f.resetReader(f.dict[max(0, len(f.dict)-1<<MaxWindowBits):]); err != nil {
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

// resetReader lets r continue with src. dict stands for r's earlier output.
func (f *Inflater) resetReader(dict []byte) error {
	if f.r == nil {
		f.r = flate.NewReaderDict(&f.src, dict)
		return nil
	}
	if err := f.r.(flate.Resetter).Reset(&f.src, dict); err != nil {
		return ErrCompressedData
	}
	return nil
}

// reuse empties a buffer for the next message. It releases a buffer that one message made large.
func reuse(b []byte) []byte {
	if cap(b) > keepBuffer {
		return nil
	}
	return b[:0]
}
