package loadtest

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"tickcast/loadtest/feed"
	"tickcast/loadtest/fleet"
	"tickcast/loadtest/machine"
)

// A Run is a plan that is carried out. Create it with [NewRun]. Its methods are for one goroutine.
type Run struct {
	plan      Plan
	targets   fleet.Targets
	shortages []Shortage
	parts     []*partProcess
	tape      *fleet.Tape
	id        uint32 // in the run's ticks
	begun     int64  // CLOCK_MONOTONIC
	phase     string
	until     time.Time // the phase's end, zero if it is not known
	show      func(Progress)
	report    Report
	publishing
	samples
	storms

	metrics    map[string]Metric // before the first connection
	metricsErr error
}

// A publishing is the run's publisher, once it has one.
type publishing struct {
	publisher *feed.Publisher
	published <-chan error
	stop      context.CancelFunc
}

// The samples of a run, and the sums over them. Histograms are in microseconds.
type samples struct {
	first       runSample // before the first connection
	publishFrom runSample // when publishing began
	lined       runSample // at the last line of the timeline
	last        runSample

	latency   *hdrhistogram.Histogram
	ages      *hdrhistogram.Histogram
	lag       *hdrhistogram.Histogram
	connects  *hdrhistogram.Histogram
	newest    *hdrhistogram.Histogram // latency since the last line of the timeline
	newestLag int64                   // the longest loop lag since then

	cpuOf      []time.Duration // of each part, in its last sample
	files      int64           // the highest number of open files on this machine
	serverGone error           // a server's process that could not be read
}

// The storms of a run.
type storms struct {
	waiting []Storm
	stormAt []int64 // CLOCK_MONOTONIC: times of the past ones, whose cohorts are the report's first
	lost    []int   // connections lost when each of them came
	calmed  int     // number of storms that are over
}

// A runSample is the state of a run at a moment.
type runSample struct {
	at     int64 // CLOCK_MONOTONIC
	sum    fleet.Sample
	kernel machine.KernelMemory
	rss    int64 // of the servers
	cpu    time.Duration
	sent   uint64
	busy   time.Duration // of the machine's cores
	total  time.Duration
}

// all calls do for all parts at the same time, and waits for all calls.
func (r *Run) all(do func(i int, p *partProcess) error) error {
	var group sync.WaitGroup
	errs := make([]error, len(r.parts))
	for i, p := range r.parts {
		group.Go(func() { errs[i] = do(i, p) })
	}
	group.Wait()
	return errors.Join(errs...)
}

// topic returns the name of a topic.
func (r *Run) topic(k uint32) string {
	if int(k) < len(r.plan.Fleet.Topics) {
		return r.plan.Fleet.Topics[k]
	}
	return ""
}

// end ends the publisher and the parts.
func (r *Run) end() {
	if r.stop != nil {
		r.stop()
		<-r.published
	}
	r.all(func(_ int, p *partProcess) error { return p.End() })
	if r.tape != nil {
		r.tape.Close()
	}
}
