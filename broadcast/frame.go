package broadcast

import (
	"encoding/json"
	"strconv"
	"sync/atomic"
	"unicode/utf8"

	"tickcast/wsproto"
)

// A Message is one update of a topic, framed and ready to be shared. It is immutable once posted
// to a shard, except for the fields that say otherwise.
type Message struct {
	topic    *topic // nil: a notice
	seq      uint64
	frame    []byte // the whole WebSocket frame of the update
	data     []byte // the payload inside frame: what "d" holds
	received int64  // when upstream handed it over; nanoseconds of the hub's clock

	snap       atomic.Pointer[[]byte]     // the same as a snapshot frame, built when first asked for; any goroutine
	compressed atomic.Pointer[compressed] // both compressed; nil until somebody wants that; any goroutine
	pending    atomic.Int32               // shards that have not finished writing it
}

// notice makes a shard tell all its subscribers whether upstream is there.
var notice = new(Message)

// maxHeader is the longest header of an unmasked frame, RFC 6455 section 5.2.
const maxHeader = 10

// newMessage frames payload as the update seq of t. payload must be JSON already (see appendPayload) and is copied.
func newMessage(t *topic, seq uint64, payload []byte, received int64) *Message {
	m := &Message{topic: t, seq: seq, received: received}
	m.frame = appendUpdate(nil, t, seq, "", payload)
	m.data = m.frame[len(m.frame)-1-len(payload) : len(m.frame)-1]
	return m
}

// snapshot returns the frame that carries m to someone who has just subscribed. Any goroutine may call it.
func (m *Message) snapshot() []byte {
	if p := m.snap.Load(); p != nil {
		return *p
	}
	f := appendUpdate(nil, m.topic, m.seq, `,"k":"snap"`, m.data)
	m.snap.Store(&f) // two loops may build it at once: the bytes are the same
	return f
}

// appendUpdate appends the data frame {"t":..,"s":..,"d":..}. It makes exactly one allocation when dst is nil.
func appendUpdate(dst []byte, t *topic, seq uint64, kind string, payload []byte) []byte {
	var digits [20]byte
	s := strconv.AppendUint(digits[:0], seq, 10)
	n := len(t.prefix) + len(s) + len(kind) + len(`,"d":`) + len(payload) + len(`}`)
	if dst == nil {
		dst = make([]byte, 0, maxHeader+n)
	}
	dst = wsproto.AppendHeader(dst, wsproto.Header{Fin: true, Op: wsproto.OpText, Length: int64(n)})
	dst = append(dst, t.prefix...)
	dst = append(dst, s...)
	dst = append(dst, kind...)
	dst = append(dst, `,"d":`...)
	dst = append(dst, payload...)
	return append(dst, '}')
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
