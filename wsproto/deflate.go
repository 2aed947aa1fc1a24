package wsproto

// The bits of the smallest and the largest LZ77 window, as the parameters of permessage-deflate count them: powers of two.
// Set by RFC 7692 §7.1.2. The compressor supports all of them (see Deflater), so no valid offer is declined for its window.
const (
	MinWindowBits = 8
	MaxWindowBits = 15
)

// Deflate is the agreement of two endpoints on permessage-deflate, RFC 7692 §7.1. The zero value means no agreement.
type Deflate struct {
	ServerWindowBits uint8 // the server compresses with a window of at most 2^n bytes, 8 to 15; 0 = no compression
	ClientWindowBits uint8 // the client's window, counted the same way
	ServerTakeover   bool  // the server may compress with references to its earlier messages
	ClientTakeover   bool  // the client may compress with references to its own
	serverBitsNamed  bool  // server_max_window_bits is part of the answer
	clientBitsNamed  bool  // client_max_window_bits is part of the answer
}

// Agreed reports whether messages may be compressed at all.
func (d Deflate) Agreed() bool { return d.ServerWindowBits != 0 }

// A Window holds the end of a connection's compressed messages for their receiver. With context takeover a back-reference
// may reach into them, RFC 7692 §7.2. The zero value is empty. It belongs to one goroutine at a time.
type Window struct {
	b []byte // uncompressed, oldest byte first
}

// minWindow is the smallest capacity of a window, in bytes. The window grows with its content. Chosen by us.
const minWindow = 256

// add appends p, the uncompressed payload of a compressed message. The window keeps at most 2^bits bytes.
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

// Bytes returns the size of w's memory in bytes.
func (w *Window) Bytes() int { return cap(w.b) }
