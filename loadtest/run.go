package loadtest

import (
	"context"
	"math/rand/v2"
	"runtime"
	"strings"
	"time"

	"tickcast/loadtest/fleet"
	"tickcast/loadtest/machine"
)

// A ShortageError lists the resources that this machine lacks for a run. No connection was opened.
type ShortageError []Shortage

func (e ShortageError) Error() string {
	var texts []string
	for _, s := range e {
		if s.Fatal {
			texts = append(texts, s.Text)
		}
	}
	return "loadtest: " + strings.Join(texts, "; ")
}

// NewRun checks a plan against the machine. The error is a [ShortageError] if the machine lacks a resource without which the
// run cannot succeed. Shortages returns those that may only spoil its figures.
func NewRun(ctx context.Context, plan Plan) (*Run, error) {
	if err := plan.check(); err != nil {
		return nil, err
	}
	targets, err := fleet.Resolve(ctx, plan.Fleet)
	if err != nil {
		return nil, err
	}
	limits, err := machine.ReadLimits()
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
		storms: storms{waiting: plan.Storms},
		samples: samples{
			latency: fleet.NewHistogram(), ages: fleet.NewHistogram(), lag: fleet.NewHistogram(), connects: fleet.NewHistogram(), newest: fleet.NewHistogram(),
		},
	}
	for _, s := range r.shortages {
		if s.Fatal {
			return nil, ShortageError(r.shortages)
		}
	}
	if err := targets.CheckSources(plan.Fleet, limits); err != nil {
		return nil, err
	}
	return r, nil
}

// Shortages returns the shortages that may spoil the run.
func (r *Run) Shortages() []Shortage { return r.shortages }

// Processes returns the number of parts.
func (r *Run) Processes() int { return r.plan.Processes }

// Do carries out the plan, and shows its progress once a second if show is not nil. It ends early with ctx, and reports the
// run so far. After an error there is no report.
func (r *Run) Do(ctx context.Context, show func(Progress)) (*Report, error) {
	r.show = show
	defer r.end()
	r.report.Begun, r.report.Command, r.report.Machine = time.Now(), r.plan.Command, machine.ReadHost()
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
	// Messages under way still count.
	if err := r.settle(context.WithoutCancel(ctx)); err != nil {
		return nil, err
	}
	return r.finish()
}

// prepare starts the parts and reads the figures before the first connection.
func (r *Run) prepare(ctx context.Context) error {
	var err error
	if r.tape, err = fleet.NewTape(len(r.plan.Fleet.Topics)); err != nil {
		return err
	}
	if r.plan.Servers == nil {
		if r.plan.Servers, err = machine.Listeners(r.targets.Addrs()); err != nil {
			return err
		}
	}
	if err := r.startParts(); err != nil {
		return err
	}
	r.measureEmpty()
	if r.plan.Publish.URL != "" && r.plan.Publish.Early {
		return r.startPublisher(ctx)
	}
	return nil
}

// startParts starts the processes that hold the clients.
func (r *Run) startParts() error {
	clients := r.plan.Fleet
	clients.Seed = rand.Uint64()
	for range r.plan.Processes {
		p, err := startPart(r.plan.Executable, r.tape)
		if err != nil {
			return err
		}
		r.parts = append(r.parts, p)
	}
	r.cpuOf = make([]time.Duration, len(r.parts))
	samples := make([]fleet.Sample, len(r.parts))
	err := r.all(func(i int, p *partProcess) error {
		plan := partPlan{Fleet: clients.Part(i, r.plan.Processes), Lossless: r.plan.Lossless, Bound: r.plan.MaxLatency}
		if r.plan.Publish.URL != "" {
			plan.Run = r.id
		}
		if _, err := p.Do(partOrder{Plan: &plan}); err != nil {
			return err
		}
		a, err := p.Do(partOrder{Ready: true})
		samples[i], r.cpuOf[i] = a.Sample, a.Sample.CPU
		return err
	})
	for i := range samples {
		r.last.sum.Add(&samples[i])
	}
	return err
}
