package main

import (
	"errors"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

// start starts an embedded server that the test ends.
func start(t *testing.T, c NATSConfig) *embedded {
	t.Helper()
	e, err := startEmbedded(c, "test", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e
}

// connect connects a client that the test ends.
func connect(t *testing.T, url string, opts ...nats.Option) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect(url, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// passes fails the test unless a message gets from one client to the other.
func passes(t *testing.T, from, to *nats.Conn) {
	t.Helper()
	sub, err := to.SubscribeSync("px.AAPL")
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Unsubscribe()
	if err := to.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := from.Publish("px.AAPL", []byte("189.12")); err != nil {
		t.Fatal(err)
	}
	m, err := sub.NextMsg(5 * time.Second)
	if err != nil || string(m.Data) != "189.12" {
		t.Fatalf("got %v, %v", m, err)
	}
}

func TestEmbeddedInProcess(t *testing.T) {
	e := start(t, NATSConfig{})
	if got := e.Addr(); got != "" {
		t.Errorf("it listens on %s", got)
	}
	a, b := connect(t, "", nats.InProcessServer(e)), connect(t, "", nats.InProcessServer(e))
	passes(t, a, b)
	if got := a.ConnectedServerName(); got != "tickcast-test" {
		t.Errorf("server's name is %q", got)
	}
	e.Close()
	if conn, err := e.InProcessConn(); err == nil {
		conn.Close()
		t.Error("connected to a closed server")
	}
	e.Close() // again
}

func TestEmbeddedListens(t *testing.T) {
	e := start(t, NATSConfig{Embedded: EmbeddedConfig{Listen: "127.0.0.1:0"}})
	inside, outside := connect(t, "", nats.InProcessServer(e)), connect(t, e.Addr())
	passes(t, outside, inside)
	passes(t, inside, outside)
}

func TestEmbeddedAsksForSecret(t *testing.T) {
	listen := EmbeddedConfig{Listen: "127.0.0.1:0"}
	for name, tt := range map[string]struct {
		config NATSConfig
		show   nats.Option
	}{
		"user":  {NATSConfig{User: "u", Password: "p", Embedded: listen}, nats.UserInfo("u", "p")},
		"token": {NATSConfig{Token: "t", Embedded: listen}, nats.Token("t")},
	} {
		e := start(t, tt.config)
		if nc, err := nats.Connect(e.Addr()); !errors.Is(err, nats.ErrAuthorization) {
			t.Errorf("%s: without it, got %v, %v", name, nc, err)
		}
		passes(t, connect(t, e.Addr(), tt.show), connect(t, "", nats.InProcessServer(e), tt.show))
	}
}

func TestEmbeddedPortTaken(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	began := time.Now()
	_, err = startEmbedded(NATSConfig{Embedded: EmbeddedConfig{Listen: ln.Addr().String()}}, "test", slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), "address already in use") {
		t.Fatalf("got %v", err)
	}
	var h *hintError
	if !errors.As(err, &h) || !strings.Contains(h.hint, "nats.embedded.listen") {
		t.Errorf("got no hint with %v", err)
	}
	if took := time.Since(began); took > embeddedStart/2 {
		t.Errorf("it took %v to notice", took)
	}
}

// The embedded server's log stays silent at info, also with a password in the configuration.
func TestEmbeddedIsQuiet(t *testing.T) {
	var b strings.Builder
	e, err := startEmbedded(NATSConfig{User: "u", Password: "p"}, "test", slog.New(slog.NewTextHandler(&b, nil)))
	if err != nil {
		t.Fatal(err)
	}
	e.Close()
	if b.Len() > 0 {
		t.Errorf("it logged\n%s", b.String())
	}
}

// What JetStream stored is there again after a restart.
func TestEmbeddedJetStream(t *testing.T) {
	config := NATSConfig{JetStream: true, Embedded: EmbeddedConfig{StoreDir: filepath.Join(t.TempDir(), "js")}}
	stream := func(e *embedded) nats.JetStreamContext {
		t.Helper()
		js, err := connect(t, "", nats.InProcessServer(e)).JetStream()
		if err != nil {
			t.Fatal(err)
		}
		return js
	}
	first := start(t, config)
	js := stream(first)
	if _, err := js.AddStream(&nats.StreamConfig{Name: "PX", Subjects: []string{"px.>"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish("px.AAPL", []byte("189.12")); err != nil {
		t.Fatal(err)
	}
	first.Close()
	m, err := stream(start(t, config)).GetLastMsg("PX", "px.AAPL")
	if err != nil || string(m.Data) != "189.12" {
		t.Errorf("got %v, %v", m, err)
	}
}

func TestEmbeddedJetStreamNoDirectory(t *testing.T) {
	config := NATSConfig{JetStream: true, Embedded: EmbeddedConfig{StoreDir: "embedded_test.go"}}
	e, err := startEmbedded(config, "test", slog.New(slog.DiscardHandler))
	if err == nil {
		e.Close()
		t.Fatal("it stores in a file")
	}
	var h *hintError
	if !errors.As(err, &h) || !strings.Contains(h.hint, "nats.embedded.store_dir") {
		t.Errorf("got no hint with %v", err)
	}
}
