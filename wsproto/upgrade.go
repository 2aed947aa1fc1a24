package wsproto

import (
	"crypto/sha1"
	"encoding/base64"
)

// maxProtocols bounds the subprotocols that a client may offer, since each is compared with each. Chosen by us.
const maxProtocols = 32

// CheckUpgrade returns nil if r opens a WebSocket as RFC 6455 §4.2.1 wants it, else one of this package's
// [RequestError] values. Nothing is allocated. Origin is not judged: that is the server's policy.
func (r *Request) CheckUpgrade() error {
	switch {
	case !r.Upgrade:
		return ErrNotUpgrade
	case string(r.Method) != "GET":
		return ErrUpgradeMethod
	case r.Minor == 0:
		// "A server MUST ignore an Upgrade header field that is received in an HTTP/1.0 request", RFC 9110 §7.8; said
		// aloud, since it is mostly a proxy with a wrong setting.
		return ErrHTTP10
	case !r.ConnectionUpgrade:
		return ErrConnection
	case string(r.Version) != "13":
		return ErrVersion
	case !validKey(r.Key):
		return ErrKey
	case !validProtocols(&r.Protocols):
		return ErrProtocols
	}
	for _, line := range r.Extensions {
		// "If a value is received by either the client or the server during negotiation that does not conform to the
		// ABNF below, the recipient of such malformed data MUST immediately _Fail the WebSocket Connection_."
		if line != nil && !validExtensions(line) {
			return ErrExtensions
		}
	}
	return nil
}

// validKey reports whether key is base64 of 16 bytes: 22 digits and two signs of padding. Four bits of the last digit are left
// over, and need not be zero: they are not in the RFC's own example, §4.1 7.
func validKey(key []byte) bool {
	return len(key) == 24 && key[22] == '=' && key[23] == '=' && base64Bytes.holds(key[:22])
}

// validProtocols reports whether all lines together are a list of tokens, none twice: "The elements that comprise
// this value MUST be non-empty strings with characters in the range U+0021 to U+007E not including separator
// characters [...] and MUST all be unique strings."
func validProtocols(lines *[4][]byte) bool {
	n := 0
	for _, line := range lines {
		if line == nil {
			break
		}
		before := n
		for {
			elem, rest, ok := element(line)
			if !ok {
				break
			}
			if n == maxProtocols || !token.holds(elem) {
				return false
			}
			n++
			line = rest
		}
		if n == before {
			return false // "1#token": at least one
		}
	}
	return n < 2 || unique(lines)
}

// unique reports whether no element of lines, which have at most maxProtocols, comes twice.
func unique(lines *[4][]byte) bool {
	var seen [maxProtocols][]byte
	n := 0
	for _, line := range lines {
		for {
			elem, rest, ok := element(line)
			if !ok {
				break
			}
			for _, s := range seen[:n] {
				if string(s) == string(elem) {
					return false
				}
			}
			seen[n] = elem
			n++
			line = rest
		}
	}
	return true
}

// Protocol returns the first subprotocol in the client's order that is in known, compared case-sensitively, and ""
// if there is none. The returned string is known's own.
func (r *Request) Protocol(known []string) string {
	for _, line := range r.Protocols {
		for {
			elem, rest, ok := element(line)
			if !ok {
				break
			}
			for _, k := range known {
				if string(elem) == k {
					return k
				}
			}
			line = rest
		}
	}
	return ""
}

// AppendUpgrade appends the whole 101 response that accepts key, the client's Sec-WebSocket-Key, with the subprotocol
// unless it is empty, and with permessage-deflate if deflate is agreed; RFC 6455 §4.2.2, RFC 7692 §7.1. protocol must be
// a token.
func AppendUpgrade(dst []byte, key []byte, protocol string, deflate Deflate) []byte {
	dst = append(dst, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "...)
	dst = appendAccept(dst, key)
	if protocol != "" {
		dst = append(dst, "\r\nSec-WebSocket-Protocol: "...)
		dst = append(dst, protocol...)
	}
	dst = appendDeflateAnswer(dst, deflate)
	return append(dst, "\r\n\r\n"...)
}

// appendAccept appends the value of Sec-WebSocket-Accept: base64 of the SHA-1 of key and the protocol's GUID.
func appendAccept(dst []byte, key []byte) []byte {
	const guid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11" // RFC 6455 §1.3
	var room [64]byte
	sum := sha1.Sum(append(append(room[:0], key...), guid...))
	return base64.StdEncoding.AppendEncode(dst, sum[:])
}
