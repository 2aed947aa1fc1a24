package main

import (
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// An address is where something listens, taken apart.
type address struct {
	key  string // whose it is
	text string
	host string // "" = all
	port int
}

// addresses demands that everything that listens has a valid address of its own.
func (v *validation) addresses(c *Config) {
	if len(c.Server.Listen) == 0 {
		v.bad("server.listen", "must name at least one address, such as \"127.0.0.1:8080\"")
	}
	var taken []address
	add := func(key, text string) {
		a, problem := parseAddress(text)
		if problem != "" {
			v.bad(key, "%q %s", text, problem)
			return
		}
		a.key = key
		for _, other := range taken {
			if a.overlaps(other) {
				v.bad(key, "%s is taken by %s (%s)", text, other.key, other.text)
				return
			}
		}
		taken = append(taken, a)
	}
	for _, text := range c.Server.Listen {
		add("server.listen", text)
	}
	if text := c.Server.InternalListen; text != "" {
		add("server.internal_listen", text)
	}
	if text := c.NATS.Embedded.Listen; text != "" {
		add("nats.embedded.listen", text)
	}
}

// parseAddress takes apart "host:port", "[v6]:port" or ":port", or says what is wrong with it.
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

// isHost reports whether host is empty, an IP address or could be a name.
func isHost(host string) bool {
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	return !strings.ContainsFunc(host, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '-' || r == '.' || r == '_')
	})
}

// overlaps reports whether a and b cannot both be listened on. Port 0 takes a free one. A name could be any address, but
// is only compared as a name.
func (a address) overlaps(b address) bool {
	if a.port != b.port || a.port == 0 {
		return false
	}
	all := func(a, b address) bool { // every address of b's family is a's
		return a.host == "" || a.host == "::" || a.host == "0.0.0.0" && !strings.Contains(b.host, ":")
	}
	return a.host == b.host || all(a, b) || all(b, a)
}

// natsSchemes are those that the NATS client speaks.
var natsSchemes = []string{"nats", "tls", "ws", "wss"}

// natsURL demands a NATS server's URL or its "host:port".
func (v *validation) natsURL(key, text string) {
	full := text
	if !strings.Contains(text, "://") {
		full = "nats://" + text
	}
	switch u, err := url.Parse(full); {
	case err != nil: // its text would show a password
		v.bad(key, "has a URL that cannot be parsed: use \"nats://host:4222\"")
	case !slices.Contains(natsSchemes, u.Scheme):
		v.bad(key, "must have URLs that begin with one of %s, not %q", strings.Join(natsSchemes, "://, ")+"://", u.Scheme+"://")
	case u.Hostname() == "":
		v.bad(key, "has a URL without a host: %q", u.Redacted())
	}
}
