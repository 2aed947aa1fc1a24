package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"tickcast/broadcast/natstest"
)

// patience is the longest wait of a test for an event.
const patience = 60 * time.Second

// A running is the command under test, started with a configuration file.
type running struct {
	page, stream, echo, metrics, nats string // addresses that it printed

	t    *testing.T
	stop context.CancelFunc
	done chan error
	log  *syncBuffer
}

// onAnyPort is an environment with which servers listen on free ports.
var onAnyPort = []string{"TICKCAST_SERVER_LISTEN=127.0.0.1:0", "TICKCAST_SERVER_INTERNAL_LISTEN=127.0.0.1:0"}

// startServer runs the command with config on free ports until the test ends or stop is called.
func startServer(t *testing.T, config string, args ...string) *running {
	t.Helper()
	file := filepath.Join(t.TempDir(), "config.toml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	environ := slices.Concat(os.Environ(), onAnyPort)
	if !strings.Contains(config, "[tls") {
		environ = append(environ, ofServers...)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{t: t, stop: cancel, done: make(chan error, 1), log: new(syncBuffer)}
	out, stdout := io.Pipe()
	go func() {
		err := run(ctx, append([]string{"-config", file}, args...), environ, stdout, r.log)
		stdout.CloseWithError(errors.Join(io.EOF, err))
		r.done <- err
	}()
	t.Cleanup(func() { r.end() })
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		key, value, _ := strings.Cut(strings.TrimPrefix(lines.Text(), "tickcast: "), " ")
		value = strings.TrimSpace(value)
		switch key {
		case "page":
			r.page = value
		case "stream":
			r.stream = value
		case "echo":
			r.echo = value
		case "nats":
			r.nats = value
		case "metrics":
			r.metrics = value
		}
		if r.metrics != "" && (r.nats != "" || !strings.Contains(config, "embedded")) {
			go io.Copy(io.Discard, out)
			return r
		}
	}
	t.Fatalf("the server did not start: %v\n%s", lines.Err(), r.log)
	return nil
}

// end stops the command and returns its error.
func (r *running) end() error {
	r.t.Helper()
	r.stop()
	select {
	case err := <-r.done:
		r.done <- err
		return err
	case <-time.After(patience):
		r.t.Fatalf("the server did not end\n%s", r.log)
		return nil
	}
}

// get returns the status and body of an internal page.
func (r *running) get(path string) (int, string) {
	r.t.Helper()
	resp, err := http.Get(strings.TrimSuffix(r.metrics, "/metrics") + path)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// A client is a WebSocket client of another implementation.
type client struct {
	t *testing.T
	c *websocket.Conn
}

func dial(t *testing.T, url string) *client {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, _, err := websocket.Dial(ctx, url, &websocket.DialOptions{Subprotocols: []string{"tickcast.v1.json"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.CloseNow() })
	return &client{t, c}
}

func (c *client) send(message string) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := c.c.Write(ctx, websocket.MessageText, []byte(message)); err != nil {
		c.t.Fatal(err)
	}
}

// A serverMessage is a message from the server.
type serverMessage struct {
	Op    string          `json:"op"`
	ID    int             `json:"id"`
	Topic string          `json:"t"`
	Kind  string          `json:"k"`
	Data  json.RawMessage `json:"d"`
}

// until reads messages up to the first that ok accepts, and returns that one. what names it in errors.
func (c *client) until(what string, ok func(serverMessage) bool) serverMessage {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		_, b, err := c.c.Read(ctx)
		if err != nil {
			c.t.Fatalf("waiting for %s: %v", what, err)
		}
		var m serverMessage
		if err := json.Unmarshal(b, &m); err != nil {
			c.t.Fatalf("%s: %v", b, err)
		}
		if ok(m) {
			return m
		}
	}
}

func (c *client) untilOp(op string) serverMessage {
	c.t.Helper()
	return c.until(op, func(m serverMessage) bool { return m.Op == op })
}

// closeCode reads to the end of the stream and returns the close code of the server.
func (c *client) closeCode() websocket.StatusCode {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		if _, _, err := c.c.Read(ctx); err != nil {
			return websocket.CloseStatus(err)
		}
	}
}

