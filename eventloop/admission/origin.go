package admission

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
)

// Origins is a list of the web origins that may use the server. The zero value allows the server's own pages only.
type Origins struct {
	any     bool // "*"
	same    bool // "self", or an empty list
	exact   map[string]bool
	domains []domain
}

// A domain is an entry with a wildcard.
type domain struct {
	scheme string // with ://
	suffix string // of the host, ".example.com"; "" = the host is host
	host   string
	port   string // "" = none, "*" = any or none
}

// ParseOrigins reads the entries of a list: "https://app.example.com", "https://*.example.com" for all names below a domain,
// "http://localhost:*" for all ports, "null" for pages without an origin, "self" for the server's own host, "*" for all. An empty
// list means "self".
func ParseOrigins(list []string) (Origins, error) {
	o := Origins{same: len(list) == 0, exact: make(map[string]bool)}
	for _, text := range list {
		if err := o.add(text); err != nil {
			return Origins{}, fmt.Errorf("%.80q %w", text, err)
		}
	}
	return o, nil
}

var (
	errOriginScheme = errors.New(`is not an origin: use "https://host", with :port where it is not the scheme's own`)
	errOriginPath   = errors.New("must end with the host or the port: an origin has no path, query or user")
	errOriginStar   = errors.New("may have a * only in place of the first labels of a host, or of a port")
)

func (o *Origins) add(text string) error {
	switch text {
	case "*":
		o.any = true
		return nil
	case "self":
		o.same = true
		return nil
	case "null":
		o.exact[text] = true
		return nil
	}
	lower := strings.ToLower(text)
	scheme, rest, ok := strings.Cut(lower, "://")
	switch {
	case !ok || scheme == "" || rest == "" || strings.ContainsAny(lower, " \t,;\"'\\<>"):
		return errOriginScheme
	case strings.ContainsAny(rest, "/?#@"):
		return errOriginPath
	}
	host, port := splitPort(rest)
	d := domain{scheme: scheme + "://", host: host, port: port}
	if d.port == defaultPort(d.scheme) {
		d.port = ""
	}
	if below, wild := strings.CutPrefix(host, "*."); wild {
		d.suffix, d.host = "."+below, ""
		host = below
	}
	switch {
	case host == "" || strings.HasPrefix(host, "."):
		return errOriginScheme
	case strings.Contains(host, "*") || d.port != "*" && strings.Contains(d.port, "*"):
		return errOriginStar
	case d.suffix == "" && d.port != "*":
		o.exact[d.scheme+withPort(d.host, d.port)] = true
	default:
		o.domains = append(o.domains, d)
	}
	return nil
}

// withPort returns host, and the port if there is one.
func withPort(host, port string) string {
	if port == "" {
		return host
	}
	return host + ":" + port
}

// splitPort splits "host:port"; an IPv6 address keeps its brackets.
func splitPort(s string) (host, port string) {
	if i := strings.LastIndexByte(s, ':'); i >= 0 && i > strings.LastIndexByte(s, ']') {
		return s[:i], s[i+1:]
	}
	return s, ""
}

// defaultPort returns the port that an origin of the scheme leaves out.
func defaultPort(scheme string) string {
	switch scheme {
	case "https://", "wss://":
		return "443"
	case "http://", "ws://":
		return "80"
	}
	return ""
}

// Allows reports whether pages of origin, the value of a request's Origin field, may use the server that the request's Host
// field names. The scheme does not count for the server's own host, since a proxy may have terminated TLS.
func (o *Origins) Allows(origin, host []byte) bool {
	if o.any {
		return true
	}
	lower := strings.ToLower(string(origin))
	i := strings.Index(lower, "://")
	if i < 0 {
		return o.exact[lower]
	}
	scheme, rest := lower[:i+3], lower[i+3:]
	if strings.ContainsAny(rest, "/?#@") {
		return false
	}
	name, port := splitPort(rest)
	if port == defaultPort(scheme) {
		port = ""
	}
	if o.exact[scheme+withPort(name, port)] {
		return true
	}
	for _, d := range o.domains {
		fits := name == d.host || d.suffix != "" && len(name) > len(d.suffix) && strings.HasSuffix(name, d.suffix)
		if fits && d.scheme == scheme && (d.port == "*" || d.port == port) {
			return true
		}
	}
	if !o.same && o.Cross() {
		return false
	}
	ownName, ownPort := splitPort(strings.ToLower(string(host)))
	if ownPort == defaultPort(scheme) {
		ownPort = ""
	}
	return name != "" && name == ownName && port == ownPort
}

// Cross reports whether pages of another host may be allowed.
func (o *Origins) Cross() bool { return o.any || len(o.exact) > 0 || len(o.domains) > 0 }

// SameSite reports whether a request without Origin comes from a page of this server or directly from the user, by the
// browser's Sec-Fetch-Site. Other clients do not send the field.
func SameSite(fetchSite []byte) bool {
	return bytes.Equal(fetchSite, []byte("same-origin")) || bytes.Equal(fetchSite, []byte("none"))
}
