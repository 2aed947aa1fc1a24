package topics

import (
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// A Hub holds all topics of the process: their sequence, their newest message, and which shards want them. Its methods may be
// called from any goroutine.
type Hub struct {
	log     *slog.Logger
	readers []*streamReader // by class; nil without a stream; immutable
	stepped bool            // Step takes the place of goroutines; immutable after Begin
	rec     reconciler      // of Step

	mu       sync.Mutex
	registry          // guarded by mu, but for the fields that say otherwise
	upstream Upstream // nil until Run; guarded by mu

	stale atomic.Bool            // upstream, or a part of it, is away
	away  atomic.Pointer[string] // why
	stats struct{ messages, bytes, invalid atomic.Uint64 }
}

// unlock ends the use of the registry and wakes the loops of the shards that have been posted to.
func (h *Hub) unlock() {
	posted := h.posted
	h.posted = 0
	h.mu.Unlock()
	for n := 0; posted != 0 && n < len(h.boxes); n++ {
		if posted&(1<<min(n, 63)) != 0 {
			h.boxes[n].Wake()
		}
	}
}

// Config returns the configuration with its defaults filled in. It must not be changed.
func (h *Hub) Config() *Config { return &h.cfg }

// Now returns the time of the hub's clock in nanoseconds. It is monotonic.
func (h *Hub) Now() int64 { return h.now() }

// AfterFunc calls f after d by the hub's clock; see Clock.
func (h *Hub) AfterFunc(d time.Duration, f func()) Alarm { return h.clock.AfterFunc(d, f) }

// Rates returns the distinct rates of all classes by tier; the first is 0, "at once".
func (h *Hub) Rates() []time.Duration { return h.rates }

// Mailbox returns the mailbox of a shard, 0 <= shard < Config.Shards.
func (h *Hub) Mailbox(shard int) *Mailbox { return h.boxes[shard] }

// ClassOver returns the class of all topics under pattern, or nil if there may be several.
func (h *Hub) ClassOver(pattern string) *Class { return h.classes.over(pattern) }

// Private reports whether some of the topics under name are closed to clients without a token, and whether all of them are.
func (h *Hub) Private(name string) (some, all bool) { return h.classes.private(name) }

// Sources returns the streams behind the classes of topics.
func (h *Hub) Sources() (list []StreamSource) {
	for _, c := range h.classes {
		if c.Streamed() {
			list = append(list, c.Source())
		}
	}
	return list
}

// A Known is a topic as the hub knows it.
type Known struct {
	Topic  *Topic
	Newest *Message // nil without one
	At     Position // every message after it, or the hole that it is lost in, is still to come
	State  uint64   // so is every notice of KindStale and KindFresh after this one
}

// known describes t.
func (r *registry) known(t *Topic) Known {
	at := Position{max(t.seq, t.cut), r.genOf(t.Class)}
	switch {
	case t.newest != nil:
	case !t.Class.Streamed():
		at.Seq = r.total
	case t.since != unknown:
		at.Seq = max(at.Seq, t.since)
	}
	return Known{t, t.newest, at, r.states}
}

// Raise notes that a shard wants name. The shard's mailbox gets every message after at, and for a topic known is what the hub knows of
// it; the topics that a pattern matches are found by Under, from now on. It fails with ErrTooManyTopics.
func (h *Hub) Raise(shard int, name string) (known Known, at Position, err error) {
	h.mu.Lock()
	defer h.unlock()
	i, err := h.interestIn(name)
	if err != nil {
		return known, at, err
	}
	if !i.shards[shard] {
		i.shards[shard] = true
		h.want(i)
		h.retarget(i)
	}
	if i.topic != nil {
		return h.known(i.topic), at, nil
	}
	at.Seq = h.total
	if c := h.classes.over(name); c != nil && c.Streamed() {
		at = Position{0, h.genOf(c)}
		if i.since != unknown {
			at.Seq = i.since
		}
	}
	return known, at, nil
}

// Lower notes that a shard does not want name any more.
func (h *Hub) Lower(shard int, name string) {
	h.mu.Lock()
	defer h.unlock()
	i := h.interests[name]
	if i == nil || !i.shards[shard] {
		return
	}
	i.shards[shard] = false
	h.retarget(i)
	h.unwant(i)
}

// Stale reports whether upstream is away.
func (h *Hub) Stale() bool { return h.stale.Load() }

// SetStale tells every subscriber that upstream went away or came back. A topic that is stale for a reason of its own stays so
// when upstream comes back: its subscribers are told once more, since "fresh" for all came in between.
func (h *Hub) SetStale(stale bool) {
	h.mu.Lock()
	defer h.unlock()
	if h.stale.Swap(stale) == stale {
		return
	}
	for n, b := range h.boxes {
		b.postUpstream()
		h.posted |= 1 << min(n, 63)
	}
	for t := range h.all {
		if state := t.state.Load(); !stale && state != nil {
			again := &Message{Topic: t, Kind: KindStale, Seq: h.nextState(), frame: state.frame, cause: state.cause}
			t.state.Store(again)
			h.notify(t, again)
		}
	}
}

// SetAway keeps the reason why upstream is away, for Ready.
func (h *Hub) SetAway(why string) { h.away.Store(&why) }

// Ready says why the hub is not ready to serve, or nil.
func (h *Hub) Ready() error {
	why := h.away.Load()
	switch {
	case !h.stale.Load():
		return nil
	case why == nil:
		return ErrAway
	default:
		return fmt.Errorf("%w: %s", ErrAway, *why)
	}
}

// Finish notes that a shard has written m to all its subscribers. The last shard has the latency of m observed.
func (h *Hub) Finish(m *Message) {
	if m.Kind == KindData && m.pending.Add(-1) == 0 && h.cfg.ObserveFanout != nil {
		h.cfg.ObserveFanout(float64(h.now()-m.Received) / 1e9)
	}
}
