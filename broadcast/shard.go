package broadcast

import (
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"tickcast/wsproto"
)

var (
	errTooManyTopics  = errors.New("the server holds too many topics")
	errWildcardLimit  = errors.New("too many wildcards on this connection")
	errMatchLimit     = errors.New("wildcards match too many topics")
	errTooManyMatches = errors.New("wildcards match many topics, try again in a second")
	errTopicLimit     = errors.New("too many topics on this connection")
)

// StatusSlowConsumer closes a client that is too slow for a lossless topic; docs/protocol.md lists the codes.
const StatusSlowConsumer wsproto.StatusCode = 4003

// An Outlet is how a shard reaches its clients: the connections of its event loop, by slot. The shard calls it on that
// loop only. A write may find the connection broken and end it, which calls Leave before the write returns.
type Outlet interface {
	// Write sends count whole frames, one after the other. It reports ok if the socket took them all. If not, the connection has
	// ended, or it is behind: then taken is how many bytes of whole frames the outlet has seen to, of which it keeps what the
	// socket did not take; the others are the shard's again, which sends no data until Writable. At least one frame is taken.
	Write(slot uint32, frames []byte, count int) (taken int, ok bool)
	// Close ends the client's connection with a close frame, and calls Leave.
	Close(slot uint32, code wsproto.StatusCode, reason string)
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
	subs     subscribers
	names    map[filterName]uint32 // index into filters
	filters  []*filter             // nil = free
	free     []uint32              // free places in filters
	byID     []*shardTopic         // by topic.id
	wild     trie[[]*filter]       // the filters with wildcards
	matches  int                   // pairs of a pattern and a topic: the lengths of all filter.topics
	made     int                   // of these, by patterns that were new in second madeIn of the hub's clock
	madeIn   int64
	joined   int64
	held     int64 // subscriptions
	fanout   fanout
	batch    batch
	queue    []*Message // taken from the mailbox, to be delivered
	next     int        // index into queue
	flushAt  int64      // when the batch may be written, by the hub's clock
	greeting [][]byte   // scratch
	path     []*Message // scratch
	ends     []int      // scratch
	found    []*topic   // scratch
	foundM   []*Message // scratch
	packed   []byte     // scratch
	spare    *backlog   // see spareBacklog; may be nil
	owner    ownerCheck

	tiers     []tier // by index into Hub.rates; the first is not used
	tierQueue []tierTurn
	alarm     *time.Timer // calls Wake at alarmAt, by the hub's clock; 0 = it is not set
	alarmAt   int64
	slow      []slowClient  // clients with a queue, the one that got it first in front; some have none any more
	parked    []*parked     // commands that wait for a stream
	owed      []*shardTopic // scratch: see changeRate

	// Owned by the loop; published to stats at the end of each drain.
	delivered, coalesced, conflated uint64
}

// A filterName is what a client subscribes to: a topic or pattern, at a rate.
type filterName struct {
	name string
	tier uint8 // index into Hub.rates
}

// A filter is a subject or pattern with the subscribers that hold it at one rate.
type filter struct {
	name   string
	tier   uint8
	index  uint32
	places []place
	holes  int           // vacant ones among places
	topic  *shardTopic   // of that name; nil for a pattern
	topics []*shardTopic // that the pattern matches, as far as they are known; nil for a subject
}

// A shardTopic is a topic as far as its shard needs it to deliver.
type shardTopic struct {
	topic  *topic
	newest *Message  // the last one delivered, or the snapshot that came with the interest; may be nil
	state  *Message  // stale or fresh, as told last; nil = never told
	at     uint64    // the sequence of the last message delivered, or what there was when the interest began
	exact  *filter   // the filter of that very name without a rate; may be nil
	more   []*filter // the patterns that match, and the filters with a rate
	dirty  uint16    // tiers that owe newest, by bit
	recent []uint32  // slots of subscribers that have it before these turns
}

type shardStats struct {
	subscribers, subscriptions atomic.Int64
	deliveries, conflated      atomic.Uint64
	commands, errors           atomic.Uint64
	compressed, coalesced      atomic.Uint64
	slow, shed                 atomic.Uint64
}

