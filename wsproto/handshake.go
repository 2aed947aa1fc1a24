package wsproto

import "bytes"

// Chosen by us.
const (
	DefaultMaxHead    = 8 << 10 // bytes of a request's head: what common servers allow, so what clients keep to
	DefaultMaxHeaders = 100

	maxMethod = 32 // bytes; the longest registered method has 17
)

// RequestLimits bounds a request's head. A field that is not positive stands for its default.
type RequestLimits struct {
	MaxBytes   int // of the head, empty line and a leading CRLF included
	MaxHeaders int // lines
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

// Request is the head of an HTTP/1.x request without a body. All slices point into the bytes that [ParseRequest] was
// given. A header that did not come is nil, an empty one is not. White space around values is cut.
type Request struct {
	Method []byte // a token, case-sensitive; not only GET
	Target []byte // origin-form: Path, then ? and Query if there is a ?
	Path   []byte // begins with /; percent-encoding is not touched nor checked
	Query  []byte // what follows the first ?; nil without one
	Minor  uint8  // the 1 of HTTP/1.1; 0 to 9

	// At most once each, else ParseRequest fails.
	Host          []byte // as sent, perhaps with a port; never empty. nil only with HTTP/1.0
	Origin        []byte
	Authorization []byte
	Cookie        []byte
	UserAgent     []byte
	LastEventID   []byte // of an EventSource that comes back
	Key           []byte // Sec-WebSocket-Key
	Version       []byte // Sec-WebSocket-Version

	// Lists, of which several lines count as one (RFC 9110 §5.3). Joining them would need memory, so:
	Accept         []byte    // the first line
	AcceptEncoding []byte    // the first line
	IfNoneMatch    []byte    // the first line
	ForwardedFor   []byte    // the last line of X-Forwarded-For: the one that the nearest proxy wrote
	Protocols      [4][]byte // lines of Sec-WebSocket-Protocol in their order, a fifth is an error; see Protocol
	Extensions     [4][]byte // lines of Sec-WebSocket-Extensions in their order, a fifth is an error

	Upgrade             bool // an Upgrade header names websocket
	ConnectionUpgrade   bool // a Connection header names upgrade
	ConnectionClose     bool // a Connection header names close
	ConnectionKeepAlive bool // a Connection header names keep-alive

	length bool // Content-Length came
}

// KeepAlive reports whether the client lets the connection live after the response, RFC 9112 §9.3.
func (r *Request) KeepAlive() bool {
	return !r.ConnectionClose && (r.Minor >= 1 || r.ConnectionKeepAlive)
}

// ParseRequest reads the request head at the start of b and returns its length in bytes, empty line included; what
// follows is not looked at: a next request, or frames that came early. n == 0 without an error means that b ends
// inside the head: call again with the same bytes and more.
//
// The error is one of this package's [RequestError] values, and comes as soon as the bytes show it, complete line or
// not: a TLS client or a scanner is refused at its first byte. Nothing is allocated. Any method passes; a target
// must be in origin-form. One CRLF before the request line is skipped (RFC 9112 §2.2).
func ParseRequest(b []byte, lim RequestLimits) (r Request, n int, err error) {
	lim = lim.withDefaults()
	full := len(b) >= lim.MaxBytes
	b = b[:min(len(b), lim.MaxBytes)]
	i, err := r.parseLine(b)
	if err == nil && i == 0 && full {
		err = ErrTargetTooLong
	}
	if err != nil || i == 0 {
		return Request{}, 0, err
	}
	n, err = fields(b, i, lim.MaxHeaders, r.set)
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
	return r, n, nil
}

// parseLine reads the request line, RFC 9112 §3, and returns the index behind it, 0 if b ends inside it.
func (r *Request) parseLine(b []byte) (i int, err error) {
	if len(b) > 0 && (b[0] == '\r' || b[0] == '\n') {
		if i, err = lineEnd(b, 0); i == 0 {
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
	case c != ' ' || i == start:
		return 0, ErrTarget
	}
	r.Target = b[start:i:i]
	r.Path = r.Target
	if k := bytes.IndexByte(r.Target, '?'); k >= 0 {
		r.Path, r.Query = r.Target[:k:k], r.Target[k+1:]
	}
	r.Minor, i, err = httpVersion(b, i+1)
	if i == 0 {
		return 0, err
	}
	return lineEnd(b, i)
}

// httpVersion reads "HTTP/1." and a digit at b[i], and returns the index behind it, 0 if b ends before that.
func httpVersion(b []byte, i int) (minor uint8, next int, err error) {
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
