package wsproto

import (
	"bytes"
	"encoding/binary"
)

// byteSet is a set of bytes, one bit each.
type byteSet [4]uint64

func (s *byteSet) has(c byte) bool { return s[c>>6]>>(c&63)&1 != 0 }

// holds reports whether b is not empty and s has all its bytes.
func (s *byteSet) holds(b []byte) bool { return len(b) > 0 && s.span(b) == len(b) }

// span counts the bytes at b's start that s has.
func (s *byteSet) span(b []byte) int {
	for i, c := range b {
		if !s.has(c) {
			return i
		}
	}
	return len(b)
}

// The sets as wide constants, bit n for byte n. All are ASCII: the upper two words stay 0.
const (
	alnum = (1<<10-1)<<'0' | (1<<26-1)<<'A' | (1<<26-1)<<'a'

	tokenBits = alnum | 1<<'!' | 1<<'#' | 1<<'$' | 1<<'%' | 1<<'&' | 1<<'\'' | 1<<'*' | 1<<'+' | 1<<'-' | 1<<'.' |
		1<<'^' | 1<<'_' | 1<<'`' | 1<<'|' | 1<<'~'
	regNameBits = alnum | 1<<'-' | 1<<'.' | 1<<'_' | 1<<'~' | 1<<'!' | 1<<'$' | 1<<'&' | 1<<'\'' | 1<<'(' | 1<<')' |
		1<<'*' | 1<<'+' | 1<<',' | 1<<';' | 1<<'='
	targetBits = regNameBits | 1<<'/' | 1<<'?' | 1<<':' | 1<<'@' | 1<<'%' |
		1<<'[' | 1<<']' | 1<<'{' | 1<<'}' | 1<<'|' | 1<<'\\' | 1<<'^' | 1<<'`'
	base64Bits = alnum | 1<<'+' | 1<<'/'

	word = 1<<64 - 1
)

// Not changed by anybody.
var (
	token       = byteSet{tokenBits & word, tokenBits >> 64}     // tchar, RFC 9110 §5.6.2
	regName     = byteSet{regNameBits & word, regNameBits >> 64} // unreserved and sub-delims, RFC 3986 §2.2, §2.3
	targetBytes = byteSet{targetBits & word, targetBits >> 64}   // pchar / ? and what browsers leave unescaped
	base64Bytes = byteSet{base64Bits & word, base64Bits >> 64}   // RFC 4648 §4
)

// fields reads header lines from b[i] to the empty line that ends the head, gives each to set, and returns the index
// behind the empty line; next == 0 without an error means that b ends before that. More than most lines are an error
// at the first byte of the line too many.
func fields(b []byte, i, most int, set func(name, value []byte) error) (next int, err error) {
	for lines := 0; ; lines++ {
		if lines == most && i < len(b) && b[i] != '\r' {
			return 0, ErrTooManyHeaders
		}
		name, value, next, err := field(b, i)
		if err != nil || next == 0 || name == nil {
			return next, err
		}
		if err = set(name, value); err != nil {
			return 0, err
		}
		i = next
	}
}

// field reads the header line that begins at b[i] and returns the index behind it; next == 0 without an error means
// that b ends inside the line. The empty line that ends the head has a nil name. value comes without the white space
// around it, and is never nil.
func field(b []byte, i int) (name, value []byte, next int, err error) {
	if i == len(b) {
		return nil, nil, 0, nil
	}
	switch b[i] {
	case '\r', '\n':
		next, err = lineEnd(b, i)
		return nil, nil, next, err
	case ' ', '\t':
		// "A server that receives an obs-fold in a request message [...] MUST either reject the message by sending a
		// 400 (Bad Request) [...] or replace each received obs-fold"
		return nil, nil, 0, ErrFolding
	}
	start := i
	i += token.span(b[i:])
	if i == len(b) {
		return nil, nil, 0, nil
	}
	// "No whitespace is allowed between the field name and colon."
	if b[i] != ':' || i == start {
		return nil, nil, 0, ErrHeaderName
	}
	name = b[start:i]
	i++
	for i < len(b) && (b[i] == ' ' || b[i] == '\t') {
		i++
	}
	start = i
	i += valueLen(b[i:])
	if i == len(b) {
		return nil, nil, 0, nil
	}
	if b[i] != '\r' && b[i] != '\n' {
		return nil, nil, 0, ErrHeaderValue
	}
	next, err = lineEnd(b, i)
	for i > start && (b[i-1] == ' ' || b[i-1] == '\t') {
		i--
	}
	return name, b[start:i:i], next, err
}

// lineEnd returns the index behind the CRLF at b[i], 0 if b ends inside it.
func lineEnd(b []byte, i int) (next int, err error) {
	switch {
	case i == len(b):
		return 0, nil
	case b[i] == '\n':
		return 0, ErrBareLF
	case b[i] != '\r':
		return 0, ErrRequestLine
	case i+1 == len(b):
		return 0, nil
	case b[i+1] != '\n':
		return 0, ErrBareCR
	}
	return i + 2, nil
}

// valueLen counts the bytes at b's start that may stand in a field's value: visible ASCII, space, tab, and 80..FF,
// which RFC 9110 §5.5 lets pass as opaque.
func valueLen(b []byte) int {
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	i := 0
	for ; i+8 <= len(b); i += 8 {
		x := binary.LittleEndian.Uint64(b[i:])
		// Marks bytes below 20 and bytes 7F; the borrow may mark one too many, so a mark only ends the fast loop.
		del := x ^ 0x7F*ones
		if ((x-0x20*ones)&^x|(del-ones)&^del)&tops != 0 {
			break
		}
	}
	for i < len(b) && (b[i] >= ' ' && b[i] != 0x7F || b[i] == '\t') {
		i++
	}
	return i
}

// fold reports whether b equals lower, which holds no capitals, in ASCII without regard to case.
func fold(b []byte, lower string) bool {
	if len(b) != len(lower) {
		return false
	}
	for i := range b {
		c := b[i]
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

// element splits the first element off a comma-separated list (RFC 9110 §5.6.1), without the white space around it.
// Empty elements are skipped, as a recipient must; ok is false when there is no element left.
func element(list []byte) (elem, rest []byte, ok bool) {
	for len(list) > 0 {
		elem, rest, _ = bytes.Cut(list, []byte{','})
		if elem = trim(elem); len(elem) > 0 {
			return elem, rest, true
		}
		list = rest
	}
	return nil, nil, false
}

func trim(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	for len(b) > 0 && (b[len(b)-1] == ' ' || b[len(b)-1] == '\t') {
		b = b[:len(b)-1]
	}
	return b
}
