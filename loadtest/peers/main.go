package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"syscall"
)

const usage = `usage: peers serve -server NAME -listen ADDR -control ADDR [-cores N] [-dir DIR]
       peers compare [-conns N] [-rounds N] [-servers A,B,C] [-cores N] [-out FILE]
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "peers: error:", err)
		os.Exit(1)
	}
}

// run executes the command line args until its end or the end of ctx.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	command := ""
	if len(args) > 0 {
		command, args = args[0], args[1:]
	}
	flags := flag.NewFlagSet(command, flag.ContinueOnError)
	flags.SetOutput(stderr)
	var err error
	switch command {
	case "serve":
		err = serveCommand(ctx, flags, args)
	case "compare":
		err = compareCommand(ctx, flags, args, stdout, stderr)
	case "fleet": // a child of compare
		return serveClients(ctx, stdin, stdout)
	default:
		return fmt.Errorf("unknown command %q\n%s", command, usage)
	}
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	return err
}

// site holds the addresses and limits of a server.
type site struct {
	listen  string // where clients connect
	control string // where messages are published, see [peer]
	cores   int    // how many threads may run its code at once
	dir     string // of its files
}

// serveCommand is one server until ctx ends. Servers that are programs of their own take this process's place.
func serveCommand(ctx context.Context, flags *flag.FlagSet, args []string) (err error) {
	var s site
	name := flags.String("server", "", "which: "+names(peers))
	flags.StringVar(&s.listen, "listen", "127.0.0.1:9001", "where clients connect")
	flags.StringVar(&s.control, "control", "127.0.0.1:9002", "where messages are published")
	flags.IntVar(&s.cores, "cores", 1, "how many cores it may use")
	flags.StringVar(&s.dir, "dir", "", "where it may write files; empty: a new temporary directory")
	if err := flags.Parse(args); err != nil {
		return err
	}
	chosen, err := choose(*name)
	if err != nil {
		return err
	}
	if len(chosen) != 1 {
		return fmt.Errorf("-server takes one of %s", names(peers))
	}
	p := chosen[0]
	if s.dir == "" {
		if s.dir, err = os.MkdirTemp("", "peers"); err != nil {
			return err
		}
		defer os.RemoveAll(s.dir)
	}
	if p.prepare != nil {
		if err := p.prepare(s.dir); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
	}
	runtime.GOMAXPROCS(s.cores)
	if err := p.serve(ctx, s); err != nil {
		return fmt.Errorf("%s: %w", p.name, err)
	}
	return nil
}
