package wsproto

// DeflatePolicy is what a server agrees to. Windows outside of 8 to 15 stand for 15.
type DeflatePolicy struct {
	ServerWindowBits uint8 // the largest window that the server compresses with
	ClientWindowBits uint8 // the largest window that a client with context takeover may use
	ServerTakeover   bool  // remember what was sent to each client that allows it: up to 2^ServerWindowBits bytes each
	ClientTakeover   bool  // let clients refer to their earlier messages: up to 2^ClientWindowBits bytes each
}

// deflateParams are the parameters of one offer of permessage-deflate, or of the answer, RFC 7692 §7.1.
type deflateParams struct {
	serverNoTakeover, clientNoTakeover bool
	serverBits, clientBits             uint8 // 0 = not named
	clientBitsValue                    bool  // client_max_window_bits came with a value
}

// Deflate picks the first of the client's offers of permessage-deflate that has a meaning, and answers it as p wants,
// RFC 7692 §5 and §7.1. The zero value means that there is none: the connection goes on without compression. Nothing is
// allocated. The request must have passed CheckUpgrade.
func (r *Request) Deflate(p *DeflatePolicy) Deflate {
	for _, list := range r.Extensions {
		for len(list) > 0 {
			params, valid, rest, ok := deflateOffer(list)
			if !ok {
				break
			}
			if valid {
				return params.answer(p)
			}
			list = rest
		}
	}
	return Deflate{}
}

// answer is how a server of policy p accepts an offer with these parameters.
func (o *deflateParams) answer(p *DeflatePolicy) Deflate {
	server, client := windowBits(p.ServerWindowBits), windowBits(p.ClientWindowBits)
	d := Deflate{
		ServerWindowBits: server,
		ClientWindowBits: MaxWindowBits,
		ServerTakeover:   p.ServerTakeover && !o.serverNoTakeover,
		ClientTakeover:   p.ClientTakeover && !o.clientNoTakeover,
		serverBitsNamed:  o.serverBits != 0 || server < MaxWindowBits,
	}
	if o.serverBits != 0 {
		// "A server accepts an extension negotiation offer with this parameter by including [it] with the same or
		// smaller value."
		d.ServerWindowBits = min(server, o.serverBits)
	}
	switch {
	case o.clientBits != 0:
		d.ClientWindowBits = min(client, o.clientBits)
		d.clientBitsNamed = o.clientBitsValue || d.ClientWindowBits < MaxWindowBits
	case client < MaxWindowBits:
		// "If a received extension negotiation offer doesn't have [client_max_window_bits], the corresponding extension
		// negotiation response to the offer MUST NOT include [it]". A client that cannot keep to a smaller window may
		// compress all the same, but nothing is remembered for it.
		d.ClientTakeover = false
	}
	return d
}

func windowBits(n uint8) uint8 {
	if n < MinWindowBits || n > MaxWindowBits {
		return MaxWindowBits
	}
	return n
}

const (
	deflateName      = "permessage-deflate"
	serverNoTakeover = "server_no_context_takeover"
	clientNoTakeover = "client_no_context_takeover"
	serverMaxBits    = "server_max_window_bits"
	clientMaxBits    = "client_max_window_bits"
)

// deflateOffer reads the first element of a list of extensions; not ok means that there is none, or that it breaks the
// grammar. valid means that it is permessage-deflate with parameters that an offer may have. What is not: "A server MUST
// decline an extension negotiation offer for this extension if [...] the negotiation offer contains an extension
// parameter not defined for use in an offer, [...] with an invalid value, [...] multiple extension parameters with the
// same name."
func deflateOffer(list []byte) (p deflateParams, valid bool, rest []byte, ok bool) {
	name, rest, ok := cutExtension(list)
	if !ok {
		return deflateParams{}, false, nil, false
	}
	valid = string(name) == deflateName
	for {
		var value []byte
		var more bool
		name, value, more, rest, ok = cutExtensionParam(rest)
		if !more || !ok {
			return p, valid, rest, ok
		}
		valid = valid && p.set(name, value)
	}
}

// set takes in one parameter of an offer. It reports false if it may not be there.
func (o *deflateParams) set(name, value []byte) (ok bool) {
	switch string(name) {
	case serverNoTakeover:
		ok = value == nil && !o.serverNoTakeover
		o.serverNoTakeover = true
	case clientNoTakeover:
		ok = value == nil && !o.clientNoTakeover
		o.clientNoTakeover = true
	case serverMaxBits:
		ok = o.serverBits == 0
		o.serverBits = parseWindowBits(value)
		ok = ok && o.serverBits != 0
	case clientMaxBits: // "This parameter has [...] an optional value", §7.1.2.2
		ok = o.clientBits == 0
		o.clientBits, o.clientBitsValue = MaxWindowBits, value != nil
		if value != nil {
			o.clientBits = parseWindowBits(value)
		}
		ok = ok && o.clientBits != 0
	}
	return ok
}

// parseWindowBits reads "a decimal integer value without leading zeroes between 8 to 15, inclusive"; 0 = it is none.
// RFC 6455 §9.1 lets the value be quoted.
func parseWindowBits(value []byte) uint8 {
	var digits [2]byte
	n := 0
	for _, c := range value {
		if c == '"' || c == '\\' { // the grammar was checked: nothing but quoting
			continue
		}
		if n == len(digits) {
			return 0
		}
		digits[n] = c
		n++
	}
	switch {
	case n == 1 && (digits[0] == '8' || digits[0] == '9'):
		return digits[0] - '0'
	case n == 2 && digits[0] == '1' && digits[1] >= '0' && digits[1] <= '5':
		return 10 + digits[1] - '0'
	}
	return 0
}

// appendDeflateAnswer appends the header field that tells what was agreed on, if it was, without the line end behind it.
// Whoever compresses without context says so even if nobody asked: the other side then need not remember.
func appendDeflateAnswer(dst []byte, d Deflate) []byte {
	if !d.Agreed() {
		return dst
	}
	dst = append(dst, "\r\nSec-WebSocket-Extensions: "+deflateName...)
	if !d.ServerTakeover {
		dst = append(dst, "; "+serverNoTakeover...)
	}
	if !d.ClientTakeover {
		dst = append(dst, "; "+clientNoTakeover...)
	}
	if d.serverBitsNamed {
		dst = appendBits(append(dst, "; "+serverMaxBits+"="...), d.ServerWindowBits)
	}
	if d.clientBitsNamed {
		dst = appendBits(append(dst, "; "+clientMaxBits+"="...), d.ClientWindowBits)
	}
	return dst
}

// appendBits appends n, 8 to 15, in decimal.
func appendBits(dst []byte, n uint8) []byte {
	if n >= 10 {
		return append(dst, '1', '0'+n-10)
	}
	return append(dst, '0'+n)
}
