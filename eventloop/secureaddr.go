package eventloop

import (
	"net"
	"net/netip"
	"slices"

	"github.com/panjf2000/gnet/v2"
)

// A listenerKind is the use of a listener.
type listenerKind uint8

const (
	listenerPlain listenerKind = iota
	listenerTLS
	listenerRedirect
)

// listenerOf returns the kind of the listener that accepted gc.
func (l *loop) listenerOf(gc gnet.Conn) listenerKind {
	e := l.engine
	if len(e.listen) == len(e.cfg.Listen) {
		return listenerPlain
	}
	local := gc.LocalAddr() // the same value for all connections of a listener; port 0 if the kernel chose the port
	kind, known := l.listeners[local]
	if !known {
		kind = e.kindOfSocket(gc.Fd())
		if l.listeners == nil {
			l.listeners = make(map[net.Addr]listenerKind)
		}
		l.listeners[local] = kind
	}
	return kind
}

// kindOfSocket returns the kind of the listener that a socket has its local address from.
func (e *Engine) kindOfSocket(fd int) listenerKind {
	local, err := boundAddr(fd)
	matches := func(a string) bool {
		ap, err := netip.ParseAddrPort(a)
		return err == nil && ap.Port() == local.Port() && (ap.Addr().IsUnspecified() || ap.Addr().Unmap() == local.Addr().Unmap())
	}
	switch {
	case err != nil: // then the handshake fails; clear text would be worse
		return listenerTLS
	case slices.ContainsFunc(e.TLSAddrs(), matches):
		return listenerTLS
	case slices.ContainsFunc(e.RedirectAddrs(), matches):
		return listenerRedirect
	}
	return listenerPlain
}
