package topics

import (
	"cmp"
	"slices"

	"tickcast/broadcast/subject"
)

// own works out the feed whose copies of the messages of t count, unless it is known: of those that bring them, the one that upstream was
// asked for first.
func (r *registry) own(t *Topic) {
	switch {
	case t.ownerAt != r.feedAt:
		t.owner, t.ownerAt = nil, r.feedAt
		delete(r.heirs, t)
		for _, f := range r.bringers(t) {
			if t.owner == nil || f.turn < t.owner.turn {
				t.owner = f
			}
		}
	case t.owner != nil && !t.owner.brings():
		t.owner = r.inherit(t)
	}
}

// brings reports whether messages come through f.
func (f *feed) brings() bool { return f.asked && !f.denied }

// bringers returns the feeds that bring messages of t.
func (r *registry) bringers(t *Topic) (list []*feed) {
	name := t.Class.SubjectOf(t.Name)
	if f := r.feeds[name]; f != nil {
		list = append(list, f)
	}
	list = r.wide.Match(list, name)
	r.steps += uint64(max(len(list)-1, 0)) // t itself was counted
	return slices.DeleteFunc(list, func(f *feed) bool { return !f.brings() })
}

// heirs are the feeds that brought messages of a topic when its owner ended, in the order of their turns. There are as many as patterns
// over the topic, at most, and they count until one more brings messages.
type heirs []*feed

// inherit returns the owner of t behind one that has ended. A client that leaves thousands of patterns over thousands of topics ends
// owner after owner: all feeds of a topic are looked at once.
func (r *registry) inherit(t *Topic) *feed {
	list, known := r.heirs[t]
	if !known {
		list = r.heirsOf(t)
	}
	for len(list) > 0 && !list[0].brings() {
		list = list[1:]
		r.steps++
	}
	if len(list) < 2 { // the next end finds no other
		delete(r.heirs, t)
	} else {
		r.heirs[t] = list
	}
	if len(list) == 0 {
		return nil
	}
	return list[0]
}

// heirsOf returns the feeds that bring messages of t, in the order of their turns.
func (r *registry) heirsOf(t *Topic) heirs {
	list := r.bringers(t)
	slices.SortFunc(list, func(f, g *feed) int { return cmp.Compare(f.turn, g.turn) })
	return list
}

// prepareEnd works out the owners behind f of the topics that f owns, before upstream is to end f: Ended needs them all at one place
// among the messages. From time to time it gives the lock away. Where something changes until then, Ended works it out anew.
func (h *Hub) prepareEnd(f *feed) {
	h.mu.Lock()
	defer h.unlock()
	n := 0
	prepare := func(t *Topic) {
		if t.Class.mapped || t.Class.Streamed() || f.users > 0 || !f.brings() {
			return
		}
		before := h.steps
		if h.own(t); t.owner == f && h.heirs[t] == nil {
			h.heirs[t] = h.heirsOf(t)[1:] // f is the first
		}
		n += int(h.steps - before)
		h.spend(&n, 0)
	}
	if !subject.IsPattern(f.subject) {
		if t := h.topics[f.subject]; t != nil {
			prepare(t)
		}
		return
	}
	w := h.tree.Walk(f.subject)
	for t, ok := w.Next(); ok; t, ok = w.Next() {
		if h.spend(&n, 1); !t.Ended() {
			prepare(t)
		}
	}
}

// feedBrings notes that one more feed brings messages of topics that are not known one by one.
func (r *registry) feedBrings() {
	if r.feedAt++; r.feedAt == 0 { // after four billion
		r.feedAt = 1
		for t := range r.all {
			t.ownerAt = 0
		}
	}
}
