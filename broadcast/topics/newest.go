package topics

import "container/list"

// newestList bounds the bytes of the newest messages of all topics, in the order in which they were heard. Guarded by Hub.mu.
type newestList struct {
	maxBytes int
	bytes    int
	dropped  uint64
	order    list.List // of *Topic: the one that was heard longest ago first
}

// dropsAtOnce is the number of newest messages that one message may push out; more have to wait for the next. Chosen by us.
const dropsAtOnce = 64

// setNewest makes m, which may be nil, the newest message of t.
func (r *registry) setNewest(t *Topic, m *Message) {
	l := &r.newest
	if t.newest != nil {
		l.bytes -= t.newest.Size() + keptCost
	}
	t.newest = m
	switch {
	case m == nil:
		if t.place != nil {
			l.order.Remove(t.place)
			t.place = nil
		}
		return
	case t.place == nil:
		t.place = l.order.PushBack(t)
	default:
		l.order.MoveToBack(t.place)
	}
	l.bytes += m.Size() + keptCost
	for n := 0; n < dropsAtOnce && l.bytes > l.maxBytes; n++ {
		oldest := l.order.Front().Value.(*Topic)
		if oldest == t { // the newest message of all stays, whatever its size
			return
		}
		r.dropNewest(oldest)
	}
}

// dropNewest drops the newest message of t, here and in the shards. New subscribers are told stale in its place, until the next
// message.
func (r *registry) dropNewest(t *Topic) {
	r.setNewest(t, nil)
	r.newest.dropped++
	m := newNotice(t, KindStale, "the newest message was dropped for flow.newest_bytes", r.nextState())
	m.Dropped = true
	t.state.Store(m)
	r.notify(t, m)
}

// SetFull says whether there is no memory for more topics: they are refused then.
func (h *Hub) SetFull(full bool) {
	h.mu.Lock()
	defer h.unlock()
	h.full = full
}

// relievedAtOnce is the number of messages of each kind that one call of Relieve drops at most. Chosen by us.
const relievedAtOnce = 1024

// Relieve drops messages that are kept for clients to come: of newest messages and histories those that came longest ago, of the
// kind that takes more.
func (h *Hub) Relieve() {
	h.mu.Lock()
	defer h.unlock()
	for range relievedAtOnce {
		oldest, kept := h.newest.order.Front(), h.history.order.Front()
		switch {
		case kept != nil && h.history.bytes >= h.newest.bytes:
			h.history.dropOldest(kept.Value.(*Topic))
		case oldest != nil:
			h.dropNewest(oldest.Value.(*Topic))
		default:
			return
		}
	}
}
