package admission

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net/netip"
)

// The header of the PROXY protocol, https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt: a balancer sends it before all
// else, so that the server learns the client's address.

// ErrProxy is a header that breaks the rules of the PROXY protocol.
var ErrProxy = errors.New("admission: malformed PROXY header")

// ErrNoProxy is input that is no PROXY header, judged by its first bytes.
var ErrNoProxy = errors.New("admission: no PROXY header")

var (
	proxyV1  = []byte("PROXY ")                 // §2.1
	proxyV2  = []byte("\r\n\r\n\x00\r\nQUIT\n") // §2.2
	proxyEnd = []byte("\r\n")
)

const (
	maxProxyV1 = 107  // §2.1: "a 108-byte buffer is always enough to store all the line and a trailing zero"
	maxProxyV2 = 2048 // bytes after the first 16: addresses and TLVs. Chosen by us
)

// A Proxied is the content of a PROXY header.
type Proxied struct {
	Source netip.AddrPort // of the client; invalid for the balancer's own connection, such as a health check
}

// ParseProxy reads the PROXY header at the start of b and returns its length; n == 0 without an error means that b ends inside it.
// The error is ErrNoProxy or ErrProxy.
func ParseProxy(b []byte) (p Proxied, n int, err error) {
	switch {
	case begins(b, proxyV1):
		return parseProxyV1(b)
	case begins(b, proxyV2):
		return parseProxyV2(b)
	}
	return Proxied{}, 0, ErrNoProxy
}

// begins reports whether b begins with prefix, as far as b goes.
func begins(b, prefix []byte) bool {
	n := min(len(b), len(prefix))
	return bytes.Equal(b[:n], prefix[:n])
}

// parseProxyV1 reads "PROXY TCP4 SOURCE DESTINATION PORT PORT" CRLF, and "PROXY UNKNOWN" with any text behind it.
func parseProxyV1(b []byte) (p Proxied, n int, err error) {
	line, _, whole := bytes.Cut(b[:min(len(b), maxProxyV1)], proxyEnd)
	if !whole {
		if len(b) >= maxProxyV1 || bytes.IndexByte(bytes.TrimSuffix(line, []byte("\r")), '\r') >= 0 || bytes.IndexByte(line, '\n') >= 0 {
			return Proxied{}, 0, ErrProxy
		}
		return Proxied{}, 0, nil
	}
	n = len(line) + len(proxyEnd)
	fields := bytes.Split(line[len(proxyV1):], []byte(" "))
	if string(fields[0]) == "UNKNOWN" {
		return Proxied{}, n, nil
	}
	if len(fields) != 5 || string(fields[0]) != "TCP4" && string(fields[0]) != "TCP6" {
		return Proxied{}, 0, ErrProxy
	}
	var addrs [2]netip.Addr
	var ports [2]uint16
	for i := range addrs {
		a, err := netip.ParseAddr(string(fields[1+i]))
		port, ok := parsePort(fields[3+i])
		if err != nil || !ok || a.Zone() != "" || a.Is4() != (string(fields[0]) == "TCP4") {
			return Proxied{}, 0, ErrProxy
		}
		addrs[i], ports[i] = a, port
	}
	return Proxied{netip.AddrPortFrom(addrs[0], ports[0])}, n, nil
}

// parsePort reads a port in decimal, without leading zeroes.
func parsePort(b []byte) (port uint16, ok bool) {
	if len(b) == 0 || len(b) > 5 || b[0] == '0' && len(b) > 1 {
		return 0, false
	}
	sum := 0
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		sum = 10*sum + int(c-'0')
	}
	return uint16(sum), sum <= 65535
}

// parseProxyV2 reads the binary header. It skips the TLVs behind the addresses.
func parseProxyV2(b []byte) (p Proxied, n int, err error) {
	const fixed = 16
	if len(b) > 12 && (b[12]>>4 != 2 || b[12]&0xf > 1) || len(b) > 13 && (b[13]>>4 > 3 || b[13]&0xf > 2) {
		return Proxied{}, 0, ErrProxy
	}
	if len(b) < fixed {
		return Proxied{}, 0, nil
	}
	length := int(binary.BigEndian.Uint16(b[14:]))
	family, transport, local := b[13]>>4, b[13]&0xf, b[12]&0xf == 0
	need := [4]int{0, 12, 36, 216}[family] // no address, IPv4, IPv6, Unix
	if length > maxProxyV2 || !local && length < need {
		return Proxied{}, 0, ErrProxy
	}
	n = fixed + length
	if len(b) < n {
		return Proxied{}, 0, nil
	}
	if local || transport != 1 {
		return Proxied{}, n, nil // "the receiver must accept this connection as valid and must use the real connection endpoints"
	}
	body := b[fixed:n]
	switch family {
	case 1:
		p.Source = netip.AddrPortFrom(netip.AddrFrom4([4]byte(body[:4])), binary.BigEndian.Uint16(body[8:]))
	case 2:
		p.Source = netip.AddrPortFrom(netip.AddrFrom16([16]byte(body[:16])), binary.BigEndian.Uint16(body[32:]))
	}
	return p, n, nil
}
