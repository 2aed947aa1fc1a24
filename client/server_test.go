package client_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"tickcast/broadcast/natstest"
	"tickcast/client"
)

// patience is the longest wait of a test for an event.
const patience = 60 * time.Second

// binaryDir is where the server is built, once.
var binaryDir string

var binary = sync.OnceValues(func() (string, error) {
	name := filepath.Join(binaryDir, "tickcast")
	build := exec.Command("go", "build", "-trimpath", "-o", name, "tickcast/cmd/tickcast")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return name, nil
})

func TestMain(m *testing.M) {
	var err error
	if binaryDir, err = os.MkdirTemp("", "tickcast-client-"); err != nil {
		panic(err)
	}
	if err := makeCertificate(); err != nil {
		panic(err)
	}
	code := m.Run()
	os.RemoveAll(binaryDir)
	os.Exit(code)
}

// A server is a process of its own, which can be killed, stopped, and started again at the same addresses.
type server struct {
	t            *testing.T
	dir          string
	config       string
	env          []string
	stream, nats string
	listen       [2]string // for the clients and of NATS, at every start
	secure       bool      // its only listener for clients has TLS
	cmd          *exec.Cmd
	ended        chan struct{}
}

// startServer starts a server with a configuration and an embedded NATS server, until the test ends.
func startServer(t *testing.T, config string, env ...string) *server {
	t.Helper()
	return startListening(t, allSecure, config, env...)
}

// startListening starts a server whose listener for clients has TLS if secure is set.
func startListening(t *testing.T, secure bool, config string, env ...string) *server {
	t.Helper()
	s := &server{t: t, dir: t.TempDir(), config: config, env: env, secure: secure}
	for i, port := range natstest.FreePorts(t, len(s.listen)) {
		s.listen[i] = fmt.Sprintf("127.0.0.1:%d", port)
	}
	s.start()
	t.Cleanup(func() { s.end(syscall.SIGKILL) })
	return s
}

func (s *server) start() {
	s.t.Helper()
	name, err := binary()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(s.dir, "config.toml"), []byte(s.config), 0o600); err != nil {
		s.t.Fatal(err)
	}
	s.cmd = exec.Command(name, "-config", "config.toml")
	s.cmd.Dir = s.dir
	s.cmd.Env = append(os.Environ(), "TICKCAST_SERVER_INTERNAL_LISTEN=127.0.0.1:0", "TICKCAST_NATS_EMBEDDED_LISTEN="+s.listen[1])
	s.cmd.Env = append(append(s.cmd.Env, s.listeners()...), s.env...)
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var log strings.Builder
	s.cmd.Stderr = &log
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.ended = make(chan struct{})
	lines := bufio.NewScanner(out)
	seen := make(map[string]string)
	for seen["metrics"] == "" || seen["nats"] == "" && s.wantsNATS() {
		if !lines.Scan() {
			_ = s.cmd.Wait()
			s.t.Fatalf("the server did not start: %s", &log)
		}
		key, value, _ := strings.Cut(strings.TrimPrefix(lines.Text(), "tickcast: "), " ")
		seen[key] = strings.TrimSpace(value)
	}
	s.stream, s.nats = seen["stream"], seen["nats"]
	go func(cmd *exec.Cmd, ended chan struct{}) {
		_ = cmd.Wait()
		close(ended)
	}(s.cmd, s.ended)
}

func (s *server) wantsNATS() bool {
	return !slices.Contains(s.env, "TICKCAST_NATS_EMBEDDED_LISTEN=")
}

// end ends the process by a signal, and waits for its end.
func (s *server) end(by syscall.Signal) {
	s.signal(syscall.SIGCONT)
	s.signal(by)
	<-s.ended
}

func (s *server) signal(sig syscall.Signal) { _ = s.cmd.Process.Signal(sig) }

// connect connects to the server's NATS.
func (s *server) connect() *nats.Conn {
	s.t.Helper()
	nc, err := nats.Connect(s.nats, nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond), nats.RetryOnFailedConnect(true))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(nc.Close)
	return nc
}

