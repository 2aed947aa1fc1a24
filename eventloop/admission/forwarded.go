package admission

import (
	"bytes"
	"net/netip"
)

// ClientOf returns the client's address in the value of X-Forwarded-For, of a request that came from a trusted proxy: the
// last address that is not a trusted proxy's itself. Each proxy appends the address that it saw, so earlier addresses may be
// forged. It reports false if the field names no such address.
func (n Networks) ClientOf(forwarded []byte) (client netip.Addr, ok bool) {
	for len(forwarded) > 0 {
		last := forwarded
		if i := bytes.LastIndexByte(forwarded, ','); i >= 0 {
			forwarded, last = forwarded[:i], forwarded[i+1:]
		} else {
			forwarded = nil
		}
		a, known := forwardedAddr(bytes.Trim(last, " \t"))
		if !known {
			return netip.Addr{}, false
		}
		if client, ok = a, true; !n.Contains(a) {
			return client, true
		}
	}
	return client, ok // all of them are proxies: the first one
}

// forwardedAddr reads an address, perhaps with a port or in brackets.
func forwardedAddr(b []byte) (netip.Addr, bool) {
	if ap, err := netip.ParseAddrPort(string(b)); err == nil {
		return ap.Addr().Unmap().WithZone(""), true
	}
	if len(b) > 2 && b[0] == '[' && b[len(b)-1] == ']' {
		b = b[1 : len(b)-1]
	}
	a, err := netip.ParseAddr(string(b))
	return a.Unmap().WithZone(""), err == nil
}
