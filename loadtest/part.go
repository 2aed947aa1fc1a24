package loadtest

import (
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// One process may open RLIMIT_NOFILE sockets, so a large run has several: the program starts itself again for each part
// of the clients. A part takes orders on stdin and answers each on stdout, as values of gob; the run's [tape] is its
// descriptor 3. It ends with its stdin, and at the latest with its parent.

// PartVariable is the environment variable that makes a program a part; its main has to call [ServePart] then.
const PartVariable = "TICKLOAD_PART"

// partGC is the growth of the heap, in percent, that a part waits for before it collects garbage. There is little of it,
// and the memory is other processes', which are measured.
const partGC = 20

// tapeDescriptor is where a part finds the tape.
const tapeDescriptor = 3

// partPlan is the first thing that a part is told.
type partPlan struct {
	Fleet    FleetConfig
	Run      uint32 // 0: nothing is published
	Lossless bool
	Bound    time.Duration
}

// An order is what a part is asked to do; the first field that is set says what.
type partOrder struct {
	Ready  bool    // tell what the part takes without clients
	Begin  int64   // start the fleet, whose schedule counts from this time of CLOCK_MONOTONIC
	Storm  float64 // share of the clients that leaves and comes back
	Churn  bool    // from now on so many clients do:
	Rate   float64 // a second
	Close  bool    // close the fleet
	Trim   bool    // give unused memory back
	Sample bool    // tell what happened since the last time
	Topics bool    // with Sample: by topic as well
}

// partAnswer is the answer to an order, or to the plan.
type partAnswer struct {
	Error  string
	Count  int // of a storm
	Sample partSample
}

// A partSample is what a part knows. Counters count from its begin, histograms what is new.
type partSample struct {
	Totals     Totals
	LastOpened int64 // CLOCK_MONOTONIC: when the last client opened or failed for good
	LastBack   int64 // CLOCK_MONOTONIC: when the last client of a storm was subscribed again
	Dismissed  int64 // sum over Totals.Dismissed of milliseconds
	Special    int   // slow and half-open clients

	Behind                              int64 // deliveries that are owed
	Silent                              int   // subscriptions that brought nothing, of a server that does not answer them
	Corrupted, Misrouted, Late, Unknown uint64
	Deliveries                          topicLedger // of all topics
	Topics                              []topicLedger
	Broadcasts                          []broadcastLedger
	Troubles                            []trouble

	Latency, Lag, Connects counts

	CPU     time.Duration
	RSS     int64
	Private int64 // of RSS: not pages of the program, which its processes share
}

// counts are the buckets of a histogram that are not empty: how often each number of microseconds was recorded.
type counts map[int64]int64

// drainCounts returns what a histogram holds, and empties it.
func drainCounts(h *hdrhistogram.Histogram) counts {
	if h.TotalCount() == 0 {
		return nil
	}
	c := make(counts)
	for _, bar := range h.Distribution() {
		if bar.Count > 0 {
			c[bar.From] += bar.Count
		}
	}
	h.Reset()
	return c
}

// longest returns the highest number that was recorded.
func (c counts) longest() (v int64) {
	for value := range c {
		v = max(v, value)
	}
	return v
}

// addTo records c in a histogram of the same precision.
func (c counts) addTo(h *hdrhistogram.Histogram) {
	for v, n := range c {
		h.RecordValues(min(max(v, lowestLatency), highestLatency), n)
	}
}

// ServePart is the whole of a process that is a part, see [PartVariable]. It returns when in has ended.
func ServePart(ctx context.Context, in io.Reader, out io.Writer) error {
	debug.SetGCPercent(partGC)
	dec, enc := gob.NewDecoder(in), gob.NewEncoder(out)
	var plan partPlan
	if err := dec.Decode(&plan); err != nil {
		return fmt.Errorf("loadtest: part: read the plan: %w", err)
	}
	shared, err := openTape(os.NewFile(tapeDescriptor, "tape"), len(plan.Fleet.Topics))
	if err != nil {
		return err
	}
	p := &part{plan: plan, account: accountConfig{Tape: shared, Run: plan.Run, Lossless: plan.Lossless, Bound: plan.Bound}}
	defer p.close()
	// What talking to the parent costs in memory is there before the first figure is taken.
	if err := enc.Encode(partAnswer{Sample: partSample{Lag: counts{1: 1}}}); err != nil {
		return err
	}
	debug.FreeOSMemory()
	for {
		var o partOrder
		if err := dec.Decode(&o); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("loadtest: part: read an order: %w", err)
		}
		a, err := p.do(ctx, o)
		if err != nil {
			a.Error = err.Error()
		}
		if err := enc.Encode(a); err != nil {
			return err
		}
	}
}

// A part is a process's share of a run.
type part struct {
	plan    partPlan
	account accountConfig
	fleet   *Fleet // nil before it begins
}

