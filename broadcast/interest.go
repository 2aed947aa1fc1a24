package broadcast

import (
	"context"
	"errors"
	"time"
)

var errUpstreamAway = errors.New("nats is not connected")

// upstream is what interest is turned into: subscriptions at NATS.
type upstream interface {
	// subscribe asks for a subject or pattern. What arrives goes to Hub.publish with name as its source.
	subscribe(name string) error
	unsubscribe(name string) error
	// publish sends to everyone, this process included if it is subscribed. It does not block.
	publish(topic string, data []byte) error
}

// An interest is a subject or pattern that some shard wants. It is level-triggered: shards switch their own flag, one
// goroutine compares what is wanted with what upstream was asked for.
type interest struct {
	name string // immutable

	// Guarded by Hub.mu.
	shards []bool // by shard: it has subscribers
	wanted int    // how many are true
	asked  bool   // upstream is, or is being, subscribed to it
	denied bool   // NATS does not let this server have it: it brings nothing
	ended  bool   // and unsubscribed from, or about to be
	turn   uint64 // Hub.turns when it was asked: earlier ones bring messages already
	until  int64  // with wanted == 0: when the linger ends, by the hub's clock
	queued bool   // in Hub.changed
	topic  *topic // the topic of that name; nil for a pattern
}

// raise notes that shard n wants name, and returns the topics that are known under it, the one of that name or those that
// a pattern matches, with the newest message of each, if any. The shard's mailbox gets every message after these. It fails
// with errTooManyTopics.
func (h *Hub) raise(n int, name string, found []*topic, newest []*Message) ([]*topic, []*Message, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	i := h.interests[name]
	if i == nil {
		i = &interest{name: name, shards: make([]bool, len(h.shards))}
		if !isPattern(name) {
			t := h.topics[name]
			if t == nil {
				if t = h.addTopic(name); t == nil {
					return nil, nil, errTooManyTopics
				}
			}
			t.exact, i.topic = i, t
		} else {
			if h.patterns.n >= h.cfg.MaxTopics {
				return nil, nil, errTooManyTopics
			}
			h.patterns.insert(name, i)
		}
		h.interests[name] = i
	}
	if !i.shards[n] {
		i.shards[n] = true
		i.wanted++
		h.retarget(i)
		if !i.asked { // it is new, or may have been unwanted when it was looked at
			h.enqueue(i)
		}
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

// lower notes that shard n does not want name any more.
func (h *Hub) lower(n int, name string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	i := h.interests[name]
	if i == nil || !i.shards[n] {
		return
	}
	i.shards[n] = false
	i.wanted--
	h.retarget(i)
	if i.wanted == 0 {
		i.until = h.nanotime() + int64(h.cfg.Linger)
		h.enqueue(i)
	}
}

// retarget makes the topics under i work out their targets again. h.mu is held.
func (h *Hub) retarget(i *interest) {
	if i.topic != nil {
		i.topic.targetsAt = 0
	} else {
		h.patternAt++
	}
}

// enqueue has i looked at by reconcile. h.mu is held.
func (h *Hub) enqueue(i *interest) {
	if !i.queued {
		i.queued = true
		h.changed = append(h.changed, i)
	}
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
		changed := h.changed
		h.changed = nil
		h.mu.Unlock()

		for _, i := range changed {
			if until := h.settle(i, up); until > 0 {
				lingering = append(lingering, lingerer{i, until})
			}
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

// settle subscribes to i if that is wanted and not done. It returns when i's linger ends, or 0 if i is wanted.
func (h *Hub) settle(i *interest, up upstream) (until int64) {
	h.mu.Lock()
	i.queued = false
	if h.interests[i.name] != i || i.wanted > 0 && i.asked {
		h.mu.Unlock()
		return 0
	}
	if i.wanted == 0 {
		defer h.mu.Unlock()
		return i.until
	}
	// Before upstream is asked: what it sends at once must find its owner.
	h.turns++
	i.asked, i.turn = true, h.turns
	h.retarget(i)
	h.mu.Unlock()
	err := up.subscribe(i.name)
	if err == nil {
		return 0
	}
	h.log.Warn("nats refused a subscription", "topic", i.name, "err", err)
	h.mu.Lock()
	defer h.mu.Unlock()
	i.asked = false
	h.retarget(i)
	h.refused = append(h.refused, i)
	return 0
}

// retry has the interests that upstream refused looked at again.
func (h *Hub) retry() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, i := range h.refused {
		h.enqueue(i)
	}
	h.refused = nil
}

// expire ends an interest whose linger is over, unless it was wanted again since.
func (h *Hub) expire(l lingerer, up upstream) {
	h.mu.Lock()
	i := l.i
	if h.interests[i.name] != i || i.wanted > 0 || i.until != l.until {
		h.mu.Unlock()
		return
	}
	h.end(i)
	asked := i.asked
	h.mu.Unlock()
	if !asked {
		return
	}
	if err := up.unsubscribe(i.name); err != nil {
		h.log.Warn("nats refused to unsubscribe", "topic", i.name, "err", err)
	}
}

// end forgets i and the topics that only it kept. h.mu is held.
func (h *Hub) end(i *interest) {
	delete(h.interests, i.name)
	i.ended = true
	h.retarget(i)
	if i.topic != nil {
		i.topic.exact = nil
		h.tidy(i.topic)
		return
	}
	h.patterns.remove(i.name)
	for _, t := range h.tree.under(nil, i.name) {
		h.tidy(t)
	}
}

// tidy forgets t if no interest is left in it. h.mu is held.
func (h *Hub) tidy(t *topic) {
	if t.exact == nil && len(h.patterns.match(nil, t.name)) == 0 {
		h.removeTopic(t)
	}
}

// deny notes that NATS does not allow a subscription: others that bring its messages count instead.
func (h *Hub) deny(name string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if i := h.interests[name]; i != nil {
		i.denied = true
		h.retarget(i)
	}
}

// allow forgets what NATS has denied: after a reconnect it is asked again.
func (h *Hub) allow() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, i := range h.interests {
		if i.denied {
			i.denied = false
			h.retarget(i)
		}
	}
}
