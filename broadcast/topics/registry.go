package topics

import (
	"log/slog"
	"sync/atomic"
	"time"

	"tickcast/broadcast/subject"
	"tickcast/broadcast/wire"
)

// A registry holds the tables of a hub: topics, interests and feeds, and the path of a message to the mailboxes. Hub guards it:
// every method but now and epochOf is called with Hub.mu held. It has more than 25 fields since one mutex guards all tables.
type registry struct {
	// Immutable.
	cfg     Config
	clock   Clock
	classes classes
	mapped  []*Class // of these, those whose subjects are not their topics
	rates   []time.Duration
	boxes   []*Mailbox     // by shard
	streams []*streamState // by class; nil without a stream
	silent  []*silenceList // by class; nil without Class.StaleAfter
	kick    chan struct{}  // wakes Hub.Run; capacity 1

	topicTable
	agenda
	interests map[string]*interest
	patterns  subject.Trie[*interest] // the interests with wildcards
	patternAt uint64                  // grows whenever patterns or their shards change
	feedAt    uint32                  // grows whenever more feeds bring messages; not when some end
	feeds     map[string]*feed        // the subscriptions, by subject or pattern
	wide      subject.Trie[*feed]     // of these, those with wildcards
	turns     uint64                  // how often upstream was asked for a feed
	asking    bool                    // upstream is being asked for the last feed
	denials   int                     // feeds with denied
	handovers uint64                  // so far
	awaiting  []*Topic                // those with Topic.awaits
	heirs     map[*Topic]heirs        // of topics whose owner has ended; see registry.inherit
	seams     map[*Topic]*seam        // where subscriptions end
	orphans   map[string]*Topic       // of these, those that have ended, by name
	torn      map[*Topic]tear         // of the topics that are torn: not more than there are topics
	total     uint64                  // the last sequence given out
	states    uint64                  // notices of KindStale and KindFresh so far
	history   histories
	newest    newestList
	delays    delays
	nameBytes int // of all topics and interests

	topicsPeak, interestsPeak, feedsPeak, tornPeak Peak

	steps   uint64 // topics and messages that were visited for the sake of a pattern or of many names, for tests
	longest int    // of these, the most with the lock held once; see Hub.spend
	posted  uint64 // mailboxes with posts that were not woken yet, by bit; the last bit stands for all above

	// Any goroutine.
	epoch          atomic.Pointer[string] // the first half of every cursor without a stream
	refusals, gaps atomic.Uint64
}

// A topicTable holds all topics.
type topicTable struct {
	topics map[string]*Topic
	byID   []*Topic             // the same topics by Topic.ID, which gives them an order; nil = free
	free   []uint32             // the free places of byID, and perhaps some beyond its end
	tree   subject.Trie[*Topic] // the same topics, to be found by pattern
	full   bool                 // there is no memory for more topics
}

// An agenda lists the work of Hub.Run.
type agenda struct {
	changed []*feed     // to be looked at
	idle    []*interest // unwanted since the last look
	refused []*feed     // by upstream; to be tried again
	left    []string    // patterns that have ended, whose topics are to be looked at; see removeLeft
}

// A Config says how a Hub works. The zero value of a field means its default, where one is given.
type Config struct {
	Shards          int // one per event loop; at least 1
	MaxTopics       int // distinct topics held by the process; default 1,000,000
	MaxTopicLength  int // bytes; default 255
	MaxTopicTokens  int // between the dots; default 16
	MailboxMessages int // messages waiting for one shard; default 16,384
	MailboxBytes    int // bytes of the frames waiting for one shard; default 16 MiB
	ConflateAbove   int // entries waiting for one shard from which on the updates of a topic of ModeLast replace each other; default 512
	HistoryBytes    int // of all topics' histories together; default 256 MiB
	NewestBytes     int // of all topics' newest messages together; default 512 MiB
	DelayBytes      int // of all messages that wait for their delay; default 256 MiB

	Clock        Clock         // nil = the system's
	Epoch        func() string // a new name for each call; nil = a random one
	PayloadDepth int           // levels of arrays and objects in JSON that JSON clients are sent as such; default 64

	Classes []Class       // of topics, the first that matches counts; a topic that none matches has the zero Class
	Linger  time.Duration // how long NATS is still asked for a topic after its last subscriber left

	ObserveFanout func(seconds float64) // called once a message, from upstream's receipt to its last write; may be nil
	Log           *slog.Logger          // nil = discard
}

// now returns the time of the hub's clock: monotonic nanoseconds. Any goroutine may call it.
func (r *registry) now() int64 { return r.clock.Now() }

