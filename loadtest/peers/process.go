package main

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"tickcast/loadtest/machine"
)

// A process is a running server: its process and the children of that.
type process struct {
	cmd     *exec.Cmd
	site    site
	log     bytes.Buffer // complete once ended is closed
	ended   chan struct{}
	control publisher
}

// startServer starts a server and waits until it listens. Its files go into dir, where it has been prepared.
func startServer(p peer, cores int, dir string) (_ *process, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	ports, err := freePorts(2)
	if err != nil {
		return nil, err
	}
	s := &process{site: site{listen: ports[0], control: ports[1], cores: cores, dir: dir}, ended: make(chan struct{})}
	s.cmd = exec.Command(self, "serve", "-server", p.name, "-listen", ports[0], "-control", ports[1],
		"-cores", strconv.Itoa(cores), "-dir", dir)
	s.cmd.Stdout, s.cmd.Stderr = &s.log, &s.log
	// Not SIGKILL: nginx's worker would live on.
	s.cmd.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGTERM}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	go func() { s.cmd.Wait(); close(s.ended) }()
	defer func() {
		if err != nil {
			s.stop()
			err = fmt.Errorf("%w\n%s", err, &s.log)
		}
	}()
	for _, addr := range ports {
		if err := s.waitListening(addr); err != nil {
			return nil, err
		}
	}
	dial := p.dial
	if dial == nil {
		dial = dialHTTP
	}
	s.control, err = dial(s.site.control)
	return s, err
}

// waitListening waits until the server accepts connections on addr.
func (s *process) waitListening(addr string) error {
	for begun := time.Now(); time.Since(begun) < 15*time.Second; {
		if c, err := net.Dial("tcp", addr); err == nil {
			return c.Close()
		}
		select {
		case <-s.ended:
			return fmt.Errorf("the server ended")
		case <-time.After(10 * time.Millisecond):
		}
	}
	return fmt.Errorf("nobody listens on %s", addr)
}

// stop ends all its processes at once.
func (s *process) stop() {
	if s.control != nil {
		s.control.Close()
	}
	for _, pid := range s.pids() {
		unix.Kill(pid, unix.SIGKILL)
	}
	<-s.ended
}

// pids returns its process and that one's children.
func (s *process) pids() []int {
	root := s.cmd.Process.Pid
	pids := []int{root}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		b, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		// PID (NAME) STATE PPID ...: the name may hold any bytes, so the fields begin behind its last parenthesis.
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if f := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:]); len(f) > 1 && string(f[1]) == strconv.Itoa(root) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// cpu returns the CPU time that all its processes have used.
func (s *process) cpu() (sum time.Duration, err error) {
	for _, pid := range s.pids() {
		t, err := machine.ProcessCPU(pid)
		if err != nil {
			return 0, err
		}
		sum += t
	}
	return sum, nil
}

// rss returns the resident memory of all its processes in bytes, once it has returned unused memory.
func (s *process) rss() (sum int64, err error) {
	if err := s.control.trim(); err != nil {
		return 0, err
	}
	for _, pid := range s.pids() {
		m, err := machine.ProcessMemory(pid)
		if err != nil {
			return 0, err
		}
		sum += m.RSS
	}
	return sum, nil
}

// freePorts returns addresses of 127.0.0.1 without a listener.
func freePorts(n int) (addrs []string, err error) {
	for range n {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer ln.Close()
		addrs = append(addrs, ln.Addr().String())
	}
	return addrs, nil
}
