package eventloop

import (
	"net"
	"time"

	"github.com/panjf2000/gnet/v2"

	"tickcast/eventloop/admission"
)

// A limitKind is a limit of Config.Limits, a label of the metrics.
type limitKind uint8

const (
	limitConnections limitKind = iota // of an address
	limitNewConnections
	limitAddressNewConnections
	limitUserConnections
	limitCommands
	limitBytes
	limitBanned
	limitAge
	limitKinds // the number of limits
)

var limitNames = [limitKinds]string{
	"connections_per_address", "connections_per_second", "connections_per_second_per_address", "connections_per_user",
	"commands_per_second", "bytes_per_second", "ban", "max_age",
}

// exceeded counts that a limit is exceeded, and reports whether that has consequences.
func (l *loop) exceeded(k limitKind) bool {
	l.limited[k]++
	return !l.engine.cfg.Limits.DryRun
}

// now64 is the clock of package admission.
func (e *Engine) now64() int64 { return int64(time.Since(e.started)) }

// addressOf returns the key of the client's address.
func (l *loop) addressOf(c *conn) (admission.Key, bool) {
	if p := l.conns.pass(c); p != nil && p.proxied {
		return p.address, true
	}
	if c.flags&flagTrusted != 0 { // a proxy that has not said yet who the client is
		return 0, false
	}
	return peerOf(c.gc)
}

// peerOf returns the key of the address at the other end of the socket.
func peerOf(gc gnet.Conn) (admission.Key, bool) {
	a, ok := gc.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return 0, false
	}
	return admission.KeyOf(a.AddrPort().Addr()), true
}

// admitPeer judges a new connection by the address of its peer, and then the rate of all connections: those that the address refuses take
// nothing of it. A connection that is refused is turned away, or closed if the action says so; one that has to wait is held.
func (l *loop) admitPeer(c *conn) (admitted bool, action gnet.Action) {
	if !l.greetPeer(c) {
		l.rejected[rejectProxy]++
		return false, gnet.Close
	}
	if admitted, action = l.admitAddress(c); !admitted { // a trusted proxy's own address is not the client's, and not known yet
		return false, action
	}
	return l.admitNew(c)
}

// admitAddress judges a connection whose client's address has become known.
func (l *loop) admitAddress(c *conn) (admitted bool, action gnet.Action) {
	e := l.engine
	key, known := l.addressOf(c)
	if e.addresses == nil || !known {
		return true, gnet.None
	}
	v, counted := e.addresses.Enter(key, e.now64())
	if counted {
		c.flags |= flagCounted
	}
	switch {
	case v == admission.TooMany && l.exceeded(limitConnections):
		return false, l.refuseEarly(c, awayAddressFull)
	case v == admission.TooFast && l.exceeded(limitAddressNewConnections):
		return false, l.refuseEarly(c, awayAddressFresh)
	case v == admission.Banned && l.exceeded(limitBanned):
		l.rejected[rejectBanned]++
		return false, gnet.Close // without an answer: it had some
	}
	return true, gnet.None
}

// refuseEarly turns a connection away. It gets an answer unless too many connections are being refused already, or its TLS handshake
// is still to come.
func (l *loop) refuseEarly(c *conn, why turnAway) gnet.Action {
	e := l.engine
	if e.refused.Load() >= e.reserve/2 || !l.canRespond(c) {
		l.rejected[why.reason()]++
		return gnet.Close
	}
	if c.flags&flagRefused == 0 {
		c.flags |= flagRefused
		e.refused.Add(1)
	}
	l.turnAway(c, why)
	return gnet.None
}

// leaveAddress ends the count of a connection.
func (l *loop) leaveAddress(c *conn) {
	if c.flags&flagCounted == 0 {
		return
	}
	c.flags &^= flagCounted
	if key, known := l.addressOf(c); known {
		l.engine.addresses.Leave(key)
	}
}

// offend notes an offence of c's client: after a few of them, its address is banned for a time.
func (l *loop) offend(c *conn) {
	e := l.engine
	if e.addresses == nil {
		return
	}
	if key, known := l.addressOf(c); known {
		e.addresses.Offend(key, e.now64())
	}
}

// withinBytes counts n bytes of input. It reports false if they were too many, and the connection ends.
func (l *loop) withinBytes(c *conn, n int) bool {
	limit := l.row(c).inbound
	if limit == nil || c.state != stateOpen && c.state != stateRequest {
		return true
	}
	c.bucket.Flow(l.now-c.heard, limit)
	if c.bucket.Bytes(n, limit) || !l.exceeded(limitBytes) {
		return true
	}
	l.endFlood(c, "more bytes a second than allowed")
	return false
}

// withinCommands counts a command or a request. It reports false if there were too many, and the connection ends.
func (l *loop) withinCommands(c *conn) bool {
	limit := l.row(c).inbound
	if limit == nil || c.bucket.Command(limit) || !l.exceeded(limitCommands) {
		return true
	}
	l.endFlood(c, "more commands a second than allowed")
	return false
}

// endFlood ends a connection whose client sends too much.
func (l *loop) endFlood(c *conn, why string) {
	l.offend(c)
	if c.state == stateOpen {
		l.fail(c, StatusInboundRate, why)
	} else {
		l.refuse(c, status429, why)
	}
}

// tooOld reports, and counts, that c is to end for its age.
func (l *loop) tooOld(c *conn) bool {
	end := l.ageLimit(c)
	return end > 0 && l.now >= end && l.exceeded(limitAge)
}

// ageLimit returns the tick at which c is as old as it may get; 0 = never. Connections that began together end apart.
func (l *loop) ageLimit(c *conn) uint32 {
	e := l.engine
	if e.maxAge == 0 {
		return 0
	}
	scattered := uint64(e.ageJitter) * uint64((c.slot*0x9e3779b1)^(c.opened*0x85ebca6b)) >> 32
	return c.opened + e.maxAge - uint32(scattered)
}
