package wsproto

// Opcode is the type of a frame's payload: 4 bits, RFC 6455 §5.2 and §11.8.
type Opcode uint8

// Set by the RFC. All other values are reserved and refused with [ErrReservedOpcode].
const (
	OpContinuation Opcode = 0x0 // §5.4: the next fragment of the open message
	OpText         Opcode = 0x1 // §5.6: UTF-8 as a whole message; a fragment may end inside a character
	OpBinary       Opcode = 0x2 // §5.6: any bytes
	// 0x3-0x7 are reserved for further data frames.
	OpClose Opcode = 0x8 // §5.5.1: empty, or a 2-byte status code and a UTF-8 reason; at most 125 bytes
	OpPing  Opcode = 0x9 // §5.5.2: any bytes, at most 125
	OpPong  Opcode = 0xA // §5.5.3: the ping's bytes, or unsolicited; at most 125
	// 0xB-0xF are reserved for further control frames.
)

// Control reports whether o is a control opcode, reserved ones included: the most significant of its four bits is
// set (§5.5). Control frames are never fragmented. They may come between the fragments of a message.
func (o Opcode) Control() bool { return o&0x8 != 0 }

// Reserved reports whether RFC 6455 gives o no meaning. Values above 0xF do not fit into a frame and count as reserved.
func (o Opcode) Reserved() bool { return o > OpPong || o > OpBinary && o < OpClose }

// String returns the RFC's lower-case word for o ("text", "ping"), or "reserved".
func (o Opcode) String() string {
	switch o {
	case OpContinuation:
		return "continuation"
	case OpText:
		return "text"
	case OpBinary:
		return "binary"
	case OpClose:
		return "close"
	case OpPing:
		return "ping"
	case OpPong:
		return "pong"
	}
	return "reserved"
}
