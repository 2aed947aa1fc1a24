package wire

import "tickcast/wsproto"

// maxHeader is the longest header of an unmasked frame, RFC 6455 section 5.2.
const maxHeader = 10

// TextFrame returns payload, which must be UTF-8, as one text message.
func TextFrame(payload []byte) []byte { return frame(wsproto.OpText, payload) }

// BinaryFrame returns payload as one binary message.
func BinaryFrame(payload []byte) []byte { return frame(wsproto.OpBinary, payload) }

func frame(op wsproto.Opcode, payload []byte) []byte {
	return wsproto.AppendFrame(make([]byte, 0, maxHeader+len(payload)), op, payload)
}
