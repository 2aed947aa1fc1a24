package fleet

import (
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

	"tickcast/loadtest/machine"
	"tickcast/wsproto"
)

// A target is a server in the form that workers need.
type target struct {
	url       string
	addr      netip.AddrPort
	host      string // the Host header
	path      string // the request target: path and query
	tls       *tls.Config
	protocols []string
	origin    string
}

// Targets are the servers of a run.
type Targets []target

// URLs returns the URL of each server.
func (t Targets) URLs() (urls []string) {
	for i := range t {
		urls = append(urls, t[i].url)
	}
	return urls
}

// Addrs returns the address of each server.
func (t Targets) Addrs() (addrs []netip.AddrPort) {
	for i := range t {
		addrs = append(addrs, t[i].addr)
	}
	return addrs
}

// maxTargets bounds a range of ports.
const maxTargets = 65535

// Resolve parses the URLs of cfg and looks up their hosts. It uses the first address of each host.
func Resolve(ctx context.Context, cfg Config) (Targets, error) {
	var all Targets
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

// expandPorts returns the URLs for a URL with a range of ports.
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

// trust sets the certificates that c accepts.
func trust(c *tls.Config, cfg Config) error {
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

// resolveTarget parses a ws or wss URL and looks up its host.
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

// request returns the opening handshake of a client with the given key.
func (t *target) request(key string) wsproto.ClientRequest {
	return wsproto.ClientRequest{Host: t.host, Path: t.path, Key: key, Origin: t.origin, Protocols: t.protocols}
}

var offered = []string{Subprotocol}

// handshakeKey returns the Sec-WebSocket-Key of client i. It is not stored but computed again when the answer comes. RFC
// 6455 §4.1 asks for a random nonce. The seed, new in each fleet, serves the same purpose: a cached answer does not fit, and
// an answer to another client does not fit.
func handshakeKey(seed uint64, i int) (key [24]byte) {
	var nonce [16]byte
	binary.BigEndian.PutUint64(nonce[:8], seed)
	binary.BigEndian.PutUint64(nonce[8:], uint64(i))
	base64.StdEncoding.Encode(key[:], nonce[:])
	return key // an array, so that the callers' strings of it stay on their stacks
}

// sockaddr returns a in the form of connect(2) and bind(2). x/sys/unix writes into the value, so each goroutine needs its
// own.
func sockaddr(a netip.AddrPort) unix.Sockaddr {
	if a.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()}
	}
	return &unix.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16()}
}

// sources are the local addresses to connect from. Empty: the kernel chooses.
type sources struct {
	addrs   []netip.Addr
	targets int
}

// of returns the local address of client i of the run; ok is false if the kernel is to choose. The connections to one server
// use the addresses in turn, so that each has its share.
func (s *sources) of(i int) (addr netip.Addr, ok bool) {
	if len(s.addrs) == 0 {
		return netip.Addr{}, false
	}
	return s.addrs[i/s.targets%len(s.addrs)], true
}

// planSources decides on the local addresses for the run's connections to the servers.
//
// connect(2) prefers ephemeral ports of one parity. When all of these are in use for a server and a source address, it
// checks each of them before it chooses one of the other parity. This takes tens of microseconds a connection with 14,000 in
// use, and more with more servers. So a source uses fewer than half of its ports if there are addresses to choose from,
// otherwise nine tenths. ports are these nine tenths.
func planSources(cfg Config, targets Targets, ports int) (sources, error) {
	conns := max(cfg.RunConns, cfg.Conns)
	perTarget := machine.CeilDiv(conns, len(targets))
	need, easy := machine.CeilDiv(perTarget, ports), machine.CeilDiv(perTarget, max(1, ports/2))
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
		own := machine.HostAddrs(targets[0].addr.Addr().Is4())
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

// CheckSources returns an error if the local addresses for cfg's connections do not suffice.
func (t Targets) CheckSources(cfg Config, l machine.Limits) error {
	_, err := planSources(cfg, t, l.PortsPerPair())
	return err
}
