package eventloop

import (
	"bytes"
	"net/url"
	"strings"

	"tickcast/wsproto"
)

// tokenProtocol begins the entry of Sec-WebSocket-Protocol that holds a token: a browser lets a page set no other field.
const tokenProtocol = "tickcast.token."

// A tokenPlace is the place of a request where its token was.
type tokenPlace uint8

const (
	noToken tokenPlace = iota
	tokenInHeader
	tokenInProtocol
	tokenInCookie
	tokenInQuery
)

// bearer returns the token of a request: of Authorization, else of a subprotocol, of the cookie, of the query.
func (a *Auth) bearer(r *wsproto.Request, query url.Values) (token string, place tokenPlace) {
	if scheme, value, ok := bytes.Cut(r.Authorization, []byte(" ")); ok && strings.EqualFold(string(scheme), "Bearer") {
		return strings.TrimSpace(string(value)), tokenInHeader
	}
	for _, line := range r.Protocols {
		for entry := range bytes.SplitSeq(line, []byte(",")) {
			if value, ok := bytes.CutPrefix(bytes.Trim(entry, " \t"), []byte(tokenProtocol)); ok {
				return string(value), tokenInProtocol
			}
		}
	}
	if value := cookieOf(r.Cookie, a.Cookie); value != "" {
		return value, tokenInCookie
	}
	if list := query["token"]; len(list) > 0 {
		return list[0], tokenInQuery
	}
	return "", noToken
}

// cookieOf returns the value of a cookie, RFC 6265 section 4.2.1: the first of that name, without quotes; "" without one.
func cookieOf(field []byte, name string) string {
	if name == "" {
		return ""
	}
	for pair := range bytes.SplitSeq(field, []byte(";")) {
		if n, value, ok := bytes.Cut(bytes.Trim(pair, " \t"), []byte("=")); ok && string(n) == name {
			return strings.Trim(string(value), `"`)
		}
	}
	return ""
}
