package wsproto

import "bytes"

// A byteSet is a set of bytes: one bit in byteSets.
type byteSet uint8

const (
	token       byteSet = 1 << iota // tchar, RFC 9110 §5.6.2
	regName                         // unreserved and sub-delims, RFC 3986 §2.2, §2.3
	targetBytes                     // pchar / ? and bytes that browsers leave unescaped
	base64Bytes                     // RFC 4648 §4
)

// The sets that one byte belongs to, for byteSets.
const (
	__ byteSet = 0
	al         = token | regName | targetBytes | base64Bytes
	un         = token | regName | targetBytes
	tm         = token | targetBytes
	tk         = token
	ho         = regName | targetBytes
	tb         = targetBytes | base64Bytes
	tg         = targetBytes
)

// byteSets has the sets of each byte. All their members are ASCII.
var byteSets = [256]byteSet{
	__, __, __, __, __, __, __, __, __, __, __, __, __, __, __, __, // 00
	__, __, __, __, __, __, __, __, __, __, __, __, __, __, __, __, // 10
	__, un, __, tk, un, tm, un, un, ho, ho, un, al, ho, un, un, tb, // 20
	al, al, al, al, al, al, al, al, al, al, tg, ho, __, ho, __, tg, // 30
	tg, al, al, al, al, al, al, al, al, al, al, al, al, al, al, al, // 40
	al, al, al, al, al, al, al, al, al, al, al, tg, tg, tg, tm, un, // 50
	tm, al, al, al, al, al, al, al, al, al, al, al, al, al, al, al, // 60
	al, al, al, al, al, al, al, al, al, al, al, tg, tm, tg, un, __, // 70
}

func (s byteSet) contains(c byte) bool { return byteSets[c]&s != 0 }

// matches reports whether b is not empty and all its bytes are in s.
func (s byteSet) matches(b []byte) bool { return len(b) > 0 && s.span(b) == len(b) }

// span counts the bytes at b's start that are in s.
func (s byteSet) span(b []byte) int {
	i := 0
	for ; i+4 <= len(b); i += 4 {
		w := b[i : i+4 : i+4]
		if byteSets[w[0]]&byteSets[w[1]]&byteSets[w[2]]&byteSets[w[3]]&s == 0 {
			break
		}
	}
	for i < len(b) && s.contains(b[i]) {
		i++
	}
	return i
}

// A fieldName is the name of an HTTP field that this package reads, otherField for all others.
type fieldName uint8

const (
	otherField fieldName = iota
	hostField
	originField
	cookieField
	acceptField
	expectField
	upgradeField
	connectionField
	userAgentField
	retryAfterField
	authorizationField
	lastEventIDField
	ifNoneMatchField
	contentLengthField
	acceptEncodingField
	forwardedForField
	fetchSiteField
	transferEncodingField
	keyField
	versionField
	protocolField
	extensionsField
	acceptKeyField
)

// fieldOf returns the fieldName of name. Lengths are compared first, since most fields of a request are other fields.
func fieldOf(name []byte) fieldName {
	switch len(name) {
	case 4:
		if equalFold(name, "host") {
			return hostField
		}
	case 6:
		switch {
		case equalFold(name, "origin"):
			return originField
		case equalFold(name, "cookie"):
			return cookieField
		case equalFold(name, "accept"):
			return acceptField
		case equalFold(name, "expect"):
			return expectField
		}
	case 7:
		if equalFold(name, "upgrade") {
			return upgradeField
		}
	case 10:
		switch {
		case equalFold(name, "connection"):
			return connectionField
		case equalFold(name, "user-agent"):
			return userAgentField
		}
	case 11:
		if equalFold(name, "retry-after") {
			return retryAfterField
		}
	case 13:
		switch {
		case equalFold(name, "authorization"):
			return authorizationField
		case equalFold(name, "last-event-id"):
			return lastEventIDField
		case equalFold(name, "if-none-match"):
			return ifNoneMatchField
		}
	case 14:
		switch {
		case equalFold(name, "content-length"):
			return contentLengthField
		case equalFold(name, "sec-fetch-site"):
			return fetchSiteField
		}
	case 15:
		switch {
		case equalFold(name, "accept-encoding"):
			return acceptEncodingField
		case equalFold(name, "x-forwarded-for"):
			return forwardedForField
		}
	case 17:
		switch {
		case equalFold(name, "sec-websocket-key"):
			return keyField
		case equalFold(name, "transfer-encoding"):
			return transferEncodingField
		}
	case 20:
		if equalFold(name, "sec-websocket-accept") {
			return acceptKeyField
		}
	case 21:
		if equalFold(name, "sec-websocket-version") {
			return versionField
		}
	case 22:
		if equalFold(name, "sec-websocket-protocol") {
			return protocolField
		}
	case 24:
		if equalFold(name, "sec-websocket-extensions") {
			return extensionsField
		}
	}
	return otherField
}

// parseFields reads field lines from b[i] to the empty line that ends the head and passes each to set. It returns the index
// after the empty line; next == 0 without an error means that b ends before that. A line beyond the limit most is an error
// at its first byte.
func parseFields(b []byte, i, most int, set func(f fieldName, value []byte) error) (next int, err error) {
	for ; ; most-- {
		f, value, next, err := parseField(b, i, most)
		if err != nil || next == 0 || value == nil {
			return next, err
		}
		if err = set(f, value); err != nil {
			return 0, err
		}
		i = next
	}
}

// parseField reads the field line at b[i] and returns the index after it; next == 0 without an error means that b ends
// inside the line. value is nil for the empty line that ends the head. For any other line it is never nil, and has no
// white space around it. left is the number of lines that may still come, the empty one not counted.
func parseField(b []byte, i, left int) (f fieldName, value []byte, next int, err error) {
	if i == len(b) {
		return 0, nil, 0, nil
	}
	switch c := b[i]; {
	case c == '\r':
		next, err = parseLineEnd(b, i)
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
	colon := i + indexColon(b[i:])
	// The bytes of a known name need no check.
	if f = fieldOf(b[i:colon]); f == otherField {
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
	next, err = parseLineEnd(b, i)
	for i > start && (b[i-1] == ' ' || b[i-1] == '\t') {
		i--
	}
	return f, b[start:i:i], next, err
}

// parseLineEnd returns the index after the CRLF at b[i], 0 if b ends inside it.
func parseLineEnd(b []byte, i int) (next int, err error) {
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

// cutElement cuts the first element off a comma-separated list (RFC 9110 §5.6.1), without the white space around it.
// Empty elements are skipped, as the RFC demands. elem is nil at the end of the list.
func cutElement(list []byte) (elem, rest []byte) {
	for len(list) > 0 {
		elem, list, _ = bytes.Cut(list, []byte{','})
		if elem = trimSpace(elem); len(elem) > 0 {
			return elem, list
		}
	}
	return nil, nil
}

func trimSpace(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	for len(b) > 0 && (b[len(b)-1] == ' ' || b[len(b)-1] == '\t') {
		b = b[:len(b)-1]
	}
	return b
}
