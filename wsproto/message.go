package wsproto

import "encoding/binary"

// DefaultMaxMessage is the longest message in bytes when Config says nothing: far above any command, and small enough
// that a million half-sent ones do not happen by accident. Chosen by us.
const DefaultMaxMessage = 16 << 10

// Config is what the decoders of one server, or of one load generator, share. It is read only, so any number of
// goroutines may use one without an Inflater. A nil *Config is the zero Config.
type Config struct {
	MaxMessage int64     // bytes of payload in one message, all fragments together, uncompressed; DefaultMaxMessage unless positive
	Client     bool      // decode a server's frames: there a masked frame is the error, not an unmasked one
	Deflate    Deflate   // what was agreed on for these connections; zero: a compressed message is an error
	Inflater   *Inflater // needed if Deflate is agreed; makes the Config belong to the Inflater's goroutine
}

func (c *Config) maxMessage() int64 {
	if c == nil || c.MaxMessage <= 0 {
		return DefaultMaxMessage
	}
	return min(c.MaxMessage, 1<<62) // leaves room for sums
}

// maxCollected is how many payload bytes of one message may arrive. Compressing can make a message longer: by one bit in
// eight with the codes that are part of deflate (RFC 1951 §3.2.6), and a little for the blocks.
func (c *Config) maxCollected(compressed bool) int64 {
	most := c.maxMessage()
	if compressed {
		most += most/8 + 256
	}
	return most
}

// deflates reports whether the messages to decode may be compressed.
func (c *Config) deflates() bool { return c != nil && c.Deflate.Agreed() }

// takeover reports whether the peer may refer to its earlier messages, and how far.
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

// Message is what [Decoder.Next] hands out: a whole text or binary message, or a control frame.
type Message struct {
	Op      Opcode     // OpText, OpBinary, OpClose, OpPing, OpPong; OpContinuation: no whole message yet
	Code    StatusCode // of a close frame; StatusNoStatus if its body was empty
	Payload []byte     // unmasked; of a close frame the reason without the code
}

// whole makes the message of one complete, unmasked frame.
func whole(op Opcode, payload []byte) (Message, error) {
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

// closeMessage reads a close frame's body, §5.5.1; the header's check has refused a body of one byte.
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
