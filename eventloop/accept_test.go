package eventloop

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tickcast/broadcast"
)

// childVariable makes the test binary run one of children in place of its tests.
const childVariable = "TICKCAST_EVENTLOOP_CHILD"

// children run in a process of their own and return its exit status.
var children = map[string]func() int{
	"few files":                func() int { return fewFiles(1024) },
	"few files, short backlog": func() int { return fewFiles(16) },
}

// fewFiles is a server with a low limit of open files that admits more connections than it can hold. It ends with its standard
// input.
func fewFiles(backlog int) int {
	s, err := launch(grace, func(c *Config, _ *broadcast.Config) {
		c.Loops, c.Backlog = 1, backlog
		c.Log = slog.New(slog.NewTextHandler(os.Stdout, nil))
	})
	if err == nil {
		err = unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 64, Max: 64})
	}
	if err != nil {
		fmt.Println("error:", err)
		return 1
	}
	fmt.Println("listening:", s.addr)
	_, _ = io.Copy(io.Discard, os.Stdin)
	s.cancel()
	if err := <-s.result; err != nil {
		fmt.Println("error:", err)
		return 1
	}
	return 0
}

// A child is a server in another process.
type child struct {
	addr  string
	lines chan string // of its output
}

// startChild runs one of children until the end of the test, and checks its exit status.
func startChild(t *testing.T, name string) *child {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childVariable+"="+name, testTLSVariable+"=")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ch := &child{lines: make(chan string, 1000)}
	go func() {
		defer close(ch.lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			select {
			case ch.lines <- s.Text():
			default: // the test does not wait for it any more
			}
		}
	}()
	t.Cleanup(func() {
		in.Close()
		for range ch.lines {
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("child: %v", err)
		}
	})
	ch.addr = ch.line(t, "listening: ")
	return ch
}

// line waits for a line of output that begins with prefix and returns the rest of it.
func (ch *child) line(t *testing.T, prefix string) string {
	t.Helper()
	late := time.After(patience)
	for {
		select {
		case s, ok := <-ch.lines:
			if !ok {
				t.Fatalf("the child ended without a line %q", prefix)
			}
			if _, rest, found := strings.Cut(s, prefix); found {
				return rest
			}
		case <-late:
			t.Fatalf("no line %q", prefix)
		}
	}
}

// connect dials the child and sends an opening handshake. It fails if that takes longer than timeout.
func (ch *child) connect(timeout time.Duration) (net.Conn, error) {
	nc, err := net.DialTimeout("tcp", ch.addr, timeout)
	if err != nil {
		return nil, err
	}
	_ = nc.SetDeadline(time.Now().Add(patience))
	_, err = io.WriteString(nc, request(""))
	return nc, err
}

// upgraded waits for the answer to an opening handshake.
func upgraded(nc net.Conn) error {
	status, err := bufio.NewReader(nc).ReadString('\n')
	if err == nil && !strings.HasPrefix(status, "HTTP/1.1 101 ") {
		err = fmt.Errorf("refused: %s", status)
	}
	return err
}

// The server runs out of descriptors, gets some back and runs out again, time after time. In between no new client connects that
// would make gnet accept the waiting ones.
func TestServerOutOfDescriptorsAcceptsAgain(t *testing.T) {
	ch := startChild(t, "few files")
	const clients = 200 // the child holds about 50
	var held []net.Conn
	for range clients {
		nc, err := ch.connect(patience)
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		held = append(held, nc)
	}
	ch.line(t, "connections cannot be accepted")
	var wg sync.WaitGroup
	for _, nc := range held {
		wg.Go(func() {
			if err := upgraded(nc); err != nil {
				t.Error(err)
			}
			nc.Close()
		})
	}
	wg.Wait()
}

// A full backlog admits no new connection, and only a new connection wakes gnet.
func TestServerOutOfDescriptorsAcceptsAgainWithAFullBacklog(t *testing.T) {
	ch := startChild(t, "few files, short backlog")
	var held []net.Conn
	hold := func() error {
		nc, err := ch.connect(300 * time.Millisecond)
		if err == nil {
			held = append(held, nc)
			t.Cleanup(func() { nc.Close() })
		}
		return err
	}
	for range 64 {
		_ = hold() // a burst may overflow the backlog before the child is out of descriptors
	}
	ch.line(t, "connections cannot be accepted")
	for hold() == nil {
	}
	for _, nc := range held[:30] {
		nc.Close()
	}
	nc, err := ch.connect(patience)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if err := upgraded(nc); err != nil {
		t.Fatal(err)
	}
}
