package main

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A server is a tickcast process.
type server struct {
	cmd      *exec.Cmd
	dir      string
	stream   door
	nats     string  // address
	internal string  // URL of the metrics
	binary   int64   // resident bytes of files at the first look
	beside   *server // its NATS; nil = it is NATS
}

// startBeside starts NATS, and a server beside it: with a setting, or with a ceiling of so many MiB if that is not 0.
func startBeside(binary string, p *props, on *setting, ceiling int) (*server, error) {
	n, err := startServer(binary, justNATS)
	if err != nil {
		return nil, err
	}
	keys := fmt.Sprintf(common, n.nats, p.fill(on.keys))
	if ceiling > 0 {
		keys = fmt.Sprintf(underCeiling, n.nats, ceiling)
	}
	s, err := startServer(binary, keys)
	if err != nil {
		n.stop()
		return nil, err
	}
	s.nats, s.beside = n.nats, n
	return s, nil
}

func startServer(binary, keys string) (*server, error) {
	dir, err := os.MkdirTemp("", "attack")
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "config.toml")
	if err := os.WriteFile(file, []byte(keys), 0o600); err != nil {
		return nil, err
	}
	s := &server{cmd: exec.Command(binary, "-config", file), dir: dir}
	s.cmd.Stderr, err = os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return nil, err
	}
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		line := lines.Text()
		if _, url, ok := strings.Cut(line, "wss://"); ok {
			s.stream = door{strings.TrimSuffix(url, "/stream"), true}
		} else if _, url, ok := strings.Cut(line, "ws://"); ok {
			s.stream = door{strings.TrimSuffix(url, "/stream"), false}
		}
		if strings.HasPrefix(line, "tickcast: metrics") {
			s.internal = line[strings.Index(line, "http://"):]
		}
		_, addr, embedded := strings.Cut(line, "nats://")
		if embedded || !strings.Contains(keys, "[nats.embedded]") && s.internal != "" {
			s.nats = addr
			go func() {
				for lines.Scan() {
				}
			}()
			return s, nil
		}
	}
	return nil, fmt.Errorf("%s did not start; see %s", binary, dir)
}

// rss returns the resident bytes of the process. The pages of its binary count as at the first call: those that come into use later are
// the kernel's to drop.
func (s *server) rss() int64 {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	sizes := map[string]int64{}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) > 1 {
			kib, _ := strconv.ParseInt(f[1], 10, 64)
			sizes[f[0]] = kib << 10
		}
	}
	if s.binary == 0 {
		s.binary = sizes["RssFile:"]
	}
	return sizes["RssAnon:"] + s.binary
}

// account returns the live heap at the last collection, which it causes, and the sum of the owners of memory in the metrics: the mean
// of just before and just after, since topics come and go meanwhile. It collects again as long as the live heap falls and the account does
// not: then there was garbage that was made while the collector marked.
func (s *server) account() (heap, told int64, err error) {
	const most = 5
	_, told, err = s.figures()
	for n := 0; n < most && err == nil; n++ {
		if _, err = s.fetch(strings.Replace(s.internal, "/metrics", "/debug/pprof/heap?gc=1", 1)); err != nil {
			break
		}
		before, earlier := told, heap
		if heap, told, err = s.figures(); err != nil {
			break
		}
		if n > 0 && (heap > earlier-earlier/50 || told < before-before/100) {
			return heap, (before + told) / 2, nil
		}
	}
	return heap, told, err
}

// figures reads the live heap at the last collection, and the sum of the owners of memory.
func (s *server) figures() (heap, told int64, err error) {
	page, err := s.fetch(s.internal)
	for line := range strings.Lines(string(page)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		v, _ := strconv.ParseFloat(value, 64)
		if name == "go_gc_heap_live_bytes" {
			heap = int64(v)
		}
		if strings.HasPrefix(name, "tickcast_memory_bytes{") {
			told += int64(v)
		}
	}
	return heap, told, err
}

// counter returns the sum of the metrics whose name begins so, without the prefix tickcast_.
func (s *server) counter(name string) (sum int64) {
	page, _ := s.fetch(s.internal)
	for line := range strings.Lines(string(page)) {
		if rest, ok := strings.CutPrefix(line, "tickcast_"+name); ok && (strings.HasPrefix(rest, " ") || strings.HasPrefix(rest, "{") || strings.HasPrefix(rest, ",")) {
			v, _ := strconv.ParseFloat(strings.TrimSpace(rest[strings.LastIndex(rest, " "):]), 64)
			sum += int64(v)
		}
	}
	return sum
}

// keep writes what the memory of the process is made of into files of dir: the map of the kernel first, which the other pages change.
func (s *server) keep(dir, name, moment string) {
	if dir == "" {
		return
	}
	name = filepath.Join(dir, strings.ReplaceAll(strings.ReplaceAll(name, " ", "_"), ",", "")+"."+moment)
	log, _ := os.ReadFile(filepath.Join(s.dir, "log"))
	maps, _ := os.ReadFile(fmt.Sprintf("/proc/%d/smaps", s.cmd.Process.Pid))
	metrics, _ := s.fetch(s.internal)
	stats, _ := s.fetch(strings.Replace(s.internal, "/metrics", "/debug/pprof/heap?debug=1", 1))
	profile, _ := s.fetch(strings.Replace(s.internal, "/metrics", "/debug/pprof/heap", 1))
	for ending, b := range map[string][]byte{".log": log, ".smaps": maps, ".metrics": metrics, ".memstats": stats, ".heap": profile} {
		if err := os.WriteFile(name+ending, b, 0o600); err != nil {
			fmt.Fprintln(os.Stderr, "attack: error:", err)
		}
	}
}

func (s *server) fetch(url string) ([]byte, error) {
	c := http.Client{Timeout: 20 * time.Second}
	r, err := c.Get(url)
	if err != nil {
		return nil, err
	}
	defer r.Body.Close()
	return io.ReadAll(r.Body)
}

// stop ends the process by SIGTERM and returns the time that it took.
func (s *server) stop() time.Duration {
	begin := time.Now()
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	done := make(chan struct{})
	go func() { defer close(done); _ = s.cmd.Wait() }()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		_ = s.cmd.Process.Kill()
		<-done
	}
	_ = os.RemoveAll(s.dir)
	if s.beside != nil {
		s.beside.stop()
	}
	return time.Since(begin)
}
