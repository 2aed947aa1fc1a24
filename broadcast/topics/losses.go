package topics

import (
	"maps"

	"tickcast/broadcast/subject"
)

// Lose notes that messages of upstream may be lost right here, between those that were delivered and those to come: messages
// of the topics whose feed has a subject for which from reports true, and of those without a feed. A lossless topic has a gap;
// any other is called stale until its next message, if stale says so. A topic with a delay has its hole when that is due.
func (h *Hub) Lose(why string, stale bool, from func(source string) bool) {
	h.mu.Lock()
	defer h.unlock()
	o := hole{why: why, stale: stale, sources: make(map[string]struct{})}
	for name := range h.feeds {
		if from(name) {
			o.sources[name] = struct{}{}
		}
	}
	if len(o.sources) < len(h.feeds) {
		o.spared = make(map[*Topic]struct{})
		for t := range h.all {
			if h.own(t); t.owner != nil && !from(t.owner.subject) {
				o.spared[t] = struct{}{}
			}
		}
	}
	h.tearSeams(o.spared)
	h.lose(&o, func(c *Class) bool { return c.Delay == 0 && !c.Streamed() })
	received := h.now()
	for _, c := range h.classes {
		if c.Delay > 0 {
			o.sources, o.spared = maps.Clone(o.sources), maps.Clone(o.spared)
			h.delays.addHole(c, received, o)
		}
	}
}

// cutIn puts a hole of its own at position registry.total into the messages of t, behind those that wait for a delay.
func (h *Hub) cutIn(t *Topic, why string) {
	t.told = true
	if t.Class.Delay > 0 {
		h.delays.addHole(t.Class, h.now(), hole{why: why, stale: true, names: map[string]struct{}{t.Name: {}}})
	} else {
		h.cut(t, h.total, why, true)
	}
}

// Refuse notes that NATS does not grant a subscription: others that bring its messages count instead. Topics without another one
// are stale, since silence means nothing any more. same and handover are as of Ended.
func (h *Hub) Refuse(source, why string, same func(source string) bool) (handover uint64) {
	h.mu.Lock()
	defer h.unlock()
	f := h.feeds[source]
	if f == nil {
		return 0
	}
	var owned []*Topic
	for _, t := range h.topicsBehind(f) {
		if h.own(t); t.owner == f {
			owned = append(owned, t)
		}
	}
	if !f.denied {
		f.denied, f.lastTurn = true, h.turns
		h.denials++
	}
	h.closeSeams(f)
	handover = h.handOver(f, same)
	h.tellDenied(f, why)
	h.total++ // the hole's own position
	for _, t := range owned {
		if t.awaits == nil { // even with another owner: NATS may not have known that subscription yet when it took f
			h.cutIn(t, handedOver)
		}
	}
	h.noteHoleOver(source, handedOver, func(c *Class) bool { return !c.Streamed() })
	return handover
}

// tellDenied calls the topics behind f stale that no subscription brings, since NATS refuses them. Hub.mu is held.
func (h *Hub) tellDenied(f *feed, why string) {
	for _, t := range h.topicsBehind(f) {
		if h.own(t); t.owner == nil {
			h.setStale(t, causeDenied, why)
		}
	}
}

// Grant notes that NATS grants a subscription that it refused. The topics that no other one brought have a hole up to here. One
// whose newest message may have been missed stays stale until the next.
func (h *Hub) Grant(source string) {
	h.mu.Lock()
	defer h.unlock()
	f := h.feeds[source]
	if f == nil || !f.denied {
		return
	}
	h.turns++
	f.denied, f.turn = false, h.turns // the present owners stay
	h.denials--
	h.reown(f)
	h.total++ // the hole's own position
	for _, t := range h.topicsBehind(f) {
		h.own(t)
		s := t.state.Load()
		denied := s != nil && s.cause == causeDenied
		switch {
		case t.owner != f && t.owner != nil && t.awaits == nil && t.owner.turn > f.lastTurn: // NATS may know f for longer
			h.cutIn(t, refused)
		case t.owner == f && (denied || t.Class.Delay > 0): // a message that waited for its delay may have ended the state
			h.cutIn(t, refused)
			if denied && t.Class.Mode == ModeAll {
				h.setFresh(t)
			}
		}
	}
	h.noteHoleOver(source, refused, func(c *Class) bool { return !c.Streamed() })
}

// refused is the reason of a hole of the time in which NATS refused a subscription.
const refused = "nats refused the subscription"

// topicsBehind returns the topics whose messages f brings, always in the same order: none of a stream. Hub.mu is held.
func (h *Hub) topicsBehind(f *feed) (list []*Topic) {
	list = h.behind(list, f, f.subject, func(t *Topic) bool { return !t.Class.mapped })
	for _, c := range h.mapped {
		own := func(t *Topic) bool { return t.Class == c }
		if subject.IsPattern(f.subject) {
			list = h.behind(list, f, c.Match, own)
		} else if name, ok := c.topicOf(f.subject); ok {
			list = h.behind(list, f, name, own)
		}
	}
	return list
}

// behind appends those of the topics under name, a topic or pattern, that fit and whose messages f brings.
func (h *Hub) behind(dst []*Topic, f *feed, name string, fits func(*Topic) bool) []*Topic {
	var found []*Topic
	if subject.IsPattern(name) {
		found = h.under(nil, name)
	} else if t := h.topics[name]; t != nil {
		found = append(found, t)
	}
	h.steps += uint64(len(found))
	for _, t := range found {
		if fits(t) && !t.Class.Streamed() && subject.Covers(f.subject, t.Class.SubjectOf(t.Name)) {
			dst = append(dst, t)
		}
	}
	return dst
}
