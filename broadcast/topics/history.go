package topics

import (
	"cmp"
	"container/list"
	"slices"
	"time"
)

// A kept message is one of a topic's history.
type kept struct {
	m  *Message
	at *list.Element // in histories.order
}

// keptCost is about the memory of a kept message beyond its payload.
const keptCost = 256

// histories bound the bytes of all topics' histories together, in the order in which messages came. Guarded by Hub.mu.
type histories struct {
	maxBytes int
	bytes    int
	order    list.List // of *Topic: the owner of the oldest message first
}

// add keeps m, which is newer than all of the history of t, and drops the excess. now is of the hub's clock.
func (hs *histories) add(t *Topic, m *Message) {
	if t.Class.History == 0 {
		t.since = m.Seq
		return
	}
	t.history = append(t.history, hs.enter(t, m))
	for len(t.history) > t.Class.History {
		hs.dropOldest(t)
	}
	if ttl := t.Class.HistoryTTL; ttl > 0 {
		for len(t.history) > 0 && t.history[0].m.Received < m.Received-int64(ttl) {
			hs.dropOldest(t)
		}
	}
	hs.shrink()
}

func (hs *histories) enter(t *Topic, m *Message) *kept {
	hs.bytes += m.Size() + keptCost
	m.keep(true)
	return &kept{m, hs.order.PushBack(t)}
}

// shrink drops the oldest messages until all histories together are within their bound.
func (hs *histories) shrink() {
	for hs.bytes > hs.maxBytes {
		hs.dropOldest(hs.order.Front().Value.(*Topic))
	}
}

func (hs *histories) dropOldest(t *Topic) {
	k := t.history[0]
	t.history[0] = nil
	t.history = t.history[1:]
	t.since = k.m.Seq
	hs.bytes -= k.m.Size() + keptCost
	k.m.keep(false)
	hs.order.Remove(k.at)
}

// forget drops all history of t.
func (hs *histories) forget(t *Topic) {
	for len(t.history) > 0 {
		hs.dropOldest(t)
	}
	t.history, t.since = nil, t.seq
}

// merge puts messages from the stream of t in front of its history: all messages after one sequence, up to the newest.
func (hs *histories) merge(t *Topic, after uint64, list []*Message) {
	have := t.history
	for len(have) > 0 && len(list) > 0 && have[0].m.Seq <= list[len(list)-1].Seq {
		list = list[:len(list)-1] // it is there
	}
	if len(list)+len(have) > t.Class.History {
		return
	}
	front := make([]*kept, 0, len(list)+len(have))
	for _, m := range list {
		front = append(front, hs.enter(t, m))
	}
	t.history = append(front, have...)
	t.since, t.cut = min(t.since, after), min(t.cut, after)
	hs.shrink()
}

// missed returns the messages of t after one sequence and up to another, the oldest first, and whether these are all that
// there were. now is of the hub's clock. Guarded by Hub.mu.
func (t *Topic) missed(after, upto uint64, now int64) (list []*Message, whole bool) {
	switch {
	case after < t.cut:
		return nil, false
	case after >= upto: // the later ones are on their way to the shard
		return nil, true
	}
	oldest := int64(0)
	if ttl := t.Class.HistoryTTL; ttl > 0 {
		oldest = now - int64(ttl/time.Nanosecond)
	}
	first, _ := slices.BinarySearchFunc(t.history, after+1, func(k *kept, seq uint64) int { return cmp.Compare(k.m.Seq, seq) })
	last, _ := slices.BinarySearchFunc(t.history, upto+1, func(k *kept, seq uint64) int { return cmp.Compare(k.m.Seq, seq) })
	list = make([]*Message, 0, max(last-first, 0))
	for _, k := range t.history[first:last] {
		if k.m.Received < oldest {
			return nil, false
		}
		list = append(list, k.m)
	}
	return list, t.since <= after
}

// Merge sorts messages by their sequences, and keeps the order of those with the same. The list is that of one topic behind that of
// another, each in order already: merging them compares each message once for each time that the number of topics can be halved.
func Merge(list []*Message) []*Message {
	var ends []int // of the runs in order
	for i := 1; i <= len(list); i++ {
		if i == len(list) || list[i].Seq < list[i-1].Seq {
			ends = append(ends, i)
		}
	}
	if len(ends) < 2 {
		return list
	}
	for merged := make([]*Message, len(list)); len(ends) > 1; list, merged = merged, list {
		begin, longer := 0, ends[:0]
		for i := 0; i < len(ends); i += 2 {
			end := ends[min(i+1, len(ends)-1)]
			mergeTwo(merged[begin:end], list[begin:ends[i]], list[ends[i]:end])
			begin, longer = end, append(longer, end)
		}
		ends = longer
	}
	return list
}

// mergeTwo merges x and y into dst, which is as long as both together.
func mergeTwo(dst, x, y []*Message) {
	for i := range dst {
		if len(y) == 0 || len(x) > 0 && x[0].Seq <= y[0].Seq {
			dst[i], x = x[0], x[1:]
		} else {
			dst[i], y = y[0], y[1:]
		}
	}
}
