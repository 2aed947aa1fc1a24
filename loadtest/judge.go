package loadtest

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"tickcast/loadtest/feed"
	"tickcast/loadtest/fleet"
)

// fillReport fills in the report from the last sample s.
func (r *Run) fillReport(s *runSample) {
	p, t := &r.report, &s.sum.Totals
	p.Seconds = float64(s.at-r.begun) / 1e9
	p.Connections = Connections{
		Wanted: r.plan.Fleet.Conns, Opened: t.Opened, Subscribed: t.Acked, Open: t.Open, Failed: t.Failed, Lost: t.Lost,
		Reopened: t.Reopened, Pings: t.Pings, Connect: distribution(r.connects, true), Faults: faultCounts(t.Faults),
	}
	p.Connections.URLs = r.targets.URLs()
	if s.sum.LastOpened > r.begun {
		p.Connections.Seconds = float64(s.sum.LastOpened-r.begun) / 1e9
		p.Connections.PerSecond = float64(t.Opened) / p.Connections.Seconds
	}
	p.Deliveries = deliveries(&s.sum, true)
	p.Latency = distribution(r.latency, true)
	p.Ages = distribution(r.ages, true)
	r.perTopic(s)
	r.broadcasts(s)
	for _, x := range s.sum.Troubles {
		p.Troubles = append(p.Troubles, Trouble{x.Client, r.topic(x.Topic), x.Seq, x.Count, x.Kind})
	}
	r.cohorts(s)
	r.publisherSide()
	r.serverSide(s)
	r.clientSide(s)
}

// publisherSide adds the publisher to the report.
func (r *Run) publisherSide() {
	if r.publisher == nil {
		return
	}
	stats, plan, p := r.publisher.Stats(), r.plan.Publish, &r.report.Publisher
	*p = Published{
		URL: plan.URL, Topics: len(r.plan.Fleet.Topics), Sent: stats.Sent, Failed: stats.Failed,
		Skipped: stats.Skipped, MaxLate: stats.MaxLate.Seconds() * 1000, Payload: plan.Payload,
		Pace: fmt.Sprintf("%g a second", plan.Rate),
	}
	if plan.Bell {
		p.Pace = fmt.Sprintf("opening bell: %d times %g a second, fading in %v", feed.OpeningPeak, plan.Rate, feed.OpeningDecay)
	}
}

// serverSide adds the servers' processes to the report.
func (r *Run) serverSide(s *runSample) {
	p := &r.report
	server := &p.Server
	if m, err := r.plan.Servers.Memory(); err == nil && server.Processes > 0 {
		server.EndRSS = m.RSS
		server.EndPerConn = float64(m.RSS-server.EmptyRSS) / float64(max(1, s.sum.Totals.Open))
	}
	server.CPUSeconds = (s.cpu - r.first.cpu).Seconds()
	if p.Deliveries.Received > 0 {
		server.CPUPerDeliver = server.PublishCPU * 1e6 / float64(p.Deliveries.Received)
	}
	if len(r.plan.Metrics) > 0 {
		after, err := ScrapeMetrics(context.Background(), r.plan.Metrics)
		if r.metricsErr != nil {
			err = r.metricsErr
		}
		if err != nil {
			p.Warnings = append(p.Warnings, err.Error())
		} else {
			server.Metrics = metricChanges(r.metrics, after)
		}
	}
}

// clientSide adds the kernel and the load tester to the report.
func (r *Run) clientSide(s *runSample) {
	p := &r.report
	if p.Kernel.Slab != 0 {
		p.Kernel.DescriptorsPerHost = r.files
	}
	client := &p.Client
	client.Processes = len(r.parts)
	client.Workers = r.plan.Fleet.Workers * len(r.parts)
	client.CPUSeconds = (s.sum.CPU - r.first.sum.CPU).Seconds()
	client.LoopLag = distribution(r.lag, true)
}

// perTopic adds the topics to the report.
func (r *Run) perTopic(s *runSample) {
	if r.plan.Publish.URL == "" {
		return
	}
	var all []TopicCount
	for k, l := range s.sum.Topics {
		published := r.tape.Count(uint32(k))
		behind := uint64(max(0, l.Live*int64(published)-int64(l.Reached)))
		all = append(all, TopicCount{
			Topic: r.topic(uint32(k)), Subscribers: l.Live, Published: published, Received: l.Received,
			Missing: l.Missing + behind, Doubled: l.Doubled, OutOfOrder: l.OutOfOrder, Conflated: l.Conflated,
		})
	}
	slices.SortStableFunc(all, func(a, b TopicCount) int {
		return cmp.Or(cmp.Compare(b.Missing+b.Doubled+b.OutOfOrder, a.Missing+a.Doubled+a.OutOfOrder),
			cmp.Compare(b.Received, a.Received))
	})
	r.report.Topics = all[:min(len(all), MaxTopics)]
}

// broadcasts adds each message to the report, if there are few.
func (r *Run) broadcasts(s *runSample) {
	if r.publisher == nil || r.plan.Publish.Early || r.publisher.Stats().Sent > MaxBroadcasts {
		return
	}
	for _, b := range s.sum.Broadcasts {
		if b.Received == 0 {
			continue
		}
		one := Broadcast{
			Topic: r.topic(b.Topic), Seq: b.Seq, At: float64(b.At-r.begun) / 1e9, Received: b.Received,
			First: float64(b.First-b.At) / 1e6, Last: float64(b.Last-b.At) / 1e6,
		}
		if int(b.Topic) < len(s.sum.Topics) {
			one.Expected = uint64(s.sum.Topics[b.Topic].Live)
		}
		r.report.Broadcasts = append(r.report.Broadcasts, one)
	}
}

