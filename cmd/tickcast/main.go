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
	"runtime/debug"
	"syscall"
)

const usage = `Usage:
    tickcast [-config FILE] [-listen ADDR] [-demo]
    tickcast -check [-config FILE]
    tickcast -print-config [-config FILE]
    tickcast -version

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

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	report(os.Stderr, err)
	var bad *usageError
	switch {
	case errors.As(err, &bad):
		os.Exit(2)
	case err != nil:
		os.Exit(1)
	}
}

// run does what args say and returns when that is done, or the server has ended after ctx did. It has not reported its
// error.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	cmd, err := parseArgs(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		_, err := io.WriteString(stdout, usage)
		return err
	case err != nil:
		return &usageError{withHint(err, `run "tickcast -h" for what is possible`)}
	case cmd.version:
		_, err := fmt.Fprintln(stdout, thisBuild())
		return err
	}

	cfg, from, err := load(cmd.config, os.Environ(), cmd.overrides)
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
		return printConfig(stdout, cfg, from)
	}
	cfg.Runtime.apply()
	log := newLogger(cfg.Log, stderr)
	return serve(ctx, cfg, thisBuild(), stdout, log)
}

// A command is the command line taken apart.
type command struct {
	config                      string
	check, printConfig, version bool
	overrides                   overrides
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
	fs.BoolVar(&cmd.overrides.demo, "demo", false, "")
	fs.Func("listen", "", func(s string) error {
		cmd.overrides.listen = append(cmd.overrides.listen, splitList(s)...)
		if len(cmd.overrides.listen) == 0 {
			return errors.New("no address")
		}
		return nil
	})
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

// newLogger returns the log that c, valid, asks for.
func newLogger(c LogConfig, w io.Writer) *slog.Logger {
	var opts slog.HandlerOptions
	var level slog.Level
	if level.UnmarshalText([]byte(c.Level)) == nil {
		opts.Level = level
	}
	if c.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, &opts))
	}
	return slog.New(slog.NewTextHandler(w, &opts))
}

// apply sets the garbage collector of the process. Without a memory limit GOMEMLIMIT stays in force.
func (c *RuntimeConfig) apply() {
	debug.SetGCPercent(c.GOGC)
	if c.MemoryLimit > 0 {
		debug.SetMemoryLimit(int64(c.MemoryLimit))
	}
}
