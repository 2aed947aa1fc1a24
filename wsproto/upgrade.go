package wsproto

import (
	"crypto/sha1"
	"encoding/base64"
)

// maxProtocols is the limit of the subprotocols that a client offers, since all are compared with one another. Chosen by us.
const maxProtocols = 32

// CheckUpgrade returns nil if r opens a WebSocket by RFC 6455 §4.2.1, otherwise one of this package's [RequestError] values.
// CheckUpgrade does not allocate. It does not check Origin, which is the server's policy.
func (r *Request) CheckUpgrade() error {
	switch {
	case !r.Upgrade:
		return ErrNotUpgrade
	case string(r.Method) != "GET":
		return ErrUpgradeMethod
	case r.Minor == 0:
		// "A server MUST ignore an Upgrade header field that is received in an HTTP/1.0 request", RFC 9110 §7.8. It is refused
		// with a reason instead, since it mostly shows a proxy with a wrong setting.
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

// validKey reports whether key is base64 of 16 bytes: 22 digits and two padding characters. Four bits of the last digit are
// unused and may be set: they are set in the RFC's own example, §4.1 7.
func validKey(key []byte) bool {
	return len(key) == 24 && key[22] == '=' && key[23] == '=' && base64Bytes.matches(key[:22])
}

// validProtocols reports whether all lines together are a list of unique tokens: "The elements that comprise this value
// MUST be non-empty strings with characters in the range U+0021 to U+007E not including separator characters [...] and
// MUST all be unique strings."
func validProtocols(lines *[4][]byte) bool {
	var seen [maxProtocols][]byte
	n := 0
	for _, line := range lines {
		if line == nil {
			break
		}
		before := n
		for elem, rest := cutElement(line); elem != nil; elem, rest = cutElement(rest) {
			if n == maxProtocols || !token.matches(elem) {
				return false
			}
			for _, s := range seen[:n] {
				if string(s) == string(elem) {
					return false
				}
			}
			seen[n] = elem
			n++
		}
		if n == before {
			return false // "1#token": at least one
		}
	}
	return true
}

// Protocol returns the first subprotocol in the client's order that is in known, compared case-sensitively, and "" if
// there is none. The result is an element of known.
func (r *Request) Protocol(known []string) string {
	for _, line := range r.Protocols {
		for elem, rest := cutElement(line); elem != nil; elem, rest = cutElement(rest) {
			for _, k := range known {
				if string(elem) == k {
					return k
				}
			}
		}
	}
	return ""
}

// AppendUpgrade appends the whole 101 response to key, the client's Sec-WebSocket-Key. It names the subprotocol unless that
// is empty, and permessage-deflate if deflate is agreed; RFC 6455 §4.2.2, RFC 7692 §7.1. protocol must be a token.
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
