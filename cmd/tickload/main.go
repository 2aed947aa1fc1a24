// Command tickload opens many WebSocket connections to a Tickcast server or another one, subscribes each, publishes
// through NATS, and accounts for every message of every client.
//
// The summary is on stdout, progress on stderr. The exit status is 0 for a clean run, 1 for one that was not, and 2 for
// a command line that makes no sense.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"

	"golang.org/x/sys/unix"

	"tickcast/loadtest"
)

func main() {
	if os.Getenv(loadtest.PartVariable) != "" {
		// A process of a larger run: see loadtest.ServePart.
		os.Exit(exitStatus(os.Stderr, loadtest.ServePart(context.Background(), os.Stdin, os.Stdout)))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM)
	context.AfterFunc(ctx, stop) // a second interrupt does not wait for the report
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(exitStatus(os.Stderr, err))
}

// exitStatus writes err for a person and returns the exit status that belongs to it.
func exitStatus(stderr io.Writer, err error) int {
	if err == nil {
		return 0
	}
	fmt.Fprintf(stderr, "tickload: error: %v\n", err)
	var h *hintedError
	if errors.As(err, &h) {
		fmt.Fprintf(stderr, "tickload: hint: %s\n", h.hint)
	}
	if errors.Is(err, errUsage) {
		return 2
	}
	return 1
}

// errUsage is what errors about the command line wrap.
var errUsage = errors.New("bad usage")

// A hintedError is an error with advice for the operator.
type hintedError struct {
	err  error
	hint string
}

func (e *hintedError) Error() string { return e.err.Error() }
func (e *hintedError) Unwrap() error { return e.err }

// usageError is an error about the command line; its text does not repeat that it is one.
type usageError struct{ err error }

func (e usageError) Error() string   { return e.err.Error() }
func (e usageError) Unwrap() []error { return []error{e.err, errUsage} }
