package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strings"
	"sync/atomic"
	"time"
)

// onTLS are attacks below and around TLS.
var onTLS = []attack{
	{name: "HTTP on a port with TLS", keys: "the answer",
		run: clearText("GET / HTTP/1.1\r\nHost: test\r\n\r\n"), counts: `rejected_total{reason="not_tls"}`},
	{name: "halves of hellos, held", keys: "limits.handshake_timeout",
		run: heldHello(2000, false), counts: `tls_handshakes_total{result="timeout"}`},
	{name: "10,000 half handshakes", keys: "tls.max_handshakes",
		run: heldHello(10_000, true), counts: `tls_handshakes_total{result="timeout"}`},
	{name: "more than a handshake needs", keys: "128 KiB of a handshake", run: longHello, counts: `tls_handshakes_total{result="failed"}`},
	{name: "handshakes, as fast as possible", keys: "tls.handshake_workers",
		run: handshakes(&tls.Config{InsecureSkipVerify: true}), counts: `tls_handshakes_total{result="full"}`},
	{name: "handshakes of TLS 1.2", keys: "tls.handshake_workers",
		run: handshakes(&tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12}), counts: "tls_driven_total"},
	{name: "one ticket again and again", keys: "tls.handshake_workers", run: sameTicket, counts: `tls_handshakes_total{result="resumed"}`},
	{name: "renegotiation", keys: "the answer", run: renegotiation, needs: "openssl", counts: `tls_handshakes_total{result="full"}`},
	{name: "a hello behind the handshake", keys: "alert 10",
		run: sealing(func(s *sealer) []byte { return s.seal(nil, typeHandshake, string(hello())) }), counts: "websockets_opened_total"},
	{name: "records of one byte", keys: "limits.input_bytes_per_second",
		run: sealing(oneByte), counts: `limited_total{limit="bytes_per_second"}`},
	{name: "empty records", keys: "alert 10", run: sealing(func(s *sealer) (b []byte) {
		for range 1000 {
			b = s.seal(b, typeData, "")
		}
		return b
	}), counts: "websockets_opened_total"},
	{name: "records that lie about their length", keys: "alerts 20 and 22", run: sealing(liars()), counts: "websockets_opened_total"},
	{name: "records that never end, held", keys: "the length of a record", run: heldRecords, counts: "websockets_opened_total"},
	{name: "KeyUpdates, one behind the other", keys: "alert 10", run: sealing(func(s *sealer) (b []byte) {
		for range 100 {
			b = s.keyUpdate(b)
		}
		return b
	}), counts: "websockets_opened_total"},
	{name: "a KeyUpdate before each ping", keys: "limits.commands_per_second", run: sealing(func(s *sealer) (b []byte) {
		for range 2000 {
			b = s.seal(s.keyUpdate(b), typeData, frame(`{"op":"ping"}`))
		}
		return b
	}), counts: `limited_total{limit="commands_per_second"}`},
	{name: "ends without close_notify", keys: "the end", run: abruptEnds, counts: "websockets_opened_total"},
}

// plainly connects below TLS.
func (t *target) plainly() (net.Conn, error) {
	nc, err := net.DialTimeout("tcp", t.Addr, 10*time.Second)
	if err == nil {
		_ = nc.SetDeadline(time.Now().Add(time.Second))
	}
	return nc, err
}

// clearText shouts below TLS.
func clearText(text string) func(context.Context, *target) {
	return func(ctx context.Context, t *target) {
		open := door{t.Addr, false}
		again(ctx, 64, func(int) { (&target{door: open}).shout(text) })
	}
}

// errKept ends the handshake of hello.
var errKept = errors.New("the hello is kept")

// A keeper keeps the first flight of a client.
type keeper struct {
	net.Conn
	kept []byte
}

func (k *keeper) Write(b []byte) (int, error) {
	k.kept = append(k.kept, b...)
	return 0, errKept
}

// hello returns the first flight of a client, a record.
func hello() []byte {
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	k := &keeper{Conn: near}
	_ = tls.Client(k, anyCertificate).Handshake()
	return k.kept
}

// heldHello holds n connections that have sent a hello or half of one, until they are ended. It goes on until so many have sent it and the
// first ones have timed out, for half a minute at most.
func heldHello(n int, whole bool) func(context.Context, *target) {
	return func(ctx context.Context, t *target) {
		const most, timeout = 30 * time.Second, 3 * time.Second
		long, end := context.WithTimeout(context.WithoutCancel(ctx), most)
		defer end()
		text := hello()
		if !whole {
			text = text[:len(text)/2]
		}
		var sent atomic.Int64
		go func() {
			<-ctx.Done()
			for int(sent.Load()) < n && long.Err() == nil {
				time.Sleep(10 * time.Millisecond)
			}
			time.AfterFunc(timeout, end)
		}()
		again(long, n, func(int) {
			nc, err := t.plainly()
			if err != nil {
				time.Sleep(100 * time.Millisecond)
				return
			}
			defer nc.Close()
			_ = nc.SetDeadline(time.Time{})
			defer context.AfterFunc(long, func() { _ = nc.Close() })()
			_, _ = nc.Write(text)
			sent.Add(1)
			_, _ = io.Copy(io.Discard, nc)
			time.Sleep(100 * time.Millisecond)
		})
		t.note = fmt.Sprintf("%d were sent", sent.Load())
	}
}

