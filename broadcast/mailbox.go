package broadcast

import "sync"

// A mailbox is the bounded queue from other goroutines to a shard. Beyond its bounds it keeps the newest message of each
// topic and counts what that replaced: what a slow loop loses is conflated, never silent.
type mailbox struct {
	maxMessages int
	maxBytes    int

	mu       sync.Mutex
	queue    []*Message
	bytes    int                 // of the queue's frames
	noticed  bool                // a notice is in the queue
	newest   map[*topic]*Message // the overflow, one message a topic
	overflow uint64              // messages that did not fit into the queue
	replaced uint64              // of these, messages that a newer one replaced
}

// post adds m. Any goroutine may call it. Once one message of a topic is in the overflow, its later ones go there as well,
// so that the order of a topic holds.
func (b *mailbox) post(m *Message) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if m == notice { // it says "look at the state": one of them does
		if !b.noticed {
			b.queue, b.noticed = append(b.queue, m), true
		}
		return
	}
	full := len(b.queue) >= b.maxMessages || b.bytes+len(m.frame) > b.maxBytes
	if !full && len(b.newest) == 0 {
		b.queue = append(b.queue, m)
		b.bytes += len(m.frame)
		return
	}
	b.overflow++
	if b.newest == nil {
		b.newest = make(map[*topic]*Message)
	}
	if b.newest[m.topic] != nil {
		b.replaced++
	}
	b.newest[m.topic] = m
}

// take returns what has been posted, oldest first, and how many messages were conflated away. spare is an empty slice to
// queue into from now on. The shard's loop calls it.
func (b *mailbox) take(spare []*Message) (queue []*Message, replaced uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	queue, b.queue, b.bytes, b.noticed = b.queue, spare[:0], 0, false
	for _, m := range b.newest {
		queue = append(queue, m)
	}
	b.newest = nil
	replaced, b.replaced = b.replaced, 0
	return queue, replaced
}

// empty reports whether nothing is posted. Any goroutine may call it.
func (b *mailbox) empty() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.queue) == 0 && len(b.newest) == 0
}

// overflows returns how many messages did not fit into the queue so far. Any goroutine may call it.
func (b *mailbox) overflows() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.overflow
}
