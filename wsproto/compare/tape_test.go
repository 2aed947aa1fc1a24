package compare

import (
	"io"
	"net"
	"time"
)

// A tape is a connection that plays recorded input: one piece for each Read, a number of times, and then the end. It counts
// the bytes that are written to it.
type tape struct {
	piece   []byte
	times   int
	rest    []byte // unread bytes of the current piece
	written int
}

func (t *tape) Read(p []byte) (int, error) {
	if len(t.rest) == 0 {
		if t.times == 0 {
			return 0, io.EOF
		}
		t.times--
		t.rest = t.piece
	}
	n := copy(p, t.rest)
	t.rest = t.rest[n:]
	return n, nil
}

func (t *tape) Write(p []byte) (int, error) {
	t.written += len(p)
	return len(p), nil
}

func (t *tape) Close() error                     { return nil }
func (t *tape) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (t *tape) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (t *tape) SetDeadline(time.Time) error      { return nil }
func (t *tape) SetReadDeadline(time.Time) error  { return nil }
func (t *tape) SetWriteDeadline(time.Time) error { return nil }
