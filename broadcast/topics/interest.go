package topics

import "slices"

// An interest is a topic or pattern that some shard wants. Its feeds are level-triggered: shards switch their own flag, and
// one goroutine compares the wanted feeds with those that upstream was asked for. Guarded by Hub.mu.
type interest struct {
	name   string  // immutable
	shards []bool  // by shard: it has subscribers
	wanted int     // the number of true ones, of commands that wait, and one more for a class with Always
	until  int64   // with wanted == 0: when the linger ends, by the hub's clock
	queued bool    // in registry.idle
	topic  *Topic  // the topic of that name; nil for a pattern
	since  uint64  // every message after this sequence is known of; registry.total when it began or a hole came, or less by a stream's word
	hole   string  // of a pattern: the reason of a hole since it began, which may concern topics that are not known yet
	anew   []*feed // of a pattern: the streams that were made anew since it began, likewise
	feeds  []*feed
	vain   []*feed // of a pattern: the streams that did not answer when they were asked for its topics
	loads  []*load // of a pattern over topics of streams, at most one of each stream; see Topic.loading
}

// noteAnew notes that a stream was made anew.
func (i *interest) noteAnew(stream *feed) {
	if !slices.Contains(i.anew, stream) {
		i.anew = append(i.anew, stream)
	}
}

// holeBefore returns the reason of the hole before the first message of a topic of the class c under i; "" without one. That the
// stream was made anew says more than all else.
func (i *interest) holeBefore(c *Class) (why string) {
	switch {
	case slices.ContainsFunc(i.anew, func(f *feed) bool { return f.class == c }):
		return madeAnew
	case c.Mode == ModeAll:
		return i.hole
	}
	return ""
}

// madeAnew is the reason of a hole behind which sequences begin again.
const madeAnew = "the stream was made anew"

// A feed is one subscription at NATS, a subject or pattern that interests need, or a stream that is read. Guarded by Hub.mu.
type feed struct {
	subject string // immutable
	class   *Class // immutable; not nil: the class whose stream is read in place of a subscription

	users    int32  // interests
	live     int32  // of these, those that are wanted now
	turn     uint64 // registry.turns when it was asked for: earlier ones bring messages already
	asked    bool   // upstream is, or is being, subscribed to it
	denied   bool   // NATS does not let this server have it: it brings nothing
	lastTurn uint64 // with denied: registry.turns when NATS refused it
	leaves   bool   // upstream is about to unsubscribe from it; see Hub.Ended
	fence    uint64 // with leaves: registry.turns when its end was asked for
	again    uint8  // with leaves: how often that was again
	queued   bool   // in registry.changed

	seams map[*Topic]*seam // of its topics, while it ends; see registry.seams
}

// A handover is the change of the owner of topics to a feed of another connection. Its copies count from Hub.HandedOver on.
type handover struct {
	number uint64
	origin func(source string) bool // reports whether a feed is of the connection of the owner before
}
