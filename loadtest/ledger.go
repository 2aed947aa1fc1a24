package loadtest

import (
	"bytes"
	"slices"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// A subscription is what one client has received of one topic. A run of a million clients holds a million of them.
type subscription struct {
	topic uint32 // place in the plan's topics
	base  uint32 // messages up to this one need not come: they were published before the subscription was answered
	last  uint32 // the highest message that came, 0 if none; see answered
	seen  uint32 // bit b says that message last-b came
}

// unanswered is the base of a subscription that is owed nothing yet.
const unanswered = 1<<32 - 1

// grace is how soon after a subscription without an answer the server may have published and not thought of it yet.
const grace = time.Second

// lateTroubles is how many examples of late deliveries a worker keeps.
const lateTroubles = 10

// window is how many messages back a subscription remembers which came.
const window = 32

// A topicLedger counts a topic's deliveries to the clients of a worker.
type topicLedger struct {
	Live    int64  // subscriptions that are owed every message from now on
	Reached uint64 // sum, over these, of the message up to which all is accounted for

	Received, Missing, Doubled, OutOfOrder, Conflated uint64
}

func (l *topicLedger) add(o *topicLedger) {
	l.Live += o.Live
	l.Reached += o.Reached
	l.Received += o.Received
	l.Missing += o.Missing
	l.Doubled += o.Doubled
	l.OutOfOrder += o.OutOfOrder
	l.Conflated += o.Conflated
}

// broadcastLedger counts the deliveries of one message. Times are CLOCK_MONOTONIC in nanoseconds.
type broadcastLedger struct {
	At, First, Last int64
	Topic, Seq      uint32
	Received        uint64
}

// A ledger is what a worker keeps of a run's messages. Owned by the worker's loop.
type ledger struct {
	// Immutable.
	tape      *tape
	run       uint32
	topics    []string
	perClient int
	lossless  bool  // each message is owed; otherwise newer ones may replace older ones
	bound     int64 // a delivery that takes longer is late, nanoseconds; 0: none is

	subs       []subscription // perClient for each slot
	byTopic    []topicLedger
	broadcasts []broadcastLedger
	touched    []uint64 // broadcasts of this turn
	troubles   []trouble

	corrupted, misrouted, late, unknown uint64

	latency *hdrhistogram.Histogram // of probes, microseconds

	// The newest message, since the next one is mostly the same for another client.
	text   []byte
	parsed []tick // what is in it
}

// A trouble is a [Trouble] before it has names.
type trouble struct {
	Client            int
	Topic, Seq, Count uint32
	What              string
}

// Range and precision of the histograms, in microseconds.
const (
	lowestLatency    = 1
	highestLatency   = 10 * 60 * 1e6
	latencyPrecision = 3 // significant digits
	coarsePrecision  = 2
)

func newLatencies() *hdrhistogram.Histogram {
	return hdrhistogram.New(lowestLatency, highestLatency, latencyPrecision)
}

// newCoarse returns a histogram that takes a tenth of the memory.
func newCoarse() *hdrhistogram.Histogram {
	return hdrhistogram.New(lowestLatency, highestLatency, coarsePrecision)
}

// record counts a duration in nanoseconds, at most the highest that a histogram holds.
func record(h *hdrhistogram.Histogram, ns int64) {
	h.RecordValue(min(max(ns/1000, lowestLatency), highestLatency))
}

// of returns the subscriptions of the client in a slot.
func (l *ledger) of(slot int32) []subscription {
	return l.subs[int(slot)*l.perClient : (int(slot)+1)*l.perClient]
}

// answered says that the client's subscriptions are in force from now on. late: the server does not answer and may have
// published before it came to subscribe, so that the first message that comes is the first that is owed.
func (w *worker) answered(slot int32, late bool) {
	l, c := w.ledger, &w.clients[slot]
	subs := l.of(slot)
	for j := range subs {
		s := &subs[j]
		s.base = l.tape.count(s.topic)
		if late && s.base > 0 {
			s.base, s.last = unanswered, w.tenths() // Subtle: the time, until the first message comes
			continue
		}
		if c.role.owed() {
			t := &l.byTopic[s.topic]
			t.Live++
			t.Reached += uint64(max(s.base, s.last))
		}
	}
}

// left says that the client ended, so that it is owed no more.
func (w *worker) left(slot int32) {
	l, c := w.ledger, &w.clients[slot]
	subs := l.of(slot)
	for j := range subs {
		s := &subs[j]
		if s.base != unanswered && c.role.owed() {
			t := &l.byTopic[s.topic]
			t.Live--
			t.Reached -= uint64(max(s.base, s.last))
		}
		*s = subscription{topic: s.topic, base: unanswered}
	}
}

// judge accounts for a message of the server. It reports whether that is a data message.
func (w *worker) judge(slot int32, payload []byte) bool {
	l := w.ledger
	if !bytes.Equal(payload, l.text) {
		ours, good := l.parse(w, slot, payload)
		if !good {
			l.text = l.text[:0]
			return ours
		}
		l.text = append(l.text[:0], payload...)
	}
	for _, t := range l.parsed {
		l.deliver(w, slot, t)
	}
	return len(l.parsed) > 0
}

// parse finds the ticks of a message. If there is anything about them that concerns this client alone, it accounts for
// that and for the other ticks, and reports that the message is not good. data says that it is a data message.
func (l *ledger) parse(w *worker, slot int32, payload []byte) (data, good bool) {
	l.parsed = l.parsed[:0]
	ours := bytes.HasPrefix(payload, dataPrefix)
	good = true
	for rest := payload; ; {
		t, behind, found, whole := parseTick(rest)
		switch {
		case !found && len(rest) == len(payload) && ours && l.tapeRuns():
			// The topics are the run's own, so nobody else sends on them.
			l.corrupt(w, slot, trouble{What: "corrupted"})
			return true, false
		case !found && good:
			return ours || len(l.parsed) > 0, len(l.parsed) > 0
		case !found:
			l.deliverParsed(w, slot)
			return true, false
		case whole && t.run != l.run:
			l.unknown++ // the newest message of an earlier run, say
			good = false
		case !whole, int(t.topic) >= len(l.topics), ours && !l.envelope(payload, t.topic):
			l.deliverParsed(w, slot) // they came first
			l.broken(w, slot, t)
			good = false
		default:
			l.parsed = append(l.parsed, t)
		}
		rest = behind
	}
}

// deliverParsed accounts for the ticks found so far of a message that is not good, and forgets them.
func (l *ledger) deliverParsed(w *worker, slot int32) {
	for _, t := range l.parsed {
		l.deliver(w, slot, t)
	}
	l.parsed = l.parsed[:0]
}

// tapeRuns reports whether this run publishes.
func (l *ledger) tapeRuns() bool { return l.run != 0 }

// envelope reports whether a message of Tickcast's own protocol names the topic.
func (l *ledger) envelope(payload []byte, topic uint32) bool {
	name, ok := bytes.CutPrefix(payload[len(dataPrefix):], []byte(`"`))
	return ok && bytes.HasPrefix(name, []byte(l.topics[topic])) &&
		bytes.HasPrefix(name[len(l.topics[topic]):], []byte(`"`))
}

// broken accounts for a tick that was changed on its way. If it is the next one of its topic, it came all the same, and
// is not missing too.
func (l *ledger) broken(w *worker, slot int32, t tick) {
	l.corrupt(w, slot, trouble{Topic: t.topic, Seq: t.seq, What: "corrupted"})
	for j := range l.of(slot) {
		s := &l.of(slot)[j]
		if s.topic == t.topic && s.base != unanswered && t.seq == max(s.base, s.last)+1 {
			l.advance(w, slot, s, t.seq)
		}
	}
}

func (l *ledger) corrupt(w *worker, slot int32, t trouble) {
	l.corrupted++
	l.trouble(w, slot, t)
}

// trouble keeps an example of what went wrong.
func (l *ledger) trouble(w *worker, slot int32, t trouble) {
	if len(l.troubles) < MaxTroubles {
		t.Client, t.Count = w.number(int(slot)), max(t.Count, 1)
		l.troubles = append(l.troubles, t)
	}
}

// found forgets an example that turned out to be none.
func (l *ledger) found(w *worker, slot int32, t trouble) {
	t.Client = w.number(int(slot))
	l.troubles = slices.DeleteFunc(l.troubles, func(o trouble) bool { return o == t })
}

// deliver accounts for a whole tick of this run.
func (l *ledger) deliver(w *worker, slot int32, t tick) {
	var s *subscription
	subs := l.of(slot)
	for j := range subs {
		if subs[j].topic == t.topic {
			s = &subs[j]
			break
		}
	}
	if s == nil {
		l.misrouted++
		l.trouble(w, slot, trouble{Topic: t.topic, Seq: t.seq, What: "misrouted"})
		return
	}
	if s.base == unanswered && w.clients[slot].replied {
		// The server does not answer subscriptions: this is where the client came in.
		s.base, s.last = t.seq-1, t.seq-1
		if w.clients[slot].role.owed() {
			l.byTopic[s.topic].Live++
			l.byTopic[s.topic].Reached += uint64(s.base)
		}
	}
	if l.advance(w, slot, s, t.seq) && t.seq > s.base {
		l.time(w, slot, t)
	}
}

// time judges how long a delivery took. The bulk of the clients is judged by when the turn began.
func (l *ledger) time(w *worker, slot int32, t tick) {
	c := &w.clients[slot]
	if !c.role.owed() {
		return
	}
	took := w.turned - t.at
	if c.probe {
		took = w.fleet.now() - t.at
		record(l.latency, took)
	}
	if l.bound > 0 && took > l.bound {
		if l.late++; l.late <= lateTroubles { // leave room for worse
			l.trouble(w, slot, trouble{Topic: t.topic, Seq: t.seq, What: "late"})
		}
	}
	if t.number < uint64(len(l.broadcasts)) {
		b := &l.broadcasts[t.number]
		b.At, b.Topic, b.Seq = t.at, t.topic, t.seq
		b.Received++
		if n := len(l.touched); n == 0 || l.touched[n-1] != t.number {
			l.touched = append(l.touched, t.number)
		}
	}
}

// advance accounts for message n of a subscription and reports whether it came for the first time.
func (l *ledger) advance(w *worker, slot int32, s *subscription, n uint32) bool {
	t := &l.byTopic[s.topic]
	owed := w.clients[slot].role.owed()
	switch back := s.last - n; {
	case n > s.last:
		if from := max(s.base, s.last); n > from && owed {
			t.Received++
			t.Reached += uint64(n - from)
			if gap := n - from - 1; gap > 0 && l.lossless {
				t.Missing += uint64(gap)
				l.trouble(w, slot, trouble{Topic: s.topic, Seq: from + 1, Count: gap, What: "missing"})
			} else {
				t.Conflated += uint64(gap)
			}
		}
		// Shifts of the word's size or more leave nothing, as they should.
		s.seen = s.seen<<(n-s.last) | 1
		s.last = n
		return true
	case back < window && s.seen&(1<<back) != 0:
		t.Doubled++
		l.trouble(w, slot, trouble{Topic: s.topic, Seq: n, What: "doubled"})
	default:
		t.OutOfOrder++
		l.trouble(w, slot, trouble{Topic: s.topic, Seq: n, What: "out of order"})
		if back >= window || n <= s.base || !owed {
			return back < window
		}
		s.seen |= 1 << back // it was taken for lost
		t.Received++
		if l.lossless {
			t.Missing--
			l.found(w, slot, trouble{Topic: s.topic, Seq: n, Count: 1, What: "missing"})
		} else {
			t.Conflated--
		}
		return true
	}
	return false
}

// turnEnds says when the broadcasts of this turn came, as exactly as a turn is long.
func (l *ledger) turnEnds(now int64) {
	for _, n := range l.touched {
		b := &l.broadcasts[n]
		if b.First == 0 {
			b.First = now
		}
		b.Last = now
	}
	l.touched = l.touched[:0]
}

// silent returns how many subscriptions of a server without answers brought nothing, though there was something well
// after them.
func (l *ledger) silent(w *worker) (n int) {
	if w.fleet.acks {
		return 0
	}
	now := w.fleet.now()
	for slot := range w.clients {
		if c := &w.clients[slot]; c.state != stateOpen || !c.role.owed() {
			continue
		}
		for _, s := range l.of(int32(slot)) {
			since := now - int64(w.tenths()-s.last)*int64(tenth)
			if s.base == unanswered && l.tape.newest[s.topic].Load() > since+int64(grace) {
				n++
			}
		}
	}
	return n
}

// behind returns how many deliveries are owed and have not come.
func (l *ledger) behind() (n int64) {
	for k := range l.byTopic {
		t := &l.byTopic[k]
		n += t.Live*int64(l.tape.count(uint32(k))) - int64(t.Reached)
	}
	return n
}

// appendOwed appends examples of what has not come yet.
func (l *ledger) appendOwed(w *worker, troubles []trouble) []trouble {
	for slot := range w.clients {
		if !w.clients[slot].role.owed() {
			continue
		}
		for _, s := range l.of(int32(slot)) {
			if len(troubles) >= MaxTroubles {
				return troubles
			}
			if s.base == unanswered {
				continue
			}
			if from, now := max(s.base, s.last), l.tape.count(s.topic); from < now {
				troubles = append(troubles, trouble{w.number(slot), s.topic, from + 1, now - from, "missing"})
			}
		}
	}
	return troubles
}

// accountConfig is what a fleet is told about the messages of a run.
type accountConfig struct {
	Tape     *tape
	Run      uint32
	Lossless bool
	Bound    time.Duration // 0: no delivery is late
	Begun    int64         // CLOCK_MONOTONIC: from when the ramp counts; 0: from the fleet's start
}

func newLedger(w *worker, cfg *accountConfig) *ledger {
	f := w.fleet
	l := &ledger{
		tape: cfg.Tape, run: cfg.Run, topics: f.topics, perClient: f.plan.each,
		lossless: cfg.Lossless, bound: int64(cfg.Bound),
		subs:       make([]subscription, len(w.clients)*f.plan.each),
		byTopic:    make([]topicLedger, len(f.topics)),
		broadcasts: make([]broadcastLedger, MaxBroadcasts),
		latency:    newLatencies(),
	}
	var places []uint32
	for slot := range w.clients {
		places = f.plan.appendTopics(places[:0], w.number(slot))
		for j, k := range places {
			l.of(int32(slot))[j] = subscription{topic: k, base: unanswered}
		}
	}
	return l
}

// add makes b the sum of itself and o, which counts the same message.
func (b *broadcastLedger) add(o *broadcastLedger) {
	if o.Received == 0 {
		return
	}
	if b.First == 0 || o.First < b.First {
		b.First = o.First
	}
	b.Last = max(b.Last, o.Last)
	b.At, b.Topic, b.Seq = o.At, o.Topic, o.Seq
	b.Received += o.Received
}
