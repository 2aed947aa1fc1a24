package loadtest

import (
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"golang.org/x/sys/unix"
)

// A ShortageError says what this machine lacks for a run. Nothing was connected.
type ShortageError []Shortage

func (e ShortageError) Error() string {
	var what []string
	for _, s := range e {
		if s.Fatal {
			what = append(what, s.What)
		}
	}
	return "loadtest: " + strings.Join(what, "; ")
}

// A Run is a plan that is carried out. Create it with [NewRun]; its methods are for one goroutine.
type Run struct {
	plan      Plan
	targets   []target
	shortages []Shortage

	parts     []*partProcess
	tape      *tape
	id        uint32
	publisher *Publisher
	published <-chan error
	stop      context.CancelFunc // of the publisher

	show     func(Progress)
	begun    int64 // CLOCK_MONOTONIC
	phase    string
	until    time.Time // the phase's end, zero if it is not known
	last     runSample
	latency  *hdrhistogram.Histogram
	lag      *hdrhistogram.Histogram
	connects *hdrhistogram.Histogram
	report   Report
	cpuOf    []time.Duration // of each part, in its last sample
	storms   []Storm         // still to come
	stormAt  []int64         // CLOCK_MONOTONIC: of those that came, whose cohorts are the report's first
	lost     []int           // connections when each of them came
	calmed   int             // how many of them are over

	files      int64                   // the most that were open on this machine
	serverGone error                   // a server's process that could not be looked at
	newest     *hdrhistogram.Histogram // since the last line of the timeline
	newestLag  int64                   // the longest, microseconds

	first, publishFrom runSample // when nothing was connected, when publishing began
	lined              runSample // at the last line of the timeline
	metrics            map[string]Metric
	metricsErr         error
}

// A runSample is the state of a run at a moment.
type runSample struct {
	at     int64 // CLOCK_MONOTONIC
	sum    partSample
	kernel KernelMemory
	rss    int64 // of the servers
	cpu    time.Duration
	sent   uint64
	busy   time.Duration // of the machine's cores
	total  time.Duration
}

// NewRun checks a plan against the machine. The error is a [ShortageError] if the machine lacks something without which
// the run cannot succeed. Shortages has the rest.
func NewRun(ctx context.Context, plan Plan) (*Run, error) {
	if err := plan.check(); err != nil {
		return nil, err
	}
	targets, err := resolveTargets(ctx, plan.Fleet)
	if err != nil {
		return nil, err
	}
	limits, err := ReadLimits()
	if err != nil {
		return nil, err
	}
	plan.Processes = plan.processes(limits)
	if plan.Fleet.Workers == 0 {
		plan.Fleet.Workers = 1
		if plan.Processes == 1 {
			plan.Fleet.Workers = min(runtime.GOMAXPROCS(0), plan.Fleet.Conns)
		}
	}
	r := &Run{
		plan: plan, targets: targets, shortages: limits.Check(plan.need(targets)), id: rand.Uint32() | 1,
		latency: newLatencies(), lag: newLatencies(), connects: newLatencies(), newest: newLatencies(), storms: plan.Storms,
	}
	for _, s := range r.shortages {
		if s.Fatal {
			return nil, ShortageError(r.shortages)
		}
	}
	if _, err := planSources(plan.Fleet, targets); err != nil {
		return nil, err
	}
	return r, nil
}

// Shortages returns what may spoil the run, but need not.
func (r *Run) Shortages() []Shortage { return r.shortages }

// Processes returns how many hold the clients.
func (r *Run) Processes() int { return r.plan.Processes }

// Do carries the plan out and shows how it goes on once a second, if show is not nil. It ends early with ctx, and reports
// what there is. An error means that there is nothing to report.
func (r *Run) Do(ctx context.Context, show func(Progress)) (*Report, error) {
	r.show = show
	defer r.end()
	r.report.Begun, r.report.Command, r.report.Machine = time.Now(), r.plan.Command, ReadMachine()
	if err := r.prepare(ctx); err != nil {
		return nil, err
	}
	for _, phase := range []func(context.Context) error{r.open, r.idle, r.publish} {
		if err := phase(ctx); err != nil && ctx.Err() == nil {
			return nil, err
		}
	}
	if ctx.Err() != nil {
		r.report.Warnings = append(r.report.Warnings, "the run was interrupted")
	}
	// What is under way still counts.
	if err := r.settle(context.WithoutCancel(ctx)); err != nil {
		return nil, err
	}
	return r.finish()
}

// prepare starts the parts and reads how things stand before the first connection.
func (r *Run) prepare(ctx context.Context) error {
	var err error
	if r.tape, err = newTape(len(r.plan.Fleet.Topics)); err != nil {
		return err
	}
	if r.plan.Servers == nil {
		var addrs = r.plan.need(r.targets).Targets
		if r.plan.Servers, err = Listeners(addrs); err != nil {
			return err
		}
	}
	if err := r.startParts(); err != nil {
		return err
	}
	r.before()
	if r.plan.Publish.URL != "" && r.plan.Publish.Early {
		return r.startPublisher(ctx)
	}
	return nil
}

// startParts starts the processes that hold the clients.
func (r *Run) startParts() error {
	fleet := r.plan.Fleet
	fleet.Seed = rand.Uint64()
	for i := range r.plan.Processes {
		plan := partPlan{Fleet: fleet.part(i, r.plan.Processes), Lossless: r.plan.Lossless, Bound: r.plan.MaxLatency}
		if r.plan.Publish.URL != "" {
			plan.Run = r.id
		}
		p, err := startPart(r.plan.Executable, plan, r.tape)
		if err != nil {
			return err
		}
		r.parts = append(r.parts, p)
	}
	r.cpuOf = make([]time.Duration, len(r.parts))
	samples := make([]partSample, len(r.parts))
	err := r.all(func(i int, p *partProcess) error {
		if _, err := p.answer(); err != nil {
			return err
		}
		a, err := p.do(partOrder{Ready: true})
		samples[i], r.cpuOf[i] = a.Sample, a.Sample.CPU
		return err
	})
	for i := range samples {
		r.last.sum.add(&samples[i])
	}
	return err
}

