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
	"time"

	"tickcast/loadtest"
)

// run is the command without the process around it: it ends when the hold time is over or ctx ends.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	o, err := parseFlags(args)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprint(stdout, usage)
		return nil
	}
	if err != nil {
		return err
	}
	// The fleet's own context: an interrupt shall not count the connections that it closes as lost.
	begun := time.Now()
	fleet, err := loadtest.Start(context.WithoutCancel(ctx), o.fleet)
	var limit *loadtest.LimitError
	if errors.As(err, &limit) {
		return &hintedError{err, fmt.Sprintf("raise the limit with ulimit -n %d", limit.Need)}
	}
	if err != nil {
		return err
	}
	opening := watch(ctx, fleet, o.hold, begun, stderr)
	totals := fleet.Totals()
	held := time.Since(begun) - opening
	// Close changes nothing about the verdict, so it is taken from the totals before it.
	closeErr := fleet.Close()
	if err := summarise(stdout, o, totals, opening, held); err != nil {
		return err
	}
	if !clean(totals) {
		return notClean(totals)
	}
	return closeErr
}

// watch writes a line of progress a second until the fleet has been held for the given time, has no connection left, or
// ctx ends. It returns how long the opening took.
func watch(ctx context.Context, fleet *loadtest.Fleet, hold time.Duration, begun time.Time, stderr io.Writer) time.Duration {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	settled := make(chan struct{})
	go func() {
		defer close(settled)
		fleet.WaitOpen(ctx) // what failed is in the totals
	}()
	second := time.NewTicker(time.Second)
	defer second.Stop()
	var opening time.Duration
	var over <-chan time.Time
	var before loadtest.Totals
	for {
		select {
		case <-ctx.Done():
			if opening == 0 {
				opening = time.Since(begun)
			}
			return opening
		case <-over:
			return opening
		case <-settled:
			settled, opening = nil, time.Since(begun)
			if hold > 0 {
				over = time.After(hold)
			}
		case <-second.C:
			now := fleet.Totals()
			fmt.Fprintf(stderr, "tickload: %.0fs open=%d/%d failed=%d lost=%d acked=%d messages=%d (%d/s)\n",
				time.Since(begun).Seconds(), now.Open, now.Conns, now.Failed, now.Lost, now.Acked,
				now.Messages, now.Messages-before.Messages)
			before = now
		}
		if settled == nil && fleet.Totals().Open == 0 {
			return opening
		}
	}
}

// clean reports whether each connection was opened, subscribed, and kept.
func clean(t loadtest.Totals) bool {
	return t.Opened == t.Conns && t.Lost == 0 && len(t.Faults) == 0
}

// notClean returns the error of a run that is not clean, with advice where the fault suggests one.
func notClean(t loadtest.Totals) error {
	err := fmt.Errorf("%d of %d connections opened, %d lost, faults: %s", t.Opened, t.Conns, t.Lost, t.FaultList())
	for _, h := range hints {
		if slices.ContainsFunc(faultKinds(t), func(k loadtest.FaultKind) bool { return k == h.kind }) {
			return &hintedError{err, h.text}
		}
	}
	return err
}

var hints = []struct {
	kind loadtest.FaultKind
	text string
}{
	{loadtest.FaultRefused, "nothing listens there, or its accept queue is full: is the server running?"},
	{loadtest.FaultStatus, "the server answered without upgrading: is the path right, and does it have room?"},
	{loadtest.FaultTimeout, "the server is too slow for this ramp: lower -ramp or raise -timeout"},
	{loadtest.FaultSubscribe, "the server refused a subscription: do the topics exist?"},
}

// faultKinds returns the kinds of fault that occurred.
func faultKinds(t loadtest.Totals) []loadtest.FaultKind {
	var kinds []loadtest.FaultKind
	for f := range t.Faults {
		kinds = append(kinds, f.Kind)
	}
	return kinds
}

// summarise writes the run's result, one key=value pair a line. Keys are stable, new ones may be added.
func summarise(w io.Writer, o options, t loadtest.Totals, opening, held time.Duration) error {
	var b strings.Builder
	put := func(key string, value any) { fmt.Fprintf(&b, "%s=%v\n", key, value) }
	put("url", o.fleet.URL)
	put("conns", t.Conns)
	put("opened", t.Opened)
	put("failed", t.Failed)
	put("lost", t.Lost)
	put("acked", t.Acked)
	put("messages", t.Messages)
	put("data", t.Data)
	put("bytes", t.Bytes)
	put("pings", t.Pings)
	put("open_seconds", fmt.Sprintf("%.3f", opening.Seconds()))
	put("held_seconds", fmt.Sprintf("%.3f", held.Seconds()))
	if cpu, err := loadtest.ProcessCPU(os.Getpid()); err == nil {
		put("cpu_seconds", fmt.Sprintf("%.3f", cpu.Seconds()))
	}
	if m, err := loadtest.ProcessMemory(os.Getpid()); err == nil {
		put("rss_bytes", m.RSS)
	}
	var faults []string
	for f, n := range t.Faults {
		faults = append(faults, fmt.Sprintf("fault_%s=%d\n", strings.ReplaceAll(f.String(), " ", "_"), n))
	}
	slices.Sort(faults)
	b.WriteString(strings.Join(faults, ""))
	put("clean", clean(t))
	_, err := io.WriteString(w, b.String())
	return err
}
