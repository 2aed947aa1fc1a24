package broadcast

import (
	"errors"
	"strings"
	"sync/atomic"
	"time"
)

var (
	errTooManyTopics  = errors.New("the server holds too many topics")
	errWildcardLimit  = errors.New("too many wildcards on this connection")
	errMatchLimit     = errors.New("wildcards match too many topics")
	errTooManyMatches = errors.New("wildcards match many topics, try again in a second")
	errTopicLimit     = errors.New("too many topics on this connection")
)

// An Outlet is how a shard reaches its clients: the connections of its event loop, by slot. The shard calls it on that
// loop only. A write may find the connection broken and end it, which calls Leave before the write returns.
type Outlet interface {
	// Write sends one whole frame. It reports false when the socket did not take all of it, or the connection ended: the
	// shard then sends no more data until Writable.
	Write(slot uint32, frame []byte) bool
	// Writev sends several frames at once, as Write does. The slice is the shard's and may be changed.
	Writev(slot uint32, frames [][]byte) bool
}

// A Shard holds the subscribers of one event loop. All methods but Wake belong to that loop. A subscriber is
// named by its slot, a small number that the loop gives out and may give to another connection after Leave.
type Shard struct {
	// Immutable after Attach.
	hub   *Hub
	index int
	out   Outlet

	// Any goroutine.
	wake      atomic.Pointer[func()] // nil before Attach
	mailbox   mailbox
	scheduled atomic.Bool // a drain is due or under way: wake need not be called
	stats     shardStats

	// Owned by the loop.
	subs    subscribers
	names   map[string]uint32 // index into filters, by name
	filters []*filter         // nil = free
	free    []uint32          // free places in filters
	byID    []*shardTopic     // by topic.id
	wild    trie[*filter]     // the filters with wildcards
	matches int               // pairs of a pattern and a topic: the lengths of all filter.topics
	made    int               // of these, by patterns that were new in second madeIn of the hub's clock
	madeIn  int64
	joined  int64
	held    int64 // subscriptions
	fanout  fanout
	queue   []*Message // taken from the mailbox, to be delivered
	next    int        // index into queue
	frames  [][]byte   // scratch
	found   []*topic   // scratch
	foundM  []*Message // scratch
	packed  []byte     // scratch
	owner   ownerCheck

	// Owned by the loop; published to stats at the end of each drain.
	delivered, conflated uint64
}

// A filter is a subject or pattern with the subscribers that hold it.
type filter struct {
	name   string
	index  uint32
	places []place
	holes  int           // vacant ones among places
	topic  *shardTopic   // of that name; nil for a pattern
	topics []*shardTopic // that the pattern matches, as far as they are known; nil for a subject
}

// A shardTopic is a topic as far as its shard needs it to deliver.
type shardTopic struct {
	topic    *topic
	newest   *Message  // the last one delivered, or the snapshot that came with the interest; may be nil
	exact    *filter   // the filter of that very name; may be nil
	patterns []*filter // the patterns that match
}

type shardStats struct {
	subscribers, subscriptions atomic.Int64
	deliveries, conflated      atomic.Uint64
	commands, errors           atomic.Uint64
	compressed                 atomic.Uint64
}

func newShard(h *Hub, index int) *Shard {
	s := &Shard{hub: h, index: index, names: make(map[string]uint32)}
	s.mailbox.maxMessages, s.mailbox.maxBytes = h.cfg.MailboxMessages, h.cfg.MailboxBytes
	return s
}

// Attach ties the shard to its loop, before anything else is called. wake must have Drain called on the loop, soon; it is
// called from any goroutine.
func (s *Shard) Attach(out Outlet, wake func()) {
	s.out = out
	s.wake.Store(&wake)
	s.Wake()
}

// Wake has Drain called on the loop unless that is due already. Any goroutine may call it.
func (s *Shard) Wake() {
	if wake := s.wake.Load(); wake != nil && s.scheduled.CompareAndSwap(false, true) {
		(*wake)()
	}
}

// Join adds the client in slot, and returns the frames that greet it: hello, and stale if upstream is away. bits is the
// window of the compressed frames that the client can read, from 8 to 15 for 2^bits bytes; with 0 all its frames are plain.
func (s *Shard) Join(slot uint32, bits uint8) [][]byte {
	s.check()
	s.subs.grow(slot)
	sub := s.subs.at(slot)
	if s.hub.cfg.Deflater == nil {
		bits = 0
	}
	*sub = subscriber{flags: flagJoined, bits: bits}
	s.joined++
	s.stats.subscribers.Store(s.joined)
	s.frames = append(s.frames[:0], s.hub.hello)
	if s.hub.stale.Load() {
		sub.flags |= flagStale
		s.frames = append(s.frames, staleFrame)
	}
	return s.frames
}

