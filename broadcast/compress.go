package broadcast

import (
	"slices"
	"sync/atomic"

	"tickcast/broadcast/topics"
	"tickcast/broadcast/wire"
	"tickcast/wsproto"
)

// A framer chooses the frame of a message for a subscriber, and compresses it where that was not done yet. The compressed
// frame is independent of earlier messages: it is the same for every subscriber with that window, whatever its loop.
type framer struct {
	deflater   *wsproto.Deflater // nil = all frames are plain
	minimum    int64             // bytes of the shortest payload that is compressed
	compressed *atomic.Uint64    // frames that it compressed; any goroutine may read it
	packed     []byte            // scratch
}

// frameOf returns the frame of m for sub in a form; nil if its codec cannot carry m.
func (f *framer) frameOf(m *topics.Message, sub *subscriber, form wire.Form) []byte {
	frame := m.Framed(sub.codec, form)
	bits := sub.bits
	if bits == 0 || sub.codec >= wire.WebSockets || frame == nil || m.Kind != topics.KindData || m.Topic.Class.Plain {
		return frame
	}
	h, n, _ := wsproto.ParseHeader(frame) // is one of ours
	if h.Length < f.minimum {
		return frame
	}
	if h.Length <= 1<<bits { // no back-reference can reach beyond the window, so one frame serves all
		bits = wsproto.MaxWindowBits
	}
	shared := m.Compressed(sub.codec, form, bits)
	if packed := shared.Load(); packed != nil {
		return *packed
	}
	packed := f.compress(frame, n, h.Op, bits)
	shared.Store(&packed) // two loops may build it at once: the bytes mean the same
	return packed
}

// compress returns frame, a whole message with a header of n bytes, compressed for a window of 2^bits bytes, or frame
// itself if that does not make it shorter.
func (f *framer) compress(frame []byte, n int, op wsproto.Opcode, bits uint8) []byte {
	const keep = 64 << 10 // bytes of scratch space that one large message may leave behind
	b := f.deflater.AppendFrame(f.packed[:0], op, frame[n:], bits, nil)
	if cap(b) <= keep {
		f.packed = b
	}
	if len(b) >= len(frame) {
		return frame
	}
	f.compressed.Add(1)
	return slices.Clone(b) // of its exact size: the newest message of a topic may stay for long
}
