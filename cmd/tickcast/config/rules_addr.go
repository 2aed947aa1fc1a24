package config

import (
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// An address is a parsed address to listen on.
type address struct {
	key  string // the key that holds it
	text string
	host string // "" = all
	port int
}

// addresses requires that every listener has a valid address of its own.
func (v *validation) addresses(c *Config) {
	if len(c.Server.Listen)+len(c.TLS.Listen) == 0 {
		v.add("server.listen", "must name at least one address, such as \"127.0.0.1:8080\"")
	}
	var taken []address
	add := func(key, text string) {
		a, problem := parseAddress(text)
		if problem != "" {
			v.add(key, "%q %s", text, problem)
			return
		}
		a.key = key
		for _, other := range taken {
			if a.overlaps(other) {
				v.add(key, "%s is taken by %s (%s)", text, other.key, other.text)
				return
			}
		}
		taken = append(taken, a)
	}
	for _, text := range c.Server.Listen {
		add("server.listen", text)
	}
	for _, text := range c.TLS.Listen {
		add("tls.listen", text)
	}
	for _, text := range c.TLS.RedirectListen {
		add("tls.redirect_listen", text)
	}
	if text := c.Server.InternalListen; text != "" {
		add("server.internal_listen", text)
	}
	if text := c.NATS.Embedded.Listen; text != "" {
		add("nats.embedded.listen", text)
	}
}

// parseAddress parses "host:port", "[v6]:port" or ":port". problem is "" for a valid address.
func parseAddress(text string) (a address, problem string) {
	host, port, err := net.SplitHostPort(text)
	switch {
	case err != nil && strings.Count(text, ":") > 1 && !strings.Contains(text, "]"):
		return a, "has an IPv6 address that needs brackets: \"[::1]:8080\""
	case err != nil:
		return a, "is not an address: use \"host:port\", \"[v6]:port\" or \":port\""
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return a, "needs a port between 0 and 65535"
	}
	if !isHost(host) {
		return a, "has no valid host"
	}
	return address{text: text, host: host, port: int(n)}, ""
}

// isHost reports whether host is empty, an IP address or a possible name.
func isHost(host string) bool {
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	return !strings.ContainsFunc(host, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '-' || r == '.' || r == '_')
	})
}

// overlaps reports whether a and b exclude each other. Port 0 is a free one each time. A name is compared as a name, though
// it may stand for the same address.
func (a address) overlaps(b address) bool {
	if a.port != b.port || a.port == 0 {
		return false
	}
	all := func(a, b address) bool { // a covers every address of b's family
		return a.host == "" || a.host == "::" || a.host == "0.0.0.0" && !strings.Contains(b.host, ":")
	}
	return a.host == b.host || all(a, b) || all(b, a)
}

// natsSchemes are the schemes that the NATS client knows.
var natsSchemes = []string{"nats", "tls", "ws", "wss"}

// natsURL requires the URL of a NATS server or its "host:port".
func (v *validation) natsURL(key, text string) {
	full := text
	if !strings.Contains(text, "://") {
		full = "nats://" + text
	}
	switch u, err := url.Parse(full); {
	case err != nil: // the text of err would show a password
		v.add(key, "has a URL that cannot be parsed: use \"nats://host:4222\"")
	case !slices.Contains(natsSchemes, u.Scheme):
		v.add(key, "must have URLs that begin with one of %s, not %q", strings.Join(natsSchemes, "://, ")+"://", u.Scheme+"://")
	case u.Hostname() == "":
		v.add(key, "has a URL without a host: %q", u.Redacted())
	}
}

// secureURL requires a URL whose content cannot be changed on the way; else danger is in the error.
func (v *validation) secureURL(key, text, danger string) {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		v.add(key, "is not a URL: use \"https://host/path\"")
	case u.Scheme == "http" && !isLoopback(u.Hostname()):
		v.add(key, "must be https: %s", danger)
	}
}

func isLoopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}
