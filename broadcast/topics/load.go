package topics

import (
	"slices"
	"sync/atomic"

	"tickcast/broadcast/subject"
)

// A load is a question to a stream about the past of a topic or pattern. Guarded by Hub.mu.
type load struct {
	topic    *Topic    // or
	interest *interest // in a pattern
	class    *Class    // of a pattern's topics: several streams may be asked about it

	after   uint64 // with resume: the question is about messages after this sequence
	upto    uint64 // every message after this one was sure to come when the stream was asked
	torn    uint64 // messages between this one and upto may be gone: those known up to it may not be the newest; 0 = none are gone
	resume  bool
	gen     uint32 // of after
	waiters []*Waiter
	sweepAt int // waiters at which the released ones are forgotten
}

// addWaiter notes that w waits for l.
func (l *load) addWaiter(w *Waiter) {
	l.waiters = append(l.waiters, w)
	if len(l.waiters) >= l.sweepAt { // others may have given up
		l.waiters = slices.DeleteFunc(l.waiters, func(w *Waiter) bool { return w.released })
		l.sweepAt = 2*len(l.waiters) + sweepFrom
	}
}

// sweepFrom is the least number of waiters that are looked through for those that have given up. Chosen by us.
const sweepFrom = 64

// A Question is asked at most once for each topic or pattern of a command, so that every command has an end. They are flags.
type Question uint8

const (
	AskPast   Question = 1 << iota // for the newest messages
	AskReach                       // for this node to come as far as the command's cursor
	AskMissed                      // for the messages after the cursor
)

// A Waiter waits for loads: a command of a client of one shard, which goes on when the streams have answered.
type Waiter struct {
	shard int // immutable

	// Guarded by Hub.mu.
	left     int         // questions without an answer, and one more until Hub.Asked
	held     []*interest // kept for it
	released bool        // nobody waits any more
	refusal  error       // of a message that was to be stored
}

// A reaching waits until the consumer of a stream has come as far as a cursor.
type reaching struct {
	seq    uint64
	waiter *Waiter
}

// answered notes one answer for w.
func (r *registry) answered(w *Waiter) {
	if w.left--; w.left == 0 && !w.released {
		r.boxes[w.shard].postAnswer(w)
		r.posted |= 1 << min(w.shard, 63)
	}
}

// NewWaiter returns a waiter of a shard for Hub.Await, whose first answers must not be taken for all of them: see Hub.Asked.
func NewWaiter(shard int) *Waiter { return &Waiter{shard: shard, left: 1} }

// A streamState is the part of a stream's reader that the registry needs: the feed that stands for it, its position and its
// questions. Fields without an atomic type are guarded by Hub.mu.
type streamState struct {
	feed  feed
	epoch atomic.Pointer[streamEpoch] // nil until the stream was found; stored with Hub.mu held
	last  atomic.Uint64               // every message up to this sequence has come, or was there before

	loads     []*load       // that no loader works at yet
	kick      chan struct{} // wakes a loader; capacity 1
	from      uint64        // every message after this one comes through the consumer; see streamReader.placed
	cut       uint64        // the end of the last gap
	gen       uint32        // how often the stream was made anew; as in epoch
	ok        bool          // messages arrive
	why       string        // the stream cannot be read; "" = it can, or was not tried
	reachings []reaching    // bounded as the commands that wait, see reach
	sweepAt   int           // reachings at which those of released waiters are forgotten
	vain      bool          // questions had no answer: they are asked again
}

// A streamEpoch is one life of a stream.
type streamEpoch struct {
	name string
	gen  uint32 // see Message.Gen
}

// epochNow returns the stream's epoch, or a word that is none.
func (s *streamState) epochNow() string {
	if e := s.epoch.Load(); e != nil {
		return e.name
	}
	return "none"
}

// covers reports whether i is a pattern of topics of the stream alone: then interest.since is a sequence of the stream.
func (s *streamState) covers(i *interest) bool {
	return i.topic == nil && subject.Covers(s.feed.class.Match, i.name)
}

// reach lets w wait until every message up to seq has come.
func (s *streamState) reach(seq uint64, w *Waiter) {
	s.reachings = append(s.reachings, reaching{seq, w})
	if len(s.reachings) >= s.sweepAt {
		s.reachings = slices.DeleteFunc(s.reachings, func(r reaching) bool { return r.waiter.released })
		s.sweepAt = 2*len(s.reachings) + sweepFrom
	}
}

// ask queues a load for the loaders, and returns it.
func (s *streamState) ask(l *load) *load {
	l.gen = s.gen
	s.loads = append(s.loads, l)
	s.wakeLoader()
	return l
}

func (s *streamState) wakeLoader() {
	select {
	case s.kick <- struct{}{}:
	default:
	}
}

// cutSince returns the sequence behind which all messages are known to a load: that to which its answers reach, or the end of a
// gap that came since it was asked.
func (s *streamState) cutSince(l *load) uint64 { return max(l.upto, s.cut) }

// loadTopic asks for the newest message of a new topic. With Class.Always the consumer brings it.
func (s *streamState) loadTopic(t *Topic) {
	if !t.Class.Always {
		t.loading = s.ask(&load{topic: t})
	}
}

// loadPattern asks for the newest messages of all topics under a new pattern. With Class.Always the consumer brings them.
func (s *streamState) loadPattern(i *interest) {
	if !s.feed.class.Always {
		i.loads = append(i.loads, s.ask(&load{interest: i, class: s.feed.class}))
	}
}
