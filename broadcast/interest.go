package broadcast

import (
	"context"
	"errors"
	"time"
)

var errUpstreamAway = errors.New("nats is not connected")

// upstream is what interest is turned into: subscriptions at NATS.
type upstream interface {
	// subscribe asks for f's subject or pattern. What arrives goes to Hub.publish with f as its source.
	subscribe(f *feed) error
	unsubscribe(f *feed) error
	// publish sends to everyone, this process included if it is subscribed. It does not block.
	publish(topic string, data []byte) error
}

// streamSource is an upstream with streams.
type streamSource interface {
	// stream finds the stream that holds all messages of a subject or pattern; see openStream.
	stream(ctx context.Context, subject string) (*stream, error)
}

// An interest is a topic or pattern that some shard wants. Its feeds are level-triggered: shards switch their own flag, one
// goroutine compares what is wanted with what upstream was asked for.
type interest struct {
	name string // immutable

	// Guarded by Hub.mu.
	shards  []bool // by shard: it has subscribers
	wanted  int    // how many are true, and one more for a class with Always
	until   int64  // with wanted == 0: when the linger ends, by the hub's clock
	queued  bool   // in Hub.idle
	topic   *topic // the topic of that name; nil for a pattern
	since   uint64 // Hub.total when it began, or less if a stream told what was before: what came later is known of
	feeds   []*feed
	loading *load // of a pattern over a stream's topics; see topic.loading
}

// A feed is one subscription at NATS: a subject or pattern that interests need.
type feed struct {
	subject string      // immutable
	stream  *streamFeed // immutable; not nil: no subscription, but a stream that is read

	// Guarded by Hub.mu.
	users  int32  // interests
	live   int32  // of these, those that somebody wants now
	turn   uint64 // Hub.turns when it was asked: earlier ones bring messages already
	asked  bool   // upstream is, or is being, subscribed to it
	denied bool   // NATS does not let this server have it: it brings nothing
	ended  bool   // and unsubscribed from, or about to be
	queued bool   // in Hub.changed
}

// raise notes that shard n wants name, and returns the topics that are known under it, the one of that name or those that
// a pattern matches, with the newest message of each, if any. The shard's mailbox gets every message after these. It fails
// with errTooManyTopics.
func (h *Hub) raise(n int, name string, found []*topic, newest []*Message) ([]*topic, []*Message, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	i, err := h.interestIn(name)
	if err != nil {
		return nil, nil, err
	}
	if !i.shards[n] {
		i.shards[n] = true
		h.want(i)
		h.retarget(i)
	}
	if i.topic != nil {
		return append(found, i.topic), append(newest, i.topic.newest), nil
	}
	found = h.tree.under(found, name)
	for _, t := range found {
		newest = append(newest, t.newest)
	}
	return found, newest, nil
}

// want notes one more who wants i. h.mu is held.
func (h *Hub) want(i *interest) {
	if i.wanted++; i.wanted > 1 {
		return
	}
	for _, f := range i.feeds {
		if f.live++; !f.asked { // it is new, or may have been unwanted when it was looked at
			h.enqueue(f)
		}
	}
}

// interestIn returns the interest in name, which it makes if there is none. h.mu is held.
func (h *Hub) interestIn(name string) (*interest, error) {
	if i := h.interests[name]; i != nil {
		return i, nil
	}
	i := &interest{name: name, shards: make([]bool, len(h.shards)), since: h.total}
	if !isPattern(name) {
		t := h.topics[name]
		if t == nil {
			if t = h.addTopic(name); t == nil {
				return nil, errTooManyTopics
			}
			if t.class.stream != nil {
				t.class.stream.load(t)
			}
		}
		t.exact, i.topic = i, t
	} else {
		if h.patterns.n >= h.cfg.MaxTopics {
			return nil, errTooManyTopics
		}
		h.patterns.insert(name, i)
		if c := h.classOver(name); c != nil && c.stream != nil {
			i.since = unknown
		}
	}
	h.interests[name] = i
	h.feed(i)
	h.retarget(i)
	return i, nil
}

