package bench

import (
	"bufio"
	"bytes"
	"context"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"golang.org/x/sys/unix"

	"tickcast/loadtest"
)

var (
	serverBinary = flag.String("server.binary", "", "the tickcast binary to measure; empty: built from this tree")
	serverLoops  = flag.Int("server.loops", 1, "its event loops: one, as the bare server has one thread; 0 = one per CPU")
	serverConfig = flag.String("server.config", "../../config.toml", "its configuration, if the file exists")
)

// A tickcastServer is a running server process.
type tickcastServer struct {
	pid      int
	url      string // of its stream
	secure   string // the same with TLS, if it has that
	internal string // of its internal port
	nats     *nats.Conn
}

// quiet keeps a server from sending or closing by itself during a measurement.
var quiet = []string{
	"TICKCAST_CONNECTION_HEARTBEAT=1h",
	"TICKCAST_CONNECTION_PING_INTERVAL=1h",
	"TICKCAST_CONNECTION_IDLE_TIMEOUT=24h",
	"TICKCAST_LIMITS_HANDSHAKE_TIMEOUT=1m", // the clients may be on a busy machine
	"TICKCAST_LIMITS_FIRST_MESSAGE_TIMEOUT=1m",
}

// buildDir is the directory of the server, which is built once for all benchmarks; empty before that. TestMain removes it.
var buildDir string

// builtServer returns the server's binary.
var builtServer = sync.OnceValues(func() (string, error) {
	if *serverBinary != "" {
		return *serverBinary, nil
	}
	var err error
	if buildDir, err = os.MkdirTemp("", "tickcast"); err != nil {
		return "", err
	}
	binary := filepath.Join(buildDir, "tickcast")
	if out, err := exec.Command("go", "build", "-o", binary, "tickcast/cmd/tickcast").CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return binary, nil
})

// startTickcast starts the server, which ends with b, with settings as in its environment. The error is the reason for which
// there is no server to measure.
func startTickcast(b *testing.B, settings ...string) (*tickcastServer, error) {
	b.Helper()
	binary, err := builtServer()
	if err != nil {
		return nil, err
	}
	ports := freePorts(b, 3)
	s := &tickcastServer{url: "ws://" + ports[0] + "/stream", internal: "http://" + ports[1]}
	var args []string
	if _, err := os.Stat(*serverConfig); err == nil {
		args = []string{"-config", *serverConfig}
	}
	var log bytes.Buffer
	cmd := exec.Command(binary, args...)
	cmd.Env = append(append(append(os.Environ(), quiet...), settings...),
		fmt.Sprintf("TICKCAST_SERVER_LOOPS=%d", *serverLoops),
		"TICKCAST_SERVER_LISTEN="+ports[0],
		"TICKCAST_SERVER_INTERNAL_LISTEN="+ports[1],
		"TICKCAST_NATS_EMBEDDED_LISTEN="+ports[2],
	)
	cmd.Stdout, cmd.Stderr = &log, &log
	cmd.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGKILL}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	s.pid = cmd.Process.Pid
	ended := make(chan struct{})
	go func() { cmd.Wait(); close(ended) }()
	stop := func() {
		cmd.Process.Kill() // a drain would take time, and the measurement is over
		<-ended
	}
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
	defer cancel()
	if err := loadtest.WaitReady(ctx, s.internal+"/readyz", ended); err != nil {
		stop()
		return nil, fmt.Errorf("%w\n%s", err, &log)
	}
	b.Cleanup(func() {
		select {
		case <-ended:
			b.Errorf("the server ended by itself: %s", &log)
		default:
		}
		stop()
		if b.Failed() {
			b.Logf("the server's log:\n%s", &log)
		}
	})
	nc, err := nats.Connect("nats://" + ports[2])
	if err != nil {
		return nil, fmt.Errorf("connect to its NATS server: %w", err)
	}
	b.Cleanup(nc.Close)
	s.nats = nc
	return s, nil
}

// startSecure starts a server that has TLS as well, with a new certificate.
func startSecure(b *testing.B, settings ...string) *tickcastServer {
	b.Helper()
	port, cert, key := freePorts(b, 1)[0], filepath.Join(b.TempDir(), "cert.pem"), filepath.Join(b.TempDir(), "key.pem")
	writeCertificate(b, cert, key)
	s, err := startTickcast(b, append(settings, "TICKCAST_TLS_LISTEN="+port, "TICKCAST_TLS_CERT="+cert, "TICKCAST_TLS_KEY="+key)...)
	if err != nil {
		b.Fatal(err)
	}
	s.secure = "wss://" + port + "/stream"
	return s
}

// A mallocMeter counts the heap objects that a server allocates, by its /metrics. The runtime counts per processor and adds
// up late, so the figure is good to a few thousand objects.
type mallocMeter struct {
	server        *tickcastServer
	start, scrape float64 // objects at the start, and those of one scrape
}

// startMallocs starts to count.
func (s *tickcastServer) startMallocs(b *testing.B) *mallocMeter {
	b.Helper()
	m := &mallocMeter{server: s, start: s.mallocs(b)}
	for i := range 5 {
		now := s.mallocs(b)
		if d := now - m.start; i == 0 || d < m.scrape {
			m.scrape = d
		}
		m.start = now
	}
	return m
}

// objects returns the number of objects that were allocated since the start, without those of scrapes.
func (m *mallocMeter) objects(b *testing.B) float64 {
	b.Helper()
	return m.server.mallocs(b) - m.start - m.scrape
}

// mallocs returns the number of heap objects that the server has allocated since it began.
func (s *tickcastServer) mallocs(b *testing.B) float64 {
	b.Helper()
	return s.metric(b, "go_memstats_mallocs_total")
}

// metric returns a metric without labels.
func (s *tickcastServer) metric(b *testing.B, name string) float64 {
	b.Helper()
	r, err := http.Get(s.internal + "/metrics")
	if err != nil {
		b.Fatal(err)
	}
	defer r.Body.Close()
	for lines := bufio.NewScanner(r.Body); lines.Scan(); {
		if text, ok := strings.CutPrefix(lines.Text(), name+" "); ok {
			n, err := strconv.ParseFloat(text, 64)
			if err != nil {
				b.Fatal(err)
			}
			return n
		}
	}
	b.Fatalf("no %s in /metrics", name)
	return 0
}

// freePorts returns n addresses without a listener. Another process could still listen there before the caller.
func freePorts(b *testing.B, n int) []string {
	b.Helper()
	var addrs []string
	for range n {
		ln, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			b.Fatal(err)
		}
		defer ln.Close()
		addrs = append(addrs, ln.Addr().String())
	}
	return addrs
}