func newShard(h *Hub, index int) *Shard {
	s := &Shard{hub: h, index: index, names: make(map[filterName]uint32)}
	for _, r := range h.rates {
		s.tiers = append(s.tiers, tier{rate: int64(r)})
	}
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
func (s *Shard) Join(slot uint32, codec Codec, bits uint8) [][]byte {
	s.check()
	s.subs.grow(slot)
	sub := s.subs.at(slot)
	if s.hub.cfg.Deflater == nil {
		bits = 0
	}
	*sub = subscriber{flags: flagJoined, codec: codec, bits: bits}
	s.joined++
	s.stats.subscribers.Store(s.joined)
	s.greeting = s.greeting[:0]
	if codec != CodecRaw {
		s.greeting = append(s.greeting, s.hub.hello)
	}
	if s.hub.stale.Load() {
		sub.flags |= flagStale
		if codec != CodecRaw {
			s.greeting = append(s.greeting, staleFrame)
		}
	}
	return s.greeting
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
	if sub.pending != 0 {
		s.batch.bundles[sub.pending].holders--
	}
	if b := sub.backlog; b != nil {
		s.release(b)
	}
	*sub = subscriber{}
	s.unpark(slot)
	s.joined--
	s.stats.subscribers.Store(s.joined)
}

// Subscribed reports whether the client in slot has ever held a subscription.
func (s *Shard) Subscribed(slot uint32) bool {
	s.check()
	return s.subs.at(slot).flags&flagSubscribed != 0
}

// Codec returns how messages are written for the client in slot.
func (s *Shard) Codec(slot uint32) Codec {
	s.check()
	return s.subs.at(slot).codec
}

// subscribe gives the subscriber in slot the valid topic or pattern name at a rate. It returns the filter, and whether the
// subscriber did not hold the name before.
func (s *Shard) subscribe(slot uint32, sub *subscriber, name string, rate uint8) (f *filter, added bool, err error) {
	index, known := s.names[filterName{name, rate}]
	if known {
		f = s.filters[index]
		if _, held := sub.find(index); held {
			return f, false, nil
		}
	}
	if k, held := s.entryOf(sub, name); held {
		f, err := s.changeRate(slot, sub, k, rate)
		return f, false, err
	}
	if int(sub.n) >= s.hub.cfg.MaxTopicsPerConnection {
		return nil, false, errTopicLimit
	}
	if isPattern(name) && s.wildcards(sub) >= s.hub.cfg.MaxWildcards {
		return nil, false, errWildcardLimit
	}
	if !known {
		if f, err = s.addFilter(strings.Clone(name), rate); err != nil {
			return nil, false, err
		}
	}
	s.enterFilter(slot, sub, f)
	return f, true, nil
}

// enterFilter makes sub, in slot, one of f's subscribers.
func (s *Shard) enterFilter(slot uint32, sub *subscriber, f *filter) {
	k := sub.add(entry{filter: f.index, position: uint32(len(f.places))})
	f.places = append(roomier(f.places), place{slot: slot, entry: k})
	sub.flags |= flagSubscribed
	s.held++
	s.stats.subscriptions.Store(s.held)
}

// entryOf returns which of sub's subscriptions is to name, at whatever rate.
func (s *Shard) entryOf(sub *subscriber, name string) (k uint32, held bool) {
	for tier := range s.tiers {
		if index, known := s.names[filterName{name, uint8(tier)}]; known {
			if k, held := sub.find(index); held {
				return k, true
			}
		}
	}
	return 0, false
}

// changeRate moves subscription k of the subscriber in slot to another rate. Nothing is lost and nothing comes twice: the topics
// that the old rate still owes go to s.owed.
func (s *Shard) changeRate(slot uint32, sub *subscriber, k uint32, rate uint8) (*filter, error) {
	old := s.filters[sub.at(k).filter]
	index, known := s.names[filterName{old.name, rate}]
	f := (*filter)(nil)
	if known {
		f = s.filters[index]
	} else {
		var err error
		if f, err = s.addFilter(old.name, rate); err != nil {
			return nil, err
		}
	}
	for _, t := range old.matched() {
		if !s.upToDate(sub, t) && !slices.Contains(t.recent, slot) {
			s.owed = append(s.owed, t)
		}
		s.has(slot, t)
	}
	s.drop(slot, sub, k)
	s.enterFilter(slot, sub, f)
	return f, nil
}

// begin has t start with the newest message that the hub knows, which may be nil, and with whether it is stale.
func (t *shardTopic) begin(newest *Message) {
	t.newest, t.state = newest, t.topic.told.Load()
	if newest != nil {
		t.at = newest.seq
	}
}

// matched returns the topics of f that are known.
func (f *filter) matched() []*shardTopic {
	if f.topic != nil {
		return []*shardTopic{f.topic}
	}
	return f.topics
}

// wildcards returns how many patterns sub holds.
func (s *Shard) wildcards(sub *subscriber) (n int) {
	for k := range sub.n {
		if s.filters[sub.at(k).filter].topic == nil { // nil for a pattern alone
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
	k, held := s.entryOf(sub, name)
	if !held {
		return false
	}
	for _, t := range s.filters[sub.at(k).filter].matched() {
		if t.dirty != 0 && s.upToDate(sub, t) { // a slower filter may be left
			s.has(slot, t)
		}
	}
	s.drop(slot, sub, k)
	if b := sub.backlog; b != nil { // nothing more is owed of what only this filter matched
		b.dirty.keep(func(id uint32) bool { return id < uint32(len(s.byID)) && s.byID[id] != nil && s.holds(sub, s.byID[id]) })
		s.keepQueued(sub, b)
	}
	return true
}

// keepQueued takes messages out of b's queue of topics that sub does not hold any more.
func (s *Shard) keepQueued(sub *subscriber, b *backlog) {
	kept := b.queue[:0]
	for _, q := range b.queue {
		if t := s.topicOf(q.m.topic); t != nil && s.holds(sub, t) {
			kept = append(kept, q)
			continue
		}
		b.bytes -= q.m.size() + queuedCost
		b.allowed = max(b.allowed-q.m.size()-queuedCost, 0)
		s.hub.queued.Add(-int64(q.m.size() + queuedCost))
	}
	clear(b.queue[len(kept):])
	b.queue = kept
}

// holds reports whether one of sub's filters matches t.
func (s *Shard) holds(sub *subscriber, t *shardTopic) bool {
	for k := range sub.n {
		if s.filters[sub.at(k).filter].brings(t) {
			return true
		}
	}
	return false
}

// brings reports whether f's subscribers get the messages of t.
func (f *filter) brings(t *shardTopic) bool { return f.topic == t || slices.Contains(t.more, f) }

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
	f.places = shrunk(f.places[:last])
	if last == 0 {
		s.removeFilter(f)
	}
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
	f.places, f.holes = shrunk(kept), 0
	if len(kept) == 0 {
		s.removeFilter(f)
	}
}

// addFilter makes a filter, raises the interest in it and takes over what upstream has delivered under it.
func (s *Shard) addFilter(name string, rate uint8) (*filter, error) {
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
	f := &filter{name: name, tier: rate}
	if n := len(s.free); n > 0 {
		f.index = s.free[n-1]
		s.free = s.free[:n-1]
		s.filters[f.index] = f
	} else {
		f.index = uint32(len(s.filters))
		s.filters = append(s.filters, f)
	}
	s.names[filterName{name, rate}] = f.index
	if pattern {
		s.wild.insert(name, append(s.wild.value(name), f))
		s.made += len(found)
	}
	for i, t := range found {
		if pattern && t.class.Private {
			continue
		}
		st := s.topicOf(t)
		targeted := st != nil
		if !targeted {
			st = s.addTopic(t) // finds f among the patterns
			targeted = len(st.more) > 1 || !pattern && len(st.more) > 0
		} else if pattern {
			f.topics = append(f.topics, st)
			st.more = append(st.more, f)
			s.matches++
		}
		if !pattern {
			if f.topic = st; rate == 0 {
				st.exact = f
			} else {
				st.more = append(st.more, f)
			}
		}
		// Subtle: where another filter of this shard had the topic already, its messages up to the hub's newest are in
		// the mailbox and still owed to that filter's subscribers. Only a topic that is new here starts with the newest.
		if !targeted {
			st.begin(newest[i])
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
	delete(s.names, filterName{f.name, f.tier})
	s.filters[f.index] = nil
	s.free = append(s.free, f.index)
	switch {
	case f.topic == nil:
		if same := without(s.wild.value(f.name), f); len(same) > 0 {
			s.wild.insert(f.name, same)
		} else {
			s.wild.remove(f.name)
		}
		s.matches -= len(f.topics)
		for _, t := range f.topics {
			t.more = without(t.more, f)
			s.tidy(t)
		}
	case f.tier == 0:
		f.topic.exact = nil
		s.tidy(f.topic)
	default:
		f.topic.more = without(f.topic.more, f)
		s.tidy(f.topic)
	}
	for tier := range s.tiers {
		if _, known := s.names[filterName{f.name, uint8(tier)}]; known {
			return
		}
	}
	s.hub.lower(s.index, f.name)
}

// without takes f out of list, in place.
func without(list []*filter, f *filter) []*filter {
	for i, p := range list {
		if p == f {
			list[i] = list[len(list)-1]
			list[len(list)-1] = nil
			return list[:len(list)-1]
		}
	}
	return list
}

// tidy forgets t if no filter is left for it.
func (s *Shard) tidy(t *shardTopic) {
	if t.exact == nil && len(t.more) == 0 && s.byID[t.topic.id] == t {
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
	st := &shardTopic{topic: t, at: t.birth}
	if !t.class.Private {
		for _, same := range s.wild.match(nil, t.name) {
			st.more = append(st.more, same...)
		}
	}
	for _, f := range st.more {
		f.topics = append(f.topics, st)
	}
	s.matches += len(st.more)
	s.byID[t.id] = st
	return st
}

// Drain delivers what has been posted, for at most about budget. It reports whether there is more to do: it must then be
// called again, after the loop has looked at its sockets.
func (s *Shard) Drain(budget time.Duration) (more bool) {
	s.check()
	s.scheduled.Store(true) // until there is nothing left: what is posted meanwhile must not queue a second drain
	until := s.hub.nanotime() + int64(budget)
	s.turns()
	s.collect()
	for !s.rest() {
		if !s.work(until) || s.late(until) {
			more = true
			break
		}
	}
	s.stats.deliveries.Store(s.delivered)
	s.stats.coalesced.Store(s.coalesced)
	s.stats.conflated.Store(s.conflated)
	return more
}

// work does the next step: it gathers as long as there is room for more, since that is cheap and makes the writes fewer. It
// reports false if the hub's clock said until.
func (s *Shard) work(until int64) bool {
	b := &s.batch
	switch {
	case s.fanout.m != nil:
		return s.step(until)
	case len(s.tierQueue) > 0 && b.room():
		j := s.tierQueue[0]
		if s.tierQueue = s.tierQueue[1:]; len(s.tierQueue) == 0 {
			s.tierQueue = nil
		}
		s.beginTurn(j)
	case s.next < len(s.queue) && b.room():
		m := s.queue[s.next]
		s.next++
		s.begin(m)
	case !b.ring.empty():
		s.flush(b.ring.pop())
	}
	if len(b.ends) > 0 {
		s.written()
	}
	if b.ring.empty() && len(b.bundles) > 0 && s.fanout.m == nil {
		b.reset()
	}
	return true
}

// rest reports whether there is nothing to be done now: then posts wake again.
func (s *Shard) rest() bool {
	for s.fanout.m == nil && s.next == len(s.queue) && len(s.tierQueue) == 0 && (s.batch.ring.empty() || s.holding()) {
		if s.collect() {
			return false
		}
		// Subtle: whoever posts before this store wakes nobody, so the mailbox is looked at once more. Whoever posts after
		// it may have queued a drain already, and that one goes on.
		s.scheduled.Store(false)
		if s.mailbox.empty() || !s.scheduled.CompareAndSwap(false, true) {
			return true
		}
	}
	return false
}

// holding reports whether the batch waits for more messages.
func (s *Shard) holding() bool {
	return s.hub.cfg.FlushInterval > 0 && s.batch.room() && s.hub.nanotime() < s.flushAt
}

// collect takes what has been posted into the queue, unless something is left there. It reports whether the queue holds
// anything.
func (s *Shard) collect() bool {
	if s.next == len(s.queue) {
		var replaced uint64
		s.queue, replaced = s.mailbox.take(clearOf(s.queue))
		s.next = 0
		s.conflated += replaced
	}
	return s.next < len(s.queue)
}
