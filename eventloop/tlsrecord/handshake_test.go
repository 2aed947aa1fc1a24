package tlsrecord

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"testing"
	"time"
)

const patience = 20 * time.Second

// serverConfig is the configuration of a server with the certificate of these tests.
func serverConfig(t testing.TB) *tls.Config {
	t.Helper()
	cert, err := fuzzCertificate()
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{cert}}
}

// A served is a server's end of a real connection with a client of crypto/tls.
type served struct {
	net.Conn
	h       *Handshake
	session Session
	result  Result
}

// accept runs the server's side of a handshake over nc until its end.
func accept(pool *Pool, config *tls.Config, nc net.Conn) (*served, error) {
	events := make(chan struct{}, 16)
	s := &served{Conn: nc, h: pool.Server(config, func() { events <- struct{}{} })}
	input := make(chan []byte)
	stop, cancel := context.WithCancel(context.Background())
	defer cancel()
	_ = nc.SetDeadline(time.Now().Add(patience))
	go func() { // in place of an event loop
		for {
			b := make([]byte, 999)
			n, err := nc.Read(b)
			select {
			case input <- b[:n]:
			case <-stop.Done():
			}
			if err != nil || stop.Err() != nil {
				return
			}
		}
	}()
	for {
		select {
		case b := <-input:
			if _, err := s.h.Open(b); err != nil {
				return nil, err
			}
		case <-events:
			out, r, done := s.h.Take()
			if _, err := nc.Write(out); err != nil {
				return nil, err
			}
			if done {
				_ = nc.SetReadDeadline(time.Now()) // ends the reader before it reads data
				s.session, s.result = r.Session, r
				return s, r.Err
			}
		case <-time.After(patience):
			return nil, errors.New("the handshake does not end")
		}
	}
}

// dial runs a handshake of a client of crypto/tls with a server of ours, and returns the result on its side.
func dial(t testing.TB, pool *Pool, server, client *tls.Config) (Result, *tls.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	done := make(chan error, 1)
	var s *served
	go func() {
		nc, err := l.Accept()
		if err == nil {
			s, err = accept(pool, server, nc)
		}
		if err == nil {
			_, err = nc.Write(s.session.Seal(nil, []byte("welcome")))
		}
		done <- err
	}()
	c, err := tls.Dial("tcp", l.Addr().String(), client)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	b := make([]byte, 10)
	n, err := c.Read(b)
	if err != nil || string(b[:n]) != "welcome" {
		t.Fatalf("the client reads %q, %v", b[:n], err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	return s.result, c
}

func TestWhichSessions(t *testing.T) {
	for _, row := range []struct {
		name    string
		own     bool
		version uint16
		records bool
	}{
		{"TLS 1.3", true, tls.VersionTLS13, true},
		{"TLS 1.2", true, tls.VersionTLS12, false},
		{"TLS 1.3, as configured", false, tls.VersionTLS13, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			config := serverConfig(t)
			r, _ := dial(t, NewPool(1, 1, row.own), ServerConfig(func() *tls.Config { return config }),
				&tls.Config{InsecureSkipVerify: true, MaxVersion: row.version})
			_, records := r.Session.(*Records)
			if records != row.records && r.Suite != tls.TLS_CHACHA20_POLY1305_SHA256 || r.Version != row.version {
				t.Errorf("%T, version %#x, suite %#x", r.Session, r.Version, r.Suite)
			}
		})
	}
}

// Sessions resume, though each connection has a configuration of its own; after a change of the certificate, and at another server
// with the same ticket keys.
func TestSessionsResume(t *testing.T) {
	for _, own := range []bool{true, false} {
		pool := NewPool(1, 1, own)
		config := serverConfig(t)
		server := ServerConfig(func() *tls.Config { return config })
		client := &tls.Config{InsecureSkipVerify: true, ClientSessionCache: tls.NewLRUClientSessionCache(1), ServerName: "test"}
		for n := range 3 {
			r, _ := dial(t, pool, server, client)
			if r.Resumed != (n > 0) {
				t.Errorf("own %v, connection %d: resumed %v", own, n, r.Resumed)
			}
			config = serverConfig(t) // another value
		}
	}
	ticketKey := [32]byte{1, 2, 3}
	client := &tls.Config{InsecureSkipVerify: true, ClientSessionCache: tls.NewLRUClientSessionCache(1), ServerName: "test"}
	for n := range 2 {
		config := serverConfig(t)
		config.SetSessionTicketKeys([][32]byte{ticketKey})
		if n > 0 { // a rotation
			config.SetSessionTicketKeys([][32]byte{{4}, ticketKey})
		}
		r, _ := dial(t, NewPool(1, 1, true), ServerConfig(func() *tls.Config { return config }), client)
		if r.Resumed != (n > 0) {
			t.Errorf("node %d: resumed %v", n, r.Resumed)
		}
	}
}

// A client certificate comes in its own flight, and the session ticket after it.
func TestClientCertificate(t *testing.T) {
	config := serverConfig(t)
	config.ClientAuth = tls.RequireAnyClientCert
	cert, err := fuzzCertificate()
	if err != nil {
		t.Fatal(err)
	}
	r, _ := dial(t, NewPool(1, 1, true), ServerConfig(func() *tls.Config { return config }),
		&tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{cert}})
	if _, ok := r.Session.(*Records); !ok && r.Suite != tls.TLS_CHACHA20_POLY1305_SHA256 {
		t.Errorf("%T", r.Session)
	}
}

