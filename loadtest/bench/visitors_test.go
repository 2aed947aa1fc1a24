package bench

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tickcast/loadtest/fleet"
)

// pairFiles names the files of a certificate and its key.
type pairFiles struct {
	Cert, Key string
	GOGC      int // percent, of the server with it
}

// writeCertificate makes a self-signed certificate with a P-256 key, and writes both to files.
func writeCertificate(b *testing.B, cert, key string) {
	b.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "bench"}, NotAfter: time.Now().Add(24 * time.Hour), DNSNames: []string{"bench"},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		b.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		b.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: keyDER}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			b.Fatal(err)
		}
	}
}

// cryptoTLSChild is a server of crypto/tls alone: a goroutine a connection, which answers one request and ends it.
func cryptoTLSChild(_ context.Context, in io.Reader, out io.Writer) error {
	return fleet.ServeOrders(in, out, func(o order) (a answer, err error) {
		if o.Serve == nil {
			return a, nil
		}
		pair, err := tls.LoadX509KeyPair(o.Serve.Cert, o.Serve.Key)
		if err != nil {
			return a, err
		}
		ln, err := tls.Listen("tcp4", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{pair}, NextProtos: []string{"http/1.1"}})
		if err != nil {
			return a, err
		}
		debug.SetGCPercent(o.Serve.GOGC)
		go func() {
			for {
				c, err := ln.Accept()
				if err != nil {
					return
				}
				go func() {
					defer c.Close()
					if _, err := c.Read(make([]byte, 512)); err == nil {
						_, _ = io.WriteString(c, "HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
					}
				}()
			}
		}()
		return answer{URL: ln.Addr().String()}, nil
	})
}

// visits are connections to a server, each with one request.
type visits struct {
	Addr       string // host:port
	Count      int
	AtOnce     int
	Resume     bool // resume the session of the connection before, of the same goroutine
	WebSockets bool // open a WebSocket and subscribe; end some in each way that there is
}

// visitorsChild makes connections with TLS.
func visitorsChild(_ context.Context, in io.Reader, out io.Writer) error {
	caches := make(map[int]tls.ClientSessionCache) // by goroutine, also of later orders
	return fleet.ServeOrders(in, out, func(o order) (a answer, err error) {
		if o.Visit == nil {
			return a, nil
		}
		var left, resumed atomic.Int64
		left.Store(int64(o.Visit.Count))
		var wg sync.WaitGroup
		failures := make([]error, o.Visit.AtOnce)
		for i := range o.Visit.AtOnce {
			config := &tls.Config{InsecureSkipVerify: true, ServerName: "bench", NextProtos: []string{"http/1.1"}}
			if o.Visit.Resume {
				if caches[i] == nil {
					caches[i] = tls.NewLRUClientSessionCache(1)
				}
				config.ClientSessionCache = caches[i]
			}
			wg.Go(func() {
				for n := left.Add(-1); n >= 0 && failures[i] == nil; n = left.Add(-1) {
					did, err := o.Visit.visit(config, int(n))
					if did {
						resumed.Add(1)
					}
					failures[i] = err
				}
			})
		}
		wg.Wait()
		return answer{Resumed: int(resumed.Load())}, errors.Join(failures...)
	})
}

// visit makes connection number n.
func (v *visits) visit(config *tls.Config, n int) (resumed bool, err error) {
	nc, err := net.DialTimeout("tcp4", v.Addr, 30*time.Second)
	if err != nil {
		return false, err
	}
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(30 * time.Second))
	c := tls.Client(nc, config)
	if err := c.Handshake(); err != nil {
		return false, err
	}
	resumed = c.ConnectionState().DidResume
	if v.WebSockets {
		return resumed, v.watch(nc.(*net.TCPConn), c, n)
	}
	if _, err := io.WriteString(c, "GET /none HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n"); err != nil {
		return resumed, err
	}
	_, err = io.Copy(io.Discard, c)
	return resumed, err
}

// upgradeHead is a request for a WebSocket with a topic.
const upgradeHead = "GET /stream?topics=px.AAPL HTTP/1.1\r\nHost: bench\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"

// readUntil reads until text has come, near the end of the input.
func readUntil(c io.Reader, text string) error {
	var got []byte
	for b := make([]byte, 16<<10); !bytes.Contains(got, []byte(text)); {
		n, err := c.Read(b)
		got = append(got[max(0, len(got)-len(text)):], b[:n]...)
		if err != nil {
			return fmt.Errorf("%w after %q", err, got)
		}
	}
	return nil
}

// watch opens a WebSocket, waits for its subscription and ends it by a reset, by close_notify or by a close frame.
func (v *visits) watch(nc *net.TCPConn, c *tls.Conn, n int) error {
	if _, err := io.WriteString(c, upgradeHead); err != nil {
		return err
	}
	if err := readUntil(c, `"op":"ack"`); err != nil {
		return err
	}
	switch n % 3 {
	case 0:
		return nc.SetLinger(0)
	case 1:
		return c.CloseWrite()
	}
	if _, err := c.Write([]byte{0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8}); err != nil { // 1000
		return err
	}
	_, err := io.Copy(io.Discard, c)
	return err
}
