package broadcast

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// A natsServer is a real one, in this process. It tells what it is asked to do.
type natsServer struct {
	*server.Server
	asked chan string // "SUB px.A", "UNSUB 3"; nobody has to listen
}

// startNATS starts a server; port -1 is any.
func startNATS(t *testing.T, opts *server.Options) *natsServer {
	t.Helper()
	opts.Host, opts.NoSigs, opts.NoLog = "127.0.0.1", true, true
	ns, err := server.NewServer(opts)
	if err != nil {
		t.Fatal(err)
	}
	n := &natsServer{ns, make(chan string, 1<<16)}
	ns.SetLoggerV2(natsTrace{n.asked}, false, true, false)
	ns.Start()
	if !ns.ReadyForConnections(patience) {
		t.Fatal("the NATS server does not start")
	}
	t.Cleanup(n.stop)
	return n
}

func (n *natsServer) stop() {
	n.Shutdown()
	n.WaitForShutdown()
}

func (n *natsServer) port() int { return n.Addr().(*net.TCPAddr).Port }

// await waits until the server was asked for something, such as "SUB px.A".
func (n *natsServer) await(t *testing.T, what string) {
	t.Helper()
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	for {
		select {
		case asked := <-n.asked:
			if asked == what || strings.HasPrefix(asked, what+" ") {
				return
			}
		case <-timeout.C:
			t.Fatalf("the NATS server was not asked for %s", what)
		}
	}
}

// natsTrace picks subscriptions out of the server's trace, which tells what clients send before it is done.
type natsTrace struct{ asked chan string }

func (l natsTrace) Tracef(_ string, v ...any) {
	for _, arg := range v {
		if op, ok := arg.([]any); ok && len(op) == 2 && (op[0] == "SUB" || op[0] == "UNSUB") {
			select {
			case l.asked <- fmt.Sprintf("%s %s", op[0], op[1]):
			default:
			}
		}
	}
}

func (natsTrace) Noticef(string, ...any) {}
func (natsTrace) Warnf(string, ...any)   {}
func (natsTrace) Fatalf(string, ...any)  {}
func (natsTrace) Errorf(string, ...any)  {}
func (natsTrace) Debugf(string, ...any)  {}

// runUpstream connects a hub and runs it until the test ends. The channel holds what Run returned.
func runUpstream(t *testing.T, h *Hub, cfg NATSConfig) (*NATS, <-chan error) {
	t.Helper()
	if cfg.ReconnectWait == 0 {
		cfg.ReconnectWait = 5 * time.Millisecond
	}
	n, err := ConnectNATS(h, cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	result, done := make(chan error, 1), make(chan struct{})
	go func() {
		defer close(done)
		result <- n.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return n, result
}

// flush waits until NATS has seen all that n has asked for so far.
func (n *NATS) flush(t *testing.T) {
	t.Helper()
	if err := n.conns[0].nc.FlushTimeout(patience); err != nil {
		t.Fatal(err)
	}
}

// publisher is a NATS client of its own.
func publisher(t *testing.T, url string, options ...nats.Option) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect(url, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// awaitConnected waits until the hub knows of its connection: nats.go tells of it on a goroutine of its own, perhaps behind
// the first messages.
func awaitConnected(t *testing.T, h *Hub) {
	t.Helper()
	for deadline := time.Now().Add(patience); !h.Stats().UpstreamConnected; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("upstream is not told to be connected")
		}
	}
}
