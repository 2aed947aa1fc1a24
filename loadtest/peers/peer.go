package main

import (
	"context"
	"fmt"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"

	"tickcast/loadtest"
)

// A peer is a server that takes part.
type peer struct {
	name     string
	language string

	// version says what exactly is measured.
	version func() string

	// prepare puts what the server needs into dir, more than once if need be. Its error says why the server cannot run
	// here. Nil: nothing is needed.
	prepare func(dir string) error

	// serve is the server, until ctx ends. It either returns then or has become another program before. A POST of a
	// message to /publish on the control port broadcasts it, and is answered when it has been handed out; a GET with
	// Accept: application/json is answered with {"subscribers": 3}. These are nchan's terms, which cannot be others.
	serve func(ctx context.Context, s site) error

	// clients puts into a fleet's configuration what its clients say and hear. Nil: they only listen.
	clients func(*loadtest.FleetConfig)

	// dial connects to the control port. Nil: it is as serve says.
	dial func(control string) (publisher, error)
}

// A publisher is the other end of a server's control port.
type publisher interface {
	publish(message []byte) error
	subscribers() (n int, known bool, err error) // those that a message reaches now
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

// module returns a function that tells which version of a Go module this binary was built with.
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

// become replaces this process by another program, with settings added to its environment. It returns only an error.
func become(path string, args []string, settings ...string) error {
	return fmt.Errorf("%s: %w", path, syscall.Exec(path, append([]string{path}, args...), append(os.Environ(), settings...)))
}