// Leave forgets the client in slot and its subscriptions. It may be called at any time, in the middle of a write too.
func (s *Shard) Leave(slot uint32) {
	s.check()
	if slot >= s.subs.len() {
		return
	}
	sub := s.subs.at(slot)
	if sub.flags&flagJoined == 0 {
		return
	}
	for sub.n > 0 {
		s.drop(slot, sub, sub.n-1)
	}
	*sub = subscriber{}
	s.joined--
	s.stats.subscribers.Store(s.joined)
}

// Subscribed reports whether the client in slot has ever held a subscription.
func (s *Shard) Subscribed(slot uint32) bool {
	s.check()
	return s.subs.at(slot).flags&flagSubscribed != 0
}

// subscribe gives the subscriber in slot the valid topic or pattern name. It returns the filter, and false if the
// subscriber held it already.
func (s *Shard) subscribe(slot uint32, sub *subscriber, name string) (f *filter, added bool, err error) {
	index, known := s.names[name]
	if known {
		f = s.filters[index]
		if _, held := sub.find(index); held {
			return f, false, nil
		}
	}
	if int(sub.n) >= s.hub.cfg.MaxTopicsPerConnection {
		return nil, false, errTopicLimit
	}
	if isPattern(name) && s.wildcards(sub) >= s.hub.cfg.MaxWildcards {
		return nil, false, errWildcardLimit
	}
	if !known {
		if f, err = s.addFilter(strings.Clone(name)); err != nil {
			return nil, false, err
		}
	}
	k := sub.add(entry{filter: f.index, position: uint32(len(f.places))})
	f.places = append(f.places, place{slot: slot, entry: k})
	sub.flags |= flagSubscribed
	s.held++
	s.stats.subscriptions.Store(s.held)
	return f, true, nil
}

// wildcards returns how many patterns sub holds.
func (s *Shard) wildcards(sub *subscriber) (n int) {
	for k := range sub.n {
		if s.filters[sub.at(k).filter].topic == nil {
			n++
		}
	}
	return n
}

// mayMatch bounds what new patterns cost: each is tied to all topics that it matches, which takes time and memory.
func (s *Shard) mayMatch() error {
	cfg := &s.hub.cfg
	if second := s.hub.nanotime() / 1e9; second != s.madeIn {
		s.madeIn, s.made = second, 0
	}
	switch {
	case s.matches >= cfg.MaxMatches:
		return errMatchLimit
	case s.made >= cfg.MatchesPerSecond:
		return errTooManyMatches
	}
	return nil
}

// unsubscribe takes name from the subscriber and reports whether it held it.
func (s *Shard) unsubscribe(slot uint32, sub *subscriber, name string) bool {
	index, known := s.names[name]
	if !known {
		return false
	}
	k, held := sub.find(index)
	if held {
		s.drop(slot, sub, k)
	}
	return held
}

// drop takes subscription k from the subscriber in slot.
func (s *Shard) drop(slot uint32, sub *subscriber, k uint32) {
	e := *sub.at(k)
	f := s.filters[e.filter]
	if sub.remove(k) {
		moved := sub.at(k)
		s.filters[moved.filter].places[moved.position].entry = k
	}
	s.held--
	s.stats.subscriptions.Store(s.held)
	if s.fanout.m != nil { // a fan-out walks the places by index: none may move
		f.places[e.position].slot = vacant
		f.holes++
		s.fanout.leftHoles(f)
		return
	}
	last := len(f.places) - 1
	if p := f.places[last]; int(e.position) != last {
		f.places[e.position] = p
		s.subs.at(p.slot).at(p.entry).position = e.position
	}
	f.places = shrink(f.places[:last])
	if last == 0 {
		s.removeFilter(f)
	}
}

// shrink gives back the room of a list that has lost most of its places.
func shrink(p []place) []place {
	if cap(p) >= 64 && len(p) < cap(p)/4 {
		return append(make([]place, 0, cap(p)/2), p...)
	}
	return p
}

// compact closes the holes that a fan-out left in f, and ends f if nothing else is there.
func (s *Shard) compact(f *filter) {
	if f.holes == 0 {
		return
	}
	kept := f.places[:0]
	for i, p := range f.places {
		if p.slot == vacant {
			continue
		}
		if len(kept) != i {
			s.subs.at(p.slot).at(p.entry).position = uint32(len(kept))
		}
		kept = append(kept, p)
	}
	f.places, f.holes = shrink(kept), 0
	if len(kept) == 0 {
		s.removeFilter(f)
	}
}

