package eventloop

import (
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"tickcast/broadcast"
	"tickcast/eventloop/tlsrecord"
)

// halfHandshake sends the first flight of a client and reads the answer.
func (s *server) halfHandshake() net.Conn {
	s.t.Helper()
	nc, err := net.Dial("tcp", s.addr)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { nc.Close() })
	_ = nc.SetDeadline(time.Now().Add(patience))
	h, out := firstFlight(s.t)
	h.Abort()
	if _, err := nc.Write(out); err != nil {
		s.t.Fatal(err)
	}
	return nc
}

// firstFlight returns a handshake of a client, and its first flight.
func firstFlight(t testing.TB) (*tlsrecord.Handshake, []byte) {
	t.Helper()
	events := make(chan struct{}, 16)
	h, err := tlsrecord.NewPool(1, 1, true).Client(clientTLS, func() { events <- struct{}{} })
	if err != nil {
		t.Fatal(err)
	}
	<-events
	out, _, _ := h.Take()
	return h, out
}

func TestHalfHandshakesTimeOut(t *testing.T) {
	s := start(t, onlyTLS, shortHandshake)
	silent, half := s.halfHandshake(), s.halfHandshake()
	quarter, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer quarter.Close()
	if _, err := quarter.Write([]byte{22, 3, 1}); err != nil {
		t.Fatal(err)
	}
	for _, nc := range []net.Conn{silent, half} {
		if _, err := io.Copy(io.Discard, nc); err != nil {
			t.Error(err)
		}
	}
	eventually(t, "nothing is left", func() bool { return s.engine.Connections() == 0 && s.engine.handshakes.UnderWay() == 0 })
	if n := s.stats().TLSHandshakes["timeout"]; n != 3 {
		t.Errorf("%d are counted", n)
	}
}

func TestTooManyHandshakes(t *testing.T) {
	s := start(t, onlyTLS, func(c *Config, _ *broadcast.Config) { c.TLS.MaxHandshakes, c.TLS.Workers = 3, 1 })
	var half []net.Conn
	for range 3 {
		nc := s.halfHandshake()
		if _, err := nc.Read(make([]byte, 1)); err != nil { // the answer
			t.Fatal(err)
		}
		half = append(half, nc)
	}
	refused := s.halfHandshake()
	if b, _ := io.ReadAll(refused); len(b) > 0 {
		t.Errorf("%d bytes", len(b))
	}
	if n := s.stats().Rejected["tls_handshakes"]; n != 1 {
		t.Errorf("%d are counted", n)
	}
	half[0].Close()
	eventually(t, "there is room", func() bool { return s.engine.handshakes.UnderWay() == 2 })
	s.open("")
}

// A sealer is a client with records of its own, which it can break.
type sealer struct {
	net.Conn
	t       testing.TB
	session tlsrecord.Session
}

// seal opens a WebSocket with the records of package tlsrecord.
func (s *server) sealer() *sealer {
	s.t.Helper()
	nc, err := net.Dial("tcp", s.addr)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { nc.Close() })
	end := time.Now().Add(patience)
	_ = nc.SetDeadline(end)
	events := make(chan struct{}, 16)
	h, err := tlsrecord.NewPool(1, 1, true).Client(clientTLS, func() { events <- struct{}{} })
	if err != nil {
		s.t.Fatal(err)
	}
	b := make([]byte, 16<<10)
	for {
		<-events
		out, r, done := h.Take()
		if _, err := nc.Write(out); err != nil {
			s.t.Fatal(err)
		}
		if done {
			_ = nc.SetDeadline(end)
			if r.Err != nil {
				s.t.Fatal(r.Err)
			}
			c := &sealer{nc, s.t, r.Session}
			if _, err := c.session.Open(r.Input); err != nil {
				s.t.Fatal(err)
			}
			return c
		}
		for more := true; more; {
			_ = nc.SetReadDeadline(time.Now().Add(50 * time.Millisecond)) // the event may come later
			n, err := nc.Read(b)
			if err != nil && (!errors.Is(err, os.ErrDeadlineExceeded) || time.Now().After(end)) {
				s.t.Fatal(err)
			}
			if n > 0 {
				if _, err := h.Open(b[:n]); err != nil {
					s.t.Fatal(err)
				}
			}
			select {
			case <-events:
				events <- struct{}{}
				more = false
			case <-time.After(50 * time.Millisecond): // it waits for more
			}
		}
	}
}

