package wsproto

import (
	"bytes"
	"errors"
	"slices"
)

// ClientRequest is the opening handshake that a client sends, RFC 6455 §4.1.
type ClientRequest struct {
	Host      string   // with the port unless it is the scheme's own
	Path      string   // with the query; "/" if empty
	Key       string   // base64 of 16 random bytes
	Origin    string   // "" for none
	Protocols []string // in the order of preference
	Deflate   *DeflateOffer
	Header    [][2]string // further header lines: name, value
}

// AppendRequest appends r. Its strings are written as they are: they must hold no line ends.
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
		dst = r.Deflate.append(dst)
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

// What is wrong with a server's answer, RFC 6455 §4.1; from [ParseResponse].
var (
	ErrStatusLine         = errors.New("wsproto: malformed status line")                              // RFC 9112 §4
	ErrResponseUpgrade    = errors.New("wsproto: response without Upgrade: websocket alone")          // 2.
	ErrResponseConnection = errors.New("wsproto: response without Connection: Upgrade")               // 3.
	ErrAccept             = errors.New("wsproto: Sec-WebSocket-Accept does not answer the key")       // 4.
	ErrResponseExtension  = errors.New("wsproto: response with an extension that was not offered so") // 5., RFC 7692 §7.1
	ErrResponseProtocol   = errors.New("wsproto: response with a subprotocol that was not offered")   // 6.
)

// Response is the head of a server's answer. All slices point into the bytes that [ParseResponse] was given.
type Response struct {
	Status     int     // 101: the connection is a WebSocket from here on
	Minor      uint8   // the 1 of HTTP/1.1
	Protocol   []byte  // the subprotocol, one of those that were offered; nil if none
	Deflate    Deflate // what was agreed on
	RetryAfter []byte  // of a refusal, as sent
}

// ParseResponse reads the response head at the start of b and returns its length in bytes, empty line included; n ==
// 0 without an error means that b ends inside the head. A status of 101 is held to RFC 6455 §4.1 and RFC 7692 §7.1 as the
// answer to req, whose Key, Protocols and Deflate count; of any other status only the syntax is checked, and its body is
// left in b.
func ParseResponse(b []byte, req *ClientRequest, lim RequestLimits) (r Response, n int, err error) {
	lim = lim.withDefaults()
	full := len(b) >= lim.MaxBytes
	b = b[:min(len(b), lim.MaxBytes)]
	i, err := r.parseLine(b)
	if err == ErrRequestLine {
		err = ErrStatusLine
	}
	var up Request // its Connection list and extensions
	var upgrade, accept []byte
	if err == nil && i > 0 {
		n, err = fields(b, i, lim.MaxHeaders, func(h header, value []byte) error {
			switch h {
			case upgradeHeader:
				return once(&upgrade, value)
			case connectionHeader:
				return up.setConnection(value)
			case retryAfterHeader:
				first(&r.RetryAfter, value)
			case extensionsHeader:
				return line(&up.Extensions, value)
			case acceptKeyHeader:
				return once(&accept, value)
			case protocolHeader:
				return once(&r.Protocol, value)
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
		case !fold(upgrade, "websocket"):
			err = ErrResponseUpgrade
		case !up.ConnectionUpgrade:
			err = ErrResponseConnection
		case !bytes.Equal(accept, appendAccept(room[:0], []byte(req.Key))):
			err = ErrAccept
		case r.Protocol != nil && !slices.Contains(req.Protocols, string(r.Protocol)):
			err = ErrResponseProtocol
		default:
			r.Deflate, err = req.Deflate.accepted(&up.Extensions)
		}
		if err != nil {
			return Response{}, 0, err
		}
	}
	return r, n, nil
}

// parseLine reads the status line, RFC 9112 §4, and returns the index behind it, 0 if b ends inside it.
func (r *Response) parseLine(b []byte) (i int, err error) {
	if r.Minor, i, err = httpVersion(b, 0); i == 0 {
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
				return lineEnd(b, i) // without a reason and its space: not by the grammar, but common
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
	return lineEnd(b, i)
}
