package natstest

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Patience is the longest time that a test waits for an event.
const Patience = 30 * time.Second

// A Server is a real NATS server in this process. It reports the requests of its clients.
type Server struct {
	*server.Server
	Asked chan string // "SUB px.A", "UNSUB 3"; a reader is optional
}

// Start starts a server until the test ends; port -1 is any.
func Start(t *testing.T, opts *server.Options) *Server {
	t.Helper()
	opts.Host, opts.NoSigs, opts.NoLog = "127.0.0.1", true, true
	ns, err := server.NewServer(opts)
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{ns, make(chan string, 1<<16)}
	ns.SetLoggerV2(trace{s.Asked}, false, true, false)
	ns.Start()
	if !ns.ReadyForConnections(Patience) {
		t.Fatal("the NATS server does not start")
	}
	t.Cleanup(s.Stop)
	return s
}

// Stop ends the server. It may be called twice.
func (s *Server) Stop() {
	s.Shutdown()
	s.WaitForShutdown()
}

// Port returns the server's port.
func (s *Server) Port() int { return s.Addr().(*net.TCPAddr).Port }

// Await waits for a request of a client, such as "SUB px.A".
func (s *Server) Await(t *testing.T, request string) {
	t.Helper()
	timeout := time.NewTimer(Patience)
	defer timeout.Stop()
	for {
		select {
		case asked := <-s.Asked:
			if asked == request || strings.HasPrefix(asked, request+" ") {
				return
			}
		case <-timeout.C:
			t.Fatalf("the NATS server was not asked for %s", request)
		}
	}
}

// A trace picks subscriptions out of the server's trace, which shows each request before the server serves it.
type trace struct{ asked chan string }

func (l trace) Tracef(_ string, v ...any) {
	for _, arg := range v {
		if op, ok := arg.([]any); ok && len(op) == 2 && (op[0] == "SUB" || op[0] == "UNSUB") {
			select {
			case l.asked <- fmt.Sprintf("%s %s", op[0], op[1]):
			default:
			}
		}
	}
}

func (trace) Noticef(string, ...any) {}
func (trace) Warnf(string, ...any)   {}
func (trace) Fatalf(string, ...any)  {}
func (trace) Errorf(string, ...any)  {}
func (trace) Debugf(string, ...any)  {}

// Connect returns a NATS client until the test ends.
func Connect(t *testing.T, url string, options ...nats.Option) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect(url, append([]nats.Option{nats.Timeout(Patience)}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// CreateStream creates a stream and returns the JetStream context of nc.
func CreateStream(t *testing.T, nc *nats.Conn, config jetstream.StreamConfig) jetstream.JetStream {
	t.Helper()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), Patience)
	defer cancel()
	if _, err := js.CreateStream(ctx, config); err != nil {
		t.Fatal(err)
	}
	return js
}

// retryWait is the time until a message is published again to a stream that nobody answers for, as under a new leader.
const retryWait = 100 * time.Millisecond

// Store publishes messages, each a subject, a space and the data, and waits until the stream has stored them.
func Store(t *testing.T, js jetstream.JetStream, messages ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), Patience)
	defer cancel()
	for _, m := range messages {
		subject, data, _ := strings.Cut(m, " ")
		again := []jetstream.PublishOpt{jetstream.WithRetryWait(retryWait), jetstream.WithRetryAttempts(int(Patience / retryWait))}
		if _, err := js.Publish(ctx, subject, []byte(data), again...); err != nil {
			t.Fatal(err)
		}
	}
}
