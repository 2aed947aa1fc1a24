package broadcast

import (
	"tickcast/broadcast/topics"
	"tickcast/broadcast/wire"
)

// A backlog is the debt to a subscriber since its socket filled up. Topics of ModeLast are marked: when the socket has
// drained, the subscriber gets the newest message of each. Messages of ModeAll are queued, as pointers, up to
// Config.QueueBytes. A backlog exists only while there is a debt.
type backlog struct {
	dirty     dirtySet
	queue     []queued // of topics of ModeAll, the oldest first
	bytes     int      // of queue
	places    int      // of queue's array, those in front of the first message too
	counted   int      // of these, in the account of slowList
	allowed   int      // bytes beyond Config.QueueBytes: of a history that the client asked for
	conflated uint64   // messages that a newer one replaced; told with lag
	since     int64    // when it was listed, by the hub's clock
	listed    bool     // in a slowList
}

type queued struct {
	m    *topics.Message
	form wire.Form
}

// cost returns the bytes that a queued message counts: its own, which are shared, and its place in the queue.
func (q queued) cost() int { return q.m.Size() + 16 }

// empty reports whether no message is owed.
func (b *backlog) empty() bool { return b.dirty.len() == 0 && len(b.queue) == 0 }

// push queues a message and returns its cost.
func (b *backlog) push(q queued) (cost int) {
	q.m.Enqueued()
	room := cap(b.queue)
	if b.queue = append(b.queue, q); cap(b.queue) > room { // it has a new array
		b.places = cap(b.queue)
	}
	b.bytes += q.cost()
	return q.cost()
}

// replay adds m, which is older than all messages to come, and returns its cost, which Config.QueueBytes does not limit: the
// client asked for it, and a class bounds its history.
func (b *backlog) replay(m *topics.Message, form wire.Form) (cost int) {
	if m.Topic.Class.Mode == topics.ModeLast && form == wire.FormSnapshot {
		if !b.dirty.owesNewest(m.Topic.ID) {
			b.dirty.mark(m.Topic.ID, dirtySnapshot)
		}
		return 0
	}
	cost = b.push(queued{m, form})
	b.allowed += cost
	return cost
}

// removeFirst removes the first n messages of the queue and returns their cost.
func (b *backlog) removeFirst(n int) (cost int) {
	for _, q := range b.queue[:n] {
		cost += q.cost()
		q.m.Dequeued()
	}
	clear(b.queue[:n])
	b.queue = b.queue[n:]
	b.bytes -= cost
	b.allowed = max(b.allowed-cost, 0) // a history stands in front
	return cost
}

// retain removes the messages of all topics but those for which keep returns true, and returns the cost of the removed ones.
func (b *backlog) retain(keep func(*topics.Topic) bool) (cost int) {
	kept := b.queue[:0]
	for _, q := range b.queue {
		if keep(q.m.Topic) {
			kept = append(kept, q)
			continue
		}
		cost += q.cost()
		q.m.Dequeued()
	}
	clear(b.queue[len(kept):])
	b.queue = kept
	b.bytes -= cost
	b.allowed = max(b.allowed-cost, 0)
	return cost
}
