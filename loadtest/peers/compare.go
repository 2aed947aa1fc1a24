package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"tickcast/loadtest/machine"
)

// compareCommand measures servers in turn and reports them.
func compareCommand(ctx context.Context, flags *flag.FlagSet, args []string, stdout, stderr io.Writer) (err error) {
	var do plan
	flags.IntVar(&do.conns, "conns", 5000, "connections")
	flags.IntVar(&do.cores, "cores", 1, "how many cores a server may use")
	flags.IntVar(&do.messages, "messages", 10, "messages to all, in each round")
	flags.DurationVar(&do.settle, "settle", 3*time.Second, "wait before memory is read")
	rounds := flags.Int("rounds", 5, "how often each server is measured")
	list := flags.String("servers", "", "which, with commas between them; empty: all of "+names(peers))
	out := flags.String("out", "", "file to write the report to as well")
	if err := flags.Parse(args); err != nil {
		return err
	}
	chosen, err := choose(*list)
	if err != nil {
		return err
	}
	if min(do.conns, do.cores, do.messages, *rounds) < 1 {
		return fmt.Errorf("-conns, -cores, -messages and -rounds must be at least 1")
	}
	if do.dir, err = os.MkdirTemp("", "peers"); err != nil {
		return err
	}
	defer os.RemoveAll(do.dir)
	results, skipped := prepare(chosen, do.dir)
	for round := range *rounds {
		measureRound(ctx, results, round, do, stderr)
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	var report bytes.Buffer
	if err := writeReport(&report, results, skipped, do, append([]string{"peers", "compare"}, args...)); err != nil {
		return err
	}
	if _, err := stdout.Write(report.Bytes()); err != nil {
		return err
	}
	if *out != "" {
		return os.WriteFile(*out, report.Bytes(), 0o644)
	}
	return nil
}

// prepare returns the servers that can run here, and the reasons for which others cannot.
func prepare(chosen []peer, dir string) (results []*result, skipped []string) {
	for _, p := range chosen {
		if p.prepare != nil {
			if err := p.prepare(dir); err != nil {
				skipped = append(skipped, fmt.Sprintf("%s: %v", p.name, err))
				continue
			}
		}
		results = append(results, &result{peer: p})
	}
	return results, skipped
}

// measureRound measures each server once. Each round begins with another one.
func measureRound(ctx context.Context, results []*result, round int, do plan, progress io.Writer) {
	for i := range results {
		r := results[(round+i)%len(results)]
		s, err := measure(ctx, r.peer, do)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			r.faults = append(r.faults, fmt.Sprintf("round %d: %v", round+1, err))
			fmt.Fprintf(progress, "round %d  %-10s  %v\n", round+1, r.peer.name, err)
			continue
		}
		r.samples = append(r.samples, s)
		fmt.Fprintf(progress, "round %d  %-10s  %6.0f B  %5.2f us  x%.2f  %6.1f ms  "+
			"%6.0f upgrades per CPU s  %6.0f per s  others %.0f %%\n",
			round+1, r.peer.name, s.memory, s.cpu, s.ratio, s.last, s.perCPU, s.perSecond, s.others)
	}
}

// writeReport writes the conditions of the measurement, then the table twice, then notes on its rows.
func writeReport(w io.Writer, results []*result, skipped []string, do plan, command []string) error {
	fmt.Fprintf(w, "machine   %s\n", host())
	fmt.Fprintf(w, "commit    %s\n", commit())
	fmt.Fprintf(w, "date      %s\n", time.Now().UTC().Format(time.DateOnly))
	fmt.Fprintf(w, "command   %s\n", strings.Join(command, " "))
	fmt.Fprintf(w, "plan      %d connections, %d messages of %d bytes a round, cores for each server: %d; "+
		"medians (lowest-highest)\n",
		do.conns, do.messages, messageSize, do.cores)
	var rows [][]string
	for _, r := range results {
		fmt.Fprintf(w, "version   %-10s  %s\n", r.peer.name, r.peer.version())
		rows = append(rows, r.row())
	}
	fmt.Fprintln(w)
	if err := writeTable(w, rows); err != nil {
		return err
	}
	fmt.Fprintln(w)
	if err := writeMarkdown(w, rows); err != nil {
		return err
	}
	fmt.Fprintln(w)
	for _, r := range results {
		if len(r.samples) > 0 {
			fmt.Fprintf(w, "received  %-10s  %d rounds complete, %.0f bytes a message, others used %s %% of the machine's CPU time\n",
				r.peer.name, len(r.samples), r.samples[0].size, r.of(func(s sample) float64 { return s.others }).text(0))
		}
		for _, f := range r.faults {
			fmt.Fprintf(w, "FAILED    %-10s  %s\n", r.peer.name, f)
		}
	}
	for _, s := range skipped {
		fmt.Fprintf(w, "SKIPPED   %s\n", s)
	}
	return nil
}

// host describes this machine.
func host() string {
	h := machine.ReadHost()
	return fmt.Sprintf("%s, %d cores, Linux %s, %s", h.CPU, h.Cores, h.Kernel, h.Go)
}

// commit returns the commit of the source that Tickcast was built from, marked if that has changed since.
func commit() string {
	b, err := exec.Command("git", "describe", "--always", "--abbrev=12", "--dirty").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(b))
}
