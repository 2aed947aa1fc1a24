package topics

import "tickcast/broadcast/subject"

// Publish delivers payload to everyone in this process who wants subject, as a message of upstream.
func (h *Hub) Publish(subject string, payload []byte) { h.Deliver(subject, payload, "") }

// Deliver delivers payload to everyone who wants the topics behind name, a subject. source is the subject of the feed through
// which it arrived: of the copies that overlapping subscriptions bring, only the owner's counts; "" always counts. payload is
// copied.
func (h *Hub) Deliver(name string, payload []byte, source string) {
	if name == "" || name[0] == '$' || name[0] == '_' { // a wide pattern meets NATS's own traffic
		return
	}
	received := h.now()
	h.stats.messages.Add(1)
	h.stats.bytes.Add(uint64(len(payload)))
	if subject.IsPattern(name) { // NATS does not stop a careless publisher from using wildcards
		h.stats.invalid.Add(1)
		return
	}
	h.eachClass(name, func(topic string, c *Class) {
		h.deliver(delivery{topic: topic, class: c, payload: payload, received: received, source: source})
	})
}

// eachClass calls f for each topic behind a subject that gets its messages from a subscription.
func (r *registry) eachClass(subject string, f func(topic string, c *Class)) {
	for _, c := range r.mapped {
		if topic, ok := c.topicOf(subject); ok && !c.Streamed() && r.classes.of(topic) == c {
			f(topic, c)
		}
	}
	if c := r.classes.of(subject); !c.mapped && !c.Streamed() {
		f(subject, c)
	}
}

// Lossless reports whether a topic behind subject must not lose messages.
func (h *Hub) Lossless(subject string) (lossless bool) {
	for _, c := range h.mapped {
		if topic, ok := c.topicOf(subject); ok && c.Mode == ModeAll && h.classes.of(topic) == c {
			return true
		}
	}
	return h.classes.of(subject).Mode == ModeAll
}

// deliver delivers d, or queues it for the delay of its class.
func (h *Hub) deliver(d delivery) {
	data, ok := d.class.data(d.payload)
	if !ok {
		h.stats.invalid.Add(1)
		return
	}
	h.mu.Lock()
	defer h.unlock()
	t, lost := h.wantedTopic(d.topic)
	if lost {
		h.noteNoRoom(d.topic, 0)
	}
	counts := t != nil && t.ownsCopy(d.source)
	if counts && len(h.seams) > 0 {
		counts = h.crossSeam(t, &d)
	}
	if t != nil && t.owner != nil && t.owner.leaves && t.awaits == nil && d.source != "" {
		h.watchSeam(t, &d)
	}
	switch {
	case !counts:
		if t != nil && t.newest == nil && t.seq == t.Birth {
			t.told = true // something was published
			h.tellLostBefore(t)
		}
	case d.class.Delay > 0:
		t.told = true
		h.postpone(t, d)
	default:
		h.accept(t, d, data)
	}
}

// NewEpoch makes all cursors so far worthless. A loss is no reason for it: see Lose.
func (h *Hub) NewEpoch() {
	epoch := h.cfg.Epoch()
	h.epoch.Store(&epoch)
}

// mature delivers the messages that have waited long enough, some at a time, and returns when the next message is due.
func (h *Hub) mature(now int64) (next int64) {
	const atOnce = 256
	for _, q := range h.delays.queues {
		if q == nil {
			continue
		}
		h.mu.Lock()
		due := q.due()
		for n := 0; n < atOnce && due != 0 && due <= now; n++ {
			d := h.delays.next(q)
			if d.hole != nil {
				h.lose(d.hole, func(c *Class) bool { return c == d.class })
			} else if t := d.waits; !t.Ended() { // else messages behind it are missing, and a later topic of its name begins anew
				h.aim(t)
				d.received = now                                             // the latency of a delivery does not count the delay
				data, _, _ := d.class.Payload.Data(d.payload, d.class.depth) // was good when it came
				h.accept(t, d, data)
			}
			due = q.due()
		}
		if due != 0 && (next == 0 || due < next) {
			next = due
		}
		h.unlock()
	}
	return next
}

// silence calls every topic stale that was silent for too long, and returns when the next one may be.
func (h *Hub) silence(now int64) (next int64) {
	h.mu.Lock()
	defer h.unlock()
	for i, l := range h.silent {
		if l == nil {
			continue
		}
		after := h.classes[i].StaleAfter
		t, heard := l.first()
		for ; t != nil && heard+int64(after) <= now; t, heard = l.first() {
			l.remove(t)
			h.fallSilent(t)
		}
		if t != nil && (next == 0 || heard+int64(after) < next) {
			next = heard + int64(after)
		}
	}
	return next
}

// postpone queues d, a message of t, for the delay of its class. Without room it is dropped, since nothing may be sent sooner than
// it is due, and its place is a hole.
func (r *registry) postpone(t *Topic, d delivery) {
	if d.waits = t; r.delays.fits(d) {
		r.delays.add(d)
		return
	}
	r.delays.dropped++
	r.delays.addHole(d.class, d.received, hole{
		why: "more messages than may wait for their delay", stale: true, names: map[string]struct{}{d.topic: {}},
	})
}
