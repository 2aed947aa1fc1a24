package broadcast

import "sync"

// A mailbox is the bounded queue from other goroutines to a shard. Beyond its bounds it keeps the newest message of each
// topic and counts what that replaced: what a slow loop loses is conflated, never silent. A shard that finds a message of a
// lossless topic missing asks the hub's history for it, or tells of a gap.
type mailbox struct {
	maxMessages int
	maxBytes    int

	mu       sync.Mutex
	queue    []*Message
	bytes    int                     // of the queue's frames
	answered bool                    // a request to look at parked commands is in the queue
	noticed  bool                    // a notice is in the queue
	newest   map[mailboxKey]*Message // the overflow, one message a topic and sort
	overflow uint64                  // messages that did not fit into the queue
	replaced uint64                  // of these, messages that a newer one replaced
}

// post adds m. Any goroutine may call it. Once one message of a topic is in the overflow, its later ones go there as well,
// so that the order of a topic holds.
func (b *mailbox) post(m *Message) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if m == notice || m == answered { // it says "look at the state": one of them does
		said := &b.noticed
		if m == answered {
			said = &b.answered
		}
		if !*said {
			b.queue, *said = append(b.queue, m), true
		}
		return
	}
	full := len(b.queue) >= b.maxMessages || b.bytes+m.size() > b.maxBytes
	if !full && len(b.newest) == 0 {
		b.queue = append(b.queue, m)
		b.bytes += m.size()
		return
	}
	b.overflow++
	if b.newest == nil {
		b.newest = make(map[mailboxKey]*Message)
	}
	key := mailboxKey{m.topic, sortOf(m.kind)}
	switch old := b.newest[mailboxKey{m.topic, kindData}]; {
	case m.kind == kindRestart && old != nil: // of the sequences before
		delete(b.newest, mailboxKey{m.topic, kindData})
		b.replaced++
	case m.kind == kindGap && b.newest[key] != nil && b.newest[key].kind == kindRestart: // it says more
		return
	}
	if b.newest[key] != nil && m.kind == kindData {
		b.replaced++
	}
	b.newest[key] = m
}

// A mailboxKey is what messages in the overflow replace each other by: updates of a topic, what is told about it, its gaps.
type mailboxKey struct {
	topic *topic
	sort  messageKind
}

func sortOf(k messageKind) messageKind {
	switch k {
	case kindFresh:
		return kindStale
	case kindRestart:
		return kindGap
	}
	return k
}

// take returns what has been posted, oldest first, and how many messages were conflated away. spare is an empty slice to
// queue into from now on. The shard's loop calls it.
func (b *mailbox) take(spare []*Message) (queue []*Message, replaced uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	queue, b.queue, b.bytes, b.noticed, b.answered = b.queue, spare[:0], 0, false, false
	for _, control := range []bool{true, false} { // what is told about a topic goes before its newest message
		for key, m := range b.newest {
			if control == (key.sort != kindData) {
				queue = append(queue, m)
			}
		}
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