// readUntilEnd returns all plaintext, and how the session ended: io.EOF after close_notify, nil for an end without it.
func (c *sealer) readUntilEnd() (text string, end error) {
	c.t.Helper()
	b := make([]byte, 16<<10)
	for {
		n, err := c.Read(b)
		plain, end := c.session.Open(b[:n])
		text += string(plain)
		if end != nil {
			return text, end
		}
		if err != nil {
			if !errors.Is(err, io.EOF) {
				c.t.Errorf("read: %v", err)
			}
			return text, nil
		}
	}
}

func TestTLSAttacks(t *testing.T) {
	eachSession(t, func(t *testing.T, sessions setting) {
		s := start(t, onlyTLS, sessions)
		bystander := s.open("topics=a")
		bystander.expect(`{"op":"ack"`)
		upgrade := []byte(request(""))
		for _, row := range []struct {
			name string
			send func(c *sealer) []byte
			want any
		}{
			{"a record of each byte", func(c *sealer) (b []byte) {
				for _, x := range []byte(request("") + closeFrame(1000, "")) {
					b = c.session.Seal(b, []byte{x})
				}
				return b
			}, io.EOF},
			{"close_notify", func(c *sealer) []byte { return c.session.End(c.session.Seal(nil, upgrade), nil) }, io.EOF},
			{"a wrong tag", func(c *sealer) []byte {
				b := c.session.Seal(c.session.Seal(nil, upgrade), []byte("x"))
				b[len(b)-1] ^= 1
				return b
			}, tlsrecord.Alert(20)},
			{"a length over the limit, by its header", func(c *sealer) []byte {
				return append(c.session.Seal(nil, upgrade), 23, 3, 3, 0xff, 0xff)
			}, tlsrecord.Alert(22)},
			{"a shorter length", func(c *sealer) []byte {
				b := c.session.Seal(nil, upgrade)
				binary.BigEndian.PutUint16(b[3:], uint16(len(b)-6))
				return b
			}, tlsrecord.Alert(20)},
			{"a record twice", func(c *sealer) []byte {
				b := c.session.Seal(nil, upgrade)
				return append(b, b...)
			}, tlsrecord.Alert(20)},
			{"clear text", func(c *sealer) []byte { return append(c.session.Seal(nil, upgrade), "GET / HTTP/1.1\r\n\r\n"...) }, nil},
		} {
			t.Run(row.name, func(t *testing.T) {
				c := s.sealer()
				defer c.Close()
				c.t = t
				if _, err := c.Write(row.send(c)); err != nil {
					t.Fatal(err)
				}
				text, end := c.readUntilEnd()
				if row.want != nil && end != row.want || end == nil {
					t.Errorf("ended by %v after %q, want %v", end, text, row.want)
				}
			})
		}
		// The end of the sending side without close_notify.
		c := s.sealer()
		_ = c.Conn.(*net.TCPConn).CloseWrite()
		c.readUntilEnd()
		c.Close()
		eventually(t, "they are gone", func() bool { return s.engine.Connections() == 1 })
		s.hub.Publish("a", []byte("1"))
		bystander.update()
		if st := s.stats(); st.Panics != 0 {
			t.Errorf("%d panics", st.Panics)
		}
	})
}

// A handshake that waits for its turn for longer than its client has time is not the client's fault.
func TestQueuedHandshakesDoNotTimeOut(t *testing.T) {
	blocked, free := make(chan struct{}, 1), make(chan struct{})
	s := start(t, onlyTLS, shortHandshake, func(c *Config, _ *broadcast.Config) {
		c.TLS.Workers = 1
		config := c.TLS.Config()
		c.TLS.Config = func() *tls.Config { // the first handshake computes for a long time
			select {
			case blocked <- struct{}{}:
				<-free
			default:
			}
			return config
		}
	})
	s.halfHandshake()
	<-blocked
	done := make(chan struct{})
	go func() {
		defer close(done) // also if it fails
		s.open("")
	}()
	eventually(t, "it is late", func() bool { return s.stats().TLSHandshakes["timeout"] > 0 }) // the first one
	close(free)
	<-done
}
