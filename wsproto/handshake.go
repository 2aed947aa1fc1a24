package wsproto

import "bytes"

// Chosen by us.
const (
	DefaultMaxHead    = 8 << 10 // bytes of a request's head: the usual limit of servers, so clients stay below it
	DefaultMaxHeaders = 100

	maxMethod = 32 // bytes; the longest registered method has 17
)

// RequestLimits bounds a request's head. Zero and negative values stand for the default.
type RequestLimits struct {
	MaxBytes   int  // of the head, with its empty line and a leading CRLF
	MaxHeaders int  // field lines
	Body       bool // a POST may have a body, whose length the caller judges; otherwise a request with one is an error
}

func (l RequestLimits) withDefaults() RequestLimits {
	if l.MaxBytes <= 0 {
		l.MaxBytes = DefaultMaxHead
	}
	if l.MaxHeaders <= 0 {
		l.MaxHeaders = DefaultMaxHeaders
	}
	return l
}

// ParseRequest reads the request head at the start of b and returns its length in bytes, empty line included. Bytes after
// it are not read; they may be another request, or frames that came early. n == 0 without an error means that b ends
// inside the head: call again with the same bytes and more.
//
// The error is one of this package's [RequestError] values and comes as soon as the bytes show it, in an incomplete line
// too: a TLS client or a scanner is refused at its first byte. ParseRequest does not allocate. Any method is accepted; a
// target must be in origin-form. One CRLF before the request line is skipped (RFC 9112 §2.2).
func ParseRequest(b []byte, lim RequestLimits) (r Request, n int, err error) {
	lim = lim.withDefaults()
	full := len(b) >= lim.MaxBytes
	b = b[:min(len(b), lim.MaxBytes)]
	r.body = lim.Body
	i, err := r.parseRequestLine(b)
	if err == nil && i == 0 && full {
		err = ErrTargetTooLong
	}
	if err != nil || i == 0 {
		return Request{}, 0, err
	}
	n, err = parseFields(b, i, lim.MaxHeaders, r.setField)
	if err == nil && n == 0 && full {
		err = ErrHeadTooLarge
	}
	if err != nil || n == 0 {
		return Request{}, 0, err
	}
	// "A server MUST respond with a 400 (Bad Request) status code to any HTTP/1.1 request message that lacks a Host
	// header field"
	if r.Host == nil && r.Minor > 0 {
		return Request{}, 0, ErrMissingHost
	}
	if r.chunked {
		return Request{}, 0, ErrLengthNeeded
	}
	return r, n, nil
}

// parseRequestLine reads the request line, RFC 9112 §3, and returns the index after it, 0 if b ends inside it.
func (r *Request) parseRequestLine(b []byte) (i int, err error) {
	if len(b) > 0 && (b[0] == '\r' || b[0] == '\n') {
		if i, err = parseLineEnd(b, 0); i == 0 {
			return 0, err
		}
	}
	start := i
	i += token.span(b[i:])
	if i-start > maxMethod {
		return 0, ErrMethod
	}
	if i == len(b) {
		return 0, nil
	}
	if b[i] != ' ' || i == start {
		return 0, ErrMethod
	}
	r.Method = b[start:i:i]

	i++
	start = i
	i += targetBytes.span(b[i:])
	if i > start && b[start] != '/' {
		return 0, ErrTargetForm
	}
	if i == len(b) {
		return 0, nil
	}
	switch c := b[i]; {
	case c == '\r' && i > start:
		return 0, ErrHTTPVersion // "GET /": the request line of HTTP/0.9
	case c == '\n':
		return 0, ErrBareLF
	case c == '>' && i > start:
		return 0, ErrTargetGreater
	case c != ' ' || i == start:
		return 0, ErrTarget
	}
	r.Target = b[start:i:i]
	r.Path = r.Target
	if k := bytes.IndexByte(r.Target, '?'); k >= 0 {
		r.Path, r.Query = r.Target[:k:k], r.Target[k+1:]
	}
	r.Minor, i, err = parseVersion(b, i+1)
	if i == 0 {
		return 0, err
	}
	return parseLineEnd(b, i)
}

// parseVersion reads "HTTP/1." and a digit at b[i], and returns the index after it, 0 if b ends before that.
func parseVersion(b []byte, i int) (minor uint8, next int, err error) {
	const name = "HTTP/"
	for k := range len("HTTP/1.1") {
		if i == len(b) {
			return 0, 0, nil
		}
		c, malformed := b[i], false
		switch digit := c >= '0' && c <= '9'; {
		case k < len(name):
			malformed = c != name[k]
		case k == len("HTTP/1"):
			malformed = c != '.'
		default:
			malformed = !digit
		}
		if malformed {
			return 0, 0, ErrRequestLine
		}
		if k == len(name) && c != '1' {
			return 0, 0, ErrHTTPVersion
		}
		i++
	}
	return b[i-1] - '0', i, nil
}
