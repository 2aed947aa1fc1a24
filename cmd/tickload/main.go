// Command tickload opens many WebSocket connections to a Tickcast server, subscribes each to a topic, holds them and
// says what they received.
//
// The summary on stdout is one key=value pair a line. The exit status is 0 for a clean run, 1 if a connection could not
// be opened, was lost, or was refused its subscription, and 2 for a command line that makes no sense.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"

	"golang.org/x/sys/unix"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(report(os.Stderr, err))
}

// report writes err for a person and returns the exit status that belongs to it.
func report(stderr io.Writer, err error) int {
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
