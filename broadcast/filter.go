package broadcast

import (
	"iter"

	"tickcast/broadcast/subject"
	"tickcast/broadcast/topics"
)

// A filterName names a filter: a topic or pattern, at a rate.
type filterName struct {
	name string
	tier uint8 // index into the hub's rates
}

// A filter is a topic or pattern with the subscribers that hold it at one rate.
type filter struct {
	filterName
	index  uint32
	places []place
	holes  int             // vacant ones among places
	pins   int             // parked commands that it is kept for
	since  topics.Position // of a pattern: every message of its topics after this one comes
	at     topics.Position // of a pattern: its topics are delivered up to it
	topic  *shardTopic     // of that name; nil for a pattern
	topics []match         // that match the pattern, as far as they are known; nil for a topic
	tied   uint32          // with topic and a rate: index into topic.more
	ending bool            // in filterTable.ending: its last subscriber has left

	growing bool // a pattern that is not tied to all its topics yet: it has no subscribers
	unused  bool // a pattern that nobody has subscribed to since it was made, which was charged
}

// A match is a topic as a pattern that matches it sees it; a tie is the same as the topic sees it. Each holds the other's
// position, so that either can be removed in constant time.
type match struct {
	st *shardTopic
	at uint32 // index into st.more
}

type tie struct {
	f  *filter
	at uint32 // index into f.topics; 0 of a filter with a rate
}

// A place is one subscription as its filter sees it; see entry.
type place struct {
	slot  uint32 // of the subscriber; vacant = it left during a fan-out
	entry uint32 // index among its entries
}

const vacant = ^uint32(0)

// matched are the topics of f that are known.
func (f *filter) matched() iter.Seq[*shardTopic] {
	return func(yield func(*shardTopic) bool) {
		if f.topic != nil {
			yield(f.topic)
			return
		}
		for _, m := range f.topics {
			if !yield(m.st) {
				return
			}
		}
	}
}

// reach notes that the shard has delivered a topic of a pattern up to a position.
func (f *filter) reach(at topics.Position) {
	if f.at.Behind(at) {
		f.at = at
	}
}

// brings reports whether f's subscribers get the messages of t.
func (f *filter) brings(t *shardTopic) bool {
	return f.topic == t || f.topic == nil && subject.Covers(f.name, t.topic.Name)
}

// A shardTopic is a topic with all that its shard needs to deliver it.
type shardTopic struct {
	topic           *topics.Topic
	newest          *topics.Message // delivered last, or the snapshot that came with the interest; may be nil
	state           *topics.Message // stale or fresh, as told last; nil = never told
	stated          uint64          // the number of that notice, or the last that the hub had given out
	topics.Position                 // up to it all is delivered: of the last message or gap, or the hub's when the interest began
	gapped          bool            // a gap is behind newest: the next message need not know the one before it
	exact           *filter         // the filter of that very name without a rate; may be nil
	more            []tie           // the patterns that match, and the filters with a rate
	dirty           uint16          // tiers that owe newest, by bit
	recent          []uint32        // slots of subscribers that got newest before these turns
}

// begin starts t where the hub is.
func (t *shardTopic) begin(known *topics.Known) {
	t.newest, t.state, t.Position, t.stated = known.Newest, t.topic.State(), known.At, known.State
	t.gapped = t.newest != nil && t.newest.Seq < t.Seq // a hole is behind it
	t.tellPatterns()
}

// seeded reports whether m is the gap before the newest message of t, which came too late for the present subscribers.
func (t *shardTopic) seeded(m *topics.Message) bool {
	return t.newest != nil && t.newest.Seed && m.Seq == t.newest.Seq
}

// tellPatterns tells the patterns that match t how far it is delivered.
func (t *shardTopic) tellPatterns() {
	if t.Seq == t.topic.Birth { // nothing of it was delivered, and the hub may be further on
		return
	}
	for _, tied := range t.more {
		tied.f.reach(t.Position)
	}
}

// markUpToDate notes that the subscriber in slot has t's newest message, or is owed it, before any turn to come.
func (t *shardTopic) markUpToDate(slot uint32) {
	if t.dirty != 0 {
		t.recent = append(t.recent, slot)
	}
}
