package tlsrecord

import (
	"crypto/tls"
	"encoding/binary"
	"sync"
)

// Client starts a handshake with a server, see Server.
func (p *Pool) Client(config *tls.Config, notify func()) (*Handshake, error) {
	h := &Handshake{pool: p, config: config, notify: notify, client: true}
	return h, h.start()
}

// Open takes the next bytes from the peer. A handshake is a [Session] that has no plaintext.
func (h *Handshake) Open(b []byte) (plain []byte, err error) { return nil, h.feed(b) }

func (h *Handshake) feed(b []byte) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.in)+len(b) > maxInput {
		return ErrExcess
	}
	h.in = append(h.in, b...)
	switch {
	case h.state != shakingNotYet:
		h.fed.Signal()
	case len(h.in) > 0 && h.in[0] != typeHandshake:
		return ErrNoTLS
	case len(h.in) >= headerLen:
		n := int(binary.BigEndian.Uint16(h.in[3:]))
		if n > maxPlain || h.in[1] != recordMajor {
			return ErrNoTLS
		}
		if len(h.in) >= headerLen+n {
			return h.start()
		}
	}
	return nil
}

// start starts the goroutine. The caller holds mu, or is alone.
func (h *Handshake) start() error {
	if !h.pool.enter() {
		return ErrBusy
	}
	h.state = shaking
	h.fed = sync.NewCond(&h.mu)
	h.pool.running.Go(h.run)
	return nil
}
