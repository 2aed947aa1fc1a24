package tlsrecord

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
)

// Client starts a handshake with a server, see Server.
func (p *Pool) Client(config *tls.Config, notify func()) (*Handshake, error) {
	h := &Handshake{pool: p, config: config, notify: notify, client: true}
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.begin(); err != nil {
		return h, err
	}
	h.advancing = true
	p.compute(h)
	return h, nil
}

// Open takes the next bytes from the peer. A handshake is a [Session] that has no plaintext.
func (h *Handshake) Open(b []byte) (plain []byte, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.feed(b); err != nil || !h.due() {
		return nil, err
	}
	h.advancing = true
	h.pool.compute(h)
	return nil, nil
}

// OpenHere is Open for a server's goroutine that may compute for some 30 us: the last flight of a client of TLS 1.3 without a
// certificate is handled at once. over reports that the handshake is over by that, without a call of notify. The goroutine must not
// be locked to its thread. Input that the handshake leaves lies in b: the caller takes the result at once.
func (h *Handshake) OpenHere(b []byte) (over bool, err error) {
	h.mu.Lock()
	if !h.short || h.advancing || h.state != shaking {
		h.mu.Unlock()
		_, err := h.Open(b)
		return false, err
	}
	defer h.mu.Unlock()
	borrowed := len(h.in) == 0
	if borrowed {
		h.in = b[:len(b):len(b)]
	} else if err := h.feed(b); err != nil {
		return false, err
	}
	if h.due() {
		h.advancing = true
		h.mu.Unlock()
		h.proceed()
		h.mu.Lock()
	}
	over = h.state == shakingOver
	if borrowed && !over {
		h.in = bytes.Clone(h.in)
	}
	return over, nil
}

// due reports whether the handshake can go on. The caller holds mu.
func (h *Handshake) due() bool {
	return h.state == shaking && !h.advancing && (h.resume == nil || (*pipe)(h).readable())
}

// feed adds input, and begins the handshake with the first record. The caller holds mu.
func (h *Handshake) feed(b []byte) error {
	if len(h.in)+len(b) > maxInput {
		return ErrExcess
	}
	h.in = append(h.in, b...)
	switch {
	case h.state != shakingNotYet:
	case len(h.in) > 0 && h.in[0] != typeHandshake:
		return ErrNoTLS
	case len(h.in) >= headerLen:
		n := int(binary.BigEndian.Uint16(h.in[3:]))
		if n > maxPlain || h.in[1] != recordMajor {
			return ErrNoTLS
		}
		if len(h.in) >= headerLen+n {
			return h.begin()
		}
	}
	return nil
}

// begin counts the handshake, which is due then. The caller holds mu.
func (h *Handshake) begin() error {
	if !h.pool.enter() {
		return ErrBusy
	}
	h.state = shaking
	return nil
}
