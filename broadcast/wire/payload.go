package wire

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"
)

// Payload is the kind of upstream's bytes.
type Payload uint8

const (
	PayloadJSON   Payload = iota // JSON, embedded unchanged; other text becomes a JSON string
	PayloadText                  // text, always embedded as a JSON string
	PayloadBinary                // any bytes, only for the codecs bin and raw
)

// Data returns the JSON that JSON clients receive for a payload: payload itself where it is embedded unchanged, and nil for
// [PayloadBinary]. JSON whose arrays and objects stand deeper in each other than depth becomes a string like other text: it would
// break the parsers of clients. ok is false for a payload that no client may receive: a text frame cannot carry bad UTF-8.
func (p Payload) Data(payload []byte, depth int) (data []byte, embedded, ok bool) {
	switch {
	case p == PayloadBinary:
		return nil, false, true
	case !utf8.Valid(payload): // first: json.Valid accepts bad UTF-8 inside strings
		return nil, false, false
	case p == PayloadJSON && json.Valid(payload) && !deeperThan(depth, payload):
		return payload, true, true
	}
	return appendString(make([]byte, 0, len(payload)+2), string(payload)), false, true
}

// deeperThan reports whether valid JSON has arrays and objects more than depth levels deep.
func deeperThan(depth int, json []byte) bool {
	if bytes.Count(json, []byte("{"))+bytes.Count(json, []byte("[")) <= depth { // as nearly always
		return false
	}
	level, quoted := 0, false
	for i := 0; i < len(json); i++ {
		switch c := json[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			if level++; level > depth {
				return true
			}
		case c == '}' || c == ']':
			level--
		}
	}
	return false
}

// appendString appends s as a JSON string. Unlike json.Marshal, it leaves <, > and & readable: "px.>". A byte that is not
// UTF-8 becomes U+FFFD.
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
