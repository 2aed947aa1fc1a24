package loadtest

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// A tlsSession is the TLS state of a client of a wss server. crypto/tls wants a connection that it may block on, which a
// worker must not; so the session stands between the two and hands ciphertext over. Only the handshake, for which there
// is no other way, runs on a goroutine of its own that waits for what the worker feeds it. Afterwards all is done on the
// worker's goroutine, where the end of what was fed is a temporary error, which crypto/tls survives.
//
// A session costs some 8 KB, most of it in crypto/tls, where a ws client costs what [client] has.
type tlsSession struct {
	conn *tls.Conn

	mu      sync.Mutex
	fed     sync.Cond // what Read waits for during the handshake
	in      []byte    // ciphertext that conn has not read yet
	out     []byte    // ciphertext that is to be sent
	shaking bool      // the handshake's goroutine runs
	closed  bool
	err     error  // of the handshake
	poke    func() // tells the worker to look at out, shaking and err; nil after the handshake
}

// startSession begins a handshake on a goroutine of the group. poke is called from there whenever there is something to
// send, and when the handshake is over.
func startSession(config *tls.Config, group *sync.WaitGroup, poke func()) *tlsSession {
	s := &tlsSession{shaking: true, poke: poke}
	s.fed.L = &s.mu
	s.conn = tls.Client(sessionConn{s}, config)
	group.Go(func() {
		err := s.conn.Handshake()
		s.mu.Lock()
		s.shaking, s.err, s.poke = false, err, nil
		s.mu.Unlock()
		poke()
	})
	return s
}

// feed hands over what came from the socket.
func (s *tlsSession) feed(b []byte) {
	s.mu.Lock()
	s.in = append(s.in, b...)
	s.mu.Unlock()
	s.fed.Signal()
}

// take returns what is to be sent.
func (s *tlsSession) take() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.out
	s.out = nil
	return b
}

// ready reports whether the handshake is over, and how it ended.
func (s *tlsSession) ready() (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.shaking, s.err
}

// read decrypts into b. n is 0 without an error if more has to be fed first; io.EOF says that the server is done. Not
// during the handshake.
func (s *tlsSession) read(b []byte) (n int, err error) {
	n, err = s.conn.Read(b)
	if errors.Is(err, errStarved) {
		err = nil
	}
	return n, err
}

// close ends a handshake that is under way. The session is of no use afterwards.
func (s *tlsSession) close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.fed.Signal()
}

// errStarved is a net.Error that says to try again, when nothing is fed.
var errStarved net.Error = starved{}

type starved struct{}

func (starved) Error() string   { return "loadtest: nothing to read yet" }
func (starved) Timeout() bool   { return true }
func (starved) Temporary() bool { return true }

// sessionConn is the connection that crypto/tls sees.
type sessionConn struct{ s *tlsSession }

func (c sessionConn) Read(b []byte) (int, error) {
	s := c.s
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.in) == 0 {
		switch {
		case s.closed:
			return 0, io.ErrUnexpectedEOF
		case !s.shaking:
			return 0, errStarved
		}
		s.fed.Wait()
	}
	n := copy(b, s.in)
	if s.in = s.in[n:]; len(s.in) == 0 {
		s.in = nil
	}
	return n, nil
}

func (c sessionConn) Write(b []byte) (int, error) {
	s := c.s
	s.mu.Lock()
	s.out = append(s.out, b...)
	poke := s.poke
	s.mu.Unlock()
	if poke != nil {
		poke()
	}
	return len(b), nil
}

// The rest of net.Conn, of which crypto/tls needs nothing that would matter here.
func (c sessionConn) Close() error                     { return nil }
func (c sessionConn) LocalAddr() net.Addr              { return nil }
func (c sessionConn) RemoteAddr() net.Addr             { return nil }
func (c sessionConn) SetDeadline(time.Time) error      { return nil }
func (c sessionConn) SetReadDeadline(time.Time) error  { return nil }
func (c sessionConn) SetWriteDeadline(time.Time) error { return nil }

// pokes are the clients whose sessions want their worker's attention. Any goroutine.
type pokes struct {
	running sync.WaitGroup // the goroutines of handshakes

	mu    sync.Mutex
	slots []int32
}

func (p *pokes) add(slot int32) {
	p.mu.Lock()
	p.slots = append(p.slots, slot)
	p.mu.Unlock()
}

func (p *pokes) take() []int32 {
	p.mu.Lock()
	defer p.mu.Unlock()
	slots := p.slots
	p.slots = nil
	return slots
}

// startTLS begins the TLS handshake of a client whose connection stands.
func (w *worker) startTLS(slot int32, config *tls.Config) {
	w.sessions[slot] = startSession(config, &w.poked.running, func() {
		w.poked.add(slot)
		w.wakeUp()
	})
}

// takePokes attends to the sessions that asked for it. One may have been of an earlier connection of its client; the one
// that there is now is looked at for nothing then.
func (w *worker) takePokes() {
	for _, slot := range w.poked.take() {
		s, ok := w.sessions[slot]
		if !ok {
			continue
		}
		w.transmitWaiting(slot, s)
		over, err := s.ready()
		c := &w.clients[slot]
		switch {
		case !over || c.state != stateUpgrading:
		case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
			w.end(slot, Fault{Kind: FaultEOF})
		case err != nil:
			w.end(slot, Fault{Kind: FaultTLS})
		case !c.secure:
			c.secure = true
			w.request(slot)
			w.decrypt(slot, s, nil) // what came behind the handshake
		}
	}
}

// cutShort has the handshake see the end of what the server sent, and say what that means.
func (w *worker) cutShort(slot int32, s *tlsSession) {
	s.close()
	w.watchOrEnd(slot, 0)
}

// transmitWaiting sends a session's ciphertext.
func (w *worker) transmitWaiting(slot int32, s *tlsSession) {
	if b := s.take(); len(b) > 0 {
		w.transmit(slot, b)
	}
}

// decrypt handles what came from the socket of a client with TLS.
func (w *worker) decrypt(slot int32, s *tlsSession, b []byte) {
	s.feed(b)
	c := &w.clients[slot]
	if !c.secure {
		return // the handshake takes it
	}
	for c.state != stateEnded {
		n, err := s.read(w.plain)
		w.transmitWaiting(slot, s) // a new key may have been asked for
		switch {
		case n > 0:
			w.input(slot, w.plain[:n])
		case errors.Is(err, io.EOF):
			w.end(slot, Fault{Kind: FaultEOF})
		case err != nil:
			w.end(slot, Fault{Kind: FaultTLS})
		default:
			return
		}
	}
}

// encrypt sends b to a client with TLS.
func (w *worker) encrypt(slot int32, s *tlsSession, b []byte) {
	if !w.clients[slot].secure || w.clients[slot].state == stateEnded {
		return // no handshake, no goodbye
	}
	if _, err := s.conn.Write(b); err != nil {
		w.end(slot, Fault{Kind: FaultTLS})
		return
	}
	w.transmitWaiting(slot, s)
}
