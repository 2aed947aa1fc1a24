package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"
)

// options are those of the command line.
type options struct {
	binary      string
	group, only string
	phase       time.Duration
	latency     time.Duration
	settle      time.Duration
	memory      int64
	ceiling     int
	keep        string
	warm        bool
}

func main() {
	if what := os.Getenv(attackerVar); what != "" {
		if err := attacker(what); err != nil {
			fmt.Fprintln(os.Stderr, "attack: error:", err)
			os.Exit(1)
		}
		return
	}
	var o options
	flag.StringVar(&o.binary, "server", "bin/tickcast", "the server's `binary`")
	flag.StringVar(&o.only, "only", "", "run the attacks whose name holds this `text`")
	flag.StringVar(&o.group, "group", "", "run the groups whose name holds this `text`: "+groupNames())
	flag.DurationVar(&o.phase, "phase", 5*time.Second, "length of each of the phases before, during and after")
	flag.DurationVar(&o.latency, "latency", 25*time.Millisecond, "latency of bystanders that is always good enough")
	flag.DurationVar(&o.settle, "settle", 30*time.Second, "longest wait for the memory to be given back")
	flag.Int64Var(&o.memory, "memory", 100, "most `MB` beyond the start")
	flag.IntVar(&o.ceiling, "ceiling", 0, "run the attacks on memory with a runtime.memory_ceiling of so many `MiB` in place of other bounds; 0 = off")
	flag.StringVar(&o.keep, "keep", "", "a `directory` for the server's metrics, heap profiles and maps of memory at the start, under each attack and in the end")
	flag.BoolVar(&o.warm, "warm", true, "let 100 clients come, use every command and leave before the memory at the start is measured; groups topics and queues")
	flag.Parse()
	p, err := newProps()
	if err != nil {
		fmt.Fprintln(os.Stderr, "attack: error:", err)
		os.Exit(1)
	}
	failed, err := o.table(p)
	p.remove()
	if err != nil {
		fmt.Fprintln(os.Stderr, "attack: error:", err)
	}
	if failed || err != nil {
		os.Exit(1)
	}
}

func groupNames() string {
	var names []string
	for _, g := range groups {
		names = append(names, g.name)
	}
	return strings.Join(names, ", ")
}

// table runs the attacks that were asked for and prints their rows. It reports whether one is outside of its bounds.
func (o *options) table(p *props) (failed bool, err error) {
	fmt.Printf("%-42s %-34s %8s %8s %8s %6s %6s %6s %6s %6s %5s %6s\n", "attack", "bounded by", "before", "during", "after", "MB", "peak", "after", "back", "NATS", "lost", "stop")
	for _, g := range groups {
		if !strings.Contains(g.name, o.group) {
			continue
		}
		for _, a := range g.attacks {
			if !strings.Contains(a.name, o.only) || o.ceiling > 0 && !a.memory {
				continue
			}
			if o.ceiling > 0 {
				a.keys = "runtime.memory_ceiling"
			}
			with := *o
			with.warm = o.warm && g.warms()
			r, err := a.measure(&with, p, &g.on)
			if err != nil {
				return failed, fmt.Errorf("%s: %w", a.name, err)
			}
			bad := r.outside(o)
			failed = failed || bad != ""
			r.print(&a, o, bad)
		}
	}
	return failed, nil
}

// print prints a row.
func (r *result) print(a *attack, o *options, bad string) {
	if r.skipped != "" {
		fmt.Printf("%-42s skipped: %s\n", a.name, r.skipped)
		return
	}
	ms := func(d time.Duration) string { return fmt.Sprintf("%.1fms", d.Seconds()*1e3) }
	fmt.Printf("%-42s %-34s %8s %8s %8s %6d %6d %6d %6s %6d %5d %6s%s\n", a.name, a.keys, ms(r.before), ms(r.during), ms(r.after),
		r.start>>20, r.peak>>20, r.end>>20,
		fmt.Sprintf("%.0fs", r.back.Seconds()), r.nats>>20, r.lost, fmt.Sprintf("%.1fs", r.stop.Seconds()), bad)
	if r.note != "" {
		fmt.Println("   ", r.note)
	}
	if a.counts != "" {
		fmt.Printf("    %s: %d\n", a.counts, r.counted)
	}
	if o.ceiling > 0 {
		fmt.Printf("    the account grew by %d MB, the live heap by %d MB: %.2f; in the end %.1f MB of live heap are left\n",
			r.told>>20, r.heap>>20, float64(r.told)/float64(r.heap), float64(r.left)/(1<<20))
	}
}

