package loadtest

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"tickcast/wsproto"
)

// DefaultSubscribe is the command that a client sends when [FleetConfig].Subscribe is empty.
const DefaultSubscribe = `{"op":"sub","id":1,"topics":["{topic}"]}`

// A target is the server in the forms that the workers need.
type target struct {
	addr netip.AddrPort
	host string // the Host header
	path string // the request target: path and query
}

// resolveTarget parses a ws URL and looks its host up; of several addresses the first is taken.
func resolveTarget(ctx context.Context, raw string) (target, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return target{}, fmt.Errorf("loadtest: %w", err)
	}
	if u.Scheme != "ws" || u.Hostname() == "" {
		return target{}, fmt.Errorf("loadtest: URL %q is not of the form ws://host:port/path", raw)
	}
	port := uint64(80)
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
		addr: netip.AddrPortFrom(addrs[0].Unmap(), uint16(port)),
		host: u.Host,
		path: u.RequestURI(),
	}, nil
}

// request is the opening handshake of the client whose key is given.
func (t *target) request(key string) wsproto.ClientRequest {
	return wsproto.ClientRequest{Host: t.host, Path: t.path, Key: key, Protocols: offered}
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

// append appends the message of client i, for perConn of the topics.
func (t template) append(dst []byte, i int, topics []string, perConn int) []byte {
	for _, part := range t {
		dst = append(dst, part.text...)
		switch {
		case part.hole == 'i':
			dst = strconv.AppendInt(dst, int64(i), 10)
		case part.hole == 't' && len(topics) > 0:
			dst = appendTopics(dst, i, topics, perConn)
		}
	}
	return dst
}

// appendTopics appends the topics of client i as they stand between the outer quotation marks of a list.
func appendTopics(dst []byte, i int, topics []string, perConn int) []byte {
	step := 1
	if perConn > 1 {
		step = nthCoprime(i/len(topics), len(topics))
	}
	for j := range perConn {
		if j > 0 {
			dst = append(dst, `","`...)
		}
		dst = append(dst, topics[(i+j*step)%len(topics)]...)
	}
	return dst
}

// nthCoprime returns the n-th number, from 0 on, that shares no factor with m; after those below m comes the first again.
// Steps of such a length through a ring of m meet all places before one comes twice.
func nthCoprime(n, m int) int {
	var below []int
	for c := range m {
		if gcd(c, m) == 1 {
			below = append(below, c)
		}
	}
	return below[n%len(below)]
}

// gcd returns the greatest common divisor.
func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// sources deals out local addresses. Empty: the kernel chooses.
type sources struct {
	addrs []netip.Addr
	each  int // connections from one address
}

// of returns client i's local address; ok is false if the kernel shall choose.
func (s *sources) of(i int) (addr netip.Addr, ok bool) {
	if len(s.addrs) == 0 {
		return netip.Addr{}, false
	}
	return s.addrs[i/s.each%len(s.addrs)], true
}

// planSources decides on the local addresses for cfg's connections to server.
func planSources(cfg FleetConfig, server netip.Addr) (sources, error) {
	each := portsPerAddress()
	need := (cfg.Conns + each - 1) / each
	for _, a := range cfg.Sources {
		if a.Is4() != server.Is4() {
			return sources{}, fmt.Errorf("loadtest: source %v cannot reach %v", a, server)
		}
	}
	switch {
	case len(cfg.Sources) >= need:
		return sources{cfg.Sources, each}, nil
	case len(cfg.Sources) > 0 || need > 1 && !(server.Is4() && server.IsLoopback()):
		return sources{}, fmt.Errorf("loadtest: %d connections need %d source addresses, %d given",
			cfg.Conns, need, len(cfg.Sources))
	case need <= 1:
		return sources{}, nil
	}
	s := sources{each: each}
	for a := netip.AddrFrom4([4]byte{127, 0, 0, 2}); len(s.addrs) < need; a = a.Next() {
		s.addrs = append(s.addrs, a)
	}
	return s, nil
}

// portsPerAddress returns how many connections to one server one address is used for: nine tenths of the ephemeral
// ports, since the kernel's search for a free one becomes slow, then fails, as they run out.
func portsPerAddress() int {
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
	return max(1, (high-low+1)*9/10)
}
