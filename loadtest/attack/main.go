package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"
)

// options are those of the command line.
type options struct {
	binary, only string
	phase        time.Duration
	latency      time.Duration
	memory       int64
	ceiling      int
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
	flag.DurationVar(&o.phase, "phase", 5*time.Second, "length of each of the phases before, during and after")
	flag.DurationVar(&o.latency, "latency", 25*time.Millisecond, "latency of bystanders that is always good enough")
	flag.Int64Var(&o.memory, "memory", 100, "most `MB` beyond the start")
	flag.IntVar(&o.ceiling, "ceiling", 0, "run the attacks on memory with a runtime.memory_ceiling of so many `MiB` in place of other bounds; 0 = off")
	flag.Parse()
	failed := false
	fmt.Printf("%-42s %-34s %8s %8s %8s %6s %6s %6s %6s %5s %6s\n", "attack", "bounded by", "before", "during", "after", "MB", "peak", "after", "NATS", "lost", "stop")
	for _, a := range attacks {
		if !strings.Contains(a.name, o.only) || o.ceiling > 0 && !a.memory {
			continue
		}
		if o.ceiling > 0 {
			a.keys = "runtime.memory_ceiling"
		}
		r, err := a.measure(&o)
		if err != nil {
			fmt.Fprintln(os.Stderr, "attack: error:", err)
			os.Exit(1)
		}
		bad := r.outside(&o)
		failed = failed || bad != ""
		ms := func(d time.Duration) string { return fmt.Sprintf("%.1fms", d.Seconds()*1e3) }
		fmt.Printf("%-42s %-34s %8s %8s %8s %6d %6d %6d %6d %5d %6s%s\n", a.name, a.keys, ms(r.before), ms(r.during), ms(r.after),
			r.start>>20, r.peak>>20, r.end>>20, r.nats>>20, r.lost, fmt.Sprintf("%.1fs", r.stop.Seconds()), bad)
		if r.note != "" {
			fmt.Println("   ", r.note)
		}
		if o.ceiling > 0 {
			fmt.Printf("    the account grew by %d MB, the live heap by %d MB: %.2f; in the end %.1f MB of live heap are left\n",
				r.told>>20, r.heap>>20, float64(r.told)/float64(r.heap), float64(r.left)/(1<<20))
		}
	}
	if failed {
		os.Exit(1)
	}
}

// A result is a row of the table.
type result struct {
	before, during, after time.Duration // 99th percentile of the bystanders
	start, peak, end      int64         // resident bytes
	nats                  int64         // of NATS, at their peak
	lost                  int           // bystanders
	stop                  time.Duration // from SIGTERM to the end of the process
	note                  string        // of the attack; may be empty
	left                  int64         // growth of the live heap in the end; with a ceiling
	heap, told            int64         // growth of the live heap and of the account under the attack; with a ceiling
}

// outside returns a mark if r is outside of its bounds.
func (r *result) outside(o *options) string {
	good, most := max(2*r.before, o.latency), r.start+o.memory<<20
	if o.ceiling > 0 { // it is about memory, and the server is busy with its own
		good, most = time.Minute, int64(o.ceiling)<<20*12/10
		if part := float64(r.told) / float64(r.heap); part < 1/1.15 || part > 1.15 {
			return "  !"
		}
	}
	if r.end > r.start*11/10 || r.during > good || r.after > good || r.peak > most || r.lost > 0 || r.stop > 11*time.Second {
		return "  !"
	}
	return ""
}

// settle is the time in which memory is given back after an attack.
const settle = 30 * time.Second

// measure runs a against a new server.
func (a *attack) measure(o *options) (r result, err error) {
	s, err := startBeside(o.binary, o.ceiling)
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
	if err := w.feed(ctx, s.stream, n); err != nil {
		return r, err
	}
	time.Sleep(o.phase / 5) // the start is over
	w.phase()
	time.Sleep(o.phase)
	r.before, r.start = w.phase(), s.rss()
	heap, told := int64(0), int64(0)
	if o.ceiling > 0 {
		if heap, told, err = s.account(); err != nil {
			return r, err
		}
	}

	done, err := a.start(s, o.phase)
	if err != nil {
		return r, err
	}
	counted := time.After(o.phase * 6 / 10) // a collection and the metrics take their time
	for running := true; running; {
		select {
		case r.note = <-done:
			running = false
		case <-counted:
			if o.ceiling > 0 {
				r.heap, r.told, err = s.account()
				r.heap, r.told = r.heap-heap, r.told-told
			}
		case <-time.After(50 * time.Millisecond):
			r.peak, r.nats = max(r.peak, s.rss()), max(r.nats, s.beside.rss())
		}
	}
	if err != nil {
		return r, err
	}
	r.during = w.phase()
	time.Sleep(max(settle, o.phase))
	r.after, r.end, r.lost = w.phase(), s.rss(), w.lost
	if o.ceiling > 0 {
		r.left, _, err = s.account()
		r.left -= heap
	}
	return r, err
}
