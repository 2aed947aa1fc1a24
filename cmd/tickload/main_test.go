package main

import (
	"context"
	"fmt"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"

	"tickcast/loadtest"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"tickload": main})
}

// TestScripts runs testdata/*.txtar. Each finds $URL, a server that accepts and sends nothing, and $NOWHERE, where
// nothing listens.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(env *testscript.Env) error {
			server, err := loadtest.ListenBare("127.0.0.1:0")
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
			// A socket that is bound but does not listen refuses, and nobody else can take its port meanwhile.
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
			env.Setenv("NOWHERE", fmt.Sprintf("ws://127.0.0.1:%d/stream", bound.(*unix.SockaddrInet4).Port))
			return nil
		},
	})
}
