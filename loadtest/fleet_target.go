package loadtest

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"tickcast/wsproto"
)

// DefaultSubscribe is the command that a client sends when [FleetConfig].Subscribe is empty.
const DefaultSubscribe = `{"op":"sub","id":1,"topics":["{topic}"]}`

// ownCommand is what the commands of Tickcast's protocol begin with.
const ownCommand = `{"op":`

// A target is a server in the forms that the workers need.
type target struct {
	url       string
	addr      netip.AddrPort
	host      string // the Host header
	path      string // the request target: path and query
	tls       *tls.Config
	protocols []string
	origin    string
}

// maxTargets bounds a range of ports.
const maxTargets = 65535

// resolveTargets parses the URLs of cfg and looks their hosts up; of several addresses of a host the first is taken.
func resolveTargets(ctx context.Context, cfg FleetConfig) ([]target, error) {
	var all []target
	for _, raw := range strings.Split(cfg.URL, ",") {
		urls, err := expandPorts(raw)
		if err != nil {
			return nil, err
		}
		for _, u := range urls {
			t, err := resolveTarget(ctx, u)
			if err != nil {
				return nil, err
			}
			if cfg.Subprotocols != nil {
				t.protocols = cfg.Subprotocols
			}
			t.origin = cfg.Origin
			if t.tls != nil {
				if err := trust(t.tls, cfg); err != nil {
					return nil, err
				}
			}
			all = append(all, t)
		}
	}
	return all, nil
}

// portRange finds the 8000-8053 in ws://host:8000-8053/path.
var portRange = regexp.MustCompile(`^([a-z]+://[^/?#]*):([0-9]{1,5})-([0-9]{1,5})([/?#].*|)$`)

// expandPorts returns the URLs that a URL with a range of ports stands for.
func expandPorts(raw string) ([]string, error) {
	m := portRange.FindStringSubmatch(raw)
	if m == nil {
		return []string{raw}, nil
	}
	from, errFrom := strconv.Atoi(m[2])
	to, errTo := strconv.Atoi(m[3])
	if errFrom != nil || errTo != nil || from < 1 || to > maxTargets || from > to {
		return nil, fmt.Errorf("loadtest: URL %q has no valid range of ports", raw)
	}
	var urls []string
	for p := from; p <= to; p++ {
		urls = append(urls, fmt.Sprintf("%s:%d%s", m[1], p, m[4]))
	}
	return urls, nil
}

// trust says which certificates of the server are good.
func trust(c *tls.Config, cfg FleetConfig) error {
	c.InsecureSkipVerify = cfg.Insecure
	if cfg.CA == "" {
		return nil
	}
	pem, err := os.ReadFile(cfg.CA)
	if err != nil {
		return fmt.Errorf("loadtest: certificates: %w", err)
	}
	c.RootCAs = x509.NewCertPool()
	if !c.RootCAs.AppendCertsFromPEM(pem) {
		return fmt.Errorf("loadtest: %s holds no certificate", cfg.CA)
	}
	return nil
}

// resolveTarget parses a ws or wss URL and looks its host up.
func resolveTarget(ctx context.Context, raw string) (target, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return target{}, fmt.Errorf("loadtest: %w", err)
	}
	port := uint64(80)
	var secure *tls.Config
	switch {
	case u.Scheme == "wss" && u.Hostname() != "":
		port, secure = 443, &tls.Config{ServerName: u.Hostname(), NextProtos: []string{"http/1.1"}}
	case u.Scheme != "ws" || u.Hostname() == "":
		return target{}, fmt.Errorf("loadtest: URL %q is not of the form ws://host:port/path", raw)
	}
	if p := u.Port(); p != "" {
		if port, err = strconv.ParseUint(p, 10, 16); err != nil || port == 0 {
			return target{}, fmt.Errorf("loadtest: URL %q has no valid port", raw)
		}
	}
	addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", u.Hostname())
	if err != nil {
		return target{}, fmt.Errorf("loadtest: look up the server: %w", err)
	}
	return target{
		url:       raw,
		addr:      netip.AddrPortFrom(addrs[0].Unmap(), uint16(port)),
		host:      u.Host,
		path:      u.RequestURI(),
		tls:       secure,
		protocols: offered,
	}, nil
}

// request is the opening handshake of the client whose key is given.
func (t *target) request(key string) wsproto.ClientRequest {
	return wsproto.ClientRequest{Host: t.host, Path: t.path, Key: key, Origin: t.origin, Protocols: t.protocols}
}

var offered = []string{Subprotocol}

// handshakeKey returns the Sec-WebSocket-Key of client i. It is computed again when the answer comes rather than
// stored. RFC 6455 §4.1 asks for a random nonce; the seed, new in each fleet, serves its purpose: no cached answer fits,
// nor one that was meant for another client.
func handshakeKey(seed uint64, i int) (key [24]byte) {
	var nonce [16]byte
	binary.BigEndian.PutUint64(nonce[:8], seed)
	binary.BigEndian.PutUint64(nonce[8:], uint64(i))
	base64.StdEncoding.Encode(key[:], nonce[:])
	return key // an array, so that the callers' strings of it stay on their stacks
}

