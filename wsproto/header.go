package wsproto

import "bytes"

// set takes in one header line.
func (r *Request) set(h header, value []byte) error {
	switch h {
	case hostHeader:
		return r.setHost(value)
	case originHeader:
		return once(&r.Origin, value)
	case cookieHeader:
		return once(&r.Cookie, value)
	case acceptHeader:
		first(&r.Accept, value)
	case upgradeHeader:
		return r.setUpgrade(value)
	case connectionHeader:
		return r.setConnection(value)
	case userAgentHeader:
		return once(&r.UserAgent, value)
	case authorizationHeader:
		return once(&r.Authorization, value)
	case lastEventIDHeader:
		return once(&r.LastEventID, value)
	case ifNoneMatchHeader:
		first(&r.IfNoneMatch, value)
	case contentLengthHeader:
		// A head with two lengths, or with a length that is no plain 0, is how requests are smuggled.
		if string(value) != "0" || r.length {
			return ErrBody
		}
		r.length = true
	case acceptEncodingHeader:
		first(&r.AcceptEncoding, value)
	case forwardedForHeader:
		r.ForwardedFor = value
	case transferEncodingHeader:
		return ErrBody
	case keyHeader:
		return once(&r.Key, value)
	case versionHeader:
		return once(&r.Version, value)
	case protocolHeader:
		return line(&r.Protocols, value)
	case extensionsHeader:
		return line(&r.Extensions, value)
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
