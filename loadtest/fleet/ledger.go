package fleet

import (
	"bytes"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// A subscription is the state of one topic of one client. A run of a million clients holds a million of them.
type subscription struct {
	topic uint32 // place in the plan's topics
	base  uint32 // the last message before the answer to the subscription; only later ones are owed
	last  uint32 // the highest message that came, 0 before the first; see startOwing
	seen  uint32 // bit b says that message last-b came
}

// unanswered is the base of a subscription that is not in force yet.
const unanswered = 1<<32 - 1

// grace is the time after an unanswered subscription in which the server may not have applied it yet.
const grace = time.Second

// lateTroubles bounds the examples of late deliveries that a worker keeps.
const lateTroubles = 10

// Bounds of the examples that a worker keeps.
const (
	MaxBroadcasts = 100 // messages whose deliveries are counted one by one
	MaxTroubles   = 50
)

// window is the number of recent messages whose arrival a subscription remembers.
const window = 32

// A TopicLedger counts a topic's deliveries to the clients of a worker.
type TopicLedger struct {
	Live    int64  // subscriptions that are owed every message from now on
	Reached uint64 // the sum over these of the number of the last counted message

	Received, Missing, Doubled, OutOfOrder, Conflated uint64
}

func (l *TopicLedger) add(o *TopicLedger) {
	l.Live += o.Live
	l.Reached += o.Reached
	l.Received += o.Received
	l.Missing += o.Missing
	l.Doubled += o.Doubled
	l.OutOfOrder += o.OutOfOrder
	l.Conflated += o.Conflated
}

// BroadcastLedger counts the deliveries of one message. Times are CLOCK_MONOTONIC in nanoseconds.
type BroadcastLedger struct {
	At, First, Last int64
	Topic, Seq      uint32
	Received        uint64
}

// add makes b the sum of itself and o, which counts the same message.
func (b *BroadcastLedger) add(o *BroadcastLedger) {
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

// A Trouble is a delivery that went wrong.
type Trouble struct {
	Client            int
	Topic, Seq, Count uint32
	Kind              string
}

// A ledger is a worker's account of a run's messages. The worker's loop owns it.
type ledger struct {
	// Immutable.
	tape      *Tape
	run       uint32
	topics    []string
	perClient int
	lossless  bool  // each message is owed; otherwise newer ones may replace older ones
	bound     int64 // of the latency of a delivery that is not late, nanoseconds; 0: none

	subs       []subscription // perClient for each slot
	byTopic    []TopicLedger
	broadcasts []BroadcastLedger
	touched    []uint64 // broadcasts of this turn
	troubles   []Trouble

	corrupted, misrouted, late, unknown uint64

	latency *hdrhistogram.Histogram // of probes, microseconds
	ages    *hdrhistogram.Histogram // of the values that probes hold, microseconds; see sampleAges
	aged    int64                   // when they were sampled last, CLOCK_MONOTONIC

	// The newest message. The next one is mostly the same, for another client.
	text   []byte
	parsed []tick // its ticks
}

// subscriptionsOf returns the subscriptions of the client in a slot.
func (l *ledger) subscriptionsOf(slot int32) []subscription {
	return l.subs[int(slot)*l.perClient : (int(slot)+1)*l.perClient]
}

// publishes reports whether this run publishes.
func (l *ledger) publishes() bool { return l.run != 0 }

// namesTopic reports whether the envelope of a message of Tickcast's protocol names the topic.
func (l *ledger) namesTopic(payload []byte, topic uint32) bool {
	name, ok := bytes.CutPrefix(payload[len(dataPrefix):], []byte(`"`))
	return ok && bytes.HasPrefix(name, []byte(l.topics[topic])) &&
		bytes.HasPrefix(name[len(l.topics[topic]):], []byte(`"`))
}

// ageBeat is the time between two samples of ages.
const ageBeat = 100 * time.Millisecond

// sampleAges records how long ago the values that the probes hold were due, of those with a newer one on the tape. The age of a
// value that the tape has forgotten is at least what is recorded.
func (w *worker) sampleAges(now int64) {
	l := w.ledger
	l.aged = now
	for slot := range w.clients {
		if c := &w.clients[slot]; !c.probe || c.state != stateOpen || !c.role.owed() {
			continue
		}
		for _, s := range l.subscriptionsOf(int32(slot)) {
			if s.base != unanswered && s.last > 0 && int32(l.tape.Count(s.topic)-s.last) > 0 {
				record(l.ages, now-l.tape.due(s.topic, s.last))
			}
		}
	}
}

// stampBroadcasts records the time of arrival of this turn's broadcasts. Its precision is the length of a turn.
func (l *ledger) stampBroadcasts(now int64) {
	for _, n := range l.touched {
		b := &l.broadcasts[n]
		if b.First == 0 {
			b.First = now
		}
		b.Last = now
	}
	l.touched = l.touched[:0]
}

// countBehind returns the number of deliveries that are owed and have not come.
func (l *ledger) countBehind() (n int64) {
	for k := range l.byTopic {
		t := &l.byTopic[k]
		n += t.Live*int64(l.tape.Count(uint32(k))) - int64(t.Reached)
	}
	return n
}
