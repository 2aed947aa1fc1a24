package wsproto

// The sizes of the LZ77 window as the parameters of permessage-deflate name them: powers of two. Set by RFC 7692 §7.1.2.
// The compressor honours each of them (see Deflater), so no valid offer has to be declined for its window. They are the bits
// of the smallest and the largest.
const (
	MinWindowBits = 8
	MaxWindowBits = 15
)

// compressedBit is RSV1 in a Header's RSV: the message is compressed, RFC 7692 §6.
const compressedBit = 4

// Deflate is permessage-deflate as two endpoints have agreed on it, RFC 7692 §7.1. The zero value: not agreed on.
type Deflate struct {
	ServerWindowBits uint8 // the server compresses with a window of at most 2^n bytes, 8 to 15; 0 = no compression
	ClientWindowBits uint8 // the same of the client
	ServerTakeover   bool  // the server may use its earlier messages to compress the next one
	ClientTakeover   bool  // the same of the client
	serverBitsNamed  bool  // server_max_window_bits is part of the answer
	clientBitsNamed  bool  // client_max_window_bits is part of the answer
}

// Agreed reports whether messages may be compressed at all.
func (d Deflate) Agreed() bool { return d.ServerWindowBits != 0 }

// A Window is what a receiver remembers of a connection's compressed messages: with context takeover a back-reference may
// reach into them, RFC 7692 §7.2. The zero value is empty. It belongs to one goroutine at a time.
type Window struct {
	b []byte // the end of what was said, oldest first
}

// minWindow is the least that a window is made with, in bytes: it grows with what there is to remember. Chosen by us.
const minWindow = 256

// add remembers p, the uncompressed payload of a compressed message, in 2^bits bytes at most.
func (w *Window) add(p []byte, bits uint8) {
	size := 1 << bits
	if len(p) > size {
		p = p[len(p)-size:]
	}
	if over := len(w.b) + len(p) - size; over > 0 {
		w.b = w.b[:copy(w.b, w.b[over:])]
	}
	if need := len(w.b) + len(p); need > cap(w.b) {
		w.b = append(make([]byte, 0, min(max(2*need, minWindow), size)), w.b...)
	}
	w.b = append(w.b, p...)
}

// Bytes returns how many bytes of memory w takes.
func (w *Window) Bytes() int { return cap(w.b) }