// pin has the topics of a class wanted for good. It is called before there is any other interest.
func (h *Hub) pin(c *class) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if i, err := h.interestIn(c.Match); err == nil { // they are fewer than topics may be
		h.want(i)
	}
}

// feed gives i what it needs from upstream. h.mu is held.
func (h *Hub) feed(i *interest) {
	for _, c := range h.classes {
		if !overlap(c.Match, i.name) {
			continue
		}
		whole := Covers(c.Match, i.name)
		switch {
		case c.stream != nil:
			h.use(i, c.stream.feed.subject, c.stream)
			if i.topic == nil {
				c.stream.loadPattern(i)
			}
		case c.mapped && whole:
			h.use(i, c.sourceOf(i.name), nil)
		case c.mapped:
			h.use(i, c.subject.pattern(), nil)
		default:
			h.use(i, i.name, nil)
		}
		if whole {
			return
		}
	}
}

// use ties i to the feed of a subject. h.mu is held.
func (h *Hub) use(i *interest, subject string, stream *streamFeed) {
	f := h.feeds[subject]
	if stream != nil {
		f = &stream.feed
	}
	if f == nil {
		f = &feed{subject: subject}
		h.feeds[subject] = f
		if isPattern(subject) {
			h.wide.insert(subject, f)
		}
	}
	for _, have := range i.feeds {
		if have == f {
			return
		}
	}
	f.users++
	i.feeds = append(i.feeds, f)
}

// lower notes that shard n does not want name any more.
func (h *Hub) lower(n int, name string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	i := h.interests[name]
	if i == nil || !i.shards[n] {
		return
	}
	i.shards[n] = false
	h.retarget(i)
	h.unwant(i)
}

// unwant notes one less who wants i. h.mu is held.
func (h *Hub) unwant(i *interest) {
	if i.wanted--; i.wanted > 0 {
		return
	}
	for _, f := range i.feeds {
		f.live--
	}
	i.until = h.nanotime() + int64(h.cfg.Linger)
	if !i.queued {
		i.queued = true
		h.idle = append(h.idle, i)
	}
	h.wakeRun()
}

// retarget makes the topics under i work out their targets again. h.mu is held.
func (h *Hub) retarget(i *interest) {
	if i.topic != nil {
		i.topic.targetsAt = 0
	} else {
		h.patternAt++
	}
}

// refeed makes the topics behind f work out again whose copies count. h.mu is held.
func (h *Hub) refeed(f *feed) {
	if f.stream != nil || isPattern(f.subject) {
		h.patternAt++
		return
	}
	if t := h.topics[f.subject]; t != nil {
		t.targetsAt = 0
	}
	for _, c := range h.mapped {
		if name, ok := c.subject.invert(f.subject); ok && h.topics[name] != nil {
			h.topics[name].targetsAt = 0
		}
	}
}

// enqueue has f looked at by reconcile. h.mu is held.
func (h *Hub) enqueue(f *feed) {
	if !f.queued {
		f.queued = true
		h.changed = append(h.changed, f)
	}
	h.wakeRun()
}

func (h *Hub) wakeRun() {
	select {
	case h.kick <- struct{}{}:
	default:
	}
}

// retryAfter is how long reconcile waits after upstream refused a subscription.
const retryAfter = time.Second

// A lingerer is an interest that nobody wants, due to end at a time unless that has changed by then.
type lingerer struct {
	i     *interest
	until int64
}

// reconcile makes upstream's subscriptions what the shards want, until ctx is done.
func (h *Hub) reconcile(ctx context.Context, up upstream) {
	timer := time.NewTimer(retryAfter)
	defer timer.Stop()
	var lingering []lingerer // in the order of their end: the linger is the same for all
	var retryAt int64        // not left to the timer: what kicks keeps it from firing
	for {
		if now := h.nanotime(); now >= retryAt {
			h.retry()
			retryAt = now + int64(retryAfter)
		}
		h.mu.Lock()
		changed, idle := h.changed, h.idle
		h.changed, h.idle = nil, nil
		for _, i := range idle {
			i.queued = false
			if i.wanted == 0 {
				lingering = append(lingering, lingerer{i, i.until})
			}
		}
		h.mu.Unlock()

		for _, f := range changed {
			h.settle(f, up)
		}
		now := h.nanotime()
		for len(lingering) > 0 && lingering[0].until <= now {
			h.expire(lingering[0], up)
			lingering = lingering[1:]
		}
		wait := time.Duration(max(retryAt-now, 0))
		if len(lingering) > 0 {
			wait = min(wait, time.Duration(lingering[0].until-now))
		}
		timer.Reset(wait)
		select {
		case <-ctx.Done():
			return
		case <-h.kick:
		case <-timer.C:
		}
	}
}

