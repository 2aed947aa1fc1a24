package wsproto

import "bytes"

// Request is the head of an HTTP/1.x request. All slices point into the input of [ParseRequest]. A field
// that was not sent is nil; a field with an empty value is not. White space around values is cut. It has
// more than 25 fields since each header that the server reads has one.
type Request struct {
	Method []byte // a token, case-sensitive; any method
	Target []byte // origin-form: Path, then ? and Query if there is a ?
	Path   []byte // begins with /; percent-encoding is neither decoded nor checked
	Query  []byte // the part after the first ?; nil without one
	Minor  uint8  // the 1 of HTTP/1.1; 0 to 9

	// At most one line each, otherwise ParseRequest fails.
	Host          []byte // as sent, perhaps with a port; never empty. nil only with HTTP/1.0
	Origin        []byte
	Authorization []byte
	Cookie        []byte
	UserAgent     []byte
	LastEventID   []byte // of an EventSource that reconnects
	FetchSite     []byte // Sec-Fetch-Site, from browsers only
	Key           []byte // Sec-WebSocket-Key
	Version       []byte // Sec-WebSocket-Version

	// Lists, whose lines count as one list (RFC 9110 §5.3). Joining them needs memory, so only these lines are kept:
	Accept         []byte    // the first line
	AcceptEncoding []byte    // the first line
	IfNoneMatch    []byte    // the first line
	ForwardedFor   []byte    // the last line of X-Forwarded-For, which the nearest proxy wrote
	Protocols      [4][]byte // lines of Sec-WebSocket-Protocol in order; a fifth is an error; see Protocol
	Extensions     [4][]byte // lines of Sec-WebSocket-Extensions in order; a fifth is an error

	Upgrade             bool // an Upgrade field names websocket
	ConnectionUpgrade   bool // a Connection field names upgrade
	ConnectionClose     bool // a Connection field names close
	ConnectionKeepAlive bool // a Connection field names keep-alive

	BodyLength int  // bytes behind the head; 0 unless RequestLimits.Body
	Continue   bool // the client sends the body once it is told to: Expect: 100-continue

	length  bool // Content-Length was sent
	chunked bool // Transfer-Encoding: chunked was sent
	body    bool // RequestLimits.Body
}

// KeepAlive reports whether the connection stays open after the response, RFC 9112 §9.3.
func (r *Request) KeepAlive() bool {
	return !r.ConnectionClose && (r.Minor >= 1 || r.ConnectionKeepAlive)
}

// setField stores the value of one field line.
func (r *Request) setField(f fieldName, value []byte) error {
	switch f {
	case hostField:
		return r.setHost(value)
	case originField:
		return setOnce(&r.Origin, value)
	case cookieField:
		return setOnce(&r.Cookie, value)
	case acceptField:
		setFirst(&r.Accept, value)
	case expectField:
		return r.setExpect(value)
	case upgradeField:
		return r.setUpgrade(value)
	case connectionField:
		return r.setConnection(value)
	case userAgentField:
		return setOnce(&r.UserAgent, value)
	case authorizationField:
		return setOnce(&r.Authorization, value)
	case lastEventIDField:
		return setOnce(&r.LastEventID, value)
	case ifNoneMatchField:
		setFirst(&r.IfNoneMatch, value)
	case contentLengthField:
		return r.setLength(value)
	case acceptEncodingField:
		setFirst(&r.AcceptEncoding, value)
	case forwardedForField:
		r.ForwardedFor = value
	case fetchSiteField:
		return setOnce(&r.FetchSite, value)
	case transferEncodingField:
		return r.setCoding(value)
	case keyField:
		return setOnce(&r.Key, value)
	case versionField:
		return setOnce(&r.Version, value)
	case protocolField:
		return addLine(&r.Protocols, value)
	case extensionsField:
		return addLine(&r.Extensions, value)
	}
	return nil
}

// setLength reads Content-Length. Requests are smuggled by two lengths in a head, or by a length that is no plain number.
func (r *Request) setLength(value []byte) error {
	const digits = 9 // fit in an int
	if r.length || r.chunked || len(value) == 0 || len(value) > digits || value[0] == '0' && len(value) > 1 {
		return ErrBody
	}
	n := 0
	for _, c := range value {
		if c < '0' || c > '9' {
			return ErrBody
		}
		n = n*10 + int(c-'0')
	}
	if n > 0 && !(r.body && string(r.Method) == "POST") {
		return ErrBody
	}
	r.length, r.BodyLength = true, n
	return nil
}

