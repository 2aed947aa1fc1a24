package tlsrecord

import (
	"crypto/tls"
	"fmt"
	"iter"
	"os"
)

// advance runs the handshake until it needs input or is over. The caller has set advancing.
func (h *Handshake) advance() {
	h.proceed()
	h.mu.Lock()
	h.send()
	tell := len(h.out) > 0 || h.state == shakingOver
	h.mu.Unlock()
	if tell {
		h.notify()
	}
}

// proceed is advance without a word of its result.
func (h *Handshake) proceed() {
	h.mu.Lock()
	h.queued = false
	for h.state == shaking && (h.aborted || (*pipe)(h).readable() || h.resume == nil) {
		h.mu.Unlock()
		if h.resume == nil {
			h.resume, _ = iter.Pull(h.run)
		}
		h.resume()
		h.mu.Lock()
	}
	h.advancing = false
	if h.state == shakingOver { // a session may keep h
		h.resume, h.yield, h.write = nil, nil, nil
	}
	h.mu.Unlock()
}

// send writes the output of a handshake that goes on. The caller holds mu.
func (h *Handshake) send() {
	if h.write == nil || h.aborted || h.state != shaking || len(h.out) == 0 {
		return
	}
	n := h.write(h.out)
	h.written += n
	if n < len(h.out) {
		h.out = h.out[n:]
		h.write = nil // the owner has to send this first
		return
	}
	if cap(h.out) == flightRoom {
		flights.Put((*[flightRoom]byte)(h.out[:flightRoom]))
	}
	h.out = nil
}

// run is the coroutine of a handshake, with the stack of crypto/tls. It pauses in pipe.Read.
func (h *Handshake) run(yield func(struct{}) bool) {
	h.yield = yield
	growStack()
	r, err := h.shake()
	h.mu.Lock()
	h.state, h.result = shakingOver, r
	h.result.Err = err
	h.mu.Unlock()
	h.pool.underWay.Add(-1)
}

// growStack makes the stack as large as crypto/tls needs it. It would grow in several steps, each of which moves all frames.
//
//go:noinline
func growStack() byte {
	var frame [12 << 10]byte
	return frame[len(os.Args)]
}

// shake returns the session after a handshake of crypto/tls. A panic in crypto/tls or a callback ends one connection only.
func (h *Handshake) shake() (r Result, err error) {
	defer func() {
		if p := recover(); p != nil {
			r, err = Result{}, fmt.Errorf("tlsrecord: panic in a handshake: %v", p)
		}
	}()
	h.mu.Lock()
	aborted := h.aborted
	h.mu.Unlock()
	if aborted {
		return r, ErrAborted
	}
	h.secrets.client = h.client
	h.conn = h.newConn()
	if err := h.conn.Handshake(); err != nil {
		return r, fmt.Errorf("tlsrecord: handshake: %w", err)
	}
	st := h.conn.ConnectionState()
	r.Version, r.Suite, r.Resumed = st.Version, st.CipherSuite, st.DidResume
	if len(st.VerifiedChains) > 0 {
		r.Peer = st.VerifiedChains[0][0]
	}
	if h.pool.own && st.Version == tls.VersionTLS13 {
		if records := h.secrets.records(st.CipherSuite); records != nil {
			r.Session = records
			return r, nil
		}
	}
	h.secrets = secrets{}
	r.Session = &Driven{conn: h.conn, pipe: (*pipe)(h)}
	return r, nil
}

// newConn returns the tls.Conn of the handshake, whose secrets go to h.
func (h *Handshake) newConn() *tls.Conn {
	if h.client {
		config := h.config.Clone()
		config.DynamicRecordSizingDisabled = true
		h.logSecrets(config)
		return tls.Client((*pipe)(h), config)
	}
	return tls.Server((*pipe)(h), h.config)
}

func (h *Handshake) logSecrets(config *tls.Config) {
	if h.pool.own {
		config.KeyLogWriter = &h.secrets
	}
}

// ServerConfig returns the configuration for [Pool.Server], once for all connections: its ticket keys are shared. current
// returns the configuration of new connections, which may change. The workers of the pool call it.
func ServerConfig(current func() *tls.Config) *tls.Config {
	return &tls.Config{
		GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			config := current().Clone()
			config.DynamicRecordSizingDisabled = true // several frames leave in one record
			h := (*Handshake)(hello.Conn.(*pipe))
			h.logSecrets(config)
			h.alone = config.ClientAuth == tls.NoClientCert && config.VerifyConnection == nil
			return config, nil
		},
	}
}
