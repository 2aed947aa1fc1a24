package wsproto

import "encoding/binary"

// DefaultMaxMessage is the longest message in bytes when Config says nothing: far above any command, and small enough
// that a million half-sent ones do not happen by accident. Chosen by us.
const DefaultMaxMessage = 16 << 10

// Config is what all decoders of one server, or of one load generator, share. It is read only, so any number of
// goroutines may use it. A nil *Config is the zero Config.
type Config struct {
	MaxMessage int64 // bytes of payload in one message, all fragments together; DefaultMaxMessage unless positive
	Client     bool  // decode a server's frames: there a masked frame is the error, not an unmasked one
}

func (c *Config) maxMessage() int64 {
	if c == nil || c.MaxMessage <= 0 {
		return DefaultMaxMessage
	}
	return min(c.MaxMessage, 1<<62) // leaves room for sums
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