// streamOf returns the state of a class's stream; nil without one.
func (r *registry) streamOf(c *Class) *streamState { return r.streams[c.index] }

// addTopic returns a new topic, or nil when the hub holds too many already.
func (r *registry) addTopic(name string) *Topic {
	if len(r.topics) >= r.cfg.MaxTopics || r.full {
		return nil
	}
	c := r.classes.of(name)
	t := &Topic{Name: name, Class: c, prefix: wire.Prefix(name)}
	// Nothing is known of the time before t and before the patterns that match: a cursor holds from here on only. The sequences
	// of a topic that ended and begins again never go back.
	t.since = r.total
	if c.Streamed() {
		t.since = unknown
	}
	for _, i := range r.patterns.Match(nil, name) {
		if !c.Streamed() || subject.Covers(c.Match, i.name) {
			t.since = min(t.since, i.since)
		}
	}
	if !c.Streamed() { // which can be asked for more
		t.Birth, t.seq, t.cut = t.since, t.since, t.since
	}
	if t.ID, r.free = TakePlace(r.byID, r.free); int(t.ID) < len(r.byID) {
		r.byID[t.ID] = t
	} else {
		r.byID = append(r.byID, t)
	}
	if o := r.orphans[name]; o != nil {
		delete(r.orphans, name)
		t.awaits, o.awaits = o.awaits, nil
		r.awaiting = append(r.awaiting, t)
	}
	r.topics[name] = t
	r.nameBytes += len(name)
	r.tree.Insert(name, t)
	r.touch(t)
	r.tellHoles(t)
	return t
}

// fallSilent calls t stale if it has been silent for too long.
func (r *registry) fallSilent(t *Topic) {
	if after := t.Class.StaleAfter; after > 0 && t.heard == nil {
		r.setStale(t, causeSilent, "silent for "+after.String())
	}
}

// touch notes that t was heard, for the class's limit of silence.
func (r *registry) touch(t *Topic) {
	if l := r.silent[t.Class.index]; l != nil {
		l.touch(t, r.now())
	}
}

// removeTopic forgets t. Its ID may go to another topic: a holder of t.ID compares the pointer.
func (r *registry) removeTopic(t *Topic) {
	r.topics = Delete(r.topics, t.Name, &r.topicsPeak)
	r.nameBytes -= len(t.Name)
	r.tree.Remove(t.Name)
	t.ended.Store(true)
	r.dropSeam(t)
	r.mendTear(t)
	delete(r.heirs, t)
	if t.awaits != nil {
		r.orphans[t.Name] = t
	}
	r.total++ // cursors up to here say nothing about the messages that the topic misses from now on
	r.history.forget(t)
	r.setNewest(t, nil)
	if l := r.silent[t.Class.index]; l != nil {
		l.remove(t)
	}
	r.byID, r.free = FreePlace(r.byID, r.free, t.ID)
}

// removeUnwanted forgets t if no interest is left in it. A pattern does not keep a name on which nothing was ever published:
// anybody may invent names.
func (r *registry) removeUnwanted(t *Topic) {
	if t.exact == nil && (t.unheard() || !r.patterns.Any(t.Name)) {
		r.removeTopic(t)
	}
}

// wantedTopic returns the topic of that name if somebody wants it, else nil. lost reports that there is no room for it: then its message
// is lost to the subscribers of patterns, see noteNoRoom.
func (r *registry) wantedTopic(name string) (t *Topic, lost bool) {
	t = r.topics[name]
	if t == nil && r.patterns.Any(name) {
		if subject.CheckConcrete(name, r.cfg.MaxTopicLength, r.cfg.MaxTopicTokens) == nil {
			t = r.addTopic(name)
			lost = t == nil
		}
		if t == nil {
			r.refusals.Add(1)
			return nil, lost
		}
	}
	if t != nil {
		r.aim(t)
	}
	return t, false
}

// A tear is the gap in front of a topic's first message.
type tear struct {
	seq    uint64 // clients with a cursor behind this one were told
	why    string
	number uint64 // among the notices of KindStale and KindFresh: it tells clients with the same cursor apart
}

// mendTear forgets the gap in front of t.
func (r *registry) mendTear(t *Topic) {
	if t.torn {
		t.torn = false
		r.torn = Delete(r.torn, t, &r.tornPeak)
	}
}

// tellHoles tells the holes before the first message of t, of which its patterns may have lost others. A topic of ModeLast is told
// only that sequences begin anew. A client that is away is told when it comes back: its cursor may be behind the hole, but t was
// not known then.
func (r *registry) tellHoles(t *Topic) {
	for _, i := range r.patterns.Match(nil, t.Name) {
		why := i.holeBefore(t.Class)
		if why == "" {
			continue
		}
		m := newNotice(t, KindGap, why, r.reached(t.Class))
		m.Gen = r.genOf(t.Class)
		r.notify(t, m)
		if t.Class.Mode == ModeAll {
			t.torn, r.torn[t] = true, tear{m.Seq, why, r.nextState()}
		}
		return
	}
}

