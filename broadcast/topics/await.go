package topics

import (
	"slices"

	"tickcast/broadcast/wire"
)

// Streams reports whether some class has a stream.
func (h *Hub) Streams() bool { return slices.ContainsFunc(h.classes, (*Class).Streamed) }

// MayAwait reports whether a stream may be behind name, so that Await may have to wait.
func (h *Hub) MayAwait(name string) bool {
	c := h.classes.over(name)
	return c == nil || c.Streamed()
}

// Await lets w wait for the stream behind name, a topic or pattern, and returns the question that it waits for; 0 = none. from
// is the cursor of the command; nil = none. asked are the questions that the command has asked already about name. Asked must follow, once
// w has asked all its questions.
func (h *Hub) Await(name string, from *wire.Cursor, asked Question, w *Waiter) (now Question) {
	c := h.classes.over(name)
	if c != nil && !c.Streamed() {
		return 0
	}
	h.mu.Lock()
	defer h.unlock()
	i, err := h.interestIn(name)
	if err != nil {
		return 0
	}
	h.want(i) // it stays, also where ask lets others have the lock
	if now = h.ask(i, c, from, asked, w); now == 0 {
		h.unwant(i) // lingers until it is raised
		return 0
	}
	w.left++
	w.held = append(w.held, i)
	return now
}

// ask asks the first question about i that has a use and was not asked yet. c is the class of all topics under i, or nil.
func (h *Hub) ask(i *interest, c *Class, from *wire.Cursor, asked Question, w *Waiter) (now Question) {
	if asked&AskPast == 0 {
		if loads := h.loadsOf(i, c); len(loads) > 0 {
			for _, l := range loads {
				l.addWaiter(w)
			}
			w.left += len(loads) - 1
			return AskPast
		}
	}
	if c == nil {
		return 0
	}
	s := h.streamOf(c)
	if asked&AskPast == 0 && s.epoch.Load() == nil { // nobody asks, but the stream has to be found
		s.reach(0, w)
		return AskPast
	}
	switch ahead := from != nil && from.Epoch == s.epochNow() && from.Seq > s.last.Load(); {
	case from == nil:
	case ahead && asked&AskReach == 0:
		s.reach(from.Seq, w)
		return AskReach
	case !ahead && asked&AskMissed == 0:
		if l := h.resumeLoad(i, c, from); l != nil {
			l.addWaiter(w)
			return AskMissed
		}
	}
	return 0
}

// loadsOf returns the loads that i waits for. c is the class of all topics under i, or nil. A topic whose stream was
// asked in vain is asked for again.
func (r *registry) loadsOf(i *interest, c *Class) []*load {
	t := i.topic
	if t == nil {
		return i.loads
	}
	if t.loading == nil && t.since == unknown && c != nil {
		r.streamOf(c).loadTopic(t)
	}
	if t.loading == nil {
		return nil
	}
	return []*load{t.loading}
}

// resumeLoad asks the stream of c for the messages after a cursor, unless they are known or nobody can say.
func (h *Hub) resumeLoad(i *interest, c *Class, from *wire.Cursor) *load {
	switch {
	case c.History == 0 || from.Epoch != h.epochOf(c):
		return nil
	case i.topic != nil && i.topic.since > from.Seq:
		return h.streamOf(c).ask(&load{topic: i.topic, resume: true, after: from.Seq})
	case i.topic == nil && !h.knows(i, c, from.Seq) && from.Epoch == h.epochOf(c): // still
		return h.streamOf(c).ask(&load{interest: i, resume: true, after: from.Seq})
	}
	return nil
}

// knows reports whether the histories of all of c's topics under the pattern of i begin with a sequence or before. From time to time it
// lets others have the lock.
func (h *Hub) knows(i *interest, c *Class, after uint64) bool {
	if i.since > after {
		return false
	}
	w, n := h.tree.Walk(i.name), 0
	for t, more := w.Next(); more; t, more = w.Next() {
		if h.spend(&n, 1); t.Ended() {
			continue
		}
		if t.Class == c && t.since > after {
			return false
		}
	}
	return true
}

// Asked notes that w has asked all its questions: the answer may come.
func (h *Hub) Asked(w *Waiter) {
	h.mu.Lock()
	defer h.unlock()
	h.answered(w)
}

// GiveUp ends the wait of w, which has lasted too long: the topics that w waited for are stale if their stream is away.
func (h *Hub) GiveUp(w *Waiter) {
	h.mu.Lock()
	defer h.unlock()
	w.released = true
	n := 0
	for _, i := range w.held { // which keeps them
		h.spend(&n, 1)
		if t := i.topic; t != nil && t.since == unknown && !h.streamOf(t.Class).ok {
			h.setStale(t, causeAway, "upstream")
		}
	}
}

// Hold keeps the interests in names that there are for w: their lingers do not end before Release.
func (h *Hub) Hold(names []string, w *Waiter) {
	h.mu.Lock()
	defer h.unlock()
	n := 0
	for _, name := range names {
		h.spend(&n, 1)
		if i := h.interests[name]; i != nil {
			h.want(i)
			w.held = append(w.held, i)
		}
	}
}

// Release lets go of the interests that were kept for w.
func (h *Hub) Release(w *Waiter) {
	h.mu.Lock()
	defer h.unlock()
	held, n := w.held, 0
	w.held, w.released = nil, true
	for _, i := range held {
		h.spend(&n, 1)
		h.unwant(i)
	}
}

// Unavailable says why nobody can subscribe to name: the stream behind it was never found. "" = somebody can.
func (h *Hub) Unavailable(name string) (why string) {
	c := h.classes.over(name)
	if c == nil || !c.Streamed() || h.streamOf(c).epoch.Load() != nil {
		return ""
	}
	h.mu.Lock()
	defer h.unlock()
	if why = h.streamOf(c).why; why == "" {
		why = "its stream was not found yet"
	}
	return why
}

// Mark posts an entry of KindMark to a shard, behind all that was posted before, and returns it.
func (h *Hub) Mark(shard int) *Message {
	m := &Message{Kind: KindMark}
	h.mu.Lock()
	defer h.unlock()
	h.boxes[shard].postMark(m)
	h.posted |= 1 << min(shard, 63)
	return m
}
