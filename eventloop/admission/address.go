package admission

import (
	"encoding/binary"
	"fmt"
	"net/netip"
)

// A Key stands for the addresses of one client: an IPv4 address, or an IPv6 network of 64 bits.
type Key uint64

// KeyOf returns the key of an address. IPv4 addresses have keys among those of a part of IPv6 that is reserved, ::/8.
func KeyOf(a netip.Addr) Key {
	a = a.Unmap()
	if a.Is4() {
		b := a.As4()
		return 1<<32 | Key(binary.BigEndian.Uint32(b[:]))
	}
	b := a.As16()
	return Key(binary.BigEndian.Uint64(b[:8]))
}

// Networks is a list of networks.
type Networks []netip.Prefix

// ParseNetworks reads networks such as "10.0.0.0/8", and single addresses.
func ParseNetworks(list []string) (Networks, error) {
	var networks Networks
	for _, text := range list {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			a, aerr := netip.ParseAddr(text)
			if aerr != nil || a.Zone() != "" {
				return nil, fmt.Errorf(`%.80q is not a network: use "10.0.0.0/8" or an address`, text)
			}
			p = netip.PrefixFrom(a, a.BitLen())
		}
		if p.Addr().Is4In6() {
			return nil, fmt.Errorf("%.80q: write IPv4 networks as IPv4", text)
		}
		networks = append(networks, p.Masked())
	}
	return networks, nil
}

// Contains reports whether a is in one of the networks.
func (n Networks) Contains(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	for _, p := range n {
		if p.Contains(a) {
			return true
		}
	}
	return false
}
