package tlsrecord

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"sync"
)

// A Handshake is a handshake of crypto/tls between byte slices. It has no goroutine until the first record of a client is whole:
// half a hello costs its bytes.
type Handshake struct {
	// Immutable.
	pool   *Pool
	config *tls.Config
	client bool
	notify func()

	// Owned by the goroutine, and later by the session.
	conn    *tls.Conn
	secrets secrets

	mu      sync.Mutex
	fed     *sync.Cond // there is input, or the end; nil before the goroutine
	in      []byte     // not read yet
	out     []byte     // not taken yet
	left    int        // bytes of the current record that are not read yet
	state   shakingState
	aborted bool
	queued  bool // waits for its turn
	late    bool // it has waited for a turn since Queued was asked
	result  Result
}

type shakingState uint8

const (
	shakingNotYet shakingState = iota // there is no goroutine yet
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

// Queued reports whether the handshake waits for its turn, and not for its peer, or has done so since the last call.
func (h *Handshake) Queued() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	late := h.late
	h.late = false
	return h.queued || late
}

// takeTurn waits for a turn.
func (h *Handshake) takeTurn() {
	select {
	case h.pool.turn <- struct{}{}:
		return
	default:
	}
	h.mu.Lock()
	h.queued, h.late = true, true
	h.mu.Unlock()
	h.pool.turn <- struct{}{}
	h.mu.Lock()
	h.queued = false
	h.mu.Unlock()
}

// Abort ends a handshake whose connection has ended.
func (h *Handshake) Abort() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.aborted = true
	if h.fed != nil {
		h.fed.Signal()
	}
}

// Seal appends nothing: there is no session yet.
func (h *Handshake) Seal(dst, _ []byte) []byte { return dst }

// End appends nothing.
func (h *Handshake) End(dst []byte, _ error) []byte { return dst }

// A Result is the outcome of a handshake.
type Result struct {
	Session Session // nil if it failed
	Err     error
	Input   []byte // input from behind the handshake, for Session.Open

	// Zero if the handshake failed.
	Version, Suite uint16
	Resumed        bool
	Peer           *x509.Certificate // of the peer, verified; nil = none
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
