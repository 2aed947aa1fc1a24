package broadcast

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"tickcast/wsproto"
)

// Config says how a Hub works. The zero value of a field means its default, where one is given.
type Config struct {
	Shards    int           // one per event loop; at least 1
	Node      string        // this server's name, told in hello
	Heartbeat time.Duration // how often an idle client hears hb, told in hello; 0 = never

	MaxTopics              int // distinct topics held by the process; default 1,000,000
	MaxTopicsPerConnection int // subscriptions of one subscriber; default 1,024
	MaxTopicLength         int // bytes; default 255
	MaxTopicTokens         int // between the dots; default 16
	MaxWildcards           int // subscriptions with wildcards of one subscriber; default 16
	MaxMatches             int // pairs of a pattern and a topic that it matches, in one shard; default 1,000,000
	MatchesPerSecond       int // such pairs that new patterns may make in one shard; default 50,000
	MaxMessageSize         int // largest message from a client in bytes, told in hello

	MailboxMessages int // messages waiting for one shard; default 16,384
	MailboxBytes    int // bytes of the frames waiting for one shard; default 16 MiB

	QueueBytes    int           // of a lossless topic's messages waiting for one subscriber; default 128 KiB
	MemoryBudget  int           // of all such queues together; beyond it the slowest are closed; 0 = none
	HistoryBytes  int           // of all topics' histories together; default 256 MiB
	DelayBytes    int           // of all messages that wait for their delay; default 256 MiB
	FlushInterval time.Duration // how long a batch of messages is widened; 0 = not on purpose

	Deflater    *wsproto.Deflater // compresses the frames of those who join with a window; nil = all get plain frames
	MinCompress int               // bytes of the shortest payload that is compressed

	Classes   []Class       // of topics, the first that matches counts; what none matches has the zero Class
	Linger    time.Duration // how long NATS is still asked for a topic after its last subscriber left
	Subscribe []string      // patterns that clients may subscribe to
	Publish   []string      // patterns that clients may publish to

	ObserveFanout func(seconds float64) // called once a message, from upstream's receipt to its last write; may be nil
	Log           *slog.Logger          // nil = discard
}

// A Hub holds all topics of the process: their sequence, their newest message, and which shards want them. Its methods
// may be called from any goroutine.
type Hub struct {
	cfg     Config
	log     *slog.Logger
	started time.Time
	shards  []*Shard
	hello   []byte          // the frame that greets every client
	classes []*class        // the last one matches everything
	mapped  []*class        // of these, those whose subjects are not their topics
	streams bool            // some class has a stream
	rates   []time.Duration // by tier; the first is 0, at once

	queued atomic.Int64 // bytes in all queues of lossless topics
	delays delayed

	// Guarded by mu.
	mu        sync.Mutex
	topics    map[string]*topic
	ids       uint32       // topic ids given out, from 0 on
	free      []uint32     // of these, without a topic
	tree      trie[*topic] // the same topics, to be found by pattern
	interests map[string]*interest
	patterns  trie[*interest]  // the interests with wildcards
	patternAt uint64           // grows whenever patterns, feeds or their shards change
	feeds     map[string]*feed // by subject or pattern
	wide      trie[*feed]      // the feeds with wildcards
	turns     uint64           // how often upstream was asked for a feed
	total     uint64           // the last sequence given out
	kept      historyQueue
	changed   []*feed     // to be looked at by Run
	idle      []*interest // that nobody wants any more, to be looked at by Run
	refused   []*feed     // by upstream; to be tried again
	upstream  upstream    // nil until Run

	running context.Context // of Run, for what reconcile starts

	kick  chan struct{}          // wakes Run; capacity 1
	stale atomic.Bool            // upstream, or a part of it, is away
	away  atomic.Pointer[string] // why
	epoch atomic.Pointer[string] // the first half of every cursor
	stats hubStats
}

type hubStats struct {
	messages, bytes, invalid, refused, conflated atomic.Uint64
	published, publishErrors, gaps               atomic.Uint64
}