// publish publishes on core NATS.
func publish(t *testing.T, nc *nats.Conn, topic string, payloads ...string) {
	t.Helper()
	for _, p := range payloads {
		if err := nc.Publish(topic, []byte(p)); err != nil {
			t.Fatal(err)
		}
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
}

// A heard is a client that runs until the test ends, and notes all that it is told.
type heard struct {
	*client.Client
	t      *testing.T
	stop   func() error // ends Run and returns its error
	ended  chan struct{}
	mu     sync.Mutex
	status []client.Status
	since  int // of status, when the test last waited for live topics
	topics []string
	lost   []client.Lost
	errors []*client.Error
	lag    int
	notice []string
	seen   []client.Message
}

// startClient runs a client that is told its losses and errors.
func startClient(t *testing.T, url string, o client.Options) *heard {
	t.Helper()
	h := &heard{t: t, ended: make(chan struct{})}
	o.OnStatus = func(s client.Status) { h.note(func() { h.status = append(h.status, s) }) }
	o.OnTopic = func(topic string, s client.TopicState) {
		h.note(func() { h.topics = append(h.topics, topic+" "+string(s)) })
	}
	o.OnLost = func(l client.Lost) { h.note(func() { h.lost = append(h.lost, l) }) }
	o.OnError = func(e *client.Error) { h.note(func() { h.errors = append(h.errors, e) }) }
	o.OnLag = func(l client.Lag) { h.note(func() { h.lag += l.Conflated }) }
	o.OnNotice = func(b json.RawMessage) { h.note(func() { h.notice = append(h.notice, string(b)) }) }
	c, err := client.New(url, o)
	if err != nil {
		t.Fatal(err)
	}
	h.Client = c
	ctx, cancel := context.WithCancel(context.Background())
	var result error
	go func() {
		result = c.Run(ctx)
		close(h.ended)
	}()
	h.stop = func() error {
		cancel()
		<-h.ended
		return result
	}
	t.Cleanup(func() { h.stop() })
	return h
}

func (h *heard) note(f func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f()
}

// subscribe subscribes and notes the messages in seen.
func (h *heard) subscribe(topics ...string) *client.Subscription {
	h.t.Helper()
	return h.subscribeWith(client.SubscribeOptions{}, topics...)
}

func (h *heard) subscribeWith(o client.SubscribeOptions, topics ...string) *client.Subscription {
	h.t.Helper()
	s, err := h.Subscribe(func(m client.Message) { h.note(func() { h.seen = append(h.seen, m) }) }, o, topics...)
	if err != nil {
		h.t.Fatal(err)
	}
	return s
}

// live waits until topics are live.
func (h *heard) live(topics ...string) {
	h.t.Helper()
	eventually(h.t, fmt.Sprintf("%.60q live", topics), func() bool {
		for _, t := range topics {
			if h.State(t) != client.TopicLive {
				return false
			}
		}
		return true
	})
	h.note(func() { h.since = len(h.status) })
}

// offline waits until the client has been told that the connection has ended, since topics were live. It may be back by now.
func (h *heard) offline() (s client.Status) {
	h.t.Helper()
	eventually(h.t, "offline", func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		i := slices.IndexFunc(h.status[h.since:], func(s client.Status) bool { return s.State == client.StateOffline })
		if i >= 0 {
			s = h.status[h.since+i]
		}
		return i >= 0
	})
	return s
}

// data returns the payloads of the messages that are no snapshots.
func (h *heard) data(topics ...string) (list []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, m := range h.seen {
		if !m.Snapshot && string(m.Data) != `"warm"` && (len(topics) == 0 || slices.Contains(topics, m.Topic)) {
			list = append(list, string(m.Data))
		}
	}
	return list
}

// losses returns the losses once there are n: a handler may be told after the state has changed.
func (h *heard) losses(n int) []client.Lost {
	h.t.Helper()
	var list []client.Lost
	eventually(h.t, fmt.Sprint(n, " losses"), func() bool { h.note(func() { list = slices.Clone(h.lost) }); return len(list) >= n })
	return list
}

// errs returns the errors once there are n.
func (h *heard) errs(n int) []*client.Error {
	h.t.Helper()
	var list []*client.Error
	eventually(h.t, fmt.Sprint(n, " errors"), func() bool { h.note(func() { list = slices.Clone(h.errors) }); return len(list) >= n })
	return list
}

// times returns how often the connection was in a state.
func (h *heard) times(state client.State) (n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, s := range h.status {
		if s.State == state {
			n++
		}
	}
	return n
}

// warm waits until what NATS gets on topics reaches the client, which an ack does not promise.
func (h *heard) warm(nc *nats.Conn, topics ...string) {
	h.t.Helper()
	for _, topic := range topics {
		eventually(h.t, topic+" is warm", func() bool {
			publish(h.t, nc, topic, `"warm"`)
			h.mu.Lock()
			defer h.mu.Unlock()
			return slices.ContainsFunc(h.seen, func(m client.Message) bool { return m.Topic == topic })
		})
	}
}

// eventually waits until ok is true, for events without a notification.
func eventually(t *testing.T, event string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not in time: %s", event)
		}
	}
}

// asError returns the error of the server in err.
func asError(t *testing.T, err error) *client.Error {
	t.Helper()
	var e *client.Error
	if !errors.As(err, &e) {
		t.Fatalf("%v is no error of the server", err)
	}
	return e
}

func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}
