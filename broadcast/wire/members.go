package wire

import (
	"bytes"
	"encoding/json"
)

// The members of a JSON object, found by their exact names. The bytes are valid JSON: json.Valid has checked them, so the scans
// here need not look for errors.

// nextMember returns the member of an object at b[i] or behind the white space and the comma there: its name as it is written, with
// quotes, its value, and the index after it. ok is false at the end of the object.
func nextMember(b []byte, i int) (name, value []byte, next int, ok bool) {
	i = skipSpace(b, i)
	if b[i] == ',' {
		i = skipSpace(b, i+1)
	}
	if b[i] == '}' {
		return nil, nil, i + 1, false
	}
	end := skipValue(b, i)
	name = b[i:end]
	i = skipSpace(b, end) // the colon
	i = skipSpace(b, i+1) //
	end = skipValue(b, i) //
	return name, b[i:end], end, true
}

// nextElement is nextMember for an array.
func nextElement(b []byte, i int) (value []byte, next int, ok bool) {
	i = skipSpace(b, i)
	if b[i] == ',' {
		i = skipSpace(b, i+1)
	}
	if b[i] == ']' {
		return nil, i + 1, false
	}
	end := skipValue(b, i)
	return b[i:end], end, true
}

func skipSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\t' || b[i] == '\n' || b[i] == '\r') {
		i++
	}
	return i
}

// skipValue returns the index after the value at b[i].
func skipValue(b []byte, i int) int {
	depth := 0
	for i < len(b) {
		switch b[i] {
		case '"':
			i = skipString(b, i)
		case '{', '[':
			depth++
			i++
		case '}', ']':
			depth--
			i++
		case ' ', '\t', '\n', '\r', ',', ':':
			i++ // only inside of an object or array
		default: // a number or a word
			for i < len(b) && !isDelimiter(b[i]) {
				i++
			}
		}
		if depth == 0 {
			return i
		}
	}
	return i
}

func isDelimiter(c byte) bool {
	return c == ',' || c == ']' || c == '}' || c == ':' || c == ' ' || c == '\t' || c == '\n' || c == '\r'
}

// skipString returns the index after the string at b[i].
func skipString(b []byte, i int) int {
	for i++; i < len(b) && b[i] != '"'; i++ {
		if b[i] == '\\' {
			i++
		}
	}
	return min(i+1, len(b))
}

// textOf returns the text of a string. Escapes are read: "\u006fp" is op for every reader of JSON.
func textOf(quoted []byte) string {
	for _, c := range quoted {
		if c == '\\' || c >= 0x80 { // or perhaps not UTF-8
			var s string
			_ = json.Unmarshal(quoted, &s) // a valid string
			return s
		}
	}
	return string(quoted[1 : len(quoted)-1])
}

// nameOf is textOf for a name, which is mostly a part of the input.
func nameOf(quoted []byte) []byte {
	if bytes.IndexByte(quoted, '\\') < 0 {
		return quoted[1 : len(quoted)-1]
	}
	return []byte(textOf(quoted))
}

// kindOf names the kind of a value for errors.
func kindOf(value []byte) string {
	switch value[0] {
	case '"':
		return "string"
	case '{':
		return "object"
	case '[':
		return "array"
	case 't', 'f':
		return "bool"
	case 'n':
		return "null"
	}
	return "number"
}
