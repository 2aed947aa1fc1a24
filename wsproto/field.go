package wsproto

import (
	"bytes"
	"math/bits"
)

// A class is a set of bytes: one bit in byteClasses.
type class uint8

const (
	token       class = 1 << iota // tchar, RFC 9110 §5.6.2
	regName                       // unreserved and sub-delims, RFC 3986 §2.2, §2.3
	targetBytes                   // pchar / ? and what browsers leave unescaped
	base64Bytes                   // RFC 4648 §4
)

// The classes that one byte may be in, for byteClasses.
const (
	__ class = 0
	al       = token | regName | targetBytes | base64Bytes
	un       = token | regName | targetBytes
	tm       = token | targetBytes
	tk       = token
	ho       = regName | targetBytes
	tb       = targetBytes | base64Bytes
	tg       = targetBytes
)

// byteClasses: all of them are ASCII.
var byteClasses = [256]class{
	__, __, __, __, __, __, __, __, __, __, __, __, __, __, __, __, // 00
	__, __, __, __, __, __, __, __, __, __, __, __, __, __, __, __, // 10
	__, un, __, tk, un, tm, un, un, ho, ho, un, al, ho, un, un, tb, // 20
	al, al, al, al, al, al, al, al, al, al, tg, ho, __, ho, __, tg, // 30
	tg, al, al, al, al, al, al, al, al, al, al, al, al, al, al, al, // 40
	al, al, al, al, al, al, al, al, al, al, al, tg, tg, tg, tm, un, // 50
	tm, al, al, al, al, al, al, al, al, al, al, al, al, al, al, al, // 60
	al, al, al, al, al, al, al, al, al, al, al, tg, tm, tg, un, __, // 70
}

func (k class) has(c byte) bool { return byteClasses[c]&k != 0 }

// holds reports whether b is not empty and all its bytes are in k.
func (k class) holds(b []byte) bool { return len(b) > 0 && k.span(b) == len(b) }

// span counts the bytes at b's start that are in k.
func (k class) span(b []byte) int {
	i := 0
	for ; i+4 <= len(b); i += 4 {
		w := b[i : i+4 : i+4]
		if byteClasses[w[0]]&byteClasses[w[1]]&byteClasses[w[2]]&byteClasses[w[3]]&k == 0 {
			break
		}
	}
	for i < len(b) && k.has(b[i]) {
		i++
	}
	return i
}

// A header names the field that a line is, if it is one of those that this package reads.
type header uint8

const (
	otherHeader header = iota
	hostHeader
	originHeader
	cookieHeader
	acceptHeader
	upgradeHeader
	connectionHeader
	userAgentHeader
	retryAfterHeader
	authorizationHeader
	lastEventIDHeader
	ifNoneMatchHeader
	contentLengthHeader
	acceptEncodingHeader
	forwardedForHeader
	transferEncodingHeader
	keyHeader
	versionHeader
	protocolHeader
	extensionsHeader
	acceptKeyHeader
)

// headerOf finds out which field name is. Lengths are compared first: most headers of a request are none of ours.
func headerOf(name []byte) header {
	switch len(name) {
	case 4:
		if fold(name, "host") {
			return hostHeader
		}
	case 6:
		switch {
		case fold(name, "origin"):
			return originHeader
		case fold(name, "cookie"):
			return cookieHeader
		case fold(name, "accept"):
			return acceptHeader
		}
	case 7:
		if fold(name, "upgrade") {
			return upgradeHeader
		}
	case 10:
		switch {
		case fold(name, "connection"):
			return connectionHeader
		case fold(name, "user-agent"):
			return userAgentHeader
		}
	case 11:
		if fold(name, "retry-after") {
			return retryAfterHeader
		}
	case 13:
		switch {
		case fold(name, "authorization"):
			return authorizationHeader
		case fold(name, "last-event-id"):
			return lastEventIDHeader
		case fold(name, "if-none-match"):
			return ifNoneMatchHeader
		}
	case 14:
		if fold(name, "content-length") {
			return contentLengthHeader
		}
	case 15:
		switch {
		case fold(name, "accept-encoding"):
			return acceptEncodingHeader
		case fold(name, "x-forwarded-for"):
			return forwardedForHeader
		}
	case 17:
		switch {
		case fold(name, "sec-websocket-key"):
			return keyHeader
		case fold(name, "transfer-encoding"):
			return transferEncodingHeader
		}
	case 20:
		if fold(name, "sec-websocket-accept") {
			return acceptKeyHeader
		}
	case 21:
		if fold(name, "sec-websocket-version") {
			return versionHeader
		}
	case 22:
		if fold(name, "sec-websocket-protocol") {
			return protocolHeader
		}
	case 24:
		if fold(name, "sec-websocket-extensions") {
			return extensionsHeader
		}
	}
	return otherHeader
}

