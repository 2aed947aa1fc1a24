package broadcast

import (
	"container/list"
	"sync/atomic"
	"time"
)

// A topic is one subject that somebody wants, or wanted within the linger. There may be a million: 208 bytes, a size class.
type topic struct {
	// Immutable.
	name    string
	subject string // of NATS
	class   *class
	prefix  string // {"t":"px.AAPL","s":
	birth   uint64 // no message of the topic before this sequence is known of
	id      uint32 // index into Shard.byID; dense, reused after the topic's end

	// Any goroutine. Beside id, where it takes no room.
	ended atomic.Bool // the hub has forgotten it; id may be another topic's

	// Guarded by Hub.mu.
	seq       uint64 // of the newest; birth before the first
	newest    *Message
	since     uint64      // history holds every message after this one
	history   []*kept     // the oldest first
	exact     *interest   // the interest in this very name, if any
	owner     *feed       // whose copies count; see doc.go
	former    string      // the subject of the owner before, whose last copies count as well
	targets   []*Shard    // who wants it; replaced, never changed in place
	targetsAt uint64      // Hub.patternAt when owner, former and targets were worked out; 0 = work them out
	heard     *silentLink // nil without Class.StaleAfter

	loading *load // of a stream's topic: what the stream holds of it is on its way; nil = it is here

	told atomic.Pointer[Message] // stale, as subscribers were told last; nil = fresh. Stored with Hub.mu held
}

// A kept message is one of a topic's history.
type kept struct {
	m  *Message
	at *list.Element // in historyQueue.all
}

// A historyQueue bounds what all histories together hold, in the order in which messages came.
type historyQueue struct {
	most  int
	bytes int
	all   list.List // of *topic: whose oldest message it is
}

// keptCost is about what a kept message takes in memory beyond its payload.
const keptCost = 256

// keep adds m, which is newer than all of the history, and drops what is too much. h.mu is held.
func (h *Hub) keep(t *topic, m *Message) {
	if t.class.History == 0 {
		t.since = m.seq
		return
	}
	t.history = append(t.history, &kept{m, h.kept.all.PushBack(t)})
	h.kept.bytes += m.size() + keptCost
	for len(t.history) > t.class.History {
		h.dropOldest(t)
	}
	if ttl := t.class.HistoryTTL; ttl > 0 {
		for len(t.history) > 0 && t.history[0].m.received < m.received-int64(ttl) {
			h.dropOldest(t)
		}
	}
	h.boundHistory()
}

// boundHistory drops the oldest messages until all histories together are within their bound. h.mu is held.
func (h *Hub) boundHistory() {
	for h.kept.bytes > h.kept.most {
		h.dropOldest(h.kept.all.Front().Value.(*topic))
	}
}

func (h *Hub) dropOldest(t *topic) {
	k := t.history[0]
	t.history[0] = nil
	t.history = t.history[1:]
	t.since = k.m.seq
	h.kept.bytes -= k.m.size() + keptCost
	h.kept.all.Remove(k.at)
}

// forget drops all history of t. h.mu is held.
func (h *Hub) forget(t *topic) {
	for len(t.history) > 0 {
		h.dropOldest(t)
	}
	t.history, t.since = nil, t.seq
}

// missed returns the messages of t after one sequence and up to another, the oldest first, and whether these are all that
// there were. h.mu is held.
func (h *Hub) missed(t *topic, after, upto uint64) (list []*Message, whole bool) {
	if after >= upto {
		if t.class.stream == nil && t.since <= t.seq { // no hole behind the newest
			return nil, after >= t.birth
		}
		return nil, t.since <= after
	}
	oldest := int64(0)
	if ttl := t.class.HistoryTTL; ttl > 0 {
		oldest = h.nanotime() - int64(ttl)
	}
	for _, k := range t.history {
		if k.m.seq > after && k.m.seq <= upto {
			if k.m.received < oldest {
				return nil, false
			}
			list = append(list, k.m)
		}
	}
	return list, t.since <= after
}

