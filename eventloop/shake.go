package eventloop

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"

	"tickcast/eventloop/tlsrecord"
)

// prepareTLS makes the state of TLS that all loops share. If the self-test of the own records fails, crypto/tls has them.
func (e *Engine) prepareTLS() error {
	cfg := &e.cfg.TLS
	e.listen = slices.Concat(e.cfg.Listen, cfg.Listen, e.cfg.Redirect.Listen)
	if len(cfg.Listen) > 0 && cfg.Config == nil {
		return errors.New("eventloop: TLS needs a configuration")
	}
	for i, a := range e.listen {
		if i >= len(e.cfg.Listen) && slices.Contains(e.listen[:i], a) {
			return fmt.Errorf("eventloop: listen on %s in two ways", a)
		}
	}
	if len(e.cfg.Redirect.Listen) > 0 && e.cfg.Redirect.Serves == nil {
		return errors.New("eventloop: a redirect needs the names that are served")
	}
	own := cfg.OwnRecords && len(cfg.Listen) > 0
	if own {
		if err := tlsrecord.SelfTest(); err != nil {
			own = false
			e.log.Error("crypto/tls keeps the records of TLS: an idle connection takes 7 KB instead of 300 B", "error", err)
		}
	}
	workers := cfg.Workers
	if workers == 0 {
		workers = max(1, runtime.GOMAXPROCS(0)/2)
	}
	e.handshakes = tlsrecord.NewPool(workers, cfg.MaxHandshakes, own)
	e.tlsConfig = tlsrecord.ServerConfig(cfg.Config)
	e.keptMost = cfg.KeptBytes / keptCost / e.cfg.Loops
	return nil
}

// newHandshake starts a handshake. Its goroutine reports through a task.
func (l *loop) newHandshake(c *conn) *tlsrecord.Handshake {
	slot := c.slot
	var h *tlsrecord.Handshake
	t := l.task(func() {
		// The slot has another session once the connection has ended.
		if c := l.conns.At(slot); c.flags&flagTLS != 0 && *l.conns.session(slot) == tlsrecord.Session(h) {
			defer l.recover(c)
			l.shake(c, h)
		}
	})
	h = l.engine.handshakes.Server(l.engine.tlsConfig, func() { l.post(t) })
	fd := c.fd // releaseSession comes before its end
	h.WriteBy(func(b []byte) int {
		n, _ := writeNow(fd, b)
		return n
	})
	return h
}

// shake sends the output of c's handshake, and begins the session when it is over.
func (l *loop) shake(c *conn, h *tlsrecord.Handshake) {
	out, r, done := h.Take()
	l.countWritten(h)
	l.bytesSent += uint64(len(out))
	if len(out) > 0 && l.transmit(c, out) == outcomeGone {
		return
	}
	if c.state == stateRequest {
		l.wheel.schedule(c, l.now+l.engine.handshake) // the next step is the client's
	}
	switch {
	case !done || c.state == stateLinger:
	case r.Err != nil:
		l.handshakes[handshakeFailed]++
		l.engine.log.Debug("a TLS handshake failed", "client", c.gc.RemoteAddr(), "error", r.Err)
		l.linger(c) // the alert must arrive
	default:
		l.countHandshake(&r)
		*l.conns.session(c.slot) = r.Session
		l.noteCertificate(c, r.Peer)
		if len(r.Input) > 0 {
			l.readSecure(c, r.Input)
		}
		if records, ok := r.Session.(*tlsrecord.Records); ok {
			records.Forget() // the connection may be idle from now on
		}
	}
}

// countHandshake counts a handshake that has succeeded.
func (l *loop) countHandshake(r *tlsrecord.Result) {
	result := handshakeFull
	if r.Resumed {
		result = handshakeResumed
	}
	l.handshakes[result]++
	if _, ok := r.Session.(*tlsrecord.Driven); ok {
		l.driven++
	}
}

// handshakeQueued reports whether the handshake of c waits for its turn to compute, or has answered its client since its last deadline.
// In a storm of clients the wait can be longer than their deadline; MaxHandshakes bounds it.
func (l *loop) handshakeQueued(c *conn) bool {
	if c.flags&flagTLS == 0 {
		return false
	}
	h, ok := (*l.conns.session(c.slot)).(*tlsrecord.Handshake)
	if !ok {
		return false
	}
	queued := h.Queued()
	return l.countWritten(h) || queued
}

// countWritten counts the bytes that a handshake has written itself, and reports whether there are any.
func (l *loop) countWritten(h *tlsrecord.Handshake) bool {
	n := h.Written()
	l.bytesSent += uint64(n)
	return n > 0
}

// countTimeout counts a handshake that took too long.
func (l *loop) countTimeout(c *conn) {
	if c.flags&flagTLS == 0 {
		return
	}
	if _, ok := (*l.conns.session(c.slot)).(*tlsrecord.Handshake); ok {
		l.handshakes[handshakeTimeout]++
	}
}

// badScheme answers a request without TLS, as net/http does.
var badScheme = &refusal{400, "", rejectNotTLS}

// failSession ends the connection after an error of its session. There is no closing handshake: after a broken rule of TLS the
// last record is the alert.
func (l *loop) failSession(c *conn, err error) {
	switch {
	case errors.Is(err, tlsrecord.ErrNoTLS):
		l.releaseSession(c)
		c.flags &^= flagTLS
		l.refuse(c, badScheme, "this port speaks TLS: https and wss")
	case errors.Is(err, tlsrecord.ErrBusy):
		l.rejected[rejectHandshakes]++
		l.drop(c)
	case errors.Is(err, tlsrecord.ErrExcess):
		l.handshakes[handshakeFailed]++
		l.drop(c)
	case errors.Is(err, io.EOF): // close_notify: it will not read any more
		l.drop(c)
	default:
		if !l.endSession(c, err) && c.state == stateFree {
			return
		}
		if c.state == stateOpen {
			l.leaveShard(c)
		}
		l.linger(c)
	}
}

// readSecure reads input of a connection with TLS. All plaintext of one read is handled together, as that of a connection without
// TLS: one budget for thousands of small records.
func (l *loop) readSecure(c *conn, b []byte) {
	s := l.conns.session(c.slot)
	if *s == nil {
		*s = l.newHandshake(c)
	}
	plain, over, err := l.openSession(*s, b)
	switch {
	case over:
		l.shake(c, (*s).(*tlsrecord.Handshake))
	case len(plain) > 0:
		l.receive(c, plain)
	}
	if err != nil && c.state != stateFree && c.state != stateLinger {
		l.failSession(c, err)
	}
}

// openSession decrypts input. over reports that the input has ended the handshake.
func (l *loop) openSession(s tlsrecord.Session, b []byte) (plain []byte, over bool, err error) {
	if h, ok := s.(*tlsrecord.Handshake); ok && !l.engine.cfg.LockOSThread {
		over, err = h.OpenHere(b)
		return nil, over, err
	}
	plain, err = s.Open(b)
	return plain, false, err
}

// releaseSession releases the session of c, which ends.
func (l *loop) releaseSession(c *conn) {
	if c.flags&flagTLS == 0 {
		return
	}
	s := l.conns.session(c.slot)
	if h, ok := (*s).(*tlsrecord.Handshake); ok {
		h.Abort()
		l.countWritten(h)
	}
	*s = nil
}
