package tlsrecord

import (
	"net"
	"sync"
	"sync/atomic"
)

// A Pool bounds handshakes. Any goroutine may use it.
type Pool struct {
	// Immutable.
	own  bool
	most int64
	turn chan struct{} // holds a value for each handshake that computes

	underWay atomic.Int64
	running  sync.WaitGroup // their goroutines
}

// NewPool returns a pool in which workers handshakes compute at the same time. At most most handshakes are under way, those
// that wait for their turn or for their peer included. Without own, crypto/tls drives all sessions.
func NewPool(workers, most int, own bool) *Pool {
	return &Pool{own: own, most: int64(most), turn: make(chan struct{}, max(workers, 1))}
}

// UnderWay returns the number of handshakes that have a goroutine.
func (p *Pool) UnderWay() int64 { return p.underWay.Load() }

// Wait waits for the end of the goroutines of all handshakes, after the last one has started.
func (p *Pool) Wait() { p.running.Wait() }

// enter counts a handshake. It reports false if there are too many.
func (p *Pool) enter() bool {
	if p.underWay.Add(1) > p.most {
		p.underWay.Add(-1)
		return false
	}
	return true
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
