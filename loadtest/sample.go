package loadtest

import (
	"time"

	"tickcast/loadtest/fleet"
	"tickcast/loadtest/machine"
)

// read adds the figures of the machine and the servers to a sample.
func (s *runSample) read(r *Run) {
	s.at = machine.Monotime()
	s.kernel, _ = machine.ReadKernelMemory() // figures that the kernel hides stay 0
	var err error
	if s.rss, s.cpu, err = r.plan.Servers.Sample(); err != nil {
		s.rss, s.cpu = r.last.rss, r.last.cpu
		r.serverGone = err
	}
	s.busy, s.total, _ = machine.CPUTime()
	if r.publisher != nil {
		s.sent = r.publisher.Stats().Sent
	}
}

// sample returns a sample of all parts and the machine. It adds the sample to the timeline and shows it.
func (r *Run) sample(topics bool) (*runSample, error) {
	var s runSample
	samples := make([]fleet.Sample, len(r.parts))
	err := r.all(func(i int, p *partProcess) error {
		a, err := p.Do(partOrder{Sample: true, Topics: topics})
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
		if seconds > 0.5 { // shorter times are too coarse: CPU time comes in ticks
			r.report.Client.CPUShare = max(r.report.Client.CPUShare, share)
		}
		s.sum.Add(&samples[i])
	}
	r.record(&s, seconds)
	r.last = s
	return &r.last, nil
}

// record adds a sample to the report and shows the progress.
func (r *Run) record(s *runSample, seconds float64) {
	s.sum.Latency.AddTo(r.latency)
	s.sum.Latency.AddTo(r.newest)
	s.sum.Ages.AddTo(r.ages)
	s.sum.Lag.AddTo(r.lag)
	r.newestLag = max(r.newestLag, s.sum.Lag.Longest())
	s.sum.Connects.AddTo(r.connects)
	// A time shorter than a line of the timeline is part of the next line, unless it is a whole phase.
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
		Faults: faultCounts(s.sum.Totals.Faults), Troubles: deliveries(&s.sum, false),
	}
	if !r.until.IsZero() {
		p.Until = max(0, time.Until(r.until).Seconds())
	}
	r.show(p)
}

// shortestLine is the shortest time of a line of the timeline, in seconds, if its phase has others.
const shortestLine = 0.5

// line returns the next line of the timeline.
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
