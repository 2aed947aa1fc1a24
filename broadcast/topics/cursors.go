package topics

import (
	"slices"

	"tickcast/broadcast/subject"
	"tickcast/broadcast/wire"
)

// CountGap counts a gap that a shard has told of by itself.
func (h *Hub) CountGap() { h.gaps.Add(1) }

// Cursor returns a position in c's topics; "" while it is not known which stream they come from, and for a position in another
// stream than the present one.
func (h *Hub) Cursor(c *Class, at Position) string {
	s := h.streamOf(c)
	if s == nil {
		return wire.Cursor{Epoch: h.epochOf(c), Seq: at.Seq}.String()
	}
	e := s.epoch.Load()
	if e == nil || e.gen != at.Gen {
		return ""
	}
	return wire.Cursor{Epoch: e.name, Seq: at.Seq}.String()
}

// AskedInVain reports whether the past of a topic or pattern that a shard wants is not known, since its stream has not answered.
func (h *Hub) AskedInVain(name string) bool {
	h.mu.Lock()
	defer h.unlock()
	i := h.interests[name]
	switch {
	case i == nil: // patterns alone want it
		t := h.topics[name]
		return t != nil && t.since == unknown
	case i.topic != nil:
		return i.topic.since == unknown
	}
	return i.since == unknown
}

// Feeds returns the number of sequences; see Class.Feed.
func (h *Hub) Feeds() int { return len(h.classes) + 1 }

// FeedsUnder returns the sequences that topics under name, a topic or pattern, may belong to.
func (h *Hub) FeedsUnder(name string) (list []int) {
	for _, c := range h.classes {
		if !subject.Overlap(c.Match, name) {
			continue
		}
		if !slices.Contains(list, c.Feed()) {
			list = append(list, c.Feed())
		}
		if subject.Covers(c.Match, name) {
			break
		}
	}
	return list
}

// CursorIn returns a position in a feed, as Cursor does.
func (h *Hub) CursorIn(feed int, at Position) string {
	if feed == 0 {
		return wire.Cursor{Epoch: h.Epoch(), Seq: at.Seq}.String()
	}
	return h.Cursor(h.classes[feed-1], at)
}

// Epoch returns the first half of the cursors of topics without a stream.
func (h *Hub) Epoch() string { return *h.epoch.Load() }

// EpochOf returns the first half of the cursors of c's topics; any word while it is not known.
func (h *Hub) EpochOf(c *Class) string { return h.epochOf(c) }

// Missed returns the messages of t after a position and up to a sequence, the oldest first, and whether these are all that there
// were.
func (h *Hub) Missed(t *Topic, after Position, upto uint64) (list []*Message, whole bool) {
	h.mu.Lock()
	defer h.unlock()
	if after.Gen != h.genOf(t.Class) {
		return nil, false
	}
	return t.missed(after.Seq, upto, h.now())
}

// A Held is a topic of a shard, and the position up to which the shard has delivered it.
type Held struct {
	Topic *Topic
	Position
}

// Resume returns the messages that a client with a cursor has missed of the topics held under name, a topic or pattern, and
// whether these are all that there were: none was lost since, and this node has come as far as the cursor. A topic of a pattern
// that is new since the cursor, and may have lost messages before, has its gap in front, unless the client was told at this very
// cursor: it knows the notices up to a number. told is the number of the last one that is among list. From time to time it lets others
// have the hub's lock: messages and holes that come meanwhile are on their way to the shard.
func (h *Hub) Resume(name string, held []Held, from wire.Cursor, known uint64) (list []*Message, told uint64, whole bool) {
	h.mu.Lock()
	defer h.unlock()
	pattern := subject.IsPattern(name)
	if pattern {
		i, c := h.interests[name], h.classes.over(name)
		if c == nil || from.Epoch != h.epochOf(c) || i == nil || i.since > from.Seq || from.Seq > h.reached(c) {
			return nil, 0, false
		}
	}
	n := 0
	for _, t := range held {
		c := t.Topic.Class
		if from.Epoch != h.epochOf(c) || from.Seq > h.reached(c) || t.Gen != h.genOf(c) || !h.bringsAll(t.Topic, from.Seq) {
			return nil, 0, false
		}
		if t.Topic.Class.Streamed() && t.Topic.since > from.Seq && (t.Seq == 0 || t.Topic.since == unknown && t.Seq < from.Seq) {
			return nil, 0, false // the shard has the topic from when its stream was asked in vain
		}
		missed, whole := t.Topic.missed(from.Seq, t.Seq, h.now())
		if !whole {
			return nil, 0, false
		}
		if pattern && t.Topic.torn {
			if o := h.torn[t.Topic]; from.Seq < o.seq || from.Seq == o.seq && o.number > known {
				gap := NewGap(t.Topic, o.why, Position{from.Seq, t.Gen}, from.Seq) // in front of all messages after the cursor
				list, told = append(list, gap), max(told, o.number)
			}
		}
		if list == nil { // of one topic
			list = missed
		} else {
			list = append(list, missed...)
		}
		h.spend(&n, 1+len(missed))
	}
	return list, told, true
}

// LostBehind reports whether messages of t behind a sequence are lost, as far as the hub has read.
func (h *Hub) LostBehind(t *Topic, seq uint64) bool {
	h.mu.Lock()
	defer h.unlock()
	return t.cut > seq
}

// Reached reports whether this node has come as far as a cursor in a topic or pattern.
func (h *Hub) Reached(name string, from wire.Cursor) bool {
	h.mu.Lock()
	defer h.unlock()
	c := h.classes.over(name)
	return c != nil && from.Epoch == h.epochOf(c) && from.Seq <= h.reached(c)
}

// reached returns the sequence up to which this node has come with the topics of c.
func (r *registry) reached(c *Class) uint64 {
	if s := r.streamOf(c); s != nil {
		return s.last.Load()
	}
	return r.total
}

// bringsAll reports whether upstream brings every message of t after a sequence, unless it is known already.
func (r *registry) bringsAll(t *Topic, after uint64) bool {
	return t.since != unknown || after >= r.streamOf(t.Class).from
}
