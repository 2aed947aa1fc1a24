package wsproto

// DeflatePolicy is the policy of a server for permessage-deflate. Windows outside of 8 to 15 stand for 15.
type DeflatePolicy struct {
	ServerWindowBits uint8 // the largest window that the server compresses with
	ClientWindowBits uint8 // the largest window that a client with context takeover may use
	ServerTakeover   bool  // keep the messages sent to each client that allows it: up to 2^ServerWindowBits bytes each
	ClientTakeover   bool  // allow clients to refer to their earlier messages: up to 2^ClientWindowBits bytes each
}

// deflateParams are the parameters of one offer of permessage-deflate, or of the answer, RFC 7692 §7.1.
type deflateParams struct {
	serverNoTakeover, clientNoTakeover bool
	serverBits, clientBits             uint8 // 0 = not named
	clientBitsValue                    bool  // client_max_window_bits came with a value
}

// Deflate chooses the first valid one of the client's offers of permessage-deflate and answers it by the policy, RFC 7692 §5
// and §7.1. The zero value means that no offer is valid; the connection then has no compression. Deflate does not allocate.
// The request must have passed CheckUpgrade.
func (r *Request) Deflate(policy *DeflatePolicy) Deflate {
	for _, list := range r.Extensions {
		for len(list) > 0 {
			params, valid, rest, ok := cutDeflateParams(list)
			if !ok {
				break
			}
			if valid {
				return params.accept(policy)
			}
			list = rest
		}
	}
	return Deflate{}
}

// accept returns the answer of a server of that policy to an offer with these parameters.
func (p *deflateParams) accept(policy *DeflatePolicy) Deflate {
	server, client := windowBits(policy.ServerWindowBits), windowBits(policy.ClientWindowBits)
	d := Deflate{
		ServerWindowBits: server,
		ClientWindowBits: MaxWindowBits,
		ServerTakeover:   policy.ServerTakeover && !p.serverNoTakeover,
		ClientTakeover:   policy.ClientTakeover && !p.clientNoTakeover,
		serverBitsNamed:  p.serverBits != 0 || server < MaxWindowBits,
	}
	if p.serverBits != 0 {
		// "A server accepts an extension negotiation offer with this parameter by including [it] with the same or
		// smaller value."
		d.ServerWindowBits = min(server, p.serverBits)
	}
	switch {
	case p.clientBits != 0:
		d.ClientWindowBits = min(client, p.clientBits)
		d.clientBitsNamed = p.clientBitsValue || d.ClientWindowBits < MaxWindowBits
	case client < MaxWindowBits:
		// "If a received extension negotiation offer doesn't have [client_max_window_bits], the corresponding extension
		// negotiation response to the offer MUST NOT include [it]". A client that must use the largest window may still
		// compress, but its messages are not kept.
		d.ClientTakeover = false
	}
	return d
}

// windowBits returns n if it is the size of a window, otherwise the largest.
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

// cutDeflateParams cuts the first element off a list of extensions. ok is false at the end of the list, and if the element
// breaks the grammar. valid means that it is permessage-deflate with the parameters of an offer. Invalid ones are declined:
// "A server MUST decline an extension negotiation offer for this extension if [...] the negotiation offer contains an
// extension parameter not defined for use in an offer, [...] with an invalid value, [...] multiple extension parameters with
// the same name."
func cutDeflateParams(list []byte) (p deflateParams, valid bool, rest []byte, ok bool) {
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
		valid = valid && p.setParam(name, value)
	}
}

// setParam stores one parameter of an offer. ok is false for an invalid one.
func (p *deflateParams) setParam(name, value []byte) (ok bool) {
	switch string(name) {
	case serverNoTakeover:
		ok = value == nil && !p.serverNoTakeover
		p.serverNoTakeover = true
	case clientNoTakeover:
		ok = value == nil && !p.clientNoTakeover
		p.clientNoTakeover = true
	case serverMaxBits:
		ok = p.serverBits == 0
		p.serverBits = parseWindowBits(value)
		ok = ok && p.serverBits != 0
	case clientMaxBits: // "This parameter has [...] an optional value", §7.1.2.2
		ok = p.clientBits == 0
		p.clientBits, p.clientBitsValue = MaxWindowBits, value != nil
		if value != nil {
			p.clientBits = parseWindowBits(value)
		}
		ok = ok && p.clientBits != 0
	}
	return ok
}

// parseWindowBits reads "a decimal integer value without leading zeroes between 8 to 15, inclusive"; 0 = invalid.
// RFC 6455 §9.1 allows quotes around the value.
func parseWindowBits(value []byte) uint8 {
	var digits [2]byte
	n := 0
	for _, c := range value {
		if c == '"' || c == '\\' { // the grammar was checked, so these only quote
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

// appendDeflateAnswer appends the field of the agreement, if there is one, without a line end after it. A side without
// context takeover is always named, also where the offer did not ask for it: its peer then needs no window.
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