// aim works out the targets of t and the feed whose copies count, unless they are known.
func (r *registry) aim(t *Topic) {
	r.own(t)
	if t.targetsAt == r.patternAt {
		return
	}
	before := t.targets
	wanted := make([]bool, len(r.boxes))
	mark := func(i *interest) {
		for n, w := range i.shards {
			wanted[n] = wanted[n] || w
		}
	}
	if t.exact != nil {
		mark(t.exact)
	}
	for _, i := range r.patterns.Match(nil, t.Name) {
		mark(i)
	}
	t.targets = nil
	for n, w := range wanted {
		if w {
			t.targets = append(t.targets, target{shard: uint16(n), at: waitsAt(before, n)})
		}
	}
	t.targetsAt = r.patternAt
}

// waitsAt returns the entry of a topic's update in the mailbox of a shard, by the topic's targets of before.
func waitsAt(targets []target, shard int) uint32 {
	for _, g := range targets {
		if int(g.shard) == shard {
			return g.at
		}
	}
	return 0
}

// ownsCopy reports whether a copy of a message of t that came through source is the one that counts.
func (t *Topic) ownsCopy(source string) bool {
	return source == "" || t.awaits == nil && t.owner != nil && t.owner.subject == source
}

// post puts m into the mailboxes of all who want it, under the lock, so that every mailbox sees a topic's messages in order.
func (r *registry) post(t *Topic, m *Message) {
	m.pending.Store(int32(len(t.targets)))
	for i := range t.targets {
		g := &t.targets[i]
		r.boxes[g.shard].post(m, &g.at)
		r.posted |= 1 << min(g.shard, 63)
	}
}

// notify posts a notice to t's subscribers.
func (r *registry) notify(t *Topic, m *Message) {
	if m.Kind == KindGap || m.Kind == KindRestart {
		r.gaps.Add(1)
	}
	t.told = true
	r.aim(t)
	r.post(t, m)
}

// setStale tells t's subscribers that it is stale, unless they know.
func (r *registry) setStale(t *Topic, c cause, why string) {
	if t.state.Load() != nil {
		return
	}
	m := newNotice(t, KindStale, why, r.nextState())
	m.cause = c
	t.state.Store(m)
	r.notify(t, m)
}

func (r *registry) nextState() uint64 {
	r.states++
	return r.states
}

// setFresh tells t's subscribers that it is fresh, unless they know.
func (r *registry) setFresh(t *Topic) {
	if t.state.Load() != nil {
		t.state.Store(nil)
		r.notify(t, newNotice(t, KindFresh, "", r.nextState()))
	}
}

// accept makes a message of d and posts it. data is the form of its payload for JSON clients.
func (r *registry) accept(t *Topic, d delivery, data []byte) {
	seq, prev, first := d.seq, t.seq, false
	if seq == 0 {
		r.total++
		seq = r.total
	}
	switch {
	case t.newest == nil && t.torn:
		prev = 0
	case t.since <= t.seq:
		first = t.newest == nil && prev == 0 // of all topics
	case t.newest == nil && t.since != unknown && t.since > t.cut: // it is the first one
		prev, first = t.since, true
	default: // a hole is before it, or nobody knows
		prev = 0
	}
	m := newMessage(t, seq, prev, d.payload, data, d.received)
	m.First = first
	if d.seq != 0 {
		m.Gen = r.genOf(t.Class)
	}
	if t.since > seq { // nobody knew of the messages before
		t.since = seq - 1
	}
	if s := t.state.Load(); s != nil && s.cause != causeAway {
		r.setFresh(t)
	}
	r.touch(t)
	t.seq = seq
	r.setNewest(t, m)
	r.history.add(t, m)
	if t.torn && t.since > r.torn[t].seq && (!t.Class.Streamed() || t.Class.History == 0) { // no cursor of before is recovered any more
		r.mendTear(t)
	}
	r.post(t, m)
}

// genOf returns the generation of the sequences of a class's topics.
func (r *registry) genOf(c *Class) uint32 {
	if s := r.streamOf(c); s != nil {
		return s.gen
	}
	return 0
}

// epochOf returns the first half of the cursors of a class's topics. Any goroutine may call it.
func (r *registry) epochOf(c *Class) string {
	if s := r.streamOf(c); s != nil {
		return s.epochNow()
	}
	return *r.epoch.Load()
}