// part returns the share of part i of n of a run's clients: every n-th.
func (cfg FleetConfig) part(i, n int) FleetConfig {
	cfg.RunConns, cfg.First, cfg.Stride = cfg.Conns, i, n
	cfg.Conns = (cfg.Conns - i + n - 1) / n
	cfg.InFlight = max(1, orDefault(cfg.InFlight, defaultInFlight)/n)
	return cfg
}

// all does something with each part, with all at the same time, and waits.
func (r *Run) all(do func(i int, p *partProcess) error) error {
	var group sync.WaitGroup
	errs := make([]error, len(r.parts))
	for i, p := range r.parts {
		group.Go(func() { errs[i] = do(i, p) })
	}
	group.Wait()
	return errors.Join(errs...)
}

// A partProcess is a part as the run sees it.
type partProcess struct {
	cmd   *exec.Cmd
	in    io.WriteCloser
	enc   *gob.Encoder
	dec   *gob.Decoder
	ended bool
}

// startPart starts a process and tells it the plan. Its first answer is still to be read.
func startPart(program string, plan partPlan, shared *tape) (*partProcess, error) {
	if program == "" {
		var err error
		if program, err = os.Executable(); err != nil {
			return nil, fmt.Errorf("loadtest: find the own program: %w", err)
		}
	}
	cmd := exec.Command(program)
	cmd.Env = append(os.Environ(), PartVariable+"=1")
	cmd.Stderr = os.Stderr
	cmd.ExtraFiles = []*os.File{shared.file} // descriptor 3
	// An interrupt from the terminal is for the parent alone, which has the parts end.
	cmd.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGKILL, Setpgid: true}
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("loadtest: start a part: %w", err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("loadtest: start a part: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("loadtest: start a part: %w", err)
	}
	p := &partProcess{cmd: cmd, in: in, enc: gob.NewEncoder(in), dec: gob.NewDecoder(out)}
	if err := p.enc.Encode(plan); err != nil {
		p.end()
		return nil, fmt.Errorf("loadtest: tell a part the plan: %w", err)
	}
	return p, nil
}

// do gives an order and returns the answer.
func (p *partProcess) do(o partOrder) (partAnswer, error) {
	if err := p.enc.Encode(o); err != nil {
		return partAnswer{}, fmt.Errorf("loadtest: part %d: %w", p.cmd.Process.Pid, err)
	}
	return p.answer()
}

// answer reads the next answer.
func (p *partProcess) answer() (a partAnswer, err error) {
	if err := p.dec.Decode(&a); err != nil {
		return a, fmt.Errorf("loadtest: part %d ended: %w", p.cmd.Process.Pid, err)
	}
	if a.Error != "" {
		return a, errors.New(a.Error)
	}
	return a, nil
}

// end ends the process, which goes with its stdin.
func (p *partProcess) end() {
	if !p.ended {
		p.ended = true
		p.in.Close()
		p.cmd.Wait()
	}
}

// end ends all that still runs.
func (r *Run) end() {
	if r.stop != nil {
		r.stop()
		<-r.published
	}
	r.all(func(_ int, p *partProcess) error { p.end(); return nil })
	if r.tape != nil {
		r.tape.close()
	}
}

// startPublisher begins to publish.
func (r *Run) startPublisher(ctx context.Context) error {
	p := r.plan.Publish
	cfg := PublisherConfig{
		URL: p.URL, Rate: p.Rate, Limit: p.Messages, Source: r.source(),
		MaxLag: 24 * time.Hour, // none is given up
	}
	if p.Bell {
		cfg.Pace = Bell{Base: p.Rate, Peak: bellPeak, Decay: bellDecay}
	}
	var err error
	if r.publisher, err = NewPublisher(cfg); err != nil {
		return err
	}
	done := make(chan error, 1)
	r.published = done
	ctx, r.stop = context.WithCancel(context.WithoutCancel(ctx))
	go func() { done <- r.publisher.Run(ctx); close(done) }()
	return nil
}

// source makes the run's ticks.
func (r *Run) source() Source {
	p, topics := r.plan.Publish, r.plan.Fleet.Topics
	subjects := make([]string, len(topics))
	for k, t := range topics {
		subjects[k] = t
		if p.Subject != "" {
			subjects[k] = strings.ReplaceAll(p.Subject, "{topic}", t)
		}
	}
	var plan assignment
	if p.Zipf > 0 {
		plan = assignment{seed: rand.Uint64(), topics: len(topics), each: 1, zipf: zipf(len(topics), p.Zipf)}
	}
	wall, mono := time.Now(), monotime()
	var number uint64
	var places []uint32
	return func(dst []byte, due time.Time) (string, []byte) {
		k := int(number % uint64(len(topics)))
		if plan.zipf != nil {
			places = plan.appendTopics(places[:0], int(number))
			k = int(places[0])
		}
		t := tick{
			run: r.id, topic: uint32(k), seq: r.tape.next(k), number: number,
			at: mono + int64(due.Sub(wall)),
		}
		r.tape.newest[k].Store(t.at)
		number++
		return subjects[k], appendTick(dst, t, p.Payload)
	}
}

// monotime returns CLOCK_MONOTONIC in nanoseconds.
func monotime() int64 {
	var ts unix.Timespec
	unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts) // cannot fail for a clock that every kernel has
	return ts.Nano()
}