// hello returns the first flight of a client.
func hello(t testing.TB) []byte {
	t.Helper()
	events := make(chan struct{}, 16)
	c, err := NewPool(1, 1, true).Client(&tls.Config{InsecureSkipVerify: true}, func() { events <- struct{}{} })
	if err != nil {
		t.Fatal(err)
	}
	defer c.Abort()
	<-events
	out, _, _ := c.Take()
	return out
}

// A handshake with a silent client takes no turn, but counts. Half a hello takes no turn and does not count.
func TestHalfHandshakes(t *testing.T) {
	config := serverConfig(t)
	server := ServerConfig(func() *tls.Config { return config })
	pool := NewPool(1, 3, true)
	first := hello(t)
	var half []*Handshake
	for range 3 {
		for range 50 {
			if _, err := pool.Server(server, nil).Open(first[:len(first)-1]); err != nil {
				t.Fatal(err)
			}
		}
		answered := make(chan struct{}, 16)
		h := pool.Server(server, func() { answered <- struct{}{} })
		if _, err := h.Open(first); err != nil {
			t.Fatal(err)
		}
		<-answered // it waits for its client, and the next one has its turn
		half = append(half, h)
	}
	if n := pool.UnderWay(); n != 3 {
		t.Errorf("%d are under way", n)
	}
	if _, err := pool.Server(server, nil).Open(first); err != ErrBusy {
		t.Errorf("one more: %v", err)
	}
	half[0].Abort()
	for end := time.Now().Add(patience); pool.UnderWay() != 2; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("a handshake does not end with its connection")
		}
	}
	dial(t, pool, server, &tls.Config{InsecureSkipVerify: true})
	half[1].Abort()
	half[2].Abort()
}

func TestInputThatIsNoHandshake(t *testing.T) {
	config := serverConfig(t)
	server := ServerConfig(func() *tls.Config { return config })
	pool := NewPool(1, 1, true)
	for _, row := range []struct {
		name  string
		input []byte
		want  error
	}{
		{"HTTP", []byte("GET / HTTP/1.1\r\n"), ErrNoTLS},
		{"one byte", []byte("G"), ErrNoTLS},
		{"SSL 2", []byte{0x80, 0x2e, 1, 0, 2}, ErrNoTLS},
		{"too long", []byte{typeHandshake, 3, 1, 0x40, 1}, ErrNoTLS},
	} {
		if _, err := pool.Server(server, nil).Open(row.input); err != row.want {
			t.Errorf("%s: %v", row.name, err)
		}
	}
	h := pool.Server(server, func() {})
	if _, err := h.Open(append(hello(t), make([]byte, maxInput-3000)...)); err != nil {
		t.Fatal(err)
	}
	defer h.Abort()
	var err error
	for n := 0; err == nil && n < maxInput; n += 1000 {
		_, err = h.Open(make([]byte, 1000))
	}
	if err != ErrExcess && pool.UnderWay() > 0 {
		t.Errorf("input without end: %v", err)
	}
}

// A panic of a callback ends its connection only.
func TestPanicInAHandshake(t *testing.T) {
	over := make(chan struct{}, 16)
	h := NewPool(1, 1, true).Server(ServerConfig(func() *tls.Config { panic("certificates") }), func() { over <- struct{}{} })
	if _, err := h.Open(hello(t)); err != nil {
		t.Fatal(err)
	}
	<-over
	if _, r, done := h.Take(); !done || r.Err == nil || r.Session != nil {
		t.Errorf("%+v, %v", r, done)
	}
}

// Bytes behind the handshake are not lost: a client may send its request with its last flight.
func TestInputBehindTheHandshake(t *testing.T) {
	for _, own := range []bool{true, false} {
		config := serverConfig(t)
		toServer, toClient := make(chan struct{}, 16), make(chan struct{}, 16)
		pool := NewPool(1, 1, own)
		s := pool.Server(ServerConfig(func() *tls.Config { return config }), func() { toServer <- struct{}{} })
		c, err := NewPool(1, 1, true).Client(&tls.Config{InsecureSkipVerify: true}, func() { toClient <- struct{}{} })
		if err != nil {
			t.Fatal(err)
		}
		<-toClient
		out, _, _ := c.Take()
		if _, err := s.Open(out); err != nil {
			t.Fatal(err)
		}
		<-toServer
		out, _, _ = s.Take()
		if _, err := c.Open(out); err != nil {
			t.Fatal(err)
		}
		<-toClient
		out, r, done := c.Take()
		if !done || r.Err != nil {
			t.Fatal(r.Err)
		}
		if _, err := s.Open(r.Session.Seal(out, bytes.Repeat([]byte("x"), 20_000))); err != nil {
			t.Fatal(err)
		}
		<-toServer
		_, r, done = s.Take()
		if !done || r.Err != nil {
			t.Fatal(r.Err)
		}
		if plain, err := r.Session.Open(r.Input); err != nil || len(plain) != 20_000 {
			t.Errorf("own %v: %d bytes, %v", own, len(plain), err)
		}
	}
}
