package main

import (
	"context"
	"fmt"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"

	"tickcast/loadtest/fleet"
)

// A peer is a server that takes part.
type peer struct {
	name     string
	language string

	// version is the exact version that is measured.
	version func() string

	// prepare puts the server's files into dir, more than once if need be. Its error is the reason why the server cannot
	// run here. Nil: there are no files.
	prepare func(dir string) error

	// serve runs the server until ctx ends, or replaces this process by another program. A POST of a message to /publish on
	// the control port broadcasts it. The answer comes when the message is handed out. The answer to a GET with Accept:
	// application/json is {"subscribers": 3}. nchan prescribes these forms.
	serve func(ctx context.Context, s site) error

	// clients puts the messages of clients into a fleet's configuration. Nil: they only listen.
	clients func(*fleet.Config)

	// dial connects to the control port. Nil: the protocol is the one described at serve.
	dial func(control string) (publisher, error)
}

// A publisher is the other end of a server's control port.
type publisher interface {
	publish(message []byte) error
	subscribers() (n int, known bool, err error) // number of clients that a message reaches now
	trim() error                                 // lets the server return memory that it does not need
	Close() error
}

// peers are all of them, in the order in which the first round has them.
var peers = []peer{
	bareServer, tickcastServer,
	gobwasServer, nbioServer, gwsServer, gorillaServer, coderServer, centrifugeServer,
	wsServer, nchanServer,
}

// names lists the names of some servers.
func names(list []peer) string {
	var s []string
	for _, p := range list {
		s = append(s, p.name)
	}
	return strings.Join(s, ", ")
}

// choose returns the servers in a list of names with commas between them, all if it is empty.
func choose(list string) (chosen []peer, err error) {
	if list == "" {
		return peers, nil
	}
	for name := range strings.SplitSeq(list, ",") {
		i := slices.IndexFunc(peers, func(p peer) bool { return p.name == name })
		if i < 0 {
			return nil, fmt.Errorf("unknown server %q; there are %s", name, names(peers))
		}
		chosen = append(chosen, peers[i])
	}
	return chosen, nil
}

// module returns a function that returns the version of a Go module in this binary.
func module(path string) func() string {
	return func() string {
		if info, ok := debug.ReadBuildInfo(); ok {
			for _, m := range info.Deps {
				if m.Path == path {
					return strings.TrimPrefix(path, "github.com/") + " " + m.Version
				}
			}
		}
		return path
	}
}

// become replaces this process by another program, with settings added to its environment. It returns only after an error.
func become(path string, args []string, settings ...string) error {
	return fmt.Errorf("%s: %w", path, syscall.Exec(path, append([]string{path}, args...), append(os.Environ(), settings...)))
}
