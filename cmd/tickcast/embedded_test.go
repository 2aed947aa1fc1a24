package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"tickcast/cmd/message"
	"tickcast/cmd/tickcast/config"
)

// start starts an embedded server; it ends with the test.
func start(t *testing.T, c config.NATS) *embedded {
	t.Helper()
	e, err := startEmbedded(c, "test", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e
}

// connect connects a client; it ends with the test.
func connect(t *testing.T, url string, opts ...nats.Option) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect(url, append([]nats.Option{nats.Timeout(patience)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// mustPass publishes a message with one client and requires that the other receives it.
func mustPass(t *testing.T, from, to *nats.Conn) {
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
	m, err := sub.NextMsg(patience)
	if err != nil || string(m.Data) != "189.12" {
		t.Fatalf("got %v, %v", m, err)
	}
}

func TestEmbeddedInProcess(t *testing.T) {
	e := start(t, config.NATS{})
	if got := e.Addr(); got != "" {
		t.Errorf("it listens on %s", got)
	}
	a, b := connect(t, "", nats.InProcessServer(e)), connect(t, "", nats.InProcessServer(e))
	mustPass(t, a, b)
	if got := a.ConnectedServerName(); got != "tickcast-test" {
		t.Errorf("the server's name is %q", got)
	}
	e.Close()
	if conn, err := e.InProcessConn(); err == nil {
		conn.Close()
		t.Error("connected to a closed server")
	}
	e.Close() // again
}

func TestEmbeddedListens(t *testing.T) {
	e := start(t, config.NATS{Embedded: config.Embedded{Listen: "127.0.0.1:0"}})
	inside, outside := connect(t, "", nats.InProcessServer(e)), connect(t, e.Addr())
	mustPass(t, outside, inside)
	mustPass(t, inside, outside)
}

func TestEmbeddedAsksForSecret(t *testing.T) {
	listen := config.Embedded{Listen: "127.0.0.1:0"}
	for name, tt := range map[string]struct {
		nats config.NATS
		show nats.Option
	}{
		"user":  {config.NATS{User: "u", Password: "p", Embedded: listen}, nats.UserInfo("u", "p")},
		"token": {config.NATS{Token: "t", Embedded: listen}, nats.Token("t")},
	} {
		e := start(t, tt.nats)
		if nc, err := nats.Connect(e.Addr(), nats.Timeout(patience)); !errors.Is(err, nats.ErrAuthorization) {
			t.Errorf("%s: without it, got %v, %v", name, nc, err)
		}
		mustPass(t, connect(t, e.Addr(), tt.show), connect(t, "", nats.InProcessServer(e), tt.show))
	}
}

func TestEmbeddedPortTaken(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	began := time.Now()
	_, err = startEmbedded(config.NATS{Embedded: config.Embedded{Listen: ln.Addr().String()}}, "test", slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), "address already in use") {
		t.Fatalf("got %v", err)
	}
	if !strings.Contains(message.Hint(err), "nats.embedded.listen") {
		t.Errorf("got no hint with %v", err)
	}
	if took := time.Since(began); took >= embeddedStart {
		t.Errorf("it took %v to notice", took)
	}
}

// TestEmbeddedIsQuiet requires that the embedded server logs no line at info, with a password in the configuration too.
func TestEmbeddedIsQuiet(t *testing.T) {
	var b strings.Builder
	e, err := startEmbedded(config.NATS{User: "u", Password: "p"}, "test", slog.New(slog.NewTextHandler(&b, nil)))
	if err != nil {
		t.Fatal(err)
	}
	e.Close()
	if b.Len() > 0 {
		t.Errorf("it logged\n%s", b.String())
	}
}

// TestEmbeddedJetStream requires that a stored message is there after a restart.
func TestEmbeddedJetStream(t *testing.T) {
	c := config.NATS{JetStream: true, Embedded: config.Embedded{StoreDir: filepath.Join(t.TempDir(), "js")}}
	stream := func(e *embedded) nats.JetStreamContext {
		t.Helper()
		js, err := connect(t, "", nats.InProcessServer(e)).JetStream(nats.MaxWait(patience))
		if err != nil {
			t.Fatal(err)
		}
		return js
	}
	first := start(t, c)
	js := stream(first)
	if _, err := js.AddStream(&nats.StreamConfig{Name: "PX", Subjects: []string{"px.>"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish("px.AAPL", []byte("189.12")); err != nil {
		t.Fatal(err)
	}
	first.Close()
	m, err := stream(start(t, c)).GetLastMsg("PX", "px.AAPL")
	if err != nil || string(m.Data) != "189.12" {
		t.Errorf("got %v, %v", m, err)
	}
}

func TestEmbeddedJetStreamNoDirectory(t *testing.T) {
	c := config.NATS{JetStream: true, Embedded: config.Embedded{StoreDir: "embedded_test.go"}}
	e, err := startEmbedded(c, "test", slog.New(slog.DiscardHandler))
	if err == nil {
		e.Close()
		t.Fatal("it stores in a file")
	}
	if !strings.Contains(message.Hint(err), "nats.embedded.store_dir") {
		t.Errorf("got no hint with %v", err)
	}
}

// A class is read from the stream that it names, also from a mirror. The server does not start with a work queue.
func TestNamedStreams(t *testing.T) {
	e := start(t, config.NATS{JetStream: true, Embedded: config.Embedded{Listen: "127.0.0.1:0", StoreDir: filepath.Join(t.TempDir(), "js")}})
	js, err := connect(t, "", nats.InProcessServer(e)).JetStream(nats.MaxWait(patience))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []nats.StreamConfig{
		{Name: "PX", Subjects: []string{"px.>"}},
		{Name: "MIRROR", Mirror: &nats.StreamSource{Name: "PX"}},
		{Name: "JOBS", Subjects: []string{"job.>"}, Retention: nats.WorkQueuePolicy},
	} {
		if _, err := js.AddStream(&c); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := js.Publish("px.AAPL", []byte("189.12")); err != nil {
		t.Fatal(err)
	}
	const head = "[nats]\njetstream = true\nurls = [%q]\n[[topic]]\nsnapshot = \"jetstream\"\nmatch = "
	s := startServer(t, fmt.Sprintf(head+`"px.>"`+"\nstream = \"MIRROR\"\n", e.Addr()))
	s.ready()
	dial(t, s.stream+"?topics=px.AAPL").until("the message of the mirror", func(m serverMessage) bool { return string(m.Data) == "189.12" })

	file := filepath.Join(t.TempDir(), "config.toml")
	if err := os.WriteFile(file, []byte(fmt.Sprintf(head+`"job.>"`+"\n", e.Addr())), 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the server does not start with a work queue", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second) // a NATS server that is busy for two seconds lets it start
		defer cancel()
		err = run(ctx, []string{"-config", file}, onAnyPort, io.Discard, io.Discard)
		return err != nil
	})
	if err == nil || !strings.Contains(err.Error(), "JOBS") || !strings.Contains(message.Hint(err), "limits") {
		t.Errorf("with a work queue: %v", err)
	}
}
