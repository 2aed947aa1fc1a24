package main

import (
	"bufio"
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
)

// An example is a program of examples/ that runs in a directory of its own and prints lines.
type example struct {
	t     *testing.T
	dir   string
	args  []string
	cmd   *exec.Cmd
	mu    sync.Mutex
	lines []string
	read  chan struct{} // closed at the end of its output
}

// newExample returns a program that is not started yet. If its interpreter is not installed, the test is skipped.
func newExample(t *testing.T, args ...string) *example {
	t.Helper()
	if _, err := exec.LookPath(args[0]); err != nil {
		t.Skip("no " + args[0])
	}
	return &example{t: t, dir: t.TempDir(), args: args}
}

func (e *example) start() {
	e.t.Helper()
	e.cmd = exec.Command(e.args[0], e.args[1:]...)
	e.cmd.Dir = e.dir
	e.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	e.cmd.Stderr = os.Stderr
	out, err := e.cmd.StdoutPipe()
	if err != nil {
		e.t.Fatal(err)
	}
	if err := e.cmd.Start(); err != nil {
		e.t.Fatal(err)
	}
	e.read = make(chan struct{})
	go func(read chan struct{}) {
		defer close(read)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			e.mu.Lock()
			e.lines = append(e.lines, lines.Text())
			e.mu.Unlock()
		}
	}(e.read)
	e.t.Cleanup(e.kill)
}

// kill kills the program and its children, and reads what they have printed.
func (e *example) kill() {
	if e.cmd == nil {
		return
	}
	_ = syscall.Kill(-e.cmd.Process.Pid, syscall.SIGKILL)
	<-e.read
	_ = e.cmd.Wait()
	e.cmd = nil
}

func (e *example) printed() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.lines)
}

// The consumers read every order in order over restarts of their own and of the server's stream; one in hand comes once more at most.
func TestExamplesOfConsumers(t *testing.T) {
	t.Parallel()
	s := startServer(t, losslessConfig)
	nc, err := nats.Connect(s.nats)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	binary := filepath.Join(t.TempDir(), "consumer")
	if out, err := exec.Command("go", "build", "-o", binary, "tickcast/examples/go").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	python, err := filepath.Abs("../../examples/python/consumer.py")
	if err != nil {
		t.Fatal(err)
	}
	for topic, args := range map[string][]string{
		"ord.go":     {binary, s.stream},
		"ord.python": {"python3", python, s.page + "stream"},
	} {
		t.Run(topic, func(t *testing.T) {
			e := newExample(t, args...)
			n := 0
			publish := func() {
				for range 20 {
					nc.Publish(topic, fmt.Append(nil, n))
					n++
				}
				nc.Flush()
			}
			has := func(i int) func() bool {
				return func() bool {
					return slices.ContainsFunc(e.printed(), func(line string) bool {
						return strings.HasPrefix(line, topic+" ") && strings.HasSuffix(line, fmt.Sprint(" ", i))
					})
				}
			}
			e.start()
			eventually(t, "it reads", func() bool {
				nc.Publish(topic, []byte("-1"))
				return has(-1)()
			})
			for range 3 {
				publish()
				eventually(t, "all orders are read", has(n-1))
				e.kill()
				publish() // while it is away
				e.start()
				eventually(t, "those that it missed are read", has(n-1))
			}
			e.kill()
			next := 0
			for _, line := range e.printed() {
				var got int
				fields := strings.Fields(line)
				if len(fields) != 3 || fields[0] != topic || fields[2] == "-1" {
					continue
				}
				fmt.Sscan(fields[2], &got)
				if got > next || got < next-20 {
					t.Fatalf("%d after %d", got, next-1)
				}
				next = max(next, got+1)
			}
			if next != n {
				t.Errorf("%d of %d orders", next, n)
			}
		})
	}
}

// The script of curl goes on where it was: each poll brings what came since the one before.
func TestExampleOfCurl(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("no curl in PATH")
	}
	s := startServer(t, losslessConfig)
	s.ready()
	nc, err := nats.Connect(s.nats)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	script, err := filepath.Abs("../../examples/curl/poll.sh")
	if err != nil {
		t.Fatal(err)
	}
	e := newExample(t, "sh", script, "ord.curl", s.page+"stream")
	e.start()
	eventually(t, "the first answer", func() bool { return len(e.printed()) > 0 })
	for i := range 30 {
		nc.Publish("ord.curl", fmt.Append(nil, i))
		time.Sleep(5 * time.Millisecond) // a pace, not a wait
	}
	all := func() string { return strings.Join(e.printed(), "\n") }
	eventually(t, "the last message", func() bool { return strings.Contains(all(), `"d":29}`) })
	for i := range 30 {
		if n := strings.Count(all(), fmt.Sprintf(`"d":%d}`, i)); n != 1 {
			t.Errorf("message %d comes %d times in %s", i, n, all())
		}
	}
}