// NewHub returns a hub and its shards. It delivers what is given to Publish; Run connects it to NATS.
func NewHub(cfg Config) *Hub {
	setDefault := func(v *int, d int) {
		if *v <= 0 {
			*v = d
		}
	}
	setDefault(&cfg.Shards, 1)
	setDefault(&cfg.MaxTopics, 1_000_000)
	cfg.MaxTopics = min(cfg.MaxTopics, maxTopicID)
	setDefault(&cfg.MaxTopicsPerConnection, 1024)
	setDefault(&cfg.MaxTopicLength, 255)
	setDefault(&cfg.MaxTopicTokens, 16)
	setDefault(&cfg.MaxWildcards, 16)
	setDefault(&cfg.MaxMatches, 1_000_000)
	setDefault(&cfg.MatchesPerSecond, 50_000)
	setDefault(&cfg.MailboxMessages, 16384)
	setDefault(&cfg.MailboxBytes, 16<<20)
	setDefault(&cfg.QueueBytes, 128<<10)
	setDefault(&cfg.HistoryBytes, 256<<20)
	setDefault(&cfg.DelayBytes, 256<<20)
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	h := &Hub{
		cfg: cfg, log: cfg.Log, started: time.Now(),
		topics:    make(map[string]*topic),
		interests: make(map[string]*interest),
		feeds:     make(map[string]*feed),
		patternAt: 1,
		kick:      make(chan struct{}, 1),
	}
	h.kept.most = cfg.HistoryBytes
	h.delays.most, h.delays.changed = cfg.DelayBytes, make(chan struct{}, 1)
	h.classes, h.rates = newClasses(cfg.Classes)
	for _, c := range h.classes {
		if c.mapped {
			h.mapped = append(h.mapped, c)
		}
		if c.Snapshot == SnapshotStream {
			c.stream, h.streams = newStreamFeed(h, c), true
		}
		if c.Delay > 0 {
			c.delay = new(delayQueue)
			h.delays.queues = append(h.delays.queues, c.delay)
		}
	}
	h.hello = helloFrame(cfg)
	h.newEpoch()
	for i := range cfg.Shards {
		h.shards = append(h.shards, newShard(h, i))
	}
	for _, c := range h.classes {
		if c.Always {
			h.pin(c)
		}
	}
	return h
}

// Shard returns shard i, 0 <= i < Config.Shards.
func (h *Hub) Shard(i int) *Shard { return h.shards[i] }

// nanotime is the hub's clock: monotonic nanoseconds.
func (h *Hub) nanotime() int64 { return int64(time.Since(h.started)) }

// publish delivers payload to everyone who wants the topics behind subject. source is the subject of the feed through which it arrived: of
// the copies that overlapping subscriptions bring, only the owner's counts; "" always counts. payload is copied.
func (h *Hub) publish(subject string, payload []byte, source string) {
	if subject == "" || subject[0] == '$' || subject[0] == '_' { // a wide pattern meets NATS's own traffic
		return
	}
	received := h.nanotime()
	h.stats.messages.Add(1)
	h.stats.bytes.Add(uint64(len(payload)))
	if isPattern(subject) { // NATS does not stop a careless publisher from using wildcards
		h.stats.invalid.Add(1)
		return
	}
	for _, c := range h.mapped {
		if topic, ok := c.subject.invert(subject); ok && h.classOf(topic) == c {
			h.deliver(delivery{topic: topic, class: c, payload: payload, received: received, source: source})
		}
	}
	if c := h.classOf(subject); !c.mapped && c.stream == nil {
		h.deliver(delivery{topic: subject, class: c, payload: payload, received: received, source: source})
	}
}

// lossless reports whether a topic behind subject must not lose messages.
func (h *Hub) lossless(subject string) bool {
	for _, c := range h.mapped {
		if topic, ok := c.subject.invert(subject); ok && c.Mode == ModeAll && h.classOf(topic) == c {
			return true
		}
	}
	return h.classOf(subject).Mode == ModeAll
}

// A delivery is a message of upstream's on its way to a topic.
type delivery struct {
	topic    string
	class    *class
	payload  []byte
	received int64
	source   string // subject of its feed; "" = it counts in any case
	seq      uint64 // of its stream; 0 = to be given out here
}

// deliver delivers d, or has it wait for its class's delay.
func (h *Hub) deliver(d delivery) {
	data, ok := d.class.Payload.dataOf(d.payload)
	if !ok {
		h.stats.invalid.Add(1)
		return
	}
	h.mu.Lock()
	t := h.wantedTopic(d.topic)
	if t == nil || !h.counts(t, d.source) {
		h.mu.Unlock()
		return
	}
	if q := d.class.delay; q != nil {
		woken := h.delay(q, t, d)
		h.mu.Unlock()
		wakeAll(woken)
		return
	}
	woken := h.accept(t, d, data)
	h.mu.Unlock()
	wakeAll(woken)
}

// wantedTopic returns a topic that somebody wants, or nil. h.mu is held.
func (h *Hub) wantedTopic(name string) *topic {
	t := h.topics[name]
	if t == nil && len(h.patterns.match(nil, name)) > 0 {
		if checkConcrete(name, h.cfg.MaxTopicLength, h.cfg.MaxTopicTokens) == nil {
			t = h.addTopic(name)
		}
		if t == nil {
			h.stats.refused.Add(1)
			return nil
		}
	}
	if t != nil && t.targetsAt != h.patternAt {
		h.aim(t)
	}
	return t
}

// counts reports whether a copy that came through source is the one that counts. h.mu is held.
func (h *Hub) counts(t *topic, source string) bool {
	return source == "" || t.owner == nil || t.owner.subject == source || t.former == source
}

// accept makes a message of d and posts it to t's shards, which it returns to be woken. h.mu is held.
func (h *Hub) accept(t *topic, d delivery, data []byte) []*Shard {
	seq := d.seq
	if seq == 0 {
		h.total++
		seq = h.total
	}
	m := newMessage(t, seq, t.seq, d.payload, data, d.received)
	if t.since > seq { // it was not known what came before
		t.since = seq - 1
	}
	if t.told.Load() != nil {
		h.tell(t, kindFresh, "")
	}
	if l := t.class.silent; l != nil {
		l.touch(t, h.nanotime())
	}
	t.seq, t.newest = seq, m
	h.keep(t, m)
	h.post(t, m)
	return t.targets
}