// do carries out an order.
func (p *part) do(ctx context.Context, o partOrder) (a partAnswer, err error) {
	switch {
	case o.Ready:
		a.Sample.ownResources()
	case o.Begin != 0:
		p.account.Begun = o.Begin
		p.fleet, err = start(ctx, p.plan.Fleet, &p.account)
	case p.fleet == nil:
		err = errors.New("loadtest: part has not begun")
	case o.Storm > 0:
		left := make([]int, len(p.fleet.workers))
		p.fleet.each(func(w *worker) { left[w.id] = w.storm(o.Storm) })
		for _, n := range left {
			a.Count += n
		}
	case o.Churn:
		p.fleet.each(func(w *worker) {
			w.leaving = churn{rate: o.Rate / float64(len(p.fleet.workers)), begun: time.Now()}
		})
	case o.Close:
		err = p.fleet.Close()
	case o.Trim:
		debug.FreeOSMemory()
	case o.Sample:
		a.Sample = p.fleet.sample(o.Topics)
	}
	return a, err
}

func (p *part) close() {
	if p.fleet != nil {
		p.fleet.Close()
	}
	p.account.Tape.close()
}

// sample asks each worker what it knows. Only one goroutine at a time may call it.
func (f *Fleet) sample(topics bool) partSample {
	parts := make([]partSample, len(f.workers))
	f.each(func(w *worker) { parts[w.id] = w.sample(topics) })
	s := parts[0]
	for i := 1; i < len(parts); i++ {
		s.add(&parts[i])
	}
	s.Totals.Conns = f.conns
	s.Totals.Faults = f.Totals().Faults
	s.ownResources()
	return s
}

// sample is what this worker knows. It is called on the worker's own goroutine.
func (w *worker) sample(topics bool) partSample {
	s := partSample{
		Totals: w.totals, LastOpened: w.lastOpened, LastBack: w.lastBack, Dismissed: w.dismissed, Special: w.special,
		Lag: drainCounts(w.lag), Connects: drainCounts(w.connects),
	}
	l := w.ledger
	if l == nil {
		return s
	}
	s.Behind, s.Silent = l.behind(), l.silent(w)
	s.Corrupted, s.Misrouted, s.Late, s.Unknown = l.corrupted, l.misrouted, l.late, l.unknown
	s.Latency = drainCounts(l.latency)
	s.Troubles = append([]trouble(nil), l.troubles...)
	for k := range l.byTopic {
		s.Deliveries.add(&l.byTopic[k])
	}
	if topics {
		s.Topics = append([]topicLedger(nil), l.byTopic...)
		s.Broadcasts = append([]broadcastLedger(nil), l.broadcasts...)
		s.Troubles = l.appendOwed(w, s.Troubles)
	}
	return s
}

// add makes s the sum of itself and o.
func (s *partSample) add(o *partSample) {
	s.Totals.add(&o.Totals)
	s.Totals.Conns += o.Totals.Conns
	if s.Totals.Faults == nil {
		s.Totals.Faults = map[Fault]int{}
	}
	for f, n := range o.Totals.Faults {
		s.Totals.Faults[f] += n
	}
	s.LastOpened = max(s.LastOpened, o.LastOpened)
	s.LastBack = max(s.LastBack, o.LastBack)
	s.Dismissed += o.Dismissed
	s.Special += o.Special
	s.Behind += o.Behind
	s.Silent += o.Silent
	s.Corrupted += o.Corrupted
	s.Misrouted += o.Misrouted
	s.Late += o.Late
	s.Unknown += o.Unknown
	s.Deliveries.add(&o.Deliveries)
	if s.Topics == nil {
		s.Topics = make([]topicLedger, len(o.Topics))
	}
	for k := range o.Topics {
		s.Topics[k].add(&o.Topics[k])
	}
	if s.Broadcasts == nil {
		s.Broadcasts = make([]broadcastLedger, len(o.Broadcasts))
	}
	for n := range o.Broadcasts {
		s.Broadcasts[n].add(&o.Broadcasts[n])
	}
	s.Troubles = append(s.Troubles, o.Troubles...)
	if len(s.Troubles) > MaxTroubles {
		s.Troubles = s.Troubles[:MaxTroubles]
	}
	s.Latency, s.Lag, s.Connects = s.Latency.merge(o.Latency), s.Lag.merge(o.Lag), s.Connects.merge(o.Connects)
	s.CPU += o.CPU
	s.RSS += o.RSS
	s.Private += o.Private
}

// merge returns c with o's counts, in a map that is c's if there is one.
func (c counts) merge(o counts) counts {
	if c == nil {
		return o
	}
	for v, n := range o {
		c[v] += n
	}
	return c
}

// ownResources fills in what this process uses.
func (s *partSample) ownResources() {
	s.CPU = ownCPU()
	var size, resident, shared int64
	if proc.numbers("self/statm", &size, &resident, &shared) == nil { // 0 if the kernel does not show it
		s.RSS, s.Private = resident*int64(os.Getpagesize()), (resident-shared)*int64(os.Getpagesize())
	}
}