// addFilter makes a filter, raises the interest in it and takes over what upstream has delivered under it.
func (s *Shard) addFilter(name string) (*filter, error) {
	pattern := isPattern(name)
	if pattern {
		if err := s.mayMatch(); err != nil {
			return nil, err
		}
	}
	found, newest, err := s.hub.raise(s.index, name, s.found[:0], s.foundM[:0])
	if err != nil {
		return nil, err
	}
	f := &filter{name: name}
	if n := len(s.free); n > 0 {
		f.index = s.free[n-1]
		s.free = s.free[:n-1]
		s.filters[f.index] = f
	} else {
		f.index = uint32(len(s.filters))
		s.filters = append(s.filters, f)
	}
	s.names[name] = f.index
	if pattern {
		s.wild.insert(name, f)
		s.made += len(found)
	}
	for i, t := range found {
		st := s.topicOf(t)
		targeted := st != nil
		if !targeted {
			st = s.addTopic(t) // finds f among the patterns
			targeted = len(st.patterns) > 1 || !pattern && len(st.patterns) > 0
		} else if pattern {
			f.topics = append(f.topics, st)
			st.patterns = append(st.patterns, f)
			s.matches++
		}
		if !pattern {
			f.topic, st.exact = st, f
		}
		// Subtle: where another filter of this shard had the topic already, its messages up to the hub's newest are in
		// the mailbox and still owed to that filter's subscribers. Only a topic that is new here starts with the newest.
		if !targeted {
			st.newest = newest[i]
		}
	}
	s.found, s.foundM = clearOf(found), clearOf(newest)
	return f, nil
}

// clearOf empties scratch space so that it keeps nothing alive.
func clearOf[T any](scratch []T) []T {
	clear(scratch)
	return scratch[:0]
}

// removeFilter ends a filter without subscribers and lowers the interest in it.
func (s *Shard) removeFilter(f *filter) {
	delete(s.names, f.name)
	s.filters[f.index] = nil
	s.free = append(s.free, f.index)
	if f.topic != nil {
		f.topic.exact = nil
		s.tidy(f.topic)
	} else {
		s.wild.remove(f.name)
		s.matches -= len(f.topics)
		for _, t := range f.topics {
			for i, p := range t.patterns {
				if p == f {
					t.patterns = append(t.patterns[:i], t.patterns[i+1:]...)
					break
				}
			}
			s.tidy(t)
		}
	}
	s.hub.lower(s.index, f.name)
}

// tidy forgets t if no filter is left for it.
func (s *Shard) tidy(t *shardTopic) {
	if t.exact == nil && len(t.patterns) == 0 && s.byID[t.topic.id] == t {
		s.byID[t.topic.id] = nil
	}
}

// topicOf returns what the shard knows of t, or nil.
func (s *Shard) topicOf(t *topic) *shardTopic {
	if int(t.id) < len(s.byID) {
		if st := s.byID[t.id]; st != nil && st.topic == t {
			return st
		}
	}
	return nil
}

// addTopic makes t known, with the patterns that match it. An earlier topic of the same id has ended at the hub.
func (s *Shard) addTopic(t *topic) *shardTopic {
	for int(t.id) >= len(s.byID) {
		s.byID = append(s.byID, nil)
	}
	st := &shardTopic{topic: t, patterns: s.wild.match(nil, t.name)}
	for _, f := range st.patterns {
		f.topics = append(f.topics, st)
	}
	s.matches += len(st.patterns)
	s.byID[t.id] = st
	return st
}

// Drain delivers what has been posted, for at most about budget. It reports whether there is more to do: it must then be
// called again, after the loop has looked at its sockets.
func (s *Shard) Drain(budget time.Duration) (more bool) {
	s.check()
	s.scheduled.Store(true) // until there is nothing left: what is posted meanwhile must not queue a second drain
	until := s.hub.nanotime() + int64(budget)
	for !more && s.advance() {
		more = !s.step(until) || s.late(until)
	}
	s.stats.deliveries.Store(s.delivered)
	s.stats.conflated.Store(s.conflated)
	return more
}

// advance begins the next fan-out unless one is under way. It reports false when there is none.
func (s *Shard) advance() bool {
	if s.fanout.m != nil {
		return true
	}
	if s.next == len(s.queue) && !s.refill() {
		return false
	}
	m := s.queue[s.next]
	s.next++
	s.begin(m)
	return true
}

// refill takes what has been posted into the queue. It reports false when that is nothing: then posts wake again.
func (s *Shard) refill() bool {
	for {
		var replaced uint64
		s.queue, replaced = s.mailbox.take(clearOf(s.queue))
		s.next = 0
		s.conflated += replaced
		if len(s.queue) > 0 {
			return true
		}
		// Subtle: whoever posts before this store wakes nobody, so the mailbox is looked at once more. Whoever posts after
		// it may have queued a drain already, and that one goes on.
		s.scheduled.Store(false)
		if s.mailbox.empty() || !s.scheduled.CompareAndSwap(false, true) {
			return false
		}
	}
}
