package topics

import (
	"slices"

	"tickcast/broadcast/subject"
)

// Ended is called by upstream after Upstream.Unsubscribe, at a place among the messages of the connection: those of the
// subscription after it do not count, and those of other subscriptions on the same connection do. NATS delivers the copies of one
// message on one connection together. So none is lost and none comes twice. same reports whether a subscription is on that
// connection.
//
// An Ending is not Ended if the subscription must go on: it is wanted again, or Again says that Ended is to be called at a
// later place. Handover is not 0 if topics go over to subscriptions on other connections: HandedOver must be called for each of
// these.
func (h *Hub) Ended(source string, same func(source string) bool) (e Ending) {
	h.mu.Lock()
	defer h.unlock()
	before := h.steps
	defer func() { e.Steps = int(h.steps - before) }()
	f := h.feeds[source]
	switch {
	case f == nil:
		return Ending{Ended: true}
	case f.users > 0:
		f.leaves = false
		h.closeSeams(f)
		h.heirs = make(map[*Topic]heirs) // those that prepareEnd has worked out are not needed, and may never be
		return Ending{}
	case f.again < mostAgain && h.overtakes(f):
		f.again++
		if f.fence = h.turns; h.asking {
			f.fence--
		}
		return Ending{Again: true}
	}
	late := f.again == mostAgain && h.overtakes(f)
	f.leaves, f.asked = false, false
	h.forgetFeed(f)
	e = Ending{Ended: true, Handover: h.handOver(f, same)}
	h.openSeams(f, same)
	h.tellOrphans(f)
	if late {
		h.total++
		for _, t := range h.topicsBehind(f) {
			h.cutIn(t, handedOver)
		}
	}
	return e
}

// tellOrphans leaves a hole in the topics of f, which has ended, that no other subscription brings: NATS refuses those, or was not
// asked yet. A topic may outlive its subscriptions by the linger of a pattern.
func (h *Hub) tellOrphans(f *feed) {
	if h.denials > 0 {
		h.tellDenied(f, refused)
	}
	h.total++ // the hole's own position
	for _, t := range h.topicsBehind(f) {
		if h.own(t); t.owner == nil {
			h.cutIn(t, handedOver)
		}
	}
}

// An Ending is the result of Hub.Ended.
type Ending struct {
	Ended    bool
	Again    bool
	Handover uint64
	Steps    int // topics and subscriptions that were looked at: the call's own time
}

// mostAgain is the number of places at which Hub.Ended refuses an end. Chosen by us.
const mostAgain = 8

// overtakes reports whether NATS may not know a subscription yet that is to follow f as the owner of topics: upstream was asked
// for it after it was asked for the end of f.
func (r *registry) overtakes(f *feed) bool {
	if subject.IsPattern(f.subject) {
		return r.turns > f.fence
	}
	if t := r.topics[f.subject]; t != nil && !t.Class.mapped && t.ownerAt == r.feedAt && r.heirs[t] != nil {
		for _, g := range r.heirs[t] { // in the order of their turns
			if g != f && g.brings() {
				return g.turn > f.fence
			}
		}
		return false
	}
	var next *feed
	list := r.wide.Match(nil, f.subject)
	r.steps += uint64(len(list))
	for _, g := range list {
		if g.asked && !g.denied && (next == nil || g.turn < next.turn) {
			next = g
		}
	}
	return next != nil && next.turn > f.fence
}

// handOver gives the topics of f, which has ended or brings nothing any more, to other feeds. The copies of those on other
// connections do not count until HandedOver with the number that it returns. 0 = there are none. Hub.mu is held.
func (h *Hub) handOver(f *feed, same func(source string) bool) (number uint64) {
	if same == nil { // the topics have other owners when those are asked for
		return 0
	}
	var o *handover
	for _, t := range h.topicsBehind(f) {
		former := t.owner
		h.own(t)
		if former != f || t.owner != nil && same(t.owner.subject) { // an earlier handover to this connection still holds
			continue
		}
		if o == nil {
			h.handovers++
			o = &handover{h.handovers, same}
		}
		if t.awaits == nil {
			h.awaiting = append(h.awaiting, t)
		}
		t.awaits = o
	}
	h.total++
	h.noteHoleOver(f.subject, handedOver, func(c *Class) bool { return !c.Streamed() })
	if o == nil {
		return 0
	}
	return o.number
}

// HandedOver is called by upstream at a place among the messages of another connection than that of Ended, after it: from there
// on the copies of its subscriptions count. Messages may be lost between the two.
func (h *Hub) HandedOver(handover uint64, same func(source string) bool) {
	h.mu.Lock()
	defer h.unlock()
	h.total++ // the hole's own position
	h.awaiting = slices.DeleteFunc(h.awaiting, func(t *Topic) bool {
		if t.awaits == nil { // another topic of that name has taken it over
			return true
		}
		h.own(t)
		if t.awaits.number > handover || t.owner != nil && !same(t.owner.subject) && !t.awaits.origin(t.owner.subject) {
			return false
		}
		if t.awaits = nil; t.Ended() {
			delete(h.orphans, t.Name)
			h.noteHoleUnder(t.Name, handedOver)
		} else {
			h.cutIn(t, handedOver)
		}
		return true
	})
}

// handedOver is the reason of a hole between two connections.
const handedOver = "the subscription at nats has changed"
