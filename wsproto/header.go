package wsproto

import "bytes"

// set takes in one header line. Lengths are compared first: most headers of a request are none of ours.
func (r *Request) set(name, value []byte) error {
	switch len(name) {
	case 4:
		if fold(name, "host") {
			return r.setHost(value)
		}
	case 6:
		switch {
		case fold(name, "origin"):
			return once(&r.Origin, value)
		case fold(name, "cookie"):
			return once(&r.Cookie, value)
		case fold(name, "accept"):
			first(&r.Accept, value)
		}
	case 7:
		if fold(name, "upgrade") {
			return r.setUpgrade(value)
		}
	case 10:
		switch {
		case fold(name, "connection"):
			return r.setConnection(value)
		case fold(name, "user-agent"):
			return once(&r.UserAgent, value)
		}
	case 13:
		switch {
		case fold(name, "authorization"):
			return once(&r.Authorization, value)
		case fold(name, "last-event-id"):
			return once(&r.LastEventID, value)
		case fold(name, "if-none-match"):
			first(&r.IfNoneMatch, value)
		}
	case 14:
		// A head with two lengths, or with a length that is no plain 0, is how requests are smuggled.
		if fold(name, "content-length") {
			if string(value) != "0" || r.length {
				return ErrBody
			}
			r.length = true
		}
	case 15:
		switch {
		case fold(name, "accept-encoding"):
			first(&r.AcceptEncoding, value)
		case fold(name, "x-forwarded-for"):
			r.ForwardedFor = value
		}
	case 17:
		switch {
		case fold(name, "sec-websocket-key"):
			return once(&r.Key, value)
		case fold(name, "transfer-encoding"):
			return ErrBody
		}
	case 21:
		if fold(name, "sec-websocket-version") {
			return once(&r.Version, value)
		}
	case 22:
		if fold(name, "sec-websocket-protocol") {
			return line(&r.Protocols, value)
		}
	case 24:
		if fold(name, "sec-websocket-extensions") {
			return line(&r.Extensions, value)
		}
	}
	return nil
}

// once stores the value of a header that may come only once.
func once(to *[]byte, value []byte) error {
	if *to != nil {
		return ErrDuplicate
	}
	*to = value
	return nil
}

// first stores the first line of a list.
func first(to *[]byte, value []byte) {
	if *to == nil {
		*to = value
	}
}

// line stores one more line of a list.
func line(to *[4][]byte, value []byte) error {
	for i := range to {
		if to[i] == nil {
			to[i] = value
			return nil
		}
	}
	return ErrTooManyLines
}

// setUpgrade reads "1#protocol", protocol = name ["/" version], RFC 9110 §7.8. "websocket" comes without a version.
func (r *Request) setUpgrade(value []byte) error {
	list := value
	for {
		elem, rest, ok := element(list)
		if !ok {
			return nil
		}
		name, version, versioned := bytes.Cut(elem, []byte{'/'})
		if !token.holds(name) || versioned && !token.holds(version) {
			return ErrTokenList
		}
		if fold(elem, "websocket") {
			r.Upgrade = true
		}
		list = rest
	}
}

// setConnection reads the connection options, RFC 9110 §7.6.1; they are case-insensitive.
func (r *Request) setConnection(value []byte) error {
	list := value
	for {
		elem, rest, ok := element(list)
		if !ok {
			return nil
		}
		switch {
		case !token.holds(elem):
			return ErrTokenList
		case fold(elem, "upgrade"):
			r.ConnectionUpgrade = true
		case fold(elem, "close"):
			r.ConnectionClose = true
		case fold(elem, "keep-alive"):
			r.ConnectionKeepAlive = true
		}
		list = rest
	}
}

// setHost reads "uri-host [ ":" port ]", RFC 9110 §7.2, with the grammar of RFC 3986 §3.2.2. An http URI's host is
// never empty (RFC 9110 §4.2.1), so neither is the header.
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
			if !regName.has(c) && c != ':' {
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
			case regName.has(rest[n]):
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
