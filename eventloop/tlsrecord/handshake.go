package tlsrecord

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"sync"
)

// A Handshake is a handshake of crypto/tls between byte slices. It has no coroutine until the first record of a client is whole:
// half a hello costs its bytes.
type Handshake struct {
	// Immutable.
	pool   *Pool
	config *tls.Config
	client bool
	notify func()
	write  func([]byte) int // nil = none

	// Owned by whoever advances it: one goroutine at a time, see advancing.
	resume func() (struct{}, bool) // runs the coroutine until it has no input, or is over
	yield  func(struct{}) bool

	// Owned by the coroutine, and later by the session.
	conn    *tls.Conn
	secrets secrets
	alone   bool // the client is not asked for a certificate

	mu        sync.Mutex
	in        []byte // not read yet
	out       []byte // not taken yet
	written   int    // bytes by write, not taken yet
	left      int    // bytes of the current record that are not read yet
	state     shakingState
	advancing bool // a goroutine advances it, or it waits for its turn
	short     bool // the rest is short: secrets are agreed on, and there is no certificate to verify
	aborted   bool
	queued    bool // waits for its turn
	late      bool // it has waited for a turn since Queued was asked
	result    Result
}

type shakingState uint8

const (
	shakingNotYet shakingState = iota // there is no coroutine yet
	shaking
	shakingOver
)

// maxInput bounds the bytes that wait to be read by a handshake. Chosen by us: crypto/tls takes messages of up to 64 KiB.
const maxInput = 128 << 10

// Errors of Open, at which the handshake is over.
var (
	ErrBusy   = errors.New("tlsrecord: too many handshakes are under way")
	ErrNoTLS  = errors.New("tlsrecord: the client does not speak TLS")
	ErrExcess = errors.New("tlsrecord: more input than a handshake needs")
)

// Server returns the handshake with a client. notify is called on another goroutine when there is output, and when the handshake is
// over; it must not wait for long.
func (p *Pool) Server(config *tls.Config, notify func()) *Handshake {
	return &Handshake{pool: p, config: config, notify: notify}
}

// WriteBy makes the handshake write its output itself, except for the last flight: write is called on another goroutine, in place of
// notify, and returns the number of bytes that the peer's socket took at once. The rest is output to be taken, and so is all later
// output. write is not called after Abort. WriteBy is for a handshake without input yet.
func (h *Handshake) WriteBy(write func([]byte) int) { h.write = write }

// Queued reports whether the handshake waits for its turn, and not for its peer, or has done so since the last call.
func (h *Handshake) Queued() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	late := h.late
	h.late = false
	return h.queued || late
}

// Abort ends a handshake whose connection has ended.
func (h *Handshake) Abort() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.aborted = true
	if h.state == shaking && !h.advancing {
		h.advancing = true
		h.pool.running.Go(h.advance) // it is over at once
	}
}

// Seal appends nothing: there is no session yet.
func (h *Handshake) Seal(dst, _ []byte) []byte { return dst }

// End appends nothing.
func (h *Handshake) End(dst []byte, _ error) []byte { return dst }

// A Result is the outcome of a handshake.
type Result struct {
	Session Session // nil if it failed; Records of a server keep their AEAD, which the handshake needed, until Forget
	Err     error
	Input   []byte // input from behind the handshake, for Session.Open; it may lie in that of OpenHere

	// Zero if the handshake failed.
	Version, Suite uint16
	Resumed        bool
	Peer           *x509.Certificate // of the peer, verified; nil = none
}

// Written returns the number of bytes that the peer was sent by write since the last call.
func (h *Handshake) Written() (n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	n, h.written = h.written, 0
	return n
}

// Take returns the bytes for the peer. The caller sends them in any case. done reports whether the handshake is over.
func (h *Handshake) Take() (out []byte, r Result, done bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	out, h.out = h.out, nil
	if h.state != shakingOver {
		return out, Result{}, false
	}
	r, h.result = h.result, Result{}
	r.Input, h.in = h.in, nil
	return out, r, true
}
