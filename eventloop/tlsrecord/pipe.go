package tlsrecord

import (
	"encoding/binary"
	"net"
	"sync"
	"time"
)

// A pipe is the net.Conn that crypto/tls sees. It is a Handshake; the type keeps its methods apart.
type pipe Handshake

// Read reads within the current record only: the bytes behind the handshake are not for crypto/tls. Without input the coroutine of
// the handshake pauses, and others have their turn.
func (p *pipe) Read(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for !p.readable() {
		if p.state != shaking {
			return 0, errAgain
		}
		if p.aborted {
			return 0, ErrAborted
		}
		p.short = p.alone && p.secrets.ofUs != nil
		p.mu.Unlock()
		p.yield(struct{}{})
		p.mu.Lock()
	}
	if p.left == 0 {
		p.left = headerLen + int(binary.BigEndian.Uint16(p.in[3:]))
	}
	n := copy(b, p.in[:min(p.left, len(p.in))])
	p.left -= n
	if p.in = p.in[n:]; len(p.in) == 0 {
		p.in = nil
	}
	return n, nil
}

// readable reports whether there is a part of the current record, or the header of the next one.
func (p *pipe) readable() bool {
	return len(p.in) >= headerLen || p.left > 0 && len(p.in) > 0
}

// Write collects output.
func (p *pipe) Write(b []byte) (int, error) {
	p.secrets.countRecords(b)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.out == nil && p.write != nil && !p.short {
		p.out = flights.Get().(*[flightRoom]byte)[:0] // send gives it back
	}
	p.out = append(p.out, b...)
	return len(b), nil
}

// flights are buffers for the flights that handshakes write themselves.
var flights = sync.Pool{New: func() any { return new([flightRoom]byte) }}

// flightRoom is the room for a flight with a chain of certificates. Chosen by us; a longer one makes its own.
const flightRoom = 4 << 10

// The other methods of net.Conn have no effect.
func (p *pipe) Close() error                     { return nil }
func (p *pipe) LocalAddr() net.Addr              { return nil }
func (p *pipe) RemoteAddr() net.Addr             { return nil }
func (p *pipe) SetDeadline(time.Time) error      { return nil }
func (p *pipe) SetReadDeadline(time.Time) error  { return nil }
func (p *pipe) SetWriteDeadline(time.Time) error { return nil }