// A result is a row of the table.
type result struct {
	before, during, after time.Duration // 99th percentile of the bystanders
	start, peak, end      int64         // resident bytes
	back                  time.Duration // from the end of the attack to the end of the row, when the memory was given back or the wait was over
	nats                  int64         // of NATS, at their peak
	lost                  int           // bystanders
	stop                  time.Duration // from SIGTERM to the end of the process
	note                  string        // of the attack; may be empty
	skipped               string        // why there is no row; "" = there is one
	counted               int64         // growth of attack.counts; -1 = there is no such metric to look at
	left                  int64         // growth of the live heap in the end; with a ceiling
	heap, told            int64         // growth of the live heap and of the account under the attack; with a ceiling
}

// outside returns a mark if r is outside of its bounds.
func (r *result) outside(o *options) string {
	good, most, end := max(2*r.before, o.latency), r.start+o.memory<<20, r.start*11/10
	if o.ceiling > 0 { // it is about memory up to the ceiling, and the server is busy with its own
		good, most = time.Minute, int64(o.ceiling)<<20*12/10
		end = most
		if part := float64(r.told) / float64(r.heap); part < 1/1.15 || part > 1.15 {
			return "  !"
		}
	}
	if r.skipped != "" {
		return ""
	}
	if r.counted == 0 || r.end > end || r.during > good || r.after > good || r.peak > most || r.lost > 0 || r.stop > 11*time.Second {
		return "  !"
	}
	return ""
}

// measure runs a against a new server.
func (a *attack) measure(o *options, p *props, on *setting) (r result, err error) {
	if a.needs != "" {
		if _, err := exec.LookPath(a.needs); err != nil {
			return result{skipped: a.needs + " is not installed"}, nil
		}
	}
	s, err := startBeside(o.binary, p, on, o.ceiling)
	if err != nil {
		return r, err
	}
	defer func() { r.stop = s.stop() }()
	n, err := dialNATS(s.nats)
	if err != nil {
		return r, err
	}
	defer n.Close()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var w watch
	lines, err := on.lines(p)
	if err != nil {
		return r, err
	}
	if err := w.feed(ctx, &s.stream, n, lines...); err != nil {
		return r, err
	}
	if o.warm {
		if err := s.warmUp(p); err != nil {
			return r, err
		}
	}
	time.Sleep(o.phase / 5) // the start is over
	w.phase()
	time.Sleep(o.phase)
	r.before, r.start = w.phase(), s.rss()
	if err := a.attack(&r, o, p, s); err != nil {
		return r, err
	}
	r.during = w.phase()
	begin := time.Now()
	time.Sleep(o.phase)
	for r.end = s.rss(); r.end > r.start*11/10 && time.Since(begin) < o.settle; r.end = s.rss() {
		time.Sleep(time.Second / 4)
	}
	r.back = time.Since(begin)
	r.after, r.lost = w.phase(), w.lost
	s.keep(o.keep, a.name, "end")
	if r.counted = -1; a.counts != "" {
		r.counted = s.counter(a.counts)
	}
	if o.ceiling > 0 {
		heap := r.left // before
		r.left, _, err = s.account()
		r.left -= heap
	}
	return r, err
}

// attack runs a to its end. r.left is the live heap before it.
func (a *attack) attack(r *result, o *options, p *props, s *server) (err error) {
	told := int64(0)
	if o.ceiling > 0 {
		if r.left, told, err = s.account(); err != nil {
			return err
		}
	}
	s.keep(o.keep, a.name, "start")
	attacker, done, err := a.start(s, p, o.phase)
	if err != nil {
		return err
	}
	counted := time.After(o.phase * 6 / 10) // a collection and the metrics take their time
	for {
		select {
		case r.note = <-done:
			return err
		case <-counted:
			if o.ceiling == 0 {
				s.keep(o.keep, a.name, "attack")
				continue
			}
			goOn := s.standStill(attacker)
			r.heap, r.told, err = s.account()
			r.heap, r.told = r.heap-r.left, r.told-told
			s.keep(o.keep, a.name, "attack")
			goOn()
		case <-time.After(50 * time.Millisecond):
			r.peak, r.nats = max(r.peak, s.rss()), max(r.nats, s.beside.rss())
		}
	}
}
