package loadtest

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// before reads how things stand when there are no connections yet.
func (r *Run) before() {
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

// read reads the machine's side of a sample.
func (s *runSample) read(r *Run) {
	s.at = monotime()
	s.kernel, _ = ReadKernelMemory() // what the kernel does not show stays 0
	var err error
	if s.rss, s.cpu, err = r.plan.Servers.Sample(); err != nil {
		s.rss, s.cpu = r.last.rss, r.last.cpu
		r.serverGone = err
	}
	s.busy, s.total, _ = MachineCPU()
	if r.publisher != nil {
		s.sent = r.publisher.Stats().Sent
	}
}

// shortestBeat is how soon a phase is first looked at, for each part; from then on less and less often, down to once
// a second.
const (
	shortestBeat = 20 * time.Millisecond
	longestBeat  = time.Second
)

// watch takes samples until done says so, the phase's time is over, no client is left, or ctx ends.
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

// sample asks all parts, adds to the timeline, and shows it.
func (r *Run) sample(topics bool) (*runSample, error) {
	var s runSample
	samples := make([]partSample, len(r.parts))
	err := r.all(func(i int, p *partProcess) error {
		a, err := p.do(partOrder{Sample: true, Topics: topics})
		samples[i] = a.Sample
		return err
	})
	if err != nil {
		return nil, err
	}
	s.read(r)
	seconds := float64(s.at-r.last.at) / 1e9
	for i := range samples {
		share := (samples[i].CPU - r.cpuOf[i]).Seconds() / seconds
		r.cpuOf[i] = samples[i].CPU
		if seconds > 0.5 { // shorter ones say little: CPU time comes in ticks
			r.report.Client.CPUShare = max(r.report.Client.CPUShare, share)
		}
		s.sum.add(&samples[i])
	}
	r.record(&s, seconds)
	r.last = s
	return &r.last, nil
}

// record adds a sample to the report.
func (r *Run) record(s *runSample, seconds float64) {
	s.sum.Latency.addTo(r.latency)
	s.sum.Latency.addTo(r.newest)
	s.sum.Lag.addTo(r.lag)
	r.newestLag = max(r.newestLag, s.sum.Lag.longest())
	s.sum.Connects.addTo(r.connects)
	// What is shorter than a line of the timeline is part of the next one, unless it is all there is of a phase.
	line := r.line(s)
	if n := len(r.report.Timeline); n == 0 || line.At-r.report.Timeline[n-1].At > shortestLine || line.Phase != r.report.Timeline[n-1].Phase {
		r.report.Timeline = append(r.report.Timeline, line)
		r.lined = *s
		r.newest.Reset()
		r.newestLag = 0
	}
	if seconds > 0.5 && s.total > r.last.total {
		r.report.Client.MachineCPU = max(r.report.Client.MachineCPU, float64(s.busy-r.last.busy)/float64(s.total-r.last.total))
	}
	r.report.Server.PeakRSS = max(r.report.Server.PeakRSS, s.rss)
	r.files = max(r.files, s.kernel.Files)
	if r.show == nil {
		return
	}
	p := Progress{
		Second: line, Wanted: r.plan.Fleet.Conns, Failed: s.sum.Totals.Failed, Lost: s.sum.Totals.Lost,
		Behind: s.sum.Behind, Received: s.sum.Totals.Data, Latency: distribution(r.latency, false),
		Faults: faultCounts(s.sum.Totals.Faults), Troubles: r.deliveries(&s.sum, false),
	}
	if !r.until.IsZero() {
		p.Until = max(0, time.Until(r.until).Seconds())
	}
	r.show(p)
}

// shortestLine is the shortest time that a line of the timeline is about, in seconds, if the phase has others.
const shortestLine = 0.5

// line returns what happened since the last line of the timeline.
func (r *Run) line(b *runSample) Second {
	a := &r.lined
	seconds := float64(b.at-a.at) / 1e9
	perSecond := func(before, now uint64) uint64 { return uint64(float64(now-before) / seconds) }
	opened := b.sum.Totals.Opened + b.sum.Totals.Reopened - a.sum.Totals.Opened - a.sum.Totals.Reopened
	line := Second{
		At: float64(b.at-r.begun) / 1e9, Phase: r.phase,
		Open: b.sum.Totals.Open, Subscribed: b.sum.Totals.Subscribed,
		Opened:     int(float64(opened) / seconds),
		Published:  perSecond(a.sent, b.sent),
		Deliveries: perSecond(a.sum.Totals.Data, b.sum.Totals.Data),
		Bytes:      perSecond(a.sum.Totals.Bytes, b.sum.Totals.Bytes),
		ServerRSS:  b.rss,
		ServerCPU:  (b.cpu - a.cpu).Seconds() / seconds,
		ClientCPU:  (b.sum.CPU - a.sum.CPU).Seconds() / seconds,
		LoopLag:    inMillis(r.newestLag),
	}
	if r.newest.TotalCount() > 0 {
		line.P50 = inMillis(r.newest.ValueAtPercentile(50))
		line.P99 = inMillis(r.newest.ValueAtPercentile(99))
		line.P999 = inMillis(r.newest.ValueAtPercentile(99.9))
	}
	return line
}

func inMillis(us int64) float64 { return float64(us) / 1000 }

// open opens all clients and waits until they are subscribed.
func (r *Run) open(ctx context.Context) error {
	r.begun = monotime()
	err := r.all(func(_ int, p *partProcess) error {
		_, err := p.do(partOrder{Begin: r.begun})
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
		refused := t.Faults[Fault{Kind: FaultSubscribe}]
		return t.Acked+refused+t.Lost >= t.Opened || progress.stuck(int64(t.Acked+refused+t.Lost), r.patience())
	})
}

// patience is how long to wait for something while nothing happens.
func (r *Run) patience() time.Duration { return orDefault(r.plan.Settle, defaultSettle) }

// progress tells whether a number still changes.
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

// idle holds the clients while nothing is published, and then reads what they cost.
func (r *Run) idle(ctx context.Context) error {
	opened := r.last
	if err := r.all(func(_ int, p *partProcess) error { _, err := p.do(partOrder{Trim: true}); return err }); err != nil {
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

// enoughForSlab is how many connections it takes to see them in the kernel's slabs.
const enoughForSlab = 1000

// leastSlab is less than what a connection can take of the kernel's slabs, in bytes.
const leastSlab = 1024

// measureIdle reads what the connections cost before anything goes through them.
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
		// The rest of the figures would be as wrong.
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
	if done, _ := r.publisherDone(); done && r.plan.Hold == 0 && len(r.storms) == 0 && limited {
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
		for len(r.storms) > 0 && failed == nil && time.Since(begun) >= r.storms[0].After {
			failed = r.letStorm(r.storms[0])
			r.storms = r.storms[1:]
		}
		r.lookForStorm(s)
		done, broken := r.publisherDone()
		return failed != nil || broken != nil || done && r.plan.Hold == 0 && limited && len(r.storms) == 0
	})
	return errors.Join(err, failed, r.churn(0))
}

// publisherDone reports whether the publisher has ended by itself, and with which error.
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

// churn makes the clients of all parts together leave and come back at a rate.
func (r *Run) churn(rate float64) error {
	if r.plan.Churn == 0 {
		return nil
	}
	share := rate / float64(len(r.parts))
	return r.all(func(_ int, p *partProcess) error {
		_, err := p.do(partOrder{Churn: true, Rate: share})
		return err
	})
}

// letStorm makes a share of the clients leave at once.
func (r *Run) letStorm(s Storm) error {
	r.stormAt, r.lost = append(r.stormAt, monotime()), append(r.lost, r.last.sum.Totals.Lost)
	counts := make([]int, len(r.parts))
	err := r.all(func(i int, p *partProcess) error {
		a, err := p.do(partOrder{Storm: s.Share})
		counts[i] = a.Count
		return err
	})
	c := Cohort{Name: "storm", Note: "not all came back"}
	for _, n := range counts {
		c.Clients += n
	}
	r.report.Cohorts = append(r.report.Cohorts, c)
	return err
}

// lookForStorm ends the storms once all are back or lost.
func (r *Run) lookForStorm(s *runSample) {
	if n := len(r.stormAt); r.calmed == n || s.at <= r.stormAt[n-1] || s.sum.Totals.Away > 0 {
		return
	}
	for ; r.calmed < len(r.stormAt); r.calmed++ {
		c := &r.report.Cohorts[r.calmed]
		took := float64(s.sum.LastBack-r.stormAt[r.calmed]) / 1e9
		lost := s.sum.Totals.Lost - r.lost[r.calmed]
		switch {
		case c.Clients == 0:
			c.Note = "it met no client"
		case took < 0:
			c.Note = "none came back"
		case lost > 0:
			c.Seconds, c.Note = took, fmt.Sprintf("back and subscribed after %.2f s, but for %d connections lost", took, lost)
		default:
			c.Seconds, c.Note = took, fmt.Sprintf("all back and subscribed after %.2f s", took)
		}
	}
}

// settle stops publishing and waits for what is owed.
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
		r.lookForStorm(s)
		t := &s.sum.Totals
		owed := s.sum.Behind > 0 || s.sum.Silent > 0 || t.Reopened < t.Left && t.Open+t.Failed+t.Lost+t.Dismissed < t.Conns ||
			t.Left > 0 && t.Subscribed < t.Open || r.calmed < len(r.stormAt)
		return !owed || progress.stuck(int64(s.sum.Deliveries.Received)+int64(t.Reopened)+int64(t.Subscribed), r.patience())
	})
	r.report.Server.PublishCPU = (r.last.cpu - r.publishFrom.cpu).Seconds()
	return err
}