// longHello sends handshakes that are longer than any.
func longHello(ctx context.Context, t *target) {
	record := "\x16\x03\x01\x40\x00" + strings.Repeat("\x01", 1<<14)
	clearText("\x16\x03\x01\x40\x00\x01\xff\xff\xff"+strings.Repeat("a", 1<<14-4)+strings.Repeat(record, 20))(ctx, t)
}

// handshakes makes whole handshakes.
func handshakes(config *tls.Config) func(context.Context, *target) {
	return func(ctx context.Context, t *target) {
		again(ctx, 64, func(int) {
			nc, err := t.plainly()
			if err == nil {
				_ = tls.Client(nc, config).Handshake()
				_ = nc.Close()
			}
		})
	}
}

// A ticketKeeper keeps the first ticket for ever.
type ticketKeeper struct {
	first chan *tls.ClientSessionState // with room for one
}

func (k *ticketKeeper) Put(_ string, s *tls.ClientSessionState) {
	select {
	case k.first <- s:
	default:
	}
}

func (k *ticketKeeper) Get(string) (*tls.ClientSessionState, bool) {
	select {
	case s := <-k.first:
		k.first <- s
		return s, true
	default:
		return nil, false
	}
}

// sameTicket resumes one session again and again.
func sameTicket(ctx context.Context, t *target) {
	config := &tls.Config{InsecureSkipVerify: true, ServerName: "localhost", ClientSessionCache: &ticketKeeper{make(chan *tls.ClientSessionState, 1)}}
	nc, err := t.plainly()
	if err != nil {
		return
	}
	c := tls.Client(nc, config)
	_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
	_, _ = io.Copy(io.Discard, c) // reads the tickets
	_ = nc.Close()
	handshakes(config)(ctx, t)
}

// renegotiation asks for new handshakes of TLS 1.2 on eight connections, again and again.
func renegotiation(ctx context.Context, t *target) {
	again(ctx, 8, func(int) {
		cmd := exec.CommandContext(ctx, "openssl", "s_client", "-tls1_2", "-legacy_renegotiation", "-connect", t.Addr)
		cmd.Stdin = strings.NewReader(strings.Repeat("R\n", 100))
		_ = cmd.Run() // it fails, as it should
	})
}

// sealing opens WebSockets on sealers, sends the records and reads to the end, for five seconds at most.
func sealing(records func(s *sealer) []byte) func(context.Context, *target) {
	return func(ctx context.Context, t *target) {
		again(ctx, 16, func(int) {
			s, err := newSealer(t.Addr)
			if err != nil {
				return
			}
			defer s.Close()
			defer context.AfterFunc(ctx, func() { _ = s.Close() })()
			_ = s.SetDeadline(time.Now().Add(5 * time.Second))
			go func() {
				_, _ = s.Write(s.seal(nil, typeData, request("")))
				_, _ = s.Write(records(s))
			}()
			_, _ = io.Copy(io.Discard, s)
		})
	}
}

// oneByte returns pings in records of one byte.
func oneByte(s *sealer) (b []byte) {
	ping := rawFrame(0x89, strings.Repeat("p", 100))
	for range 2000 {
		for i := range len(ping) {
			b = s.seal(b, typeData, ping[i:i+1])
		}
	}
	return b
}

// liars returns records whose lengths are too long, too short, or none.
func liars() func(s *sealer) []byte {
	return func(s *sealer) []byte {
		b := s.seal(nil, typeData, frame(`{"op":"list"}`))
		switch s.secret[0] % 3 { // one after the other, by chance
		case 0:
			b[3], b[4] = 0xff, 0xff
		case 1:
			b[4]--
		default:
			b[3], b[4] = 0, 0
		}
		return b
	}
}

// heldRecords holds 1,000 streams, each with a record that lacks its last byte.
func heldRecords(ctx context.Context, t *target) {
	again(ctx, 1000, func(int) {
		s, err := newSealer(t.Addr)
		if err != nil {
			return
		}
		defer s.Close()
		defer context.AfterFunc(ctx, func() { _ = s.Close() })()
		_ = s.SetDeadline(time.Time{})
		b := s.seal(nil, typeData, request(""))
		b = s.seal(b, typeData, strings.Repeat("a", 1<<14))
		_, _ = s.Write(b[:len(b)-1])
		_, _ = io.Copy(io.Discard, s)
	})
}

// abruptEnds opens streams and ends them below TLS, by an end or by a reset.
func abruptEnds(ctx context.Context, t *target) {
	again(ctx, 32, func(i int) {
		c, err := t.dial("?topics=px.1")
		if err != nil {
			return
		}
		if i%2 == 0 {
			c.reset()
			return
		}
		_ = c.socket.CloseWrite()
		_ = c.SetDeadline(time.Now().Add(time.Second))
		_, _ = io.Copy(io.Discard, c)
		_ = c.Close()
	})
}
