package wsproto

import (
	"bytes"
	"slices"
)

// ClientRequest is a client's request for the opening handshake, RFC 6455 §4.1.
type ClientRequest struct {
	Host      string   // with the port unless it is the default of the scheme
	Path      string   // with the query; "" = "/"
	Key       string   // base64 of 16 random bytes
	Origin    string   // "" = none
	Protocols []string // in order of preference
	Deflate   *DeflateOffer
	Header    [][2]string // further fields: name, value
}

// AppendRequest appends r. Its strings are not checked: they must not contain line ends.
func AppendRequest(dst []byte, r ClientRequest) []byte {
	path := r.Path
	if path == "" {
		path = "/"
	}
	dst = append(append(append(dst, "GET "...), path...), " HTTP/1.1"...)
	dst = appendField(dst, "Host", r.Host)
	dst = append(dst, "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13"...)
	dst = appendField(dst, "Sec-WebSocket-Key", r.Key)
	if r.Origin != "" {
		dst = appendField(dst, "Origin", r.Origin)
	}
	for i, p := range r.Protocols {
		if i == 0 {
			dst = appendField(dst, "Sec-WebSocket-Protocol", p)
		} else {
			dst = append(append(dst, ", "...), p...)
		}
	}
	if r.Deflate != nil {
		dst = r.Deflate.appendOffer(dst)
	}
	for _, h := range r.Header {
		dst = appendField(dst, h[0], h[1])
	}
	return append(dst, "\r\n\r\n"...)
}

func appendField(dst []byte, name, value string) []byte {
	dst = append(append(dst, "\r\n"...), name...)
	return append(append(dst, ": "...), value...)
}

// Response is the head of a server's response. All slices point into the input of [ParseResponse].
type Response struct {
	Status     int     // 101: the rest of the connection is a WebSocket
	Minor      uint8   // the 1 of HTTP/1.1
	Protocol   []byte  // the subprotocol, one of the offered ones; nil if none
	Deflate    Deflate // the agreement on permessage-deflate
	RetryAfter []byte  // of a refusal, unparsed
}

// ParseResponse reads the response head at the start of b and returns its length in bytes, empty line included; n ==
// 0 without an error means that b ends inside the head. A response with status 101 must answer the Key, Protocols and
// Deflate of req by RFC 6455 §4.1 and RFC 7692 §7.1. For any other status only the syntax is checked, and the body stays
// in b.
func ParseResponse(b []byte, req *ClientRequest, lim RequestLimits) (r Response, n int, err error) {
	lim = lim.withDefaults()
	full := len(b) >= lim.MaxBytes
	b = b[:min(len(b), lim.MaxBytes)]
	i, err := r.parseStatusLine(b)
	if err == ErrRequestLine {
		err = ErrStatusLine
	}
	var up Request // its Connection list and extensions
	var upgrade, accept []byte
	if err == nil && i > 0 {
		n, err = parseFields(b, i, lim.MaxHeaders, func(f fieldName, value []byte) error {
			switch f {
			case upgradeField:
				return setOnce(&upgrade, value)
			case connectionField:
				return up.setConnection(value)
			case retryAfterField:
				setFirst(&r.RetryAfter, value)
			case extensionsField:
				return addLine(&up.Extensions, value)
			case acceptKeyField:
				return setOnce(&accept, value)
			case protocolField:
				return setOnce(&r.Protocol, value)
			}
			return nil
		})
	}
	if err == nil && n == 0 && full {
		err = ErrHeadTooLarge
	}
	if err != nil || n == 0 {
		return Response{}, 0, err
	}
	if r.Status == 101 {
		var room [28]byte
		switch {
		case !equalFold(upgrade, "websocket"):
			err = ErrResponseUpgrade
		case !up.ConnectionUpgrade:
			err = ErrResponseConnection
		case !bytes.Equal(accept, appendAccept(room[:0], []byte(req.Key))):
			err = ErrAccept
		case r.Protocol != nil && !slices.Contains(req.Protocols, string(r.Protocol)):
			err = ErrResponseProtocol
		default:
			r.Deflate, err = req.Deflate.parseAnswer(&up.Extensions)
		}
		if err != nil {
			return Response{}, 0, err
		}
	}
	return r, n, nil
}

// parseStatusLine reads the status line, RFC 9112 §4, and returns the index after it, 0 if b ends inside it.
func (r *Response) parseStatusLine(b []byte) (i int, err error) {
	if r.Minor, i, err = parseVersion(b, 0); i == 0 {
		return 0, err
	}
	for k := range len(" 101 ") {
		if i == len(b) {
			return 0, nil
		}
		c := b[i]
		switch k {
		case 0:
			if c != ' ' {
				return 0, ErrStatusLine
			}
		case 4:
			if c == '\r' {
				return parseLineEnd(b, i) // no reason and no space before it: not in the grammar, but common
			}
			if c != ' ' {
				return 0, ErrStatusLine
			}
		default:
			if c < '0' || c > '9' {
				return 0, ErrStatusLine
			}
			r.Status = r.Status*10 + int(c-'0')
		}
		i++
	}
	if r.Status < 100 {
		return 0, ErrStatusLine
	}
	i += valueLen(b[i:])
	if i < len(b) && b[i] != '\r' && b[i] != '\n' {
		return 0, ErrStatusLine
	}
	return parseLineEnd(b, i)
}
