package eventloop

import (
	"net/http"
	"net/netip"
	"strconv"
	"strings"

	"tickcast/wsproto"
)

// redirect answers a request on a listener that only redirects: with the same address by https, or with the answer that a
// certificate authority looks for.
func (l *loop) redirect(c *conn, r *wsproto.Request) {
	cfg := &l.engine.cfg.Redirect
	get := string(r.Method) == http.MethodGet
	if !get && string(r.Method) != http.MethodHead { // the body has been sent in clear text already
		l.refuseRequest(c, r, status405, "only GET and HEAD")
		return
	}
	if get && cfg.Challenge != nil {
		if answer := cfg.Challenge(string(r.Path)); answer != nil {
			l.respond(c, r.KeepAlive(), challengeHead(len(answer)), answer)
			return
		}
	}
	host, literal, ok := redirectHost(string(r.Host))
	if !ok || !cfg.Serves(host) {
		l.refuseRequest(c, r, status421, "no certificate is for this host")
		return
	}
	l.respond(c, r.KeepAlive(), redirectHead(literal, cfg.Port, r.Target), nil)
}

// redirectHost returns the host of a Host field without its port, and as it stands in a URL: an IPv6 address has brackets there.
func redirectHost(field string) (host, literal string, ok bool) {
	literal = field
	if i := strings.LastIndexByte(field, ':'); i >= 0 && !strings.HasSuffix(field, "]") {
		literal = field[:i]
	}
	if inner, isLiteral := strings.CutPrefix(literal, "["); isLiteral {
		a, err := netip.ParseAddr(strings.TrimSuffix(inner, "]"))
		return a.String(), "[" + a.String() + "]", err == nil && a.Is6() && a.Zone() == ""
	}
	return literal, literal, literal != "" && !strings.ContainsFunc(literal, unfitForHost)
}

// unfitForHost reports whether r cannot be in a host name or an IPv4 address.
func unfitForHost(r rune) bool {
	return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '-' || r == '.')
}

// redirectHead returns the head of a redirect without Date and the empty line. The parser has admitted no byte in target that could
// end the line.
func redirectHead(host string, port int, target []byte) []byte {
	b := append([]byte("HTTP/1.1 308 Permanent Redirect\r\nLocation: https://"), host...)
	if port != 0 && port != 443 {
		b = strconv.AppendInt(append(b, ':'), int64(port), 10)
	}
	return append(append(b, target...), "\r\nContent-Length: 0\r\n"...)
}

// challengeHead returns the head of an answer of size bytes to a certificate authority.
func challengeHead(size int) []byte {
	b := []byte("HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nCache-Control: no-store\r\nContent-Length: ")
	return append(strconv.AppendInt(b, int64(size), 10), "\r\n"...)
}
