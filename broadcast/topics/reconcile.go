package topics

import (
	"context"
	"time"
)

// retryAfter is the time between attempts to subscribe after a refusal of upstream.
const retryAfter = time.Second

// A lingerer is an unwanted interest, due to end at a time unless that has changed by then.
type lingerer struct {
	i     *interest
	until int64
}

// A reconciler compares the subscriptions of upstream with the wishes of the shards. It belongs to the goroutine of Hub.Run.
type reconciler struct {
	lingering []lingerer // in the order of their end: the linger is the same for all
	retryAt   int64      // not left to a timer, which a kick keeps from firing
}

// reconcile makes the subscriptions of upstream equal to the wishes of the shards, and returns when it is due again.
func (h *Hub) reconcile(ctx context.Context, up Upstream, r *reconciler) (next int64) {
	if now := h.now(); now >= r.retryAt {
		h.retryRefused()
		h.retryLoads()
		r.retryAt = now + int64(retryAfter)
	}
	changed, idle := h.takeChanged()
	r.lingering = append(r.lingering, idle...)
	for _, f := range changed {
		h.settle(ctx, f, up)
	}
	now := h.now()
	var unused []*feed
	for len(r.lingering) > 0 && r.lingering[0].until <= now {
		unused = append(unused, h.expire(r.lingering[0])...)
		r.lingering[0] = lingerer{} // else the array keeps the interest, with its topic
		r.lingering = r.lingering[1:]
	}
	if len(r.lingering) == 0 {
		r.lingering = nil
	}
	h.removeLeft() // before the subscriptions end, which then do not look for new owners of these topics
	for _, f := range unused {
		h.prepareEnd(f)
		h.settle(ctx, f, up)
	}
	next = max(r.retryAt, now)
	if len(r.lingering) > 0 {
		next = min(next, r.lingering[0].until)
	}
	return next
}

// watchWishes reconciles until ctx is done.
func (h *Hub) watchWishes(ctx context.Context, up Upstream) {
	timer := time.NewTimer(retryAfter)
	defer timer.Stop()
	var r reconciler
	for {
		next := h.reconcile(ctx, up, &r)
		timer.Reset(time.Duration(next - h.now()))
		select {
		case <-ctx.Done():
			return
		case <-h.kick:
		case <-timer.C:
		}
	}
}

// takeChanged returns the feeds that may have to be asked for or given up, and the interests that nobody wants since.
func (h *Hub) takeChanged() (changed []*feed, idle []lingerer) {
	h.mu.Lock()
	defer h.unlock()
	for _, i := range h.idle {
		i.queued = false
		if i.wanted == 0 {
			idle = append(idle, lingerer{i, i.until})
		}
	}
	changed = h.changed
	h.changed, h.idle = nil, nil
	return changed, idle
}

// settle subscribes to f, or ends its subscription, if the wish for it has changed.
func (h *Hub) settle(ctx context.Context, f *feed, up Upstream) {
	h.mu.Lock()
	f.queued = false
	wanted := f.users > 0
	if !wanted && !f.asked && f.class == nil && h.feeds[f.subject] == f { // upstream was never asked, or refused
		h.forgetFeed(f)
	}
	if wanted == f.asked || wanted && f.live == 0 || f.leaves {
		h.unlock()
		return
	}
	switch {
	case wanted: // before upstream is asked: the messages that it sends at once must find their owner
		h.turns++
		f.asked, f.turn, h.asking = true, h.turns, true
		h.forgetCopies(f)
		h.reown(f)
	case f.class != nil:
		f.asked = false
		h.reown(f)
	default:
		f.leaves, f.fence, f.again = true, h.turns, 0
	}
	h.unlock()
	if !wanted {
		if err := h.unsubscribe(f, up); err != nil {
			h.log.Warn("nats refused to unsubscribe", "subject", f.subject, "err", err)
		}
		return
	}
	err := h.subscribe(ctx, f, up)
	h.mu.Lock()
	defer h.unlock()
	if h.asking = false; err == nil {
		return
	}
	h.log.Warn("nats refused a subscription", "subject", f.subject, "err", err)
	f.asked = false
	h.reown(f)
	h.refused = append(h.refused, f)
}

func (h *Hub) subscribe(ctx context.Context, f *feed, up Upstream) error {
	if f.class != nil {
		h.readers[f.class.index].start(ctx, up)
		return nil
	}
	return up.Subscribe(f.subject)
}

func (h *Hub) unsubscribe(f *feed, up Upstream) error {
	if f.class != nil {
		h.readers[f.class.index].end()
		return nil
	}
	return up.Unsubscribe(f.subject)
}

// retryRefused schedules another look at the feeds that upstream refused.
func (h *Hub) retryRefused() {
	h.mu.Lock()
	defer h.unlock()
	for _, f := range h.refused {
		h.enqueue(f)
	}
	h.refused = nil
}

// expire ends an interest whose linger is over, unless it was wanted again since. It returns the feeds that only it used; removeLeft
// must follow, and then settle for each of these.
func (h *Hub) expire(l lingerer) (unused []*feed) {
	h.mu.Lock()
	defer h.unlock()
	i := l.i
	if h.interests[i.name] != i || i.wanted > 0 || i.until != l.until {
		return nil
	}
	return h.end(i)
}
