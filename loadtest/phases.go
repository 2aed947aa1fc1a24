package loadtest

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"tickcast/loadtest/feed"
	"tickcast/loadtest/fleet"
	"tickcast/loadtest/machine"
)

// measureEmpty reads the figures before the first connection.
func (r *Run) measureEmpty() {
	s := &r.report.Server
	s.Processes = len(r.plan.Servers)
	if m, err := r.plan.Servers.Memory(); err == nil {
		s.EmptyRSS = m.RSS
	}
	r.report.Client.EmptyRSS = r.last.sum.RSS
	r.metrics, r.metricsErr = ScrapeMetrics(context.Background(), r.plan.Metrics)
	r.last.read(r)
	r.first, r.lined = r.last, r.last
}

// The time between two samples of a phase: at first shortestBeat for each part, later up to longestBeat.
const (
	shortestBeat = 20 * time.Millisecond
	longestBeat  = time.Second
)

// watch takes samples until done returns true, the phase's time is over, no client is left, or ctx ends.
func (r *Run) watch(ctx context.Context, phase string, length time.Duration, done func(s *runSample) bool) error {
	r.phase, r.until = phase, time.Time{}
	if length > 0 {
		r.until = time.Now().Add(length)
	}
	beat := min(longestBeat, shortestBeat*time.Duration(len(r.parts)))
	for {
		wait := beat
		if length > 0 {
			wait = max(0, min(wait, time.Until(r.until)))
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
		beat = min(longestBeat, 2*beat)
		s, err := r.sample(false)
		if err != nil {
			return err
		}
		t := &s.sum.Totals
		if done(s) || length > 0 && !time.Now().Before(r.until) || t.Failed+t.Lost+t.Dismissed >= r.plan.Fleet.Conns {
			return nil
		}
	}
}

// open opens all clients and waits until they are subscribed.
func (r *Run) open(ctx context.Context) error {
	r.begun = machine.Monotime()
	err := r.all(func(_ int, p *partProcess) error {
		_, err := p.Do(partOrder{Begin: r.begun})
		return err
	})
	if err != nil {
		return err
	}
	var progress progress
	return r.watch(ctx, "opening", 0, func(s *runSample) bool {
		t := &s.sum.Totals
		if t.Opened+t.Failed < t.Conns {
			return false
		}
		refused := t.Faults[fleet.Fault{Kind: fleet.FaultSubscribe}]
		return t.Acked+refused+t.Lost >= t.Opened || progress.stuck(int64(t.Acked+refused+t.Lost), r.patience())
	})
}

// patience bounds the time without progress in a wait.
func (r *Run) patience() time.Duration { return cmp.Or(r.plan.Settle, defaultSettle) }

// A progress is a number that should change.
type progress struct {
	n     int64
	since time.Time
}

func (p *progress) stuck(n int64, patience time.Duration) bool {
	if n != p.n || p.since.IsZero() {
		p.n, p.since = n, time.Now()
	}
	return time.Since(p.since) > patience
}

// idle holds the clients without messages, and then measures their costs.
func (r *Run) idle(ctx context.Context) error {
	opened := r.last
	if err := r.all(func(_ int, p *partProcess) error { _, err := p.Do(partOrder{Trim: true}); return err }); err != nil {
		return err
	}
	if _, err := r.sample(false); err != nil {
		return err
	}
	r.report.Server.OpenCPU = (opened.cpu - r.first.cpu).Seconds()
	if r.plan.Idle > 0 {
		if err := r.watch(ctx, "idle", r.plan.Idle, func(*runSample) bool { return false }); err != nil {
			return err
		}
	}
	r.measureIdle()
	return nil
}

// enoughForSlab is the number of connections from which on their share of the kernel's slabs can be measured.
const enoughForSlab = 1000

// leastSlab is a lower bound of a connection's share of the kernel's slabs, in bytes.
const leastSlab = 1024

// measureIdle measures the costs of the connections before the first message.
func (r *Run) measureIdle() {
	open := float64(r.last.sum.Totals.Open)
	if open == 0 {
		return
	}
	s, k, c := &r.report.Server, &r.report.Kernel, &r.report.Client
	if m, err := r.plan.Servers.Memory(); err == nil && len(r.plan.Servers) > 0 {
		s.IdleRSS = m.RSS
		s.IdlePerConn = float64(s.IdleRSS-s.EmptyRSS) / open
	}
	c.RSS = r.last.sum.RSS
	c.RSSPerConn = float64(r.last.sum.Private-r.first.sum.Private) / open
	before, now := r.first.kernel, r.last.kernel
	k.Slab = now.Slab - before.Slab
	k.Available = before.MemAvailable - now.MemAvailable
	k.SlabPerConn = float64(k.Slab) / open
	if open < enoughForSlab {
		*k = KernelSide{}
		return
	}
	if k.SlabPerConn < leastSlab {
		// The other figures would be as wrong.
		r.report.Warnings = append(r.report.Warnings,
			"what the connections cost in the kernel is not known: it still had the memory of earlier ones")
		*k = KernelSide{}
		return
	}
	k.KernelPerConn = float64(k.Available-(c.RSS-c.EmptyRSS)-(s.IdleRSS-s.EmptyRSS)) / open
	k.TCPMemoryPerConn = float64(now.SockMem-before.SockMem) / open
	k.ConntrackPerConn = float64(now.Conntrack-before.Conntrack) / open
	k.SocketsBothEnds = len(r.plan.Servers) > 0
}

// startPublisher starts the publisher.
func (r *Run) startPublisher(ctx context.Context) error {
	p := r.plan.Publish
	cfg := feed.PublisherConfig{
		URL: p.URL, Rate: p.Rate, Limit: p.Messages, Source: r.source(),
		MaxLag: 24 * time.Hour, // no message is skipped
	}
	if p.Bell {
		cfg.Pace = feed.Bell{Base: p.Rate, Peak: feed.OpeningPeak, Decay: feed.OpeningDecay}
	}
	var err error
	if r.publisher, err = feed.NewPublisher(cfg); err != nil {
		return err
	}
	done := make(chan error, 1)
	r.published = done
	ctx, r.stop = context.WithCancel(context.WithoutCancel(ctx))
	go func() { done <- r.publisher.Run(ctx); close(done) }()
	return nil
}

// source returns the source of the run's messages.
func (r *Run) source() feed.Source {
	p := r.plan.Publish
	subjects := slices.Clone(r.plan.Fleet.Topics)
	if p.Subject != "" {
		for k, t := range subjects {
			subjects[k] = strings.ReplaceAll(p.Subject, "{topic}", t)
		}
	}
	return fleet.NewSource(fleet.SourceConfig{Tape: r.tape, Run: r.id, Subjects: subjects, Payload: p.Payload, Zipf: p.Zipf})
}

// publish publishes while the clients are held, and sends them through churn and storms.
func (r *Run) publish(ctx context.Context) error {
	r.publishFrom = r.last
	if err := ctx.Err(); err != nil {
		return err
	}
	if r.plan.Publish.URL != "" && r.publisher == nil {
		if err := r.startPublisher(ctx); err != nil {
			return err
		}
	}
	limited := r.plan.Publish.URL != "" && r.plan.Publish.Messages > 0
	if done, _ := r.publisherDone(); done && r.plan.Hold == 0 && len(r.waiting) == 0 && limited {
		return nil
	}
	if err := r.churn(r.plan.Churn); err != nil {
		return err
	}
	begun := time.Now()
	var failed error
	phase := "publishing"
	if r.plan.Publish.URL == "" {
		phase = "holding"
	}
	err := r.watch(ctx, phase, r.plan.Hold, func(s *runSample) bool {
		for len(r.waiting) > 0 && failed == nil && time.Since(begun) >= r.waiting[0].After {
			failed = r.letStorm(r.waiting[0])
			r.waiting = r.waiting[1:]
		}
		r.endStorms(s)
		done, broken := r.publisherDone()
		return failed != nil || broken != nil || done && r.plan.Hold == 0 && limited && len(r.waiting) == 0
	})
	return errors.Join(err, failed, r.churn(0))
}

// publisherDone reports whether the publisher has ended by itself, and its error.
func (r *Run) publisherDone() (bool, error) {
	select {
	case err := <-r.published:
		done := make(chan error, 1)
		done <- err // for settle and end
		r.published = done
		return true, err
	default:
		return false, nil
	}
}

// settle stops the publisher and waits for owed deliveries.
func (r *Run) settle(ctx context.Context) error {
	if r.stop != nil {
		r.stop()
		if err := <-r.published; err != nil {
			r.report.Reasons = append(r.report.Reasons, err.Error())
		}
		r.stop = nil
	}
	var progress progress
	err := r.watch(ctx, "settling", 0, func(s *runSample) bool {
		r.endStorms(s)
		t := &s.sum.Totals
		owed := s.sum.Behind > 0 || s.sum.Silent > 0 || t.Reopened < t.Left && t.Open+t.Failed+t.Lost+t.Dismissed < t.Conns ||
			t.Left > 0 && t.Subscribed < t.Open || r.calmed < len(r.stormAt)
		return !owed || progress.stuck(int64(s.sum.Deliveries.Received)+int64(t.Reopened)+int64(t.Subscribed), r.patience())
	})
	r.report.Server.PublishCPU = (r.last.cpu - r.publishFrom.cpu).Seconds()
	return err
}
