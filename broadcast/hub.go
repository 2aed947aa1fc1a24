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

	Deflater    *wsproto.Deflater // compresses the frames of those who join with a window; nil = all get plain frames
	MinCompress int               // bytes of the shortest payload that is compressed

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
	hello   []byte // the frame that greets every client

	// Guarded by mu.
	mu        sync.Mutex
	topics    map[string]*topic
	ids       uint32       // topic ids given out, from 0 on
	free      []uint32     // of these, without a topic
	tree      trie[*topic] // the same topics, to be found by pattern
	interests map[string]*interest
	patterns  trie[*interest] // the interests with wildcards
	patternAt uint64          // grows whenever patterns or their shards change
	turns     uint64          // how often upstream was asked for an interest
	total     uint64          // messages so far
	changed   []*interest     // to be looked at by Run
	refused   []*interest     // by upstream; to be tried again
	upstream  upstream        // nil until Run

	kick  chan struct{}          // wakes Run; capacity 1
	stale atomic.Bool            // upstream is away
	away  atomic.Pointer[string] // why
	epoch atomic.Pointer[string] // the first half of every cursor
	stats hubStats
}

type hubStats struct {
	messages, bytes, invalid, refused, conflated atomic.Uint64
	published, publishErrors                     atomic.Uint64
}

// A topic is one subject that somebody wants, or wanted within the linger.
type topic struct {
	// Immutable.
	name   string
	id     uint32 // index into Shard.byID; dense, reused after the topic's end
	prefix []byte // {"t":"px.AAPL","s":

	// Guarded by Hub.mu.
	seq       uint64
	newest    *Message
	exact     *interest // the interest in this very name, if any
	owner     *interest // whose copies count; see doc.go
	former    string    // the name of the owner before, whose last copies count as well
	targets   []*Shard  // who wants it; replaced, never changed in place
	targetsAt uint64    // Hub.patternAt when owner and targets were worked out; 0 = work them out

	ended atomic.Bool // the hub has forgotten it; id may be another topic's
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
	setDefault(&cfg.MaxTopicsPerConnection, 1024)
	setDefault(&cfg.MaxTopicLength, 255)
	setDefault(&cfg.MaxTopicTokens, 16)
	setDefault(&cfg.MaxWildcards, 16)
	setDefault(&cfg.MaxMatches, 1_000_000)
	setDefault(&cfg.MatchesPerSecond, 50_000)
	setDefault(&cfg.MailboxMessages, 16384)
	setDefault(&cfg.MailboxBytes, 16<<20)
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	h := &Hub{
		cfg: cfg, log: cfg.Log, started: time.Now(),
		topics:    make(map[string]*topic),
		interests: make(map[string]*interest),
		patternAt: 1,
		kick:      make(chan struct{}, 1),
	}
	h.hello = helloFrame(cfg)
	h.newEpoch()
	for i := range cfg.Shards {
		h.shards = append(h.shards, newShard(h, i))
	}
	return h
}

// Shard returns shard i, 0 <= i < Config.Shards.
func (h *Hub) Shard(i int) *Shard { return h.shards[i] }

// nanotime is the hub's clock: monotonic nanoseconds.
func (h *Hub) nanotime() int64 { return int64(time.Since(h.started)) }

// publish delivers payload to everyone who wants subject. source is the interest through whose subscription it arrived:
// of the copies that overlapping subscriptions bring, only the owner's counts; "" always counts. payload is copied.
func (h *Hub) publish(subject string, payload []byte, source string) {
	if subject == "" || subject[0] == '$' || subject[0] == '_' { // a wide pattern meets NATS's own traffic
		return
	}
	received := h.nanotime()
	h.stats.messages.Add(1)
	h.stats.bytes.Add(uint64(len(payload)))
	data, ok := appendPayload(payload)
	if !ok || isPattern(subject) { // NATS does not stop a careless publisher from using wildcards
		h.stats.invalid.Add(1)
		return
	}

	h.mu.Lock()
	t := h.topics[subject]
	if t == nil && len(h.patterns.match(nil, subject)) > 0 {
		if checkConcrete(subject, h.cfg.MaxTopicLength, h.cfg.MaxTopicTokens) == nil {
			t = h.addTopic(subject)
		}
		if t == nil {
			h.mu.Unlock()
			h.stats.refused.Add(1)
			return
		}
	}
	if t == nil { // nobody wants it any more
		h.mu.Unlock()
		return
	}
	if t.targetsAt != h.patternAt {
		h.aim(t)
	}
	if source != "" && t.owner != nil && t.owner.name != source && t.former != source {
		h.mu.Unlock()
		return
	}
	h.total++
	t.seq++
	m := newMessage(t, t.seq, data, received)
	t.newest = m
	targets := t.targets
	m.pending.Store(int32(len(targets)))
	for _, s := range targets { // under mu, so that every mailbox sees the topic's messages in order
		s.mailbox.post(m)
	}
	h.mu.Unlock()

	for _, s := range targets {
		s.Wake()
	}
}

// Publish delivers payload to everyone in this process who wants subject, as a message of upstream's does.
func (h *Hub) Publish(subject string, payload []byte) { h.publish(subject, payload, "") }

// aim works out who t goes to and whose copies count. h.mu is held.
func (h *Hub) aim(t *topic) {
	former := t.owner
	t.owner, t.former = nil, ""
	wanted := make([]bool, len(h.shards))
	mark := func(i *interest) {
		if i.asked && !i.denied && (t.owner == nil || i.turn < t.owner.turn) {
			t.owner = i
		}
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
	if former != nil && former.ended && t.owner != nil {
		// It has ended. Of the copies that are on their way, the new owner's may have been dropped and the old one's not
		// have come yet: rather twice than never.
		t.former = former.name
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
	// seq goes on from the number of all messages: a topic that ended and begins again never goes back.
	t := &topic{name: name, seq: h.total}
	t.prefix = append(appendString([]byte(`{"t":`), name), `,"s":`...)
	if n := len(h.free); n > 0 {
		t.id = h.free[n-1]
		h.free = h.free[:n-1]
	} else {
		t.id = h.ids
		h.ids++
	}
	h.topics[name] = t
	h.tree.insert(name, t)
	return t
}

// removeTopic forgets t. Its id may go to another topic: whoever meets t.id compares the pointer. h.mu is held.
func (h *Hub) removeTopic(t *topic) {
	delete(h.topics, t.name)
	h.tree.remove(t.name)
	t.ended.Store(true)
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
	h.reconcile(ctx, up)
}