// ready waits until the server has reached NATS.
func (r *running) ready() {
	r.t.Helper()
	eventually(r.t, "the server is ready", func() bool { status, _ := r.get("/readyz"); return status == http.StatusOK })
}

// shows waits until lines are in the metrics: loops publish their figures ten times a second.
func (r *running) shows(lines ...string) {
	r.t.Helper()
	for _, line := range lines {
		eventually(r.t, line+" in /metrics", func() bool { _, page := r.get("/metrics"); return strings.Contains(page, "\n"+line+"\n") })
	}
}

// natsServer starts a NATS server outside of the command; port 0 stands for a free one.
func natsServer(t *testing.T, port int) *server.Server {
	t.Helper()
	if port == 0 {
		port = natstest.FreePorts(t, 1)[0] // nobody else takes it while the server is away
	}
	ns, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: port, NoSigs: true, NoLog: true})
	if err != nil {
		t.Fatal(err)
	}
	ns.Start()
	if !ns.ReadyForConnections(patience) {
		t.Fatal("the NATS server is not ready")
	}
	t.Cleanup(func() { ns.Shutdown(); ns.WaitForShutdown() })
	return ns
}

// eventually waits until ok is true, for events without a notification.
func eventually(t *testing.T, event string, ok func() bool) {
	t.Helper()
	within(t, patience, event, ok)
}

// within is eventually for events that may take longer.
func within(t *testing.T, most time.Duration, event string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(most); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not in time: %s", event)
		}
	}
}

