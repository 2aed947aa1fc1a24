package eventloop

import (
	"bytes"
	"errors"
	"net"
	"net/netip"

	"github.com/panjf2000/gnet/v2"

	"tickcast/eventloop/admission"
	"tickcast/wsproto"
)

// A ProxyMode says whether connections of trusted proxies begin with a header of the PROXY protocol.
type ProxyMode uint8

const (
	ProxyOff ProxyMode = iota
	ProxyOptional
	ProxyRequired // and connections of others are not served
)

// greetPeer prepares a new connection by the address of its peer: a trusted proxy says who the client is, in a header before all
// else or in its requests. It reports false if connections of that peer are not served.
func (l *loop) greetPeer(c *conn) bool {
	cfg := &l.engine.cfg
	if len(cfg.TrustedProxies) == 0 {
		return true
	}
	a, ok := c.gc.RemoteAddr().(*net.TCPAddr)
	trusted := ok && cfg.TrustedProxies.Contains(a.AddrPort().Addr())
	switch {
	case !trusted:
		return cfg.ProxyProtocol != ProxyRequired
	case cfg.ProxyProtocol != ProxyOff:
		c.transport = transportProxied
	}
	c.flags |= flagTrusted
	return true
}

// readProxyHeader reads the PROXY header of a connection; then its requests follow.
func (l *loop) readProxyHeader(c *conn, b []byte) {
	if c.extra != nil {
		c.extra.request = append(c.extra.request, b...)
		b = c.extra.request
	}
	p, n, err := admission.ParseProxy(b)
	switch {
	case errors.Is(err, admission.ErrNoProxy) && l.engine.cfg.ProxyProtocol == ProxyOptional:
	case err != nil:
		l.refuse(c, proxyRejection, "malformed or missing PROXY header")
		return
	case n == 0:
		if c.extra == nil {
			c.extra = &extra{request: bytes.Clone(b)}
		}
		return
	}
	c.extra = nil
	c.transport = transportHTTP
	b = b[n:]
	if p.Source.IsValid() && !l.clientIs(c, p.Source.Addr().Unmap().WithZone("")) {
		if len(b) > 0 {
			l.answerTurnedAway(c)
		}
		return
	}
	switch {
	case len(b) == 0:
	case c.flags&flagTLS != 0:
		l.readSecure(c, b)
	default:
		l.row(c).read(l, c, b)
	}
}

// clientIs notes the address of a client behind a proxy and judges the connection by it. It reports false if that is refused.
func (l *loop) clientIs(c *conn, a netip.Addr) bool {
	l.leaveAddress(c) // of an earlier request
	p := l.conns.makePass(c)
	p.address, p.proxied = admission.KeyOf(a), true
	if !l.engine.cfg.TrustedProxies.Contains(a) {
		c.flags &^= flagTrusted
	}
	admitted, action := l.admitAddress(c)
	if action == gnet.Close {
		l.drop(c)
	}
	return admitted
}

// admitForwarded judges a request that a trusted proxy has forwarded by the address in X-Forwarded-For. From anybody else, the
// field means nothing.
func (l *loop) admitForwarded(c *conn, r *wsproto.Request) bool {
	if c.flags&flagTrusted == 0 {
		return true
	}
	a, ok := l.engine.cfg.TrustedProxies.ClientOf(r.ForwardedFor)
	if !ok {
		return true
	}
	if !l.clientIs(c, a) {
		l.answerTurnedAway(c)
		return false
	}
	c.flags |= flagTrusted // a later request may be another client's
	return true
}