// settle makes upstream's subscription to f what it should be.
func (h *Hub) settle(f *feed, up upstream) {
	h.mu.Lock()
	f.queued = false
	wanted := f.users > 0
	if wanted == f.asked || wanted && f.live == 0 {
		h.mu.Unlock()
		return
	}
	if !wanted {
		f.asked = false
		h.mu.Unlock()
		if err := h.unsubscribe(f, up); err != nil {
			h.log.Warn("nats refused to unsubscribe", "subject", f.subject, "err", err)
		}
		return
	}
	// Before upstream is asked: what it sends at once must find its owner.
	h.turns++
	f.asked, f.turn, f.ended = true, h.turns, false
	h.refeed(f)
	h.mu.Unlock()
	err := h.subscribe(f, up)
	if err == nil {
		return
	}
	h.log.Warn("nats refused a subscription", "subject", f.subject, "err", err)
	h.mu.Lock()
	defer h.mu.Unlock()
	f.asked = false
	h.refeed(f)
	h.refused = append(h.refused, f)
}

func (h *Hub) subscribe(f *feed, up upstream) error {
	if f.stream != nil {
		if source, ok := up.(streamSource); ok {
			f.stream.begin(h.running, source)
			return nil
		}
		return errUpstreamAway
	}
	return up.subscribe(f)
}

func (h *Hub) unsubscribe(f *feed, up upstream) error {
	if f.stream != nil {
		f.stream.end()
		return nil
	}
	return up.unsubscribe(f)
}

// retry has the feeds that upstream refused looked at again.
func (h *Hub) retry() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, f := range h.refused {
		h.enqueue(f)
	}
	h.refused = nil
}

// expire ends an interest whose linger is over, unless it was wanted again since, and the feeds that only it used.
func (h *Hub) expire(l lingerer, up upstream) {
	h.mu.Lock()
	i := l.i
	if h.interests[i.name] != i || i.wanted > 0 || i.until != l.until {
		h.mu.Unlock()
		return
	}
	unused := h.end(i)
	h.mu.Unlock()
	for _, f := range unused {
		h.settle(f, up)
	}
}

// end forgets i and the topics that only it kept. It returns the feeds that nobody uses any more. h.mu is held.
func (h *Hub) end(i *interest) (unused []*feed) {
	delete(h.interests, i.name)
	for _, f := range i.feeds {
		if f.users--; f.users > 0 {
			continue
		}
		f.ended = true
		unused = append(unused, f)
		h.refeed(f)
		if f.stream == nil {
			delete(h.feeds, f.subject)
			if isPattern(f.subject) {
				h.wide.remove(f.subject)
			}
		}
	}
	h.retarget(i)
	h.total++ // see topic.birth
	if i.topic != nil {
		i.topic.exact = nil
		h.tidy(i.topic)
		return unused
	}
	h.patterns.remove(i.name)
	for _, t := range h.tree.under(nil, i.name) {
		h.tidy(t)
	}
	return unused
}

// tidy forgets t if no interest is left in it. h.mu is held.
func (h *Hub) tidy(t *topic) {
	if t.exact == nil && len(h.patterns.match(nil, t.name)) == 0 {
		h.removeTopic(t)
	}
}

// deny notes that NATS does not allow a subscription: others that bring its messages count instead.
func (h *Hub) deny(subject string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if f := h.feeds[subject]; f != nil {
		f.denied = true
		h.refeed(f)
	}
}

// allow forgets what NATS has denied: after a reconnect it is asked again.
func (h *Hub) allow() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, f := range h.feeds {
		f.denied = false
	}
	h.patternAt++
}
