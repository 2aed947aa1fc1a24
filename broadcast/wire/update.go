package wire

import (
	"encoding/binary"
	"strconv"

	"tickcast/wsproto"
)

// Form is the meaning of a data message to its client.
type Form uint8

const (
	FormUpdate   Form = iota // a new message of the topic
	FormSnapshot             // the newest message, to a new subscriber
	Forms        = 2
)

// Update holds the envelope of a data message: all fields but the payload.
type Update struct {
	Topic    string
	Prefix   string // of JSON frames; see [Prefix]
	Seq      uint64
	Prev     uint64 // the sequence of the message before it
	Lossless bool   // JSON updates carry Prev
	JSON     bool   // the payload is JSON; only binary frames have this flag
}

// Prefix returns the constant beginning of a topic's JSON envelopes, such as {"t":"px.AAPL","s":
func Prefix(topic string) string {
	return string(append(appendString([]byte(`{"t":`), topic), `,"s":`...))
}

// AppendUpdate appends the text frame {"t":..,"s":..,"d":..} around data, which is JSON; docs/protocol.md lists the fields.
// It makes exactly one allocation when dst is nil.
func AppendUpdate(dst []byte, u *Update, form Form, data []byte) []byte {
	var digits [20]byte
	s := strconv.AppendUint(digits[:0], u.Seq, 10)
	kind := ""
	if form == FormSnapshot {
		kind = `,"k":"snap"`
	}
	var before [26]byte
	p := before[:0]
	if u.Lossless && form == FormUpdate {
		p = strconv.AppendUint(append(p, `,"p":`...), u.Prev, 10)
	}
	n := len(u.Prefix) + len(s) + len(p) + len(kind) + len(`,"d":`) + len(data) + len(`}`)
	if dst == nil {
		dst = make([]byte, 0, maxHeader+n)
	}
	dst = wsproto.AppendHeader(dst, wsproto.Header{Fin: true, Op: wsproto.OpText, Length: int64(n)})
	dst = append(dst, u.Prefix...)
	dst = append(dst, s...)
	dst = append(dst, p...)
	dst = append(dst, kind...)
	dst = append(dst, `,"d":`...)
	dst = append(dst, data...)
	return append(dst, '}')
}

// AppendBin appends the binary frame of [CodecBin]: 24 bytes of header, the topic, the payload; docs/protocol.md has the
// layout. It makes exactly one allocation when dst is nil.
func AppendBin(dst []byte, u *Update, form Form, payload []byte) []byte {
	const header, data, snapshot, isJSON = 24, 1, 2, 1
	n := header + len(u.Topic) + len(payload)
	if dst == nil {
		dst = make([]byte, 0, maxHeader+n)
	}
	dst = wsproto.AppendHeader(dst, wsproto.Header{Fin: true, Op: wsproto.OpBinary, Length: int64(n)})
	kind, flags := byte(data), byte(0)
	if form == FormSnapshot {
		kind = snapshot
	}
	if u.JSON {
		flags |= isJSON
	}
	dst = append(dst, kind, flags)
	dst = binary.LittleEndian.AppendUint16(dst, uint16(len(u.Topic)))
	dst = binary.LittleEndian.AppendUint32(dst, 0)
	dst = binary.LittleEndian.AppendUint64(dst, u.Seq)
	dst = binary.LittleEndian.AppendUint64(dst, u.Prev)
	dst = append(dst, u.Topic...)
	return append(dst, payload...)
}