// sockaddr returns a as connect(2) and bind(2) want it. x/sys/unix writes into the value, so each goroutine needs its own.
func sockaddr(a netip.AddrPort) unix.Sockaddr {
	if a.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()}
	}
	return &unix.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16()}
}

// A template is the subscribe message in pieces. Empty: nothing is sent.
type template []templatePart

type templatePart struct {
	text string
	hole byte // what follows text: 'i' index, 't' topic, 0 nothing
}

// parseTemplate cuts text at its {i} and {topic}; other braces are text.
func parseTemplate(text string, topics []string) template {
	if text == "" {
		if len(topics) == 0 {
			return nil
		}
		text = DefaultSubscribe
	}
	var t template
	for from := 0; ; {
		i, rest := strings.Index(text[from:], "{i}"), strings.Index(text[from:], "{topic}")
		switch {
		case i >= 0 && (rest < 0 || i < rest):
			t = append(t, templatePart{text[from : from+i], 'i'})
			from += i + len("{i}")
		case rest >= 0:
			t = append(t, templatePart{text[from : from+rest], 't'})
			from += rest + len("{topic}")
		default:
			return append(t, templatePart{text[from:], 0})
		}
	}
}

// append appends the message of client i, for the topics in the given places.
func (t template) append(dst []byte, i int, topics []string, places []uint32) []byte {
	for _, part := range t {
		dst = append(dst, part.text...)
		switch part.hole {
		case 'i':
			dst = strconv.AppendInt(dst, int64(i), 10)
		case 't':
			for j, k := range places {
				if j > 0 {
					dst = append(dst, `","`...)
				}
				dst = append(dst, topics[k]...)
			}
		}
	}
	return dst
}

// sources deals out local addresses. Empty: the kernel chooses.
type sources struct {
	addrs   []netip.Addr
	targets int
}

// of returns the local address of the run's client i; ok is false if the kernel shall choose. Those of one server take
// turns, so that no address is used for more than its share.
func (s *sources) of(i int) (addr netip.Addr, ok bool) {
	if len(s.addrs) == 0 {
		return netip.Addr{}, false
	}
	return s.addrs[i/s.targets%len(s.addrs)], true
}

// planSources decides on the local addresses for the run's connections to the servers.
//
// Of the ephemeral ports connect(2) takes those of one parity first. Once these are all in use for a server and a source
// address, it looks at each of them before it takes one of the other parity: tens of microseconds a connection with
// 14,000 in use, and more the more other servers there are. So a source has fewer than half of the ports where there are
// addresses to choose from, and nine tenths where there are not.
func planSources(cfg FleetConfig, targets []target) (sources, error) {
	conns := max(cfg.RunConns, cfg.Conns)
	perTarget, ports := ceilDiv(conns, len(targets)), ephemeralPorts()
	need, easy := ceilDiv(perTarget, max(1, ports*9/10)), ceilDiv(perTarget, max(1, ports*9/20))
	local := true
	for _, t := range targets {
		server := t.addr.Addr()
		local = local && server.Is4() && server.IsLoopback()
		for _, a := range cfg.Sources {
			if a.Is4() != server.Is4() {
				return sources{}, fmt.Errorf("loadtest: source %v cannot reach %v", a, server)
			}
		}
	}
	switch {
	case len(cfg.Sources) >= need:
		return sources{cfg.Sources, len(targets)}, nil
	case len(cfg.Sources) > 0:
		return sources{}, fmt.Errorf("loadtest: %d connections need %d source addresses, %d given",
			conns, need, len(cfg.Sources))
	case easy <= 1 || need <= 1 && !local:
		return sources{}, nil
	case !local:
		own := hostAddrs(targets[0].addr.Addr().Is4())
		if len(own) < need {
			return sources{}, fmt.Errorf("loadtest: %d connections need %d source addresses, this host has %d",
				conns, need, len(own))
		}
		return sources{own, len(targets)}, nil
	}
	s := sources{targets: len(targets)}
	for a := netip.AddrFrom4([4]byte{127, 0, 0, 2}); len(s.addrs) < easy; a = a.Next() {
		s.addrs = append(s.addrs, a)
	}
	return s, nil
}

// hostAddrs returns the addresses of this host's interfaces from which other hosts can be reached.
func hostAddrs(v4 bool) (own []netip.Addr) {
	all, _ := net.InterfaceAddrs() // without them there are none
	for _, a := range all {
		p, err := netip.ParsePrefix(a.String())
		if err == nil && p.Addr().Is4() == v4 && p.Addr().IsGlobalUnicast() {
			own = append(own, p.Addr())
		}
	}
	return own
}

// ephemeralPorts returns how many ports the kernel has for the connections from one address to one server.
func ephemeralPorts() int {
	low, high := 32768, 60999 // the kernel's default
	if b, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range"); err == nil {
		if f := bytes.Fields(b); len(f) == 2 {
			l, errLow := strconv.Atoi(string(f[0]))
			h, errHigh := strconv.Atoi(string(f[1]))
			if errLow == nil && errHigh == nil && l < h {
				low, high = l, h
			}
		}
	}
	return high - low + 1
}