// cohorts adds the slow and half-open clients and the churn to the report.
func (r *Run) cohorts(s *runSample) {
	t, plan := &s.sum.Totals, &r.plan.Fleet
	if plan.Slow+plan.HalfOpen > 0 {
		c := Cohort{Ended: t.Dismissed}
		c.Clients = s.sum.Special
		if t.Dismissed > 0 {
			c.Seconds = float64(s.sum.Dismissed) / 1000 / float64(t.Dismissed)
		}
		switch {
		case plan.HalfOpen == 0:
			c.Name = "slow"
		case plan.Slow == 0:
			c.Name = "half-open"
		default:
			c.Name = "slow and half-open"
		}
		c.Note = fmt.Sprintf("the server ended %d of them", c.Ended)
		r.report.Cohorts = append(r.report.Cohorts, c)
	}
	if r.plan.Churn > 0 {
		r.report.Cohorts = append(r.report.Cohorts, Cohort{
			Name: "churn", Clients: t.Left, Note: fmt.Sprintf("%d left, in storms too, and %d came back", t.Left, t.Reopened),
		})
	}
}

// Bounds beyond which the figures of a run are doubtful.
const (
	busyClient   = 0.8  // of a core, for each worker
	busyMachine  = 0.97 // of all cores
	latePublish  = 1000 // milliseconds
	laggingShare = 0.1  // of the latency that was measured
)

// judge decides whether the run was clean.
func (r *Run) judge(s *runSample) {
	p := &r.report
	c, d := &p.Connections, &p.Deliveries
	bad := func(n uint64, text string) {
		if n > 0 {
			p.Reasons = append(p.Reasons, fmt.Sprintf("%d %s", n, text))
		}
	}
	t := &s.sum.Totals
	bad(uint64(max(0, c.Wanted-c.Opened)), fmt.Sprintf("of %d connections not opened: %s", c.Wanted, t.FaultList()))
	unacked := max(0, c.Opened-c.Subscribed-r.beforeAck(t))
	bad(uint64(unacked), "subscriptions not acknowledged")
	bad(uint64(c.Lost), "connections lost: "+t.FaultList())
	bad(uint64(max(0, t.Left-t.Reopened)), "clients did not come back")
	if r.serverGone != nil {
		p.Reasons = append(p.Reasons, "a server's process is gone: "+strings.ReplaceAll(r.serverGone.Error(), "\n", ", "))
	}
	bad(uint64(max(0, t.Open-t.Subscribed-unacked)), "clients that came back were not subscribed again")
	bad(uint64(s.sum.Silent), "subscriptions brought nothing")
	bad(d.Missing, "deliveries missing")
	bad(d.Doubled, "deliveries doubled")
	bad(d.OutOfOrder, "deliveries out of order")
	bad(d.Corrupted, "deliveries corrupted")
	bad(d.Misrouted, "deliveries to clients that had not subscribed")
	bad(d.Late, fmt.Sprintf("deliveries later than %v", r.plan.MaxLatency))
	if r.plan.Publish.URL != "" && p.Publisher.Sent+p.Publisher.Failed+p.Publisher.Skipped == 0 {
		p.Reasons = append(p.Reasons, "nothing was published")
	}
	bad(p.Publisher.Failed, "messages not taken by NATS")
	bad(p.Publisher.Skipped, "messages not published in time")
	if p.Publisher.MaxLate > latePublish {
		p.Reasons = append(p.Reasons, fmt.Sprintf("the publisher did not keep its pace: a message left %.0f ms late", p.Publisher.MaxLate))
	}
	if p.Publisher.URL != "" && p.Publisher.Sent > 0 && d.Expected == 0 && c.Opened > s.sum.Special {
		p.Reasons = append(p.Reasons, "nothing was owed to anybody: no subscription got into force")
	}
	p.Clean = len(p.Reasons) == 0
	r.addWarnings()
}

// addWarnings adds warnings of doubtful figures to the report.
func (r *Run) addWarnings() {
	p := &r.report
	warn := func(format string, a ...any) { p.Warnings = append(p.Warnings, fmt.Sprintf(format, a...)) }
	for _, x := range r.shortages {
		warn("%s: %s", x.Text, x.Fix)
	}
	client := &p.Client
	if each := client.CPUShare / float64(max(1, client.Workers/max(1, client.Processes))); each > busyClient {
		warn("the load tester was busy: a worker took %.0f %% of a core in its busiest second", 100*each)
	}
	if client.MachineCPU > busyMachine && len(r.plan.Servers) > 0 {
		warn("all cores were busy: the servers and the load tester, on the same machine, took CPU time from each other")
	}
	if lag := client.LoopLag.P99; p.Latency.Count > 0 && lag > laggingShare*p.Latency.P99 {
		warn("latencies are good to %.1f ms only: so late was the load tester itself, at its 99th percentile", lag)
	}
}

// beforeAck returns the number of clients lost before their acknowledgement. They have a reason of their own.
func (r *Run) beforeAck(t *fleet.Totals) int { return min(t.Lost, t.Opened-t.Acked) }

// finish takes the last sample, closes the clients, and judges.
func (r *Run) finish() (*Report, error) {
	s, err := r.sample(true)
	if err != nil {
		return nil, err
	}
	r.fillReport(s)
	if err := r.all(func(_ int, p *partProcess) error { _, err := p.Do(partOrder{Close: true}); return err }); err != nil {
		return nil, err
	}
	r.judge(s)
	return &r.report, nil
}
