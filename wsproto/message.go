package wsproto

import "encoding/binary"

// DefaultMaxMessage is the limit of a message in bytes if Config sets none. It is far above any command, and small enough
// that a million incomplete messages do not fill the memory by accident. Chosen by us.
const DefaultMaxMessage = 16 << 10

// Config is shared by the decoders of one server or of one load generator. It is read-only, so any number of goroutines
// may use one that has no Inflater. A nil *Config is the zero Config.
type Config struct {
	MaxMessage int64     // bytes of payload in one message, all fragments together, uncompressed; DefaultMaxMessage unless positive
	Client     bool      // decode a server's frames: a masked frame is the error, instead of an unmasked one
	Deflate    Deflate   // the agreement of these connections; zero: a compressed message is an error
	Inflater   *Inflater // needed if Deflate is agreed; binds the Config to the Inflater's goroutine
}

func (c *Config) maxMessage() int64 {
	if c == nil || c.MaxMessage <= 0 {
		return DefaultMaxMessage
	}
	return min(c.MaxMessage, 1<<62) // leaves room for sums
}

// maxCollected returns the limit of the payload bytes of one message on the wire. Compression can make a message longer: by
// one bit in eight with the fixed codes of deflate (RFC 1951 §3.2.6), and by a little for the blocks.
func (c *Config) maxCollected(compressed bool) int64 {
	most := c.maxMessage()
	if compressed {
		most += most/8 + 256
	}
	return most
}

// deflates reports whether incoming messages may be compressed.
func (c *Config) deflates() bool { return c != nil && c.Deflate.Agreed() }

// takeover reports whether the peer may refer to its earlier messages, and returns the bits of its window.
func (c *Config) takeover() (bits uint8, ok bool) {
	switch {
	case c == nil:
		return 0, false
	case c.Client:
		return c.Deflate.ServerWindowBits, c.Deflate.ServerTakeover
	default:
		return c.Deflate.ClientWindowBits, c.Deflate.ClientTakeover
	}
}

// Message is a result of [Decoder.Next]: a whole text or binary message, or a control frame.
type Message struct {
	Op      Opcode     // OpText, OpBinary, OpClose, OpPing, OpPong; OpContinuation: no message is complete yet
	Code    StatusCode // of a close frame; StatusNoStatus if its body was empty
	Payload []byte     // unmasked; for a close frame the reason without the code
}

// frameMessage returns the message of one complete, unmasked frame.
func frameMessage(op Opcode, payload []byte) (Message, error) {
	switch op {
	case OpText:
		if !validUTF8(payload) {
			return Message{}, ErrInvalidUTF8
		}
	case OpClose:
		return closeMessage(payload)
	}
	return Message{Op: op, Payload: payload}, nil
}

// closeMessage parses a close frame's body, §5.5.1. Decoder.checkHeader has refused a body of one byte.
func closeMessage(body []byte) (Message, error) {
	if len(body) < 2 {
		return Message{Op: OpClose, Code: StatusNoStatus, Payload: body}, nil
	}
	code, reason := StatusCode(binary.BigEndian.Uint16(body)), body[2:]
	if !code.ValidOnWire() {
		return Message{}, ErrCloseCode
	}
	if !validUTF8(reason) {
		return Message{}, ErrInvalidUTF8
	}
	return Message{Op: OpClose, Code: code, Payload: reason}, nil
}
