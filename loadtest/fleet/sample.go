package fleet

import "tickcast/loadtest/machine"

// A Sample is the state of a fleet. Counters count from its begin, histograms from the last sample.
type Sample struct {
	Totals     Totals
	LastOpened int64 // CLOCK_MONOTONIC: when the last client opened or failed for good
	LastBack   int64 // CLOCK_MONOTONIC: when the last client of a storm was subscribed again
	Dismissed  int64 // sum over Totals.Dismissed of milliseconds
	Special    int   // slow and half-open clients

	Behind                              int64 // deliveries that are owed and have not come
	Silent                              int   // subscriptions without a message, of a server that does not answer them
	Corrupted, Misrouted, Late, Unknown uint64
	Deliveries                          TopicLedger // of all topics
	Topics                              []TopicLedger
	Broadcasts                          []BroadcastLedger
	Troubles                            []Trouble

	Latency, Ages, Lag, Connects Counts

	machine.Usage // of the process
}

// Add makes s the sum of itself and o.
func (s *Sample) Add(o *Sample) {
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
		s.Topics = make([]TopicLedger, len(o.Topics))
	}
	for k := range o.Topics {
		s.Topics[k].add(&o.Topics[k])
	}
	if s.Broadcasts == nil {
		s.Broadcasts = make([]BroadcastLedger, len(o.Broadcasts))
	}
	for n := range o.Broadcasts {
		s.Broadcasts[n].add(&o.Broadcasts[n])
	}
	s.Troubles = append(s.Troubles, o.Troubles...)
	if len(s.Troubles) > MaxTroubles {
		s.Troubles = s.Troubles[:MaxTroubles]
	}
	s.Latency, s.Ages = s.Latency.Merge(o.Latency), s.Ages.Merge(o.Ages)
	s.Lag, s.Connects = s.Lag.Merge(o.Lag), s.Connects.Merge(o.Connects)
	s.Usage.Add(o.Usage)
}

// sample returns the state of this worker. It runs on the worker's own goroutine.
func (w *worker) sample(topics bool) Sample {
	s := Sample{
		Totals: w.totals, LastOpened: w.lastOpened, LastBack: w.lastBack, Dismissed: w.dismissed, Special: w.special,
		Lag: drainCounts(w.lag), Connects: drainCounts(w.connects),
	}
	l := w.ledger
	if l == nil {
		return s
	}
	s.Behind, s.Silent = l.countBehind(), l.countSilent(w)
	s.Corrupted, s.Misrouted, s.Late, s.Unknown = l.corrupted, l.misrouted, l.late, l.unknown
	s.Latency, s.Ages = drainCounts(l.latency), drainCounts(l.ages)
	s.Troubles = append([]Trouble(nil), l.troubles...)
	for k := range l.byTopic {
		s.Deliveries.add(&l.byTopic[k])
	}
	if topics {
		s.Topics = append([]TopicLedger(nil), l.byTopic...)
		s.Broadcasts = append([]BroadcastLedger(nil), l.broadcasts...)
		s.Troubles = l.appendOwed(w, s.Troubles)
	}
	return s
}
