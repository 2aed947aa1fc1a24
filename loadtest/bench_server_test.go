package loadtest

import (
	"bufio"
	"bytes"
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
)

var (
	serverBinary = flag.String("server.binary", "", "the tickcast binary to measure; empty: built from this tree")
	serverLoops  = flag.Int("server.loops", 1, "its event loops: one, as the bare server has one thread; 0 = one per CPU")
	serverConfig = flag.String("server.config", "../config.toml", "its configuration, if the file exists")
)

// A tickcastServer is a running server process.
type tickcastServer struct {
	pid      int
	url      string // of its stream
	internal string // of its internal port
	nats     *nats.Conn
}

// quiet keeps a server from sending or closing by itself during a measurement.
var quiet = []string{
	"TICKCAST_CONNECTION_HEARTBEAT=1h",
	"TICKCAST_CONNECTION_PING_INTERVAL=1h",
	"TICKCAST_CONNECTION_IDLE_TIMEOUT=24h",
}

// buildDir is where the server is built, once for all benchmarks; empty as long as it was not. TestMain removes it.
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

// startTickcast starts the server, which ends with b, with settings as in its environment. The error says why there is
// none to measure.
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
		cmd.Process.Kill() // a drain would take its time, and nothing is left to measure
		<-ended
	}
	if err := s.waitReady(ended); err != nil {
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

// waitReady asks /readyz until it says yes.
func (s *tickcastServer) waitReady(ended <-chan struct{}) error {
	for begun := time.Now(); time.Since(begun) < 15*time.Second; {
		if r, err := http.Get(s.internal + "/readyz"); err == nil {
			r.Body.Close()
			if r.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-ended:
			return fmt.Errorf("the server ended")
		case <-time.After(20 * time.Millisecond):
		}
	}
	return fmt.Errorf("%s/readyz did not become ready", s.internal)
}

// A mallocMeter tells how many heap objects a server allocates, by its /metrics. The runtime counts per processor and
// adds up late, so the figure is good to a few thousand objects.
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

// objects returns how many objects were allocated since the start, not for a scrape.
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

// freePorts returns n addresses on which nobody listens. Somebody may come before the caller, though hardly.
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
