package topics

import (
	"cmp"
	"slices"

	"tickcast/broadcast/subject"
)

// A Walk is a visit of the topics that a pattern matches, some at a time. Topics that come or go meanwhile are visited or not.
type Walk struct{ walk *subject.Walk[*Topic] } // used with Hub.mu held

// Under begins a walk over the topics that a pattern matches.
func (h *Hub) Under(pattern string) *Walk {
	h.mu.Lock()
	defer h.unlock()
	return &Walk{h.tree.Walk(pattern)}
}

// walkAtOnce is the number of topics that one step of a walk finds, with the hub's lock held. Chosen by us.
const walkAtOnce = 256

// Next returns the next topics of a walk, always in the same order if they are few; none: it is over.
func (h *Hub) Next(w *Walk, dst []*Topic) []*Topic {
	n := len(dst)
	h.mu.Lock()
	for len(dst)-n < walkAtOnce {
		t, ok := w.walk.Next()
		if !ok {
			break
		}
		if !t.Ended() {
			dst = append(dst, t)
		}
	}
	h.steps += uint64(len(dst) - n)
	h.unlock()
	slices.SortFunc(dst[n:], func(x, y *Topic) int { return cmp.Compare(x.ID, y.ID) })
	return dst
}

// KnownOf appends to dst the present knowledge of the topics, which means nothing for those that have ended. The mailboxes of the shards
// that want them get every message after it.
func (h *Hub) KnownOf(dst []Known, list []*Topic) []Known {
	h.mu.Lock()
	defer h.unlock()
	for _, t := range list {
		dst = append(dst, h.known(t))
	}
	return dst
}
