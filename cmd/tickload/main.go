package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"

	"golang.org/x/sys/unix"

	"tickcast/cmd/message"
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

// exitStatus writes err for the operator and returns its exit status.
func exitStatus(stderr io.Writer, err error) int {
	if err == nil {
		return 0
	}
	message.Report(stderr, "tickload", err)
	if errors.Is(err, errUsage) {
		return 2
	}
	return 1
}
