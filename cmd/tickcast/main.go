package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"time"

	"tickcast/cmd/message"
	"tickcast/cmd/tickcast/config"
)

const usage = `Usage:
    tickcast [-config FILE] [-listen ADDR] [-demo]
    tickcast -check [-config FILE]
    tickcast -print-config [-config FILE]
    tickcast -version
    tickcast token -key FILE [-user NAME] [-subscribe TOPICS]

Flags:
    -config FILE    read FILE; without it ./config.toml is not read either
    -listen ADDR    serve WebSockets on ADDR in place of server.listen; may be
                    repeated, or name several addresses separated by commas
    -demo           publish made-up ticks (demo.enabled)
    -check          only look for mistakes in the configuration
    -print-config   only print the configuration, each key with its origin;
                    passwords are printed too
    -version        only print the version

A key's value is its default, replaced by the file, replaced by the environment,
replaced by a flag. The key loops in [server] is TICKCAST_SERVER_LOOPS in the
environment; lists are separated by commas. config.toml describes all keys.

The exit status is 0 after SIGINT or SIGTERM, 1 if the configuration is wrong or
the server fails, 2 if the command line is wrong.

Examples:
    tickcast -demo
    tickcast -config /etc/tickcast/config.toml -check
    TICKCAST_NATS_URLS=nats://10.0.0.5:4222 tickcast -listen :8080
    TICKCAST_NATS_EMBEDDED_LISTEN=127.0.0.1:4222 tickcast
`

// heapProfileRate is the number of allocated bytes for each sample of the heap profile. At Go's own 512 KiB, the table of the call stacks
// that were sampled comes into use page by page, up to 1.4 MB, and stays: a tenth of all the memory of an idle server. GODEBUG's
// memprofilerate replaces it. Chosen by us.
const heapProfileRate = 4 << 20

func main() {
	if !strings.Contains(os.Getenv("GODEBUG"), "memprofilerate") {
		runtime.MemProfileRate = heapProfileRate
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	err := run(ctx, os.Args[1:], os.Environ(), os.Stdout, os.Stderr)
	message.Report(os.Stderr, "tickcast", err)
	var bad *usageError
	switch {
	case errors.As(err, &bad):
		os.Exit(2)
	case err != nil:
		os.Exit(1)
	}
}

// A usageError is an error of the command line: exit status 2.
type usageError struct{ error }

func (e *usageError) Unwrap() error { return e.error }

// run executes the command line args with the environment environ, as [os.Environ] returns it; a server runs until ctx ends. The caller
// reports the error.
func run(ctx context.Context, args, environ []string, stdout, stderr io.Writer) error {
	if len(args) > 0 && args[0] == "token" {
		if len(args) > 1 && (args[1] == "-h" || args[1] == "-help" || args[1] == "--help") {
			_, err := io.WriteString(stdout, tokenUsage)
			return err
		}
		return makeToken(args[1:], stdout)
	}
	cmd, err := parseArgs(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		_, err := io.WriteString(stdout, usage)
		return err
	case err != nil:
		return &usageError{message.WithHint(err, `run "tickcast -h" for what is possible`)}
	case cmd.version:
		_, err := fmt.Fprintln(stdout, thisBuild())
		return err
	}

	cfg, err := config.Load(cmd.config, environ, cmd.flags)
	if err == nil && cmd.check {
		for _, w := range cfg.Warnings() {
			fmt.Fprintln(stderr, "tickcast: warning:", w)
		}
	}
	switch {
	case err != nil:
		return err
	case cmd.check && cmd.config == "":
		_, err := fmt.Fprintln(stdout, "config ok: no file, defaults and environment")
		return err
	case cmd.check:
		_, err := fmt.Fprintln(stdout, "config ok:", cmd.config)
		return err
	case cmd.printConfig:
		return cfg.Print(stdout)
	}
	setRuntime(cfg.Runtime)
	return untilEnd(ctx, cfg.Shutdown.Timeout+endPatience, func() error {
		return serve(ctx, cfg, thisBuild(), stdout, newLogger(cfg.Log, stderr))
	})
}

// endPatience is the time from the end of shutdown.timeout to the end of the process. Chosen by us.
const endPatience = 900 * time.Millisecond

// untilEnd returns the result of f, or an error if f does not return within limit after the end of ctx. main then ends the
// process, and with it the goroutines that hang.
func untilEnd(ctx context.Context, limit time.Duration, f func() error) error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-done:
		return err
	case <-time.After(limit):
		return errors.New("the server did not end in time, and was cut off; the log says which loop did not answer")
	}
}

// A command is a parsed command line.
type command struct {
	config                      string // a file; "" = none
	check, printConfig, version bool
	flags                       config.Flags
}

func parseArgs(args []string) (command, error) {
	var cmd command
	fs := flag.NewFlagSet("tickcast", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.Usage = func() {}
	fs.StringVar(&cmd.config, "config", "", "")
	fs.BoolVar(&cmd.check, "check", false, "")
	fs.BoolVar(&cmd.printConfig, "print-config", false, "")
	fs.BoolVar(&cmd.version, "version", false, "")
	cmd.flags.Define(fs)
	if err := fs.Parse(args); err != nil {
		return cmd, err
	}
	if fs.NArg() > 0 {
		return cmd, fmt.Errorf("unexpected argument %q", fs.Arg(0))
	}
	if cmd.check && cmd.printConfig {
		return cmd, errors.New("-check and -print-config exclude each other")
	}
	return cmd, nil
}

// newLogger returns a log of the level and in the format of c, which is valid.
func newLogger(c config.Log, w io.Writer) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(c.Level))
	opts := &slog.HandlerOptions{Level: level}
	if c.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, opts))
	}
	return slog.New(slog.NewTextHandler(w, opts))
}