// merge puts messages in front of t's history that came from its stream: all that there were after one sequence, up to the
// newest. h.mu is held.
func (h *Hub) merge(t *topic, after uint64, list []*Message) {
	have := t.history
	for len(have) > 0 && len(list) > 0 && have[0].m.seq <= list[len(list)-1].seq {
		list = list[:len(list)-1] // it is there
	}
	if len(list)+len(have) > t.class.History {
		return
	}
	front := make([]*kept, 0, len(list)+len(have))
	for _, m := range list {
		front = append(front, &kept{m, h.kept.all.PushBack(t)})
		h.kept.bytes += m.size() + keptCost
	}
	t.history = append(front, have...)
	t.since = min(t.since, after)
	h.boundHistory()
}

// A silenceList holds the topics of a class that may fall silent, the one that was heard the longest ago first.
type silenceList struct{ first, last *topic }

type silentLink struct {
	next, prev *topic
	at         int64 // when the topic was heard, by the hub's clock
	listed     bool
}

// touch moves t to the end: it was heard now.
func (l *silenceList) touch(t *topic, now int64) {
	l.remove(t)
	if t.heard == nil {
		t.heard = new(silentLink)
	}
	*t.heard = silentLink{prev: l.last, at: now, listed: true}
	if l.last != nil {
		l.last.heard.next = t
	} else {
		l.first = t
	}
	l.last = t
}

// remove takes t out, if it is there.
func (l *silenceList) remove(t *topic) {
	if t.heard == nil || !t.heard.listed {
		return
	}
	if t.heard.prev != nil {
		t.heard.prev.heard.next = t.heard.next
	} else {
		l.first = t.heard.next
	}
	if t.heard.next != nil {
		t.heard.next.heard.prev = t.heard.prev
	} else {
		l.last = t.heard.prev
	}
	*t.heard = silentLink{}
}

// silence calls every topic stale that was silent for too long, and returns when the next one may be.
func (h *Hub) silence(now int64) (next int64) {
	h.mu.Lock()
	var woken []*Shard
	for _, c := range h.classes {
		if c.silent == nil {
			continue
		}
		after := int64(c.StaleAfter)
		for t := c.silent.first; t != nil && t.heard.at+after <= now; t = c.silent.first {
			c.silent.remove(t)
			woken = append(woken, h.tell(t, kindStale, "silent for "+c.StaleAfter.String())...)
		}
		if t := c.silent.first; t != nil && (next == 0 || t.heard.at+after < next) {
			next = t.heard.at + after
		}
	}
	h.mu.Unlock()
	wakeAll(woken)
	return next
}

// tell posts to t's subscribers that it is stale, fresh or has a gap, unless they know, and returns the shards to be woken.
// h.mu is held.
func (h *Hub) tell(t *topic, kind messageKind, why string) []*Shard {
	switch {
	case kind == kindStale && t.told.Load() != nil, kind == kindFresh && t.told.Load() == nil:
		return nil
	}
	m := newTold(t, kind, why)
	switch kind {
	case kindStale:
		t.told.Store(m)
	case kindFresh:
		t.told.Store(nil)
	case kindGap, kindRestart:
		h.stats.gaps.Add(1)
	}
	if t.targetsAt != h.patternAt {
		h.aim(t)
	}
	h.post(t, m)
	return t.targets
}

// post puts m into the mailboxes of those who want it. h.mu is held, so that every mailbox sees a topic's messages in order.
func (h *Hub) post(t *topic, m *Message) {
	m.pending.Store(int32(len(t.targets)))
	for _, s := range t.targets {
		s.mailbox.post(m)
	}
}

func wakeAll(shards []*Shard) {
	for _, s := range shards {
		s.Wake()
	}
}

// watchSilence calls silent topics stale until done is closed.
func (h *Hub) watchSilence(done <-chan struct{}) {
	shortest := time.Duration(0)
	for _, c := range h.classes {
		if c.StaleAfter > 0 && (shortest == 0 || c.StaleAfter < shortest) {
			shortest = c.StaleAfter
		}
	}
	if shortest == 0 {
		return
	}
	// A topic that is new meanwhile is silent no sooner than after the shortest time.
	timer := time.NewTimer(shortest)
	defer timer.Stop()
	for {
		select {
		case <-done:
			return
		case <-timer.C:
		}
		now := h.nanotime()
		wait := shortest
		if next := h.silence(now); next > 0 {
			wait = min(wait, time.Duration(next-now))
		}
		timer.Reset(max(wait, time.Millisecond))
	}
}
