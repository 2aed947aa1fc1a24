package broadcast

import (
	"slices"
	"sync/atomic"

	"tickcast/wsproto"
)

// windowSizes is how many sizes of windows there are. What is compressed without regard to earlier messages is the same for
// every subscriber with that window.
const windowSizes = wsproto.MaxWindowBits - wsproto.MinWindowBits + 1

// compressed are the frames of one message for subscribers with compression, by window. Each is built by the first loop
// that needs it; it is the plain frame where compression does not pay. Any goroutine may use it.
type compressed [windowSizes]atomic.Pointer[[]byte]

// frameOf returns the frame that carries m to sub, as an update or as a snapshot; nil if its codec cannot carry it.
func (s *Shard) frameOf(m *Message, sub *subscriber, how dirtMark) []byte {
	frame := m.framed(sub.codec, how)
	bits := sub.bits
	if bits == 0 || frame == nil || m.topic.class.Plain || m.kind != kindData {
		return frame
	}
	h, n, _ := wsproto.ParseHeader(frame) // is one of ours
	if h.Length < int64(s.hub.cfg.MinCompress) {
		return frame
	}
	if h.Length <= 1<<bits { // no back-reference can reach beyond the window, so one frame serves all
		bits = wsproto.MaxWindowBits
	}
	at := &m.others().compressed[sub.codec][how]
	c := at.Load()
	if c == nil {
		c = new(compressed)
		if !at.CompareAndSwap(nil, c) {
			c = at.Load()
		}
	}
	variant := &c[bits-wsproto.MinWindowBits]
	if f := variant.Load(); f != nil {
		return *f
	}
	f := s.compress(frame, n, h.Op, bits)
	variant.Store(&f) // two loops may build it at once: the bytes mean the same
	return f
}

// compress returns frame, a whole message with a header of n bytes, compressed for a window of 2^bits bytes, or frame
// itself if that does not make it shorter.
func (s *Shard) compress(frame []byte, n int, op wsproto.Opcode, bits uint8) []byte {
	const keep = 64 << 10 // bytes of scratch space that one large message may leave behind
	b := s.hub.cfg.Deflater.AppendFrame(s.packed[:0], op, frame[n:], bits, nil)
	if cap(b) <= keep {
		s.packed = b
	}
	if len(b) >= len(frame) {
		return frame
	}
	s.stats.compressed.Add(1)
	return slices.Clone(b) // of its exact size: the newest message of a topic may stay for long
}
