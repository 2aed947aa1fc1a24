package broadcast

import (
	"encoding/binary"
	"encoding/json"
	"strconv"
	"sync/atomic"
	"unicode/utf8"

	"tickcast/wsproto"
)

// A messageKind says what a Message is.
type messageKind uint8

const (
	kindData    messageKind = iota
	kindStale               // the topic is silent, or may have changed unseen
	kindFresh               // it is heard again
	kindGap                 // messages of the topic are lost
	kindRestart             // the same, and sequences begin anew
)

// A Message is one update of a topic, framed and ready to be shared, or what is told about the topic to all its subscribers.
// It is immutable once posted to a shard, except for the fields that say otherwise.
type Message struct {
	topic    *topic // nil: a notice
	seq      uint64
	prev     uint64 // the sequence of the message before it
	frame    []byte // the whole WebSocket frame of the update for CodecJSON, or what is told; nil if the payload is binary
	payload  []byte // as it came; part of frame where that holds the same bytes
	data     []byte // the payload inside frame: what "d" holds
	received int64  // when upstream handed it over; nanoseconds of the hub's clock
	kind     messageKind
	json     bool // the payload is JSON

	frames  atomic.Pointer[frames] // how else it is sent; nil until somebody wants that; any goroutine
	pending atomic.Int32           // shards that have not finished writing it
}

// frames are the frames of one message other than the most usual one. Each is built by the first loop that needs it; two
// loops may build one at once, which mean the same. Any goroutine may use it.
type frames struct {
	plain      [codecs][2]atomic.Pointer[[]byte] // as an update and as a snapshot
	compressed [codecs][2]atomic.Pointer[compressed]
}

// notice makes a shard tell all its subscribers whether upstream is there, and go on with what waits for the hub.
var notice = new(Message)

// maxHeader is the longest header of an unmasked frame, RFC 6455 section 5.2.
const maxHeader = 10

// newMessage frames payload as the update seq of t. data is what a JSON client is sent of it, payload itself or something
// made of it (see appendPayload), or nil if it can be sent none. Both are copied.
func newMessage(t *topic, seq, prev uint64, payload, data []byte, received int64) *Message {
	m := &Message{topic: t, seq: seq, prev: prev, received: received}
	if data == nil {
		m.payload = append([]byte{}, payload...)
		return m
	}
	m.frame = appendUpdate(nil, m, dirtUpdate, data)
	m.data = m.frame[len(m.frame)-1-len(data) : len(m.frame)-1]
	if m.json = len(data) == len(payload) && (len(data) == 0 || &data[0] == &payload[0]); m.json {
		m.payload = m.data
	} else {
		m.payload = append([]byte{}, payload...)
	}
	return m
}

// newTold returns what is told about t to all its subscribers.
func newTold(t *topic, kind messageKind, why string) *Message {
	m := &Message{topic: t, kind: kind}
	m.frame = jsonFrame(topicState(t.name, kind, why))
	return m
}

// size returns about how many bytes m keeps in memory for its payload.
func (m *Message) size() int { return len(m.frame) + len(m.payload) - m.shared() }

func (m *Message) shared() int {
	if m.json {
		return len(m.payload)
	}
	return 0
}

// framed returns the frame that carries m with a codec; nil if that cannot. Any goroutine may call it.
func (m *Message) framed(codec Codec, how dirtMark) []byte {
	switch {
	case m.kind != kindData:
		if codec == CodecRaw {
			return nil
		}
		return m.frame
	case codec == CodecJSON && (how == dirtUpdate || m.frame == nil):
		return m.frame
	case codec == CodecRaw:
		how = dirtUpdate // there is no difference
	}
	fs := m.others()
	at := &fs.plain[codec][how]
	if f := at.Load(); f != nil {
		return *f
	}
	var f []byte
	switch codec {
	case CodecJSON:
		f = appendUpdate(nil, m, how, m.data)
	case CodecBin:
		f = appendBin(m, how)
	default:
		op := wsproto.OpText
		if m.frame == nil {
			op = wsproto.OpBinary
		}
		f = wsproto.AppendFrame(nil, op, m.payload)
	}
	at.Store(&f)
	return f
}

