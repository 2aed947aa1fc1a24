package eventloop

import (
	"crypto/tls"
	"encoding/binary"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"tickcast/broadcast"
	"tickcast/eventloop/tlsrecord"
	"tickcast/wsproto"
)

// onlyTLS gives a server TLS and no other listener.
func onlyTLS(c *Config, _ *broadcast.Config) { c.Listen, c.TLS.Listen = nil, []string{"127.0.0.1:0"} }

// byCryptoTLS makes a server keep the records in crypto/tls.
func byCryptoTLS(c *Config, _ *broadcast.Config) { c.TLS.OwnRecords = false }

// eachSession runs a test with both kinds of sessions.
func eachSession(t *testing.T, f func(t *testing.T, sessions setting)) {
	t.Run("own", func(t *testing.T) { f(t, func(*Config, *broadcast.Config) {}) })
	t.Run("driven", func(t *testing.T) { f(t, byCryptoTLS) })
}

// connCount returns the number of connections in the loops.
func (s *server) connCount() (n int) {
	s.onConns(func(*loop, *conn) { n++ })
	return n
}

func TestTLSBesideClearText(t *testing.T) {
	s := start(t, func(c *Config, _ *broadcast.Config) {
		c.Listen, c.TLS.Listen = []string{"127.0.0.1:0"}, []string{"127.0.0.2:0"}
	})
	clear := s.open("topics=a")
	s.addr, s.secure = s.engine.TLSAddrs()[0], true
	encrypted := s.open("topics=a")
	for _, c := range []*client{clear, encrypted} {
		c.expect(`{"op":"ack"`)
	}
	s.hub.Publish("a", []byte("1"))
	for _, c := range []*client{clear, encrypted} {
		if u := c.update(); u.Topic != "a" {
			t.Errorf("got %+v", u)
		}
	}
	s.secure = false // HTTP at the port with TLS
	c := s.dial()
	c.send(get("/"))
	if r, body := c.response("GET"); r.StatusCode != 400 || !strings.Contains(body, "TLS") {
		t.Errorf("%s %q", r.Status, body)
	}
	c.ended()
	if n := s.stats().Rejected["not_tls"]; n != 1 {
		t.Errorf("%d are counted", n)
	}
}

func TestSameAddressWithTLSAndWithout(t *testing.T) {
	_, err := New(Config{Loops: 1, Listen: []string{"127.0.0.1:0"}, TLS: TLS{Listen: []string{"127.0.0.1:0"}, Config: testTLSConfig().Config}},
		nil)
	if err == nil {
		t.Error("no error")
	}
}

// A client with TLS that cannot be admitted is closed: a response would cost a handshake.
func TestTLSAboveMaxConnections(t *testing.T) {
	s := start(t, onlyTLS, func(c *Config, _ *broadcast.Config) { c.MaxConnections = 2 })
	s.open("")
	s.open("")
	nc, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(patience))
	if b, err := io.ReadAll(nc); len(b) > 0 || err != nil {
		t.Errorf("%q, %v", b, err)
	}
	if n := s.stats().Rejected["max_connections"]; n != 1 {
		t.Errorf("%d are counted", n)
	}
}

// A recorder notes the sizes of the records that a client gets.
type recorder struct {
	net.Conn
	stream []byte
}

func (r *recorder) Read(b []byte) (int, error) {
	n, err := r.Conn.Read(b)
	r.stream = append(r.stream, b[:n]...)
	return n, err
}

func (r *recorder) records() (sizes []int) {
	for b := r.stream; len(b) >= 5; {
		n := int(binary.BigEndian.Uint16(b[3:]))
		sizes = append(sizes, n)
		b = b[min(5+n, len(b)):]
	}
	return sizes
}

// Several frames for one client leave in one record.
func TestBatchLeavesInOneRecord(t *testing.T) {
	eachSession(t, func(t *testing.T, sessions setting) {
		s := start(t, onlyTLS, sessions, func(c *Config, _ *broadcast.Config) { c.Loops = 1 })
		nc, err := net.Dial("tcp", s.addr)
		if err != nil {
			t.Fatal(err)
		}
		r := &recorder{Conn: nc}
		c := s.clientOf(tls.Client(r, clientTLS))
		c.send(request("topics=a"))
		c.upgraded()
		c.expect(`{"op":"ack"`)
		before := len(r.records())
		s.onLoops(func(*loop) { // which cannot drain its mailbox meanwhile
			for range 5 {
				s.hub.Publish("a", []byte("1"))
			}
		})
		for range 5 {
			c.update()
		}
		if n := len(r.records()) - before; n != 1 {
			t.Errorf("5 frames came in %d records", n)
		}
	})
}

// An idle connection has one object of 160 bytes and its place in a table; a busy one keeps its cipher for a while.
func TestSessionOfConnection(t *testing.T) {
	s := start(t, onlyTLS, func(c *Config, _ *broadcast.Config) { c.TLS.OwnRecords = true })
	c := s.open("")
	other := false
	s.onConns(func(l *loop, c *conn) {
		r, ok := (*l.conns.session(c.slot)).(*tlsrecord.Records)
		if !ok {
			other = true
			return
		}
		if len(l.kept) > 0 {
			t.Error("the cipher of a new connection is kept")
		}
		l.now += 2 * busyTicks
		c.sent = l.now
		l.keepCipher(c)
		l.keepCipher(c)
		if len(l.kept) != 1 || r.Keep() {
			t.Error("the cipher of a busy connection is not kept")
		}
		l.now = (l.now/busyTicks + 4) * busyTicks
		l.forgetCiphers()
		if len(l.kept) != 0 || !r.Keep() {
			t.Error("the cipher of an idle connection is kept")
		}
		r.Forget()
		l.engine.keptMost = 0
		c.sent = l.now
		l.keepCipher(c)
		if len(l.kept) != 0 {
			t.Error("a cipher is kept above the limit")
		}
	})
	if other {
		t.Skip("crypto/tls chooses another suite on this machine")
	}
	c.send(masked(wsproto.OpPing, ""))
	c.frame(wsproto.OpPong)
}

