package main

import (
	"context"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"

	"tickcast/loadtest/bare"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"tickload": main})
}

// build compiles Tickcast's server and returns its file, or "" with -short.
func build(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		return ""
	}
	program := filepath.Join(t.TempDir(), "tickcast")
	if out, err := exec.Command("go", "build", "-o", program, "tickcast/cmd/tickcast").CombinedOutput(); err != nil {
		t.Fatalf("build the server: %v\n%s", err, out)
	}
	return program
}

// paced runs tickload, and again as long as the machine was too busy for the publisher: such a run says nothing of the server.
func paced(ts *testscript.TestScript, neg bool, args []string) {
	var err error
	for range 5 {
		if err = ts.Exec("tickload", args...); !late.MatchString(ts.ReadFile("stdout")) {
			break
		}
	}
	if (err != nil) != neg {
		ts.Fatalf("tickload %q: %v", args, err)
	}
}

var late = regexp.MustCompile("did not keep its pace|messages not published in time")

// TestScripts runs testdata/*.txtar. paced is exec tickload with patience. $URL is a server that accepts and stays silent, $NOWHERE an address without a listener,
// and $TICKCAST, without -short, the real server.
func TestScripts(t *testing.T) {
	tickcast := build(t)
	testscript.Run(t, testscript.Params{
		Dir:  "testdata",
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"paced": paced},
		Setup: func(env *testscript.Env) error {
			server, err := bare.Listen("127.0.0.1:0")
			if err != nil {
				return err
			}
			ctx, cancel := context.WithCancel(context.Background())
			ended := make(chan error, 1)
			go func() { ended <- server.Serve(ctx) }()
			env.Defer(func() {
				cancel()
				if err := <-ended; err != nil {
					t.Errorf("bare server: %v", err)
				}
			})
			// A bound socket that does not listen refuses connections and keeps others from its port.
			fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				return err
			}
			env.Defer(func() { unix.Close(fd) })
			if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
				return err
			}
			bound, err := unix.Getsockname(fd)
			if err != nil {
				return err
			}
			env.Setenv("URL", server.URL())
			env.Setenv("RANGE", ranged(server.URL()))
			env.Setenv("TICKCAST", tickcast)
			env.Setenv("NOWHERE", fmt.Sprintf("ws://127.0.0.1:%d/stream", bound.(*unix.SockaddrInet4).Port))
			return nil
		},
	})
}

// ranged returns a URL with its port as a range of one, which holds no other server's.
func ranged(url string) string {
	port := portOf.FindStringSubmatch(url)[1]
	return strings.Replace(url, port, port+"-"+port, 1)
}

var portOf = regexp.MustCompile(`:([0-9]+)/`)

// An invalid command line and a run that is not clean have different exit statuses.
func TestExitStatus(t *testing.T) {
	for _, tt := range []struct {
		args []string
		want int
	}{
		{[]string{"-h"}, 0},
		{[]string{"-bogus"}, 2},
		{nil, 2},
		{[]string{"-url", "ws://127.0.0.1:1/", "-topics", "*"}, 2},
		{[]string{"-url", "http://127.0.0.1:1/"}, 1},
		{[]string{"-url", "ws://127.0.0.1:1/", "-conns", "2000000000", "-processes", "1"}, 1},
	} {
		err := run(t.Context(), tt.args, io.Discard, io.Discard)
		if got := exitStatus(io.Discard, err); got != tt.want {
			t.Errorf("%q: %d, want %d (%v)", tt.args, got, tt.want, err)
		}
	}
}