// Publish delivers payload to everyone in this process who wants subject, as a message of upstream's does.
func (h *Hub) Publish(subject string, payload []byte) { h.publish(subject, payload, "") }

// aim works out who t goes to and whose copies count. h.mu is held.
func (h *Hub) aim(t *topic) {
	former := t.owner
	t.owner, t.former = nil, ""
	wanted := make([]bool, len(h.shards))
	mark := func(i *interest) {
		for n, c := range i.shards {
			wanted[n] = wanted[n] || c
		}
	}
	if t.exact != nil {
		mark(t.exact)
	}
	for _, i := range h.patterns.match(nil, t.name) {
		mark(i)
	}
	own := func(f *feed) {
		if f.asked && !f.denied && (t.owner == nil || f.turn < t.owner.turn) {
			t.owner = f
		}
	}
	if f := h.feeds[t.subject]; f != nil {
		own(f)
	}
	for _, f := range h.wide.match(nil, t.subject) {
		own(f)
	}
	if former != nil && former.ended && t.owner != nil {
		// It has ended. Of the copies that are on their way, the new owner's may have been dropped and the old one's not
		// have come yet: rather twice than never.
		t.former = former.subject
	}
	t.targets = nil
	for n, w := range wanted {
		if w {
			t.targets = append(t.targets, h.shards[n])
		}
	}
	t.targetsAt = h.patternAt
}

// addTopic returns a new topic, or nil when the hub holds too many already. h.mu is held.
func (h *Hub) addTopic(name string) *topic {
	if len(h.topics) >= h.cfg.MaxTopics {
		return nil
	}
	c := h.classOf(name)
	t := &topic{name: name, class: c, subject: c.sourceOf(name)}
	if c.stream == nil {
		// Of what came before, nothing is known: a cursor says that its client has it only from here on. A topic that ended
		// and begins again never goes back.
		t.birth, t.seq, t.since = h.total, h.total, h.total
	} else {
		t.since = unknown
	}
	t.prefix = string(append(appendString([]byte(`{"t":`), name), `,"s":`...))
	if n := len(h.free); n > 0 {
		t.id = h.free[n-1]
		h.free = h.free[:n-1]
	} else {
		t.id = h.ids
		h.ids++
	}
	h.topics[name] = t
	h.tree.insert(name, t)
	if c.silent != nil {
		c.silent.touch(t, h.nanotime())
	}
	return t
}

// removeTopic forgets t. Its id may go to another topic: whoever meets t.id compares the pointer. h.mu is held.
func (h *Hub) removeTopic(t *topic) {
	delete(h.topics, t.name)
	h.tree.remove(t.name)
	t.ended.Store(true)
	h.total++ // cursors up to here say nothing about what the topic misses from now on
	h.forget(t)
	if l := t.class.silent; l != nil {
		l.remove(t)
	}
	h.free = append(h.free, t.id)
}

// setStale tells every subscriber that upstream went away or came back.
func (h *Hub) setStale(stale bool) {
	if h.stale.Swap(stale) == stale {
		return
	}
	for _, s := range h.shards {
		s.mailbox.post(notice)
		s.Wake()
	}
}

// lost notes that messages of upstream's may be lost: those of the topics for which of says so. A lossless topic has a gap; any
// other is called stale until its next message, if stale says so.
func (h *Hub) lost(why string, stale bool, of func(*topic) bool) {
	h.mu.Lock()
	for _, t := range h.topics {
		switch {
		case t.class.stream != nil || !of(t):
		case t.class.Mode == ModeAll:
			h.tell(t, kindGap, why)
		case stale:
			h.tell(t, kindStale, why)
		}
	}
	h.mu.Unlock()
	for _, s := range h.shards {
		s.Wake()
	}
}

// Ready says why the hub is not ready to serve, or nil.
func (h *Hub) Ready() error {
	why := h.away.Load()
	switch {
	case !h.stale.Load():
		return nil
	case why == nil:
		return errUpstreamAway
	default:
		return fmt.Errorf("%w: %s", errUpstreamAway, *why)
	}
}

// newEpoch makes all cursors so far worthless: from here on nobody can say that nothing was missed.
func (h *Hub) newEpoch() {
	epoch := rand.Text()[:8]
	h.epoch.Store(&epoch)
}

// Run asks upstream for what the shards want until ctx is done. It is called once.
func (h *Hub) Run(ctx context.Context, up upstream) {
	h.mu.Lock()
	h.upstream = up
	h.mu.Unlock()
	var tasks sync.WaitGroup
	defer tasks.Wait()
	tasks.Go(func() { h.watchSilence(ctx.Done()) })
	tasks.Go(func() { h.watchDelays(ctx.Done()) })
	defer h.endStreams()
	h.running = ctx
	h.reconcile(ctx, up)
}

func (h *Hub) endStreams() {
	for _, c := range h.classes {
		if c.stream != nil {
			c.stream.end()
		}
	}
}