// fields reads header lines from b[i] to the empty line that ends the head, gives each to set, and returns the index
// behind the empty line; next == 0 without an error means that b ends before that. More than most lines are an error
// at the first byte of the line too many.
func fields(b []byte, i, most int, set func(h header, value []byte) error) (next int, err error) {
	for ; ; most-- {
		h, value, next, err := field(b, i, most)
		if err != nil || next == 0 || value == nil {
			return next, err
		}
		if err = set(h, value); err != nil {
			return 0, err
		}
		i = next
	}
}

// field reads the header line that begins at b[i], and returns the index behind it; next == 0 without an error means that b
// ends inside the line. The empty line that ends the head has no value; that of any other is without the white space around
// it, and never nil. Before a line that is not empty, there must be lines left.
func field(b []byte, i, left int) (h header, value []byte, next int, err error) {
	if i == len(b) {
		return 0, nil, 0, nil
	}
	switch c := b[i]; {
	case c == '\r':
		next, err = lineEnd(b, i)
		return 0, nil, next, err
	case left == 0:
		return 0, nil, 0, ErrTooManyHeaders
	case c == '\n':
		return 0, nil, 0, ErrBareLF
	case c == ' ' || c == '\t':
		// "A server that receives an obs-fold in a request message [...] MUST either reject the message by sending a
		// 400 (Bad Request) [...] or replace each received obs-fold"
		return 0, nil, 0, ErrFolding
	}
	colon := i + colonAt(b[i:])
	// What is one of ours need not be looked at byte by byte.
	if h = headerOf(b[i:colon]); h == otherHeader {
		end := i + token.span(b[i:colon])
		// "No whitespace is allowed between the field name and colon."
		if end < colon || end == i {
			return 0, nil, 0, ErrHeaderName
		}
	}
	if colon == len(b) {
		return 0, nil, 0, nil
	}
	i = colon + 1
	for i < len(b) && (b[i] == ' ' || b[i] == '\t') {
		i++
	}
	start := i
	i += valueLen(b[i:])
	if i == len(b) {
		return 0, nil, 0, nil
	}
	if b[i] != '\r' && b[i] != '\n' {
		return 0, nil, 0, ErrHeaderValue
	}
	next, err = lineEnd(b, i)
	for i > start && (b[i-1] == ' ' || b[i-1] == '\t') {
		i--
	}
	return h, b[start:i:i], next, err
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

const (
	ones = 0x0101010101010101 // a byte times ones is eight of it
	tops = 0x8080808080808080 // the top bit of each of eight bytes
)

// colonAt returns the index of the first colon in b, len(b) if there is none.
func colonAt(b []byte) int {
	i := 0
	for ; i+8 <= len(b); i += 8 {
		x := word8(b[i:]) ^ ':'*ones
		if marks := (x - ones) &^ x & tops; marks != 0 { // the lowest marks the first byte that is 0
			return i + bits.TrailingZeros64(marks)/8
		}
	}
	for ; i < len(b); i++ {
		if b[i] == ':' {
			break
		}
	}
	return i
}

// valueLen counts the bytes at b's start that may stand in a field's value: visible ASCII, space, tab, and 80..FF,
// which RFC 9110 §5.5 lets pass as opaque.
func valueLen(b []byte) int {
	i := 0
	for ; i+8 <= len(b); i += 8 {
		x := word8(b[i:])
		if ((x-0x20*ones)|(x+ones))&tops == 0 { // all of them visible ASCII or spaces
			continue
		}
		// Marks bytes below 20 and bytes 7F. The lowest mark is right, a borrow may put wrong ones above it; tabs pass.
		del := x ^ 0x7F*ones
		for marks := ((x-0x20*ones)&^x | (del-ones)&^del) & tops; marks != 0; marks &= marks - 1 {
			if at := i + bits.TrailingZeros64(marks)/8; !inValue(b[at]) {
				return at
			}
		}
	}
	for i < len(b) && inValue(b[i]) {
		i++
	}
	return i
}

func inValue(c byte) bool { return c >= ' ' && c != 0x7F || c == '\t' }

// fold reports whether b equals lower without regard to case. lower consists of small letters and hyphens, at least four.
func fold(b []byte, lower string) bool {
	n := len(lower)
	if len(b) != n {
		return false
	}
	if n < 8 {
		return folds(uint64(word4(b)), uint64(word4(lower))) && folds(uint64(word4(b[n-4:])), uint64(word4(lower[n-4:])))
	}
	for i := 0; i < n-8; i += 8 {
		if !folds(word8(b[i:]), word8(lower[i:])) {
			return false
		}
	}
	return folds(word8(b[n-8:]), word8(lower[n-8:]))
}

// folds is fold for words. Bit 5 of a byte may differ where lower has a letter: those have bit 6, and the hyphen has not.
func folds(x, lower uint64) bool { return (x^lower)&^(lower>>1&(0x20*ones)) == 0 }

// word8 is the first eight bytes of s, little-endian.
func word8[S string | []byte](s S) uint64 {
	_ = s[7]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}

// word4 is the first four bytes of s, little-endian.
func word4[S string | []byte](s S) uint32 {
	_ = s[3]
	return uint32(s[0]) | uint32(s[1])<<8 | uint32(s[2])<<16 | uint32(s[3])<<24
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
