package eventloop

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"runtime"
	"sync"
	"testing"
	"time"

	"tickcast/broadcast"
	"tickcast/wsproto"
)

// Connections that come and go in all ways leave nothing behind.
func TestChurnWithTLS(t *testing.T) {
	eachSession(t, func(t *testing.T, sessions setting) {
		s := start(t, onlyTLS, sessions)
		s.open("").Close()
		eventually(t, "it is gone", func() bool { return s.engine.Connections() == 0 })
		before := runtime.NumGoroutine()
		var wg sync.WaitGroup
		for w := range 4 {
			wg.Go(func() {
				for n := range 75 {
					nc, err := net.DialTimeout("tcp", s.addr, patience)
					if err != nil {
						t.Error(err)
						return
					}
					_ = nc.SetDeadline(time.Now().Add(patience))
					if err := churn(nc, (w+n)%5); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		eventually(t, "nothing is left", func() bool {
			return s.engine.Connections() == 0 && s.engine.handshakes.UnderWay() == 0 && runtime.NumGoroutine() <= before
		})
		s.onLoops(func(l *loop) {
			for _, chunk := range l.conns.sessions {
				if chunk == nil {
					continue
				}
				for slot, session := range chunk {
					if session != nil {
						t.Errorf("slot %d has a session", slot)
					}
				}
			}
		})
	})
}

// churn opens a connection and ends it in one of five ways.
func churn(nc net.Conn, way int) error {
	defer nc.Close()
	c := tls.Client(nc, clientTLS)
	switch way {
	case 0: // before the handshake
		return nil
	case 1: // within it
		ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
		defer cancel()
		_ = c.HandshakeContext(ctx)
		return nil
	}
	if _, err := io.WriteString(c, request("topics=a")); err != nil {
		return err
	}
	if err := readUntil(c, `"op":"ack"`, "]}"); err != nil {
		return err
	}
	switch way {
	case 2: // by a reset
		return nc.(*net.TCPConn).SetLinger(0)
	case 3: // in order
		if _, err := io.WriteString(c, closeFrame(1000, "")); err != nil {
			return err
		}
		_, err := io.Copy(io.Discard, c)
		return err
	}
	return c.Close() // close_notify
}

// At a shutdown every client gets a close frame and close_notify.
func TestShutdownWithTLS(t *testing.T) {
	eachSession(t, func(t *testing.T, sessions setting) {
		s := startWithGrace(t, patience, onlyTLS, sessions)
		c := s.sealer()
		if _, err := c.Write(c.session.Seal(nil, []byte(request("")))); err != nil {
			t.Fatal(err)
		}
		open := s.open("")
		s.halfHandshake()
		eventually(t, "they are there", func() bool { return s.connCount() == 3 })
		s.cancel()
		open.expectClose(1012)
		if _, err := c.Write(c.session.Seal(nil, []byte(closeFrame(1001, "")))); err != nil {
			t.Fatal(err)
		}
		if _, end := c.readUntilEnd(); end != io.EOF {
			t.Errorf("ended by %v", end)
		}
		c.Close()
		open.Close()
		s.join()
	})
}

func BenchmarkSendWithTLS(b *testing.B) {
	for _, row := range []struct {
		name     string
		settings []setting
	}{
		{"clear text", nil},
		{"own", []setting{onlyTLS}},
		{"own, ciphers built anew", []setting{onlyTLS, func(c *Config, _ *broadcast.Config) { c.TLS.KeptBytes = 0 }}},
		{"driven", []setting{onlyTLS, byCryptoTLS}},
	} {
		for _, frames := range []int{1, 8} {
			b.Run(fmt.Sprintf("%s, %d frames", row.name, frames), func(b *testing.B) {
				s := start(b, append(row.settings, func(c *Config, _ *broadcast.Config) {
					c.Loops, c.SendBuffer, c.NotSentLowat = 1, 0, 0
				})...)
				c := s.open("")
				_ = c.SetDeadline(time.Time{})
				go func() { _, _ = io.Copy(io.Discard, tcpOf(c.Conn)) }()
				var batch []byte
				for range frames {
					batch = wsproto.AppendFrame(batch, wsproto.OpText, make([]byte, 128))
				}
				s.onConns(func(l *loop, c *conn) {
					c.opened -= 3 * busyTicks
					b.ReportAllocs()
					for b.Loop() {
						for c.flags&flagBehind != 0 {
							time.Sleep(50 * time.Microsecond)
							_ = c.gc.Flush()
							l.sweep()
						}
						l.Write(c.slot, batch, frames)
					}
				})
			})
		}
	}
}
