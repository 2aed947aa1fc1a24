package wsproto

// DeflateOffer is a client's offer of permessage-deflate, RFC 7692 §7.1. The zero value has no parameters.
type DeflateOffer struct {
	ServerNoTakeover bool  // the server must not refer to its earlier messages
	ClientNoTakeover bool  // the client will not refer to its own
	ServerWindowBits uint8 // the largest window that the server may use, 8 to 15; 0 = not named
	ClientWindowBits uint8 // the largest window of the client, 8 to 15; the server may ask for less; 0 = it may not
}

// appendOffer appends the field with the offer, without a line end after it.
func (o *DeflateOffer) appendOffer(dst []byte) []byte {
	dst = append(dst, "\r\nSec-WebSocket-Extensions: "+deflateName...)
	if o.ServerNoTakeover {
		dst = append(dst, "; "+serverNoTakeover...)
	}
	if o.ClientNoTakeover {
		dst = append(dst, "; "+clientNoTakeover...)
	}
	if o.ServerWindowBits != 0 {
		dst = appendBits(append(dst, "; "+serverMaxBits+"="...), windowBits(o.ServerWindowBits))
	}
	if o.ClientWindowBits != 0 {
		dst = append(dst, "; "+clientMaxBits...)
		if bits := windowBits(o.ClientWindowBits); bits < MaxWindowBits {
			dst = appendBits(append(dst, '='), bits)
		}
	}
	return dst
}

// parseAnswer reads the server's answer to o, which is nil without an offer. Any other answer is an error: "A client MUST
// _Fail the WebSocket Connection_ if the peer server accepted an extension negotiation offer for this extension with an
// extension negotiation response meeting any of the following conditions", RFC 7692 §7.1.
func (o *DeflateOffer) parseAnswer(lines *[4][]byte) (d Deflate, err error) {
	for _, list := range lines {
		if list == nil {
			break
		}
		p, valid, rest, ok := cutDeflateParams(list)
		if !ok || o == nil || !valid || len(rest) > 0 || d.Agreed() || !o.allowsAnswer(&p) {
			return Deflate{}, ErrResponseExtension
		}
		d = Deflate{
			ServerWindowBits: windowBits(p.serverBits),
			ClientWindowBits: windowBits(p.clientBits),
			ServerTakeover:   !p.serverNoTakeover,
			ClientTakeover:   !p.clientNoTakeover && !o.ClientNoTakeover,
			serverBitsNamed:  p.serverBits != 0,
			clientBitsNamed:  p.clientBits != 0,
		}
		if p.clientBits == 0 && o.ClientWindowBits != 0 {
			d.ClientWindowBits = windowBits(o.ClientWindowBits)
		}
	}
	return d, nil
}

// allowsAnswer reports whether p is a valid answer to o.
func (o *DeflateOffer) allowsAnswer(p *deflateParams) bool {
	switch {
	case o.ServerNoTakeover && !p.serverNoTakeover:
		return false
	case o.ServerWindowBits != 0 && (p.serverBits == 0 || p.serverBits > windowBits(o.ServerWindowBits)):
		return false
	case p.clientBits != 0:
		return o.ClientWindowBits != 0 && p.clientBitsValue && p.clientBits <= windowBits(o.ClientWindowBits)
	}
	return true
}
