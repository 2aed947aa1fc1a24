package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"tickcast/cmd/message"
	"tickcast/loadtest"
)

const (
	// spareOfServer is the least number of descriptors that are reserved for a server: it keeps a fortieth of its limit.
	spareOfServer = 1000

	// The search for free ports begins at firstPort or up to spreadPorts above it. Both are below the kernel's ports for
	// clients.
	firstPort, spreadPorts = 18000, 8000

	startTimeout = 60 * time.Second
	stopTimeout  = 30 * time.Second
)

// servers are Tickcast processes on consecutive ports of 127.0.0.1. One more process, without clients, has the NATS server
// that feeds all of them, as in a cluster.
type servers struct {
	logs   string // directory
	nats   *process
	all    []*process
	port   int // of the first; the others follow
	broker int // NATS' port
	many   bool
}

// A process is a child of this one.
type process struct {
	pid   int
	ended chan struct{} // closed when it has
}

func (p *process) signal(s unix.Signal) {
	select {
	case <-p.ended: // its id may already belong to another process
	default:
		unix.Kill(p.pid, s)
	}
}

// startServers starts as many servers as the connections need and waits until all are ready.
func startServers(ctx context.Context, program string, conns int, stderr io.Writer) (_ *servers, err error) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return nil, fmt.Errorf("read RLIMIT_NOFILE: %w", err)
	}
	each := int(limit.Cur - max(spareOfServer, limit.Cur/40+100))
	if each < 1 {
		return nil, message.WithHint(fmt.Errorf("the limit of open files, %d, is too low for a server", limit.Cur), "ulimit -n 20000")
	}
	n := (conns + each - 1) / each
	s := &servers{many: n > 1}
	if s.port, err = freePorts(2*n + 3); err != nil {
		return nil, err
	}
	if s.logs, err = os.MkdirTemp("", "tickload"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			s.stop()
			err = fmt.Errorf("%w; the servers' logs are in %s", err, s.logs)
		}
	}()
	s.broker = s.port + 2*n
	natsURL := fmt.Sprintf("nats://127.0.0.1:%d", s.broker)
	s.nats, err = s.start(program, "nats", s.broker+1, s.broker+2, fmt.Sprintf("127.0.0.1:%d", s.broker), "")
	if err != nil {
		return nil, err
	}
	if err := awaitReady(ctx, s.nats, s.broker+2); err != nil {
		return nil, err
	}
	for i := range n {
		p, err := s.start(program, fmt.Sprint("server", i), s.port+i, s.port+n+i, "", natsURL)
		if err != nil {
			return nil, err
		}
		s.all = append(s.all, p)
	}
	for i, p := range s.all {
		if err := awaitReady(ctx, p, s.port+n+i); err != nil {
			return nil, err
		}
	}
	if s.many {
		fmt.Fprintf(stderr, "tickload: %d servers on 127.0.0.1:%d-%d, fed by %s\n", n, s.port, s.port+n-1, natsURL)
	} else {
		fmt.Fprintf(stderr, "tickload: a server on 127.0.0.1:%d, fed by %s\n", s.port, natsURL)
	}
	return s, nil
}

// start starts a process that listens on the given ports of 127.0.0.1.
func (s *servers) start(program, name string, port, internal int, embedded, natsURL string) (*process, error) {
	log, err := os.Create(filepath.Join(s.logs, name+".log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.Command(program)
	cmd.Env = os.Environ()
	if _, set := os.LookupEnv("TICKCAST_SERVER_LOOPS"); !set && s.many {
		cmd.Env = append(cmd.Env, "TICKCAST_SERVER_LOOPS=1") // they share the cores
	}
	cmd.Env = append(cmd.Env,
		fmt.Sprintf("TICKCAST_SERVER_LISTEN=127.0.0.1:%d", port),
		fmt.Sprintf("TICKCAST_SERVER_INTERNAL_LISTEN=127.0.0.1:%d", internal),
		"TICKCAST_NATS_EMBEDDED_LISTEN="+embedded,
		"TICKCAST_NATS_URLS="+natsURL,
	)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGKILL, Setpgid: true}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start a server: %w", err)
	}
	p := &process{cmd.Process.Pid, make(chan struct{})}
	go func() { cmd.Wait(); close(p.ended) }()
	return p, nil
}

// awaitReady waits until a process with the given internal port is ready.
func awaitReady(ctx context.Context, p *process, internal int) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	return loadtest.WaitReady(ctx, fmt.Sprintf("http://127.0.0.1:%d/readyz", internal), p.ended)
}

// addTo points a plan at the servers.
func (s *servers) addTo(p *loadtest.Plan) {
	n := len(s.all)
	p.Fleet.URL = fmt.Sprintf("ws://127.0.0.1:%d-%d/stream", s.port, s.port+n-1)
	p.Publish.URL = fmt.Sprintf("nats://127.0.0.1:%d", s.broker)
	for i, one := range s.all {
		p.Servers = append(p.Servers, one.pid)
		p.Metrics = append(p.Metrics, fmt.Sprintf("http://127.0.0.1:%d/metrics", s.port+n+i))
	}
}

// stop ends all processes.
func (s *servers) stop() {
	all := s.all
	if s.nats != nil {
		all = append(all, s.nats)
	}
	for _, p := range all {
		p.signal(unix.SIGTERM)
	}
	late := time.AfterFunc(stopTimeout, func() {
		for _, p := range all {
			p.signal(unix.SIGKILL)
		}
	})
	for _, p := range all {
		<-p.ended
	}
	late.Stop()
}

// freePorts returns the first of n consecutive ports of 127.0.0.1 without a listener.
func freePorts(n int) (int, error) {
	// Two load testers that start at the same time should not find the same ones.
	for first := firstPort + rand.IntN(spreadPorts); first+n < 1<<15; first++ {
		taken := firstTaken(first, n)
		if taken < 0 {
			return first, nil
		}
		first = taken
	}
	return 0, fmt.Errorf("no %d free ports in a row", n)
}

// firstTaken returns a port among n from first on that is in use, or -1.
func firstTaken(first, n int) int {
	var open []net.Listener
	defer func() {
		for _, ln := range open {
			ln.Close()
		}
	}()
	for p := first; p < first+n; p++ {
		ln, err := net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", p))
		if err != nil {
			return p
		}
		open = append(open, ln)
	}
	return -1
}
