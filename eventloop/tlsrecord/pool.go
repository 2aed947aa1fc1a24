package tlsrecord

import (
	"net"
	"sync"
	"sync/atomic"
)

// A Pool bounds handshakes. Any goroutine may use it.
type Pool struct {
	// Immutable.
	own     bool
	most    int64
	workers int

	underWay atomic.Int64
	begun    atomic.Uint64
	running  sync.WaitGroup // workers, and ends of handshakes that are aborted

	mu      sync.Mutex
	working int          // workers
	waiting []*Handshake // wait for their turn, the first one first
	taken   int          // of waiting, which have had it
}

// NewPool returns a pool in which workers handshakes compute at the same time. At most most handshakes are under way, those
// that wait for their turn or for their peer included. Without own, crypto/tls drives all sessions.
func NewPool(workers, most int, own bool) *Pool {
	return &Pool{own: own, most: int64(most), workers: max(workers, 1)}
}

// UnderWay returns the number of handshakes that have begun and are not over.
func (p *Pool) UnderWay() int64 { return p.underWay.Load() }

// Begun returns the number of handshakes that have begun.
func (p *Pool) Begun() uint64 { return p.begun.Load() }

// Wait waits for the end of all that the pool computes, after the last handshake has started. Those that wait for their peer do not
// count.
func (p *Pool) Wait() { p.running.Wait() }

// enter counts a handshake. It reports false if there are too many.
func (p *Pool) enter() bool {
	if p.underWay.Add(1) > p.most {
		p.underWay.Add(-1)
		return false
	}
	p.begun.Add(1)
	return true
}

// compute gives h its next turn, at once if there is a worker for it. The caller holds h.mu.
func (p *Pool) compute(h *Handshake) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.working < p.workers {
		p.working++
		p.running.Go(func() { p.work(h) })
		return
	}
	h.queued, h.late = true, true
	p.waiting = append(p.waiting, h)
}

// work is the goroutine of a worker: it advances handshakes until none waits.
func (p *Pool) work(h *Handshake) {
	for ; h != nil; h = p.next() {
		h.advance()
	}
}

// next returns the handshake that has waited the longest. Without one it returns nil, and the worker ends.
func (p *Pool) next() *Handshake {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.taken == len(p.waiting) {
		p.working--
		return nil
	}
	h := p.waiting[p.taken]
	p.waiting[p.taken] = nil
	if p.taken++; 2*p.taken >= len(p.waiting) { // what is moved is no more than was taken
		n := copy(p.waiting, p.waiting[p.taken:])
		clear(p.waiting[n:])
		p.waiting, p.taken = p.waiting[:n], 0
	}
	if len(p.waiting) == 0 {
		p.waiting = nil
	}
	return h
}

// A pipeError is an error of the pipe. crypto/tls survives a temporary one.
type pipeError struct {
	text      string
	temporary bool
}

func (e *pipeError) Error() string   { return e.text }
func (e *pipeError) Timeout() bool   { return false }
func (e *pipeError) Temporary() bool { return e.temporary }

var errAgain net.Error = &pipeError{"tlsrecord: nothing to read yet", true}

// ErrAborted is the error of a handshake after [Handshake.Abort].
var ErrAborted net.Error = &pipeError{"tlsrecord: the connection has ended", false}
