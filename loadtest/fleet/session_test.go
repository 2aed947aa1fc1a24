package fleet

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// serveWSS runs a wss server of another project. It returns the URL and the file of its certificate.
func serveWSS(t *testing.T, version uint16, handle func(ctx context.Context, c *websocket.Conn)) (url, ca string) {
	t.Helper()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{Subprotocol}})
		if err != nil {
			t.Errorf("accept: %v", err)
			return
		}
		defer c.CloseNow()
		handle(r.Context(), c)
	}))
	s.TLS = &tls.Config{MinVersion: version, MaxVersion: version}
	s.Config.ErrorLog = nil
	s.StartTLS()
	t.Cleanup(s.Close)
	ca = filepath.Join(t.TempDir(), "ca.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	if err := os.WriteFile(ca, block, 0o600); err != nil {
		t.Fatal(err)
	}
	return "wss" + strings.TrimPrefix(s.URL, "https") + "/stream", ca
}

func TestFleetTLS(t *testing.T) {
	const conns, messages = 40, 30
	big := `{"t":"px.A","s":1,"d":"` + strings.Repeat("x", 50_000) + `"}` // several records
	for version, name := range map[uint16]string{tls.VersionTLS12: "1.2", tls.VersionTLS13: "1.3"} {
		t.Run(name, func(t *testing.T) {
			ctx := testContext(t)
			before := runtime.NumGoroutine()
			url, ca := serveWSS(t, version, func(ctx context.Context, c *websocket.Conn) {
				wantSubscribe(t, ctx, c)
				c.Write(ctx, websocket.MessageText, []byte(ackMessage))
				for range messages {
					c.Write(ctx, websocket.MessageText, []byte(big))
				}
				<-c.CloseRead(ctx).Done()
			})
			f := startFleet(t, Config{URL: url, CA: ca, Conns: conns, Topics: []string{"px.A"}})
			if err := f.WaitSubscribed(ctx); err != nil {
				t.Fatal(err)
			}
			if err := f.WaitData(ctx, conns*messages); err != nil {
				t.Fatal(err)
			}
			totals := f.Totals()
			if totals.Bytes != conns*uint64(len(ackMessage)+messages*len(big)) || totals.Lost != 0 {
				t.Errorf("totals %+v", totals)
			}
			// The server has two goroutines for each connection of its own; the fleet has no goroutine left.
			if n := runtime.NumGoroutine() - before; n > 4*conns+20 {
				t.Errorf("%d goroutines", n)
			}
			f.Close()
		})
	}
}

func TestFleetTLSFaults(t *testing.T) {
	ctx := testContext(t)
	url, _ := serveWSS(t, tls.VersionTLS13, func(context.Context, *websocket.Conn) {})
	f := startFleet(t, Config{URL: url, Conns: 5})
	if err := f.WaitOpen(ctx); err == nil || !strings.HasSuffix(err.Error(), "tls x5") {
		t.Errorf("an unknown certificate: %v", err)
	}
	plain := serveWS(t, func(context.Context, *websocket.Conn) {})
	f = startFleet(t, Config{URL: strings.Replace(plain, "ws://", "wss://", 1), Insecure: true, Conns: 5})
	if err := f.WaitOpen(ctx); err == nil || !strings.HasSuffix(err.Error(), "tls x5") {
		t.Errorf("a server without TLS: %v", err)
	}
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			c.Read(make([]byte, 1<<16)) // its first record, whole
			c.Close()
		}
	}()
	f = startFleet(t, Config{URL: "wss://" + ln.Addr().String() + "/", Conns: 5})
	if err := f.WaitOpen(ctx); err == nil || !strings.HasSuffix(err.Error(), "eof x5") {
		t.Errorf("a server that ends instead of its hello: %v", err)
	}
	hung := newHungServer(t)
	f = startFleet(t, Config{URL: "wss://" + hung + "/", Conns: 5, Timeout: 50 * time.Millisecond})
	if err := f.WaitOpen(ctx); err == nil || !strings.HasSuffix(err.Error(), "timeout x5") {
		t.Errorf("a server that says nothing: %v", err)
	}
	if _, err := Start(ctx, Config{URL: url, Conns: 1, CA: "/nowhere"}); err == nil {
		t.Error("a file of certificates that does not exist is no error")
	}
}

// newHungServer listens and never sends a byte. It returns its address.
func newHungServer(t *testing.T) string {
	t.Helper()
	s := httptest.NewUnstartedServer(nil)
	t.Cleanup(func() { s.Listener.Close() })
	return s.Listener.Addr().String()
}
