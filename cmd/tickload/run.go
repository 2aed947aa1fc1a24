package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"tickcast/cmd/message"
	"tickcast/loadtest"
	"tickcast/loadtest/report"
)

// run is the command without its process. It ends with the plan or with ctx.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	o, err := parseFlags(args)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprint(stdout, usage)
		return nil
	}
	if err != nil {
		return err
	}
	if o.server != "" {
		servers, err := startServers(ctx, o.server, o.plan.Fleet.Conns, stderr)
		if err != nil {
			return err
		}
		defer func() {
			servers.stop()
			if err == nil {
				os.RemoveAll(servers.logs)
				return
			}
			fmt.Fprintf(stderr, "tickload: the servers' logs are in %s\n", servers.logs)
		}()
		servers.addTo(&o.plan)
	}
	r, err := load(ctx, o, stderr)
	if err != nil {
		return err
	}
	if err := write(o, r, stdout); err != nil {
		return err
	}
	if !r.Clean {
		return notClean(r)
	}
	return nil
}

// load carries out the plan and shows its progress.
func load(ctx context.Context, o options, stderr io.Writer) (*loadtest.Report, error) {
	run, err := loadtest.NewRun(ctx, o.plan)
	var short loadtest.ShortageError
	if errors.As(err, &short) {
		return nil, message.WithHint(err, fixes(short))
	}
	if err != nil {
		return nil, err
	}
	for _, s := range run.Shortages() {
		fmt.Fprintf(stderr, "tickload: warning: %s: %s\n", s.Text, s.Fix)
	}
	if o.quiet {
		return run.Do(ctx, nil)
	}
	f, isFile := stderr.(*os.File)
	live := report.NewLive(stderr, isFile && report.IsTerminal(f), func() int { return report.TerminalWidth(f) })
	defer live.End()
	return run.Do(ctx, live.Show)
}

// fixes returns the advice against fatal shortages.
func fixes(short []loadtest.Shortage) string {
	var all []string
	for _, s := range short {
		if s.Fatal {
			all = append(all, s.Fix)
		}
	}
	return strings.Join(all, "; ")
}

// write writes the report in the forms that the flags select.
func write(o options, r *loadtest.Report, stdout io.Writer) error {
	if o.json == "-" {
		if err := report.WriteJSON(stdout, r); err != nil {
			return err
		}
	} else if err := report.WriteText(stdout, r); err != nil {
		return err
	}
	for _, out := range []struct {
		name  string
		write func(io.Writer, *loadtest.Report) error
	}{{o.json, report.WriteJSON}, {o.html, report.WriteHTML}} {
		if out.name == "" || out.name == "-" {
			continue
		}
		f, err := os.Create(out.name)
		if err != nil {
			return err
		}
		if err := errors.Join(out.write(f, r), f.Close()); err != nil {
			return err
		}
	}
	return nil
}

// notClean returns the error of a run that is not clean, with advice where a fault suggests one.
func notClean(r *loadtest.Report) error {
	err := errors.New("not clean: " + strings.Join(r.Reasons, "; "))
	for _, h := range hints {
		if slices.ContainsFunc(r.Connections.Faults, func(f loadtest.FaultCount) bool { return strings.HasPrefix(f.Fault, h.fault) }) {
			return message.WithHint(err, h.text)
		}
	}
	return err
}

// hints are advice on faults, by the beginning of their text.
var hints = []struct{ fault, text string }{
	{"refused", "nothing listens there, or its accept queue is full: is the server running?"},
	{"status", "the server answered without upgrading: is the path right, and does it have room?"},
	{"timeout", "the server is too slow for this ramp: lower -ramp or raise -timeout"},
	{"subscribe", "the server refused a subscription: do the topics exist?"},
	{"tls", "the certificate is not trusted: -ca or -insecure"},
}
