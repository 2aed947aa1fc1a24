package wsproto

import (
	"encoding/binary"
	"unicode/utf8"
)

// Set by the RFC: the first two bytes of a frame, and the limits of its parts (§5.2, §5.5).
const (
	finBit      = 0x80 // byte 0: last fragment of a message
	rsvBits     = 0x70 // byte 0: RSV1, RSV2, RSV3; zero unless an extension defines them
	RSV1Bit     = 0x40 // byte 0: RSV1, which marks a message that permessage-deflate compressed, RFC 7692 §6
	opcodeBits  = 0x0F // byte 0
	maskBit     = 0x80 // byte 1: a masking key follows the length
	lengthBits  = 0x7F // byte 1: the length itself, or one of the two markers
	length16    = 126  // marker: the next 2 bytes are the length
	length64    = 127  // marker: the next 8 bytes are the length
	maxControl  = 125  // longest payload of a control frame
	maxHeader   = 14   // 2 + 8 + 4
	minLength64 = 1 << 16
)

// compressedRSV is RSV1 in a Header's RSV: the message is compressed, RFC 7692 §6.
const compressedRSV = RSV1Bit >> 4

// Header is a frame's header, RFC 6455 §5.2.
type Header struct {
	Fin    bool
	RSV    uint8 // three bits: RSV1 = 4, RSV2 = 2, RSV3 = 1
	Op     Opcode
	Masked bool
	Key    [4]byte // zero unless Masked
	Length int64   // bytes of payload, never negative
}

// ParseHeader reads the frame header at the start of b and returns its length in bytes, 2 to 14. n == 0 without an
// error means that b ends inside the header. It checks the wire syntax only: [ErrNonMinimalLength] and
// [ErrLengthOverflow], as soon as the bytes of the length are there. [Decoder] checks a header in its place in the stream.
func ParseHeader(b []byte) (h Header, n int, err error) {
	if len(b) < 2 {
		return Header{}, 0, nil
	}
	h.Fin = b[0]&finBit != 0
	h.RSV = b[0] & rsvBits >> 4
	h.Op = Opcode(b[0] & opcodeBits)
	h.Masked = b[1]&maskBit != 0
	n = 2
	// "Note that in all cases, the minimal number of bytes MUST be used to encode the length."
	switch short := b[1] & lengthBits; short {
	case length16:
		if len(b) < 4 {
			return Header{}, 0, nil
		}
		h.Length = int64(binary.BigEndian.Uint16(b[2:]))
		if h.Length < length16 {
			return Header{}, 0, ErrNonMinimalLength
		}
		n = 4
	case length64:
		if len(b) < 10 {
			return Header{}, 0, nil
		}
		length := binary.BigEndian.Uint64(b[2:])
		// "the most significant bit MUST be 0"
		if length>>63 != 0 {
			return Header{}, 0, ErrLengthOverflow
		}
		if length < minLength64 {
			return Header{}, 0, ErrNonMinimalLength
		}
		h.Length = int64(length)
		n = 10
	default:
		h.Length = int64(short)
	}
	if h.Masked {
		if len(b) < n+4 {
			return Header{}, 0, nil
		}
		h.Key = [4]byte(b[n:])
		n += 4
	}
	return h, n, nil
}

// AppendHeader appends h to dst with the shortest length. It does not check h, so that tests and load generators can
// write forbidden headers too. Bits beyond a field's width are cut, and a negative Length counts as 0.
func AppendHeader(dst []byte, h Header) []byte {
	b0 := h.RSV<<4&rsvBits | byte(h.Op)&opcodeBits
	if h.Fin {
		b0 |= finBit
	}
	var b1 byte
	if h.Masked {
		b1 = maskBit
	}
	switch length := max(h.Length, 0); {
	case length < length16:
		dst = append(dst, b0, b1|byte(length))
	case length < minLength64:
		dst = append(dst, b0, b1|length16, byte(length>>8), byte(length))
	default:
		dst = append(dst, b0, b1|length64)
		dst = binary.BigEndian.AppendUint64(dst, uint64(length))
	}
	if h.Masked {
		dst = append(dst, h.Key[:]...)
	}
	return dst
}

// AppendFrame appends one whole message as a server sends it: FIN set, not masked. The caller ensures that a control
// frame's payload is at most 125 bytes.
func AppendFrame(dst []byte, op Opcode, payload []byte) []byte {
	dst = AppendHeader(dst, Header{Fin: true, Op: op, Length: int64(len(payload))})
	return append(dst, payload...)
}

// AppendMaskedFrame appends one whole message as a client sends it: FIN set, masked with key. Where masking matters, key
// must be unpredictable and new for every frame (§5.3). payload itself is not changed.
func AppendMaskedFrame(dst []byte, op Opcode, key [4]byte, payload []byte) []byte {
	return appendPayload(dst, Header{Fin: true, Op: op, Masked: true, Key: key}, payload)
}

// appendPayload appends a frame with the bits and the key of h. Its length is payload's.
func appendPayload(dst []byte, h Header, payload []byte) []byte {
	h.Length = int64(len(payload))
	dst = AppendHeader(dst, h)
	start := len(dst)
	dst = append(dst, payload...)
	Mask(dst[start:], h.Key, 0)
	return dst
}

// AppendClose appends a server's close frame with the body of [AppendCloseBody].
func AppendClose(dst []byte, code StatusCode, reason string) []byte {
	start := len(dst)
	dst = append(dst, finBit|byte(OpClose), 0)
	dst = AppendCloseBody(dst, code, reason)
	dst[start+1] = byte(len(dst) - start - 2)
	return dst
}

// AppendCloseBody appends the body of a close frame: code and reason. A code that must not go over the wire (see
// [StatusCode.ValidOnWire]), among them 0 and [StatusNoStatus], gives the empty body. The reason is cut before the
// rune that would exceed 123 bytes, and before the first byte that is not UTF-8.
func AppendCloseBody(dst []byte, code StatusCode, reason string) []byte {
	if !code.ValidOnWire() {
		return dst
	}
	dst = binary.BigEndian.AppendUint16(dst, uint16(code))
	end := 0
	for end < len(reason) {
		r, size := utf8.DecodeRuneInString(reason[end:])
		if r == utf8.RuneError && size == 1 || end+size > maxControl-2 {
			break
		}
		end += size
	}
	return append(dst, reason[:end]...)
}