// The ciphers of connections that fall silent are released within 4 s, without a timer of theirs, also by a loop that misses ticks.
func TestCiphersOfSilentConnectionsAreReleased(t *testing.T) {
	const n = 20
	s := start(t, onlyTLS, func(c *Config, _ *broadcast.Config) { c.Loops, c.TLS.OwnRecords = 1, true })
	s.fill(n)
	s.onLoops(func(l *loop) {
		ours := 0
		kept := func() (kept int) {
			ours = 0
			for slot := range l.conns.made {
				if r, ok := (*l.conns.session(slot)).(*tlsrecord.Records); ok {
					ours++
					if r.Keep() {
						r.Forget()
					} else {
						kept++
					}
				}
			}
			return kept
		}
		if kept(); ours == 0 {
			t.Skip("crypto/tls chooses another suite on this machine")
		}
		frame := wsproto.AppendFrame(nil, wsproto.OpPing, nil)
		for l.now += 2 * busyTicks; kept() == 0; l.now += busyTicks / 2 {
			for slot := range uint32(n) {
				l.Write(slot, frame, 1)
			}
		}
		last := l.now
		for l.now = last + 2; l.now-last <= 4*busyTicks; l.now += 3 { // ticks are late
			l.forgetCiphers()
			if now := l.counters.keptCiphers.Load(); l.now-last < 2*busyTicks && now != n {
				t.Errorf("%d are kept %d ticks after the last write", now, l.now-last)
			}
		}
		if kept() != 0 || l.counters.keptCiphers.Load() != 0 || l.kept != nil {
			t.Errorf("%d are kept 4 s after the last write, and %d are counted", kept(), l.counters.keptCiphers.Load())
		}
	})
}

// keepCiphers makes all connections busy, so that their ciphers are kept.
func (s *server) keepCiphers() {
	s.onLoops(func(l *loop) {
		for slot := range l.conns.made {
			if c := l.conns.At(slot); c.state == stateOpen {
				c.opened, c.sent = l.now-2*busyTicks, l.now
				l.keepCipher(c)
			}
		}
	})
}

// Frames for busy clients are sealed in groups. What a socket refuses of one of them, and clients that read now and then, leave all records in
// their order; one whose client is gone costs the others nothing.
func TestFramesAreSealedInGroups(t *testing.T) {
	const clients, messages = 40, 1000
	s := start(t, onlyTLS, func(c *Config, _ *broadcast.Config) { c.Loops, c.Slice, c.TLS.OwnRecords = 1, 1, true })
	errs := make(chan error, clients)
	var gone []*client
	for k := range clients + 5 {
		c := s.slow()
		c.send(request("topics=a"))
		c.upgraded()
		c.expect(`{"op":"ack"`)
		if k%9 == 8 {
			gone = append(gone, c)
			continue
		}
		go func() { errs <- c.growing(messages, time.Duration(k%4)*time.Millisecond) }()
	}
	s.keepCiphers()
	payload := []byte(`"` + strings.Repeat("x", 500) + `"`)
	for k := range messages {
		if k == messages/10 {
			for _, c := range gone {
				_ = c.tcp().SetLinger(0)
				_ = c.tcp().Close()
			}
		}
		s.hub.Publish("a", payload)
		if k < messages/2 { // one by one: many together are large, and a group of their own
			s.onLoops(func(*loop) {})
		}
	}
	for range clients {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	s.onLoops(func(l *loop) {
		if len(l.kept) == 0 {
			t.Skip("crypto/tls chooses another suite on this machine")
		}
		if l.sealing.records[1] == nil {
			t.Error("no two records were sealed together")
		}
	})
}

// New certificates are for new connections. The old ones do not notice.
func TestCertificatesChangeUnderConnections(t *testing.T) {
	const n = 1000
	var current atomic.Pointer[tls.Config]
	current.Store(testTLSConfig().Config())
	s := start(t, onlyTLS, func(c *Config, _ *broadcast.Config) { c.TLS.Config = current.Load })
	all := s.fill(n)
	next := makeCertificate("test")
	config := current.Load().Clone()
	config.Certificates = []tls.Certificate{next}
	current.Store(config)
	s.hub.Publish("a", []byte(`"new"`))
	for i, nc := range all {
		if err := readUntil(nc, `"new"`, "}"); err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
	}
	c, err := tls.Dial("tcp", s.addr, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if !c.ConnectionState().PeerCertificates[0].Equal(next.Leaf) {
		t.Error("a new connection gets the old certificate")
	}
	if got := s.connCount(); got != n+1 {
		t.Errorf("%d connections are left", got)
	}
}

// Nearly all clients that come back resume their session.
func TestClientsResume(t *testing.T) {
	eachSession(t, func(t *testing.T, sessions setting) {
		s := start(t, onlyTLS, sessions)
		config := clientTLS.Clone()
		config.ClientSessionCache = tls.NewLRUClientSessionCache(1)
		const n = 50
		for range n {
			nc, err := net.Dial("tcp", s.addr)
			if err != nil {
				t.Fatal(err)
			}
			c := s.clientOf(tls.Client(nc, config))
			c.send(request(""))
			c.upgraded()
			c.Close()
		}
		if h := s.stats().TLSHandshakes; h["full"] != 1 || h["resumed"] != n-1 {
			t.Errorf("%v", h)
		}
	})
}
