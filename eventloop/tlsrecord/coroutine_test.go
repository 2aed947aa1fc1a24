package tlsrecord

import (
	"crypto/tls"
	"testing"
	"time"
)

// shaken is a handshake of a client and a server, whose output the test moves.
type shaken struct {
	t                        *testing.T
	client, server           *Handshake
	clientEvents, serverTold chan struct{}
}

func newShaken(t *testing.T, config *tls.Config, client *tls.Config) *shaken {
	t.Helper()
	s := &shaken{t: t, clientEvents: make(chan struct{}, 16), serverTold: make(chan struct{}, 16)}
	s.server = NewPool(1, 1, true).Server(ServerConfig(func() *tls.Config { return config }), func() { s.serverTold <- struct{}{} })
	var err error
	if s.client, err = NewPool(1, 1, true).Client(client, func() { s.clientEvents <- struct{}{} }); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.client.Abort(); s.server.Abort() })
	return s
}

// wait waits for an event.
func (s *shaken) wait(events chan struct{}) {
	s.t.Helper()
	select {
	case <-events:
	case <-time.After(patience):
		s.t.Fatal("the handshake does not go on")
	}
}

// fromClient returns the client's next flight.
func (s *shaken) fromClient() []byte {
	s.t.Helper()
	s.wait(s.clientEvents)
	out, r, _ := s.client.Take()
	if r.Err != nil {
		s.t.Fatal(r.Err)
	}
	return out
}

// The last flight of a client of TLS 1.3 is handled by the goroutine that brings it. All other flights are too long for that.
func TestLastFlightIsHandledHere(t *testing.T) {
	cert, err := fuzzCertificate()
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name    string
		version uint16
		auth    tls.ClientAuthType
		here    bool
	}{
		{"TLS 1.3", tls.VersionTLS13, tls.NoClientCert, true},
		{"TLS 1.2", tls.VersionTLS12, tls.NoClientCert, false},
		{"a certificate to verify", tls.VersionTLS13, tls.RequireAnyClientCert, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			config := serverConfig(t)
			config.ClientAuth = row.auth
			s := newShaken(t, config, &tls.Config{
				InsecureSkipVerify: true, MaxVersion: row.version, Certificates: []tls.Certificate{cert},
			})
			if over, err := s.server.OpenHere(s.fromClient()); over || err != nil {
				t.Fatalf("the hello: over %v, %v", over, err)
			}
			s.wait(s.serverTold)
			out, _, _ := s.server.Take()
			if _, err := s.client.Open(out); err != nil {
				t.Fatal(err)
			}
			last := s.fromClient()
			if over, err := s.server.OpenHere(last[:len(last)-1]); over || err != nil {
				t.Fatalf("a part of the flight: over %v, %v", over, err)
			}
			over, err := s.server.OpenHere(last[len(last)-1:])
			if over != row.here || err != nil {
				t.Fatalf("the last flight: over %v, %v", over, err)
			}
			if !over {
				s.wait(s.serverTold)
			}
			if _, r, done := s.server.Take(); !done || r.Err != nil || r.Session == nil {
				t.Errorf("%+v, %v", r, done)
			}
			if len(s.serverTold) > 0 {
				t.Error("notify is called as well")
			}
		})
	}
}

// A handshake writes what the socket takes. The rest is for its owner, and so is all later output, which must not overtake it.
func TestHandshakeWritesItself(t *testing.T) {
	for _, full := range []bool{false, true} {
		s := newShaken(t, serverConfig(t), &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12}) // of four flights
		var written []byte
		calls := make(chan struct{}, 16)
		s.server.WriteBy(func(b []byte) int {
			n := len(b)
			if full {
				n = 100
			}
			written = append(written, b[:n]...)
			calls <- struct{}{}
			return n
		})
		if _, err := s.server.Open(s.fromClient()); err != nil {
			t.Fatal(err)
		}
		s.wait(calls)
		if full {
			s.wait(s.serverTold)
		}
		out, _, _ := s.server.Take()
		if n := s.server.Written(); n != len(written) || full == (len(out) == 0) {
			t.Fatalf("full %v: %d of %d written bytes are told, %d are left", full, n, len(written), len(out))
		}
		if _, err := s.client.Open(append(written, out...)); err != nil {
			t.Fatal(err)
		}
		if _, err := s.server.Open(s.fromClient()); err != nil {
			t.Fatal(err)
		}
		s.wait(s.serverTold)
		out, r, done := s.server.Take()
		if !done || r.Err != nil || len(out) == 0 || len(calls) > 0 {
			t.Fatalf("full %v: %+v, %d bytes, %d writes", full, r, len(out), len(calls))
		}
	}
}

// Handshakes without a worker wait for it in their order.
func TestHandshakesWaitInOrder(t *testing.T) {
	p := NewPool(1, 100, true)
	p.working = 1 // the test is the worker
	var all []*Handshake
	for next := 0; next < 50; {
		for range 7 {
			h := &Handshake{pool: p}
			all = append(all, h)
			p.compute(h)
			if !h.Queued() {
				t.Fatal("it does not wait")
			}
		}
		for range min(5+next, len(all)-next) {
			if got := p.next(); got != all[next] {
				t.Fatalf("handshake %d has no turn", next)
			}
			next++
		}
	}
	for p.next() != nil {
	}
	if p.working != 0 || p.waiting != nil || p.taken != 0 {
		t.Errorf("%d work, %d wait, %d taken", p.working, len(p.waiting), p.taken)
	}
}

// A server's session keeps the cipher of the handshake until Forget, and a client's has none.
func TestSessionKeepsTheCipherOfTheHandshake(t *testing.T) {
	cert, err := testCertificate()
	if err != nil {
		t.Fatal(err)
	}
	client, server, err := connect(cert, NewPool(1, 1, true), NewPool(1, 1, true))
	if err != nil {
		t.Fatal(err)
	}
	s, ok := server.(*Records)
	if !ok {
		t.Skip("crypto/tls chooses another suite on this machine")
	}
	if err := opens(client, s.Seal(nil, []byte("x")), []byte("x")); err != nil {
		t.Fatal(err)
	}
	if s.Keep() || client.(*Records).rare != nil {
		t.Error("the server's cipher is not kept, or the client's is")
	}
	if s.Forget(); s.rare != nil {
		t.Error("something is left")
	}
}