// portOf returns the port of a NATS URL.
func portOf(t *testing.T, address string) int {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(u.Port())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// keepPublishing publishes payload on subject repeatedly until the test ends: a single message could come before the
// interest.
func keepPublishing(t *testing.T, url, subject, payload string) {
	t.Helper()
	nc, err := nats.Connect(url, nats.Timeout(patience), nats.MaxReconnects(-1), nats.ReconnectWait(10*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	quit := make(chan struct{})
	var done sync.WaitGroup
	done.Go(func() {
		ticker := time.NewTicker(10 * time.Millisecond)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				_ = nc.Publish(subject, []byte(payload)) // fails while NATS is away
			case <-quit:
				return
			}
		}
	})
	t.Cleanup(func() { close(quit); done.Wait(); nc.Close() })
}

func TestDemoReachesAWebSocket(t *testing.T) {
	s := startServer(t, "", "-demo")
	c := dial(t, s.stream+"?topics=px.AAPL")
	m := c.until("a tick", func(m serverMessage) bool { return m.Topic == "px.AAPL" })
	var tick struct{ B, A, L, TS float64 }
	if err := json.Unmarshal(m.Data, &tick); err != nil || tick.B <= 0 || tick.A <= tick.B || tick.TS <= 0 {
		t.Errorf("tick %s: %v", m.Data, err)
	}
	s.ready()
	s.shows("tickcast_connections 1", "tickcast_subscriptions 1", "tickcast_upstream_connected 1")
	s.stop()
	if code := c.closeCode(); code != websocket.StatusServiceRestart {
		t.Errorf("close code %d at the end", code)
	}
	if err := s.end(); err != nil {
		t.Errorf("the server ended with %v", err)
	}
}

func TestPublishingFromOutside(t *testing.T) {
	s := startServer(t, "[nats.embedded]\nlisten = \"127.0.0.1:0\"\n[publish]\ntopics = [\"chat.>\"]\n")
	keepPublishing(t, s.nats, "px.TEST", `{"l":1.5}`)
	c := dial(t, s.stream)
	c.send(`{"op":"sub","id":1,"topics":["px.>","chat.room"]}`)
	c.untilOp("ack")
	if m := c.until("px.TEST", func(m serverMessage) bool { return m.Topic == "px.TEST" }); string(m.Data) != `{"l":1.5}` {
		t.Errorf("payload %s", m.Data)
	}
	c.send(`{"op":"pub","id":2,"topic":"chat.room","data":{"text":"hi"}}`)
	if m := c.until("chat.room", func(m serverMessage) bool { return m.Topic == "chat.room" }); string(m.Data) != `{"text":"hi"}` {
		t.Errorf("payload %s", m.Data)
	}
}

func TestNATSGoesAwayAndComesBack(t *testing.T) {
	ns := natsServer(t, 0)
	address := ns.ClientURL()
	s := startServer(t, "[nats]\nurls = [\""+address+"\"]\nreconnect_wait = \"20ms\"\n")
	keepPublishing(t, address, "px.TEST", `1`)
	c := dial(t, s.stream+"?topics=px.TEST")
	isTick := func(m serverMessage) bool { return m.Topic == "px.TEST" && m.Kind == "" }
	c.until("a tick", isTick)

	ns.Shutdown()
	ns.WaitForShutdown()
	c.untilOp("stale")
	if status, body := s.get("/readyz"); status != http.StatusServiceUnavailable || !strings.Contains(body, "nats") {
		t.Errorf("/readyz without NATS: %d %s", status, body)
	}
	late := dial(t, s.stream)
	late.untilOp("hello")
	late.untilOp("stale")

	natsServer(t, portOf(t, address))
	c.untilOp("fresh")
	c.until("a tick after the outage", isTick)
	late.untilOp("fresh")
	if status, body := s.get("/readyz"); status != http.StatusOK {
		t.Errorf("/readyz after the outage: %d %s", status, body)
	}
}

// TestCompressionAndEcho requires that [compression] and [debug] reach the stream and the echo.
func TestCompressionAndEcho(t *testing.T) {
	s := startServer(t, `
[limits]
max_message_size = "64KiB"
[compression]
enabled = true
min_size = 100
server_max_window_bits = 9
[debug]
echo_path = "/"
[nats.embedded]
listen = "127.0.0.1:0"
`)
	if want := strings.Replace(s.page, "http", "ws", 1); s.echo != want {
		t.Errorf("the echo is said to be at %s, want %s", s.echo, want)
	}
	compressed := func(url, extension string) *client {
		t.Helper()
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		c, r, err := websocket.Dial(ctx, url, &websocket.DialOptions{
			CompressionMode: websocket.CompressionContextTakeover, CompressionThreshold: 1,
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.CloseNow() })
		if got := r.Header.Get("Sec-WebSocket-Extensions"); got != extension {
			t.Errorf("%s: %q, want %q", url, got, extension)
		}
		return &client{t, c}
	}
	keepPublishing(t, s.nats, "px.TEST", `{"l":"`+strings.Repeat("0123456789", 50)+`"}`)
	stream := compressed(s.stream+"?topics=px.TEST", "permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=9")
	stream.until("px.TEST", func(m serverMessage) bool { return m.Topic == "px.TEST" && strings.Contains(string(m.Data), "0123") })
	echo := compressed(s.echo+"any/path", "permessage-deflate")
	echo.send(`{"op":"` + strings.Repeat("x", 30_000) + `"}`)
	echo.until("the echo", func(m serverMessage) bool { return len(m.Op) == 30_000 })
	for _, name := range []string{"tickcast_compressed_shared_total", "tickcast_compression_window_bytes"} {
		eventually(t, name+" is there and not 0", func() bool {
			_, metrics := s.get("/metrics")
			return strings.Contains(metrics, "\n"+name+" ") && !strings.Contains(metrics, "\n"+name+" 0\n")
		})
	}
}

func TestStartsWithoutNATS(t *testing.T) {
	ns := natsServer(t, 0)
	address := ns.ClientURL()
	ns.Shutdown()
	ns.WaitForShutdown()
	s := startServer(t, "[nats]\nurls = [\""+address+"\"]\nreconnect_wait = \"20ms\"\n")
	c := dial(t, s.stream+"?topics=px.TEST")
	c.untilOp("stale")
	natsServer(t, portOf(t, address))
	c.untilOp("fresh")
	keepPublishing(t, address, "px.TEST", `1`)
	c.until("a tick", func(m serverMessage) bool { return m.Topic == "px.TEST" })
}

func TestAddressTaken(t *testing.T) {
	needsClear(t)
	s := startServer(t, "")
	taken := strings.TrimSuffix(strings.TrimPrefix(s.page, "http://"), "/")
	err := run(context.Background(), []string{"-listen", taken}, onAnyPort, io.Discard, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "address already in use") {
		t.Errorf("second server on %s: %v", taken, err)
	}
}