// setCoding reads Transfer-Encoding. A chunked body where one with a length is taken is no attack, but for one beside Content-Length.
func (r *Request) setCoding(value []byte) error {
	if r.length || r.chunked || r.Minor == 0 || !r.body || string(r.Method) != "POST" || !equalFold(value, "chunked") {
		return ErrBody
	}
	r.chunked = true
	return nil
}

// setExpect reads the expectation, RFC 9110 §10.1.1: "A server that receives a 100-continue expectation in an HTTP/1.0 request MUST
// ignore that expectation."
func (r *Request) setExpect(value []byte) error {
	if r.Minor == 0 {
		return nil
	}
	if !equalFold(value, "100-continue") {
		return ErrExpectation
	}
	r.Continue = true
	return nil
}

// setOnce stores the value of a field that may have only one line.
func setOnce(to *[]byte, value []byte) error {
	if *to != nil {
		return ErrDuplicate
	}
	*to = value
	return nil
}

// setFirst stores the first line of a list.
func setFirst(to *[]byte, value []byte) {
	if *to == nil {
		*to = value
	}
}

// addLine stores one more line of a list.
func addLine(to *[4][]byte, value []byte) error {
	for i := range to {
		if to[i] == nil {
			to[i] = value
			return nil
		}
	}
	return ErrTooManyLines
}

// setUpgrade reads "1#protocol", protocol = name ["/" version], RFC 9110 §7.8. "websocket" has no version.
func (r *Request) setUpgrade(value []byte) error {
	for elem, rest := cutElement(value); elem != nil; elem, rest = cutElement(rest) {
		name, version, versioned := bytes.Cut(elem, []byte{'/'})
		if !token.matches(name) || versioned && !token.matches(version) {
			return ErrTokenList
		}
		if equalFold(elem, "websocket") {
			r.Upgrade = true
		}
	}
	return nil
}

// setConnection reads the connection options, RFC 9110 §7.6.1; they are case-insensitive.
func (r *Request) setConnection(value []byte) error {
	for elem, rest := cutElement(value); elem != nil; elem, rest = cutElement(rest) {
		switch {
		case !token.matches(elem):
			return ErrTokenList
		case equalFold(elem, "upgrade"):
			r.ConnectionUpgrade = true
		case equalFold(elem, "close"):
			r.ConnectionClose = true
		case equalFold(elem, "keep-alive"):
			r.ConnectionKeepAlive = true
		}
	}
	return nil
}

// setHost reads "uri-host [ ":" port ]", RFC 9110 §7.2, with the grammar of RFC 3986 §3.2.2. An http URI's host is
// never empty (RFC 9110 §4.2.1), so an empty field is an error.
func (r *Request) setHost(value []byte) error {
	// "A server MUST respond with a 400 (Bad Request) status code [...] to any request message that contains more
	// than one Host header field line or a Host header field with an invalid field value."
	if r.Host != nil {
		return ErrDuplicateHost
	}
	r.Host = value
	rest := value
	if len(rest) > 0 && rest[0] == '[' { // IP-literal
		literal, after, closed := bytes.Cut(rest[1:], []byte{']'})
		for _, c := range literal {
			if !regName.contains(c) && c != ':' {
				return ErrHost
			}
		}
		if !closed || len(literal) == 0 {
			return ErrHost
		}
		rest = after
	} else {
		n := 0
		for n < len(rest) && rest[n] != ':' {
			switch {
			case regName.contains(rest[n]):
				n++
			case rest[n] == '%' && n+2 < len(rest) && isHex(rest[n+1]) && isHex(rest[n+2]):
				n += 3
			default:
				return ErrHost
			}
		}
		if n == 0 {
			return ErrHost
		}
		rest = rest[n:]
	}
	if len(rest) == 0 {
		return nil
	}
	if rest[0] != ':' {
		return ErrHost
	}
	port := 0
	for _, c := range rest[1:] {
		if c < '0' || c > '9' {
			return ErrHost
		}
		if port = port*10 + int(c-'0'); port > 65535 {
			return ErrHost
		}
	}
	return nil
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'f'
}