func (m *Message) others() *frames {
	fs := m.frames.Load()
	if fs == nil {
		fs = new(frames)
		if !m.frames.CompareAndSwap(nil, fs) {
			fs = m.frames.Load()
		}
	}
	return fs
}

// appendUpdate appends the data frame {"t":..,"s":..,"d":..}. It makes exactly one allocation when dst is nil.
func appendUpdate(dst []byte, m *Message, how dirtMark, data []byte) []byte {
	var digits [20]byte
	t := m.topic
	s := strconv.AppendUint(digits[:0], m.seq, 10)
	kind := ""
	if how == dirtSnap {
		kind = `,"k":"snap"`
	}
	var before [26]byte
	p := before[:0]
	if t.class.Mode == ModeAll && how == dirtUpdate {
		p = strconv.AppendUint(append(p, `,"p":`...), m.prev, 10)
	}
	n := len(t.prefix) + len(s) + len(p) + len(kind) + len(`,"d":`) + len(data) + len(`}`)
	if dst == nil {
		dst = make([]byte, 0, maxHeader+n)
	}
	dst = wsproto.AppendHeader(dst, wsproto.Header{Fin: true, Op: wsproto.OpText, Length: int64(n)})
	dst = append(dst, t.prefix...)
	dst = append(dst, s...)
	dst = append(dst, p...)
	dst = append(dst, kind...)
	dst = append(dst, `,"d":`...)
	dst = append(dst, data...)
	return append(dst, '}')
}

// binHeader is the length of what stands before the topic in a frame of CodecBin.
const binHeader = 24

// appendBin returns the frame of m for CodecBin; docs/protocol.md says what its bytes are.
func appendBin(m *Message, how dirtMark) []byte {
	const data, snapshot, isJSON = 1, 2, 1
	n := binHeader + len(m.topic.name) + len(m.payload)
	b := make([]byte, 0, maxHeader+n)
	b = wsproto.AppendHeader(b, wsproto.Header{Fin: true, Op: wsproto.OpBinary, Length: int64(n)})
	kind, flags := byte(data), byte(0)
	if how == dirtSnap {
		kind = snapshot
	}
	if m.json {
		flags |= isJSON
	}
	b = append(b, kind, flags)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(m.topic.name)))
	b = binary.LittleEndian.AppendUint32(b, 0)
	b = binary.LittleEndian.AppendUint64(b, m.seq)
	b = binary.LittleEndian.AppendUint64(b, m.prev)
	b = append(b, m.topic.name...)
	return append(b, m.payload...)
}

// dataOf returns what JSON clients are sent of a payload, nil if it is for other codecs alone, and false if it cannot be sent
// at all.
func (p Payload) dataOf(payload []byte) (data []byte, ok bool) {
	switch p {
	case PayloadBinary:
		return nil, true
	case PayloadText:
		if !utf8.Valid(payload) {
			return nil, false
		}
		return appendString(make([]byte, 0, len(payload)+2), string(payload)), true
	default:
		return appendPayload(payload)
	}
}

// appendPayload makes JSON of an upstream payload: valid JSON is taken as it is, other UTF-8 text becomes a JSON string.
// It reports false for bad UTF-8: a text frame cannot carry it.
func appendPayload(payload []byte) (data []byte, ok bool) {
	switch {
	case !utf8.Valid(payload): // first: json.Valid lets it pass inside of strings
		return nil, false
	case json.Valid(payload):
		return payload, true
	default:
		return appendString(make([]byte, 0, len(payload)+2), string(payload)), true
	}
}

// appendString appends s as a JSON string. What json.Marshal escapes for HTML's sake stays readable: "px.>".
func appendString(dst []byte, s string) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && size == 1 {
				dst = append(dst, "\uFFFD"...)
			} else {
				dst = append(dst, s[i:i+size]...)
			}
			i += size
			continue
		}
		switch {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c >= ' ':
			dst = append(dst, c)
		default:
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
		i++
	}
	return append(dst, '"')
}
