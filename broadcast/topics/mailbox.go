package topics

import (
	"sync"
	"sync/atomic"
)

// A Mailbox is the bounded queue from the hub to one shard, and the wake-up of its loop.
//
// A topic of ModeLast has one place: a newer update takes the place of the one that waits, once there are
// Config.ConflateAbove entries. Its bound is the number of topics. All else is bounded by Config.MailboxMessages and MailboxBytes. Beyond these the
// mailbox keeps the newest entry of each topic and sort. A shard that finds a message of a lossless topic missing asks the
// hub's history for it, or tells of a gap. Both kinds of loss are counted, and never silent.
type Mailbox struct {
	maxMessages   int
	maxBytes      int
	conflateAbove int

	wake      atomic.Pointer[func()] // nil before Attach
	scheduled atomic.Bool            // a drain is due or under way: wake need not be called

	mu       sync.Mutex
	queue    []*Message
	base     uint32    // entries that were taken so far, modulo 2^32: the first of queue is entry base, see target.at
	bounded  int       // entries of queue that the bounds count: all but the updates of ModeLast
	bytes    int       // of these
	upstream bool      // an entry of KindUpstream is in the queue
	answers  []*Waiter // their loads were answered
	over     overflow
	marks    []*Message // behind the overflow

	overflows uint64 // messages beyond the bounds
	replaced  uint64 // of these, messages that a newer one replaced
}

// A target is a shard that wants a topic. Guarded by Hub.mu.
type target struct {
	at    uint32 // entry of the topic's newest update in the mailbox of the shard, if it still waits; see Mailbox.base
	shard uint16
}

// Attach ties the mailbox to the loop of its shard. wake schedules a drain on the loop; it is called from any goroutine.
func (b *Mailbox) Attach(wake func()) {
	b.wake.Store(&wake)
	b.Wake()
}

// Wake schedules a drain unless one is scheduled already. Any goroutine may call it.
func (b *Mailbox) Wake() {
	if wake := b.wake.Load(); wake != nil && b.scheduled.CompareAndSwap(false, true) {
		(*wake)()
	}
}

// Scheduled notes that a drain is under way: until Idle, posts wake nobody. The shard's loop calls it.
func (b *Mailbox) Scheduled() { b.scheduled.Store(true) }

// Idle ends the drain if nothing is posted, and reports whether it did. From then on posts wake the loop. The shard's loop
// calls it.
func (b *Mailbox) Idle() bool {
	// Subtle: a post before this store wakes nobody, so the mailbox is looked at once more. A post after it may have
	// scheduled a drain already, and then that one goes on.
	b.scheduled.Store(false)
	b.mu.Lock()
	idle := b.empty() && len(b.answers) == 0
	b.mu.Unlock()
	return idle || !b.scheduled.CompareAndSwap(false, true)
}

// post adds m. at belongs to the topic's target. Hub.mu is held. Once an entry of a lossless topic is in the overflow, all
// later ones go there as well, so that the order over all topics holds.
func (b *Mailbox) post(m *Message, at *uint32) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if m.Kind == KindData && m.Topic.Class.Mode == ModeLast && (b.over.empty() || !b.over.restarts(m.Topic)) {
		if i := *at - b.base; len(b.queue) >= b.conflateAbove {
			b.overflows++
			if int(i) < len(b.queue) && m.Supersedes(b.queue[i]) {
				b.queue[i] = m
				b.replaced++
				return
			}
		}
		*at = b.base + uint32(len(b.queue))
		b.queue = append(b.queue, m)
		return
	}
	if b.over.empty() && b.bounded < b.maxMessages && b.bytes+m.Size() <= b.maxBytes {
		b.queue = append(b.queue, m)
		b.bounded++
		b.bytes += m.Size()
		return
	}
	b.overflows++
	b.replaced += b.over.add(m)
}

// Supersedes reports whether m, an update, makes an older message needless where the newest is enough.
func (m *Message) Supersedes(old *Message) bool {
	return old.Topic == m.Topic && old.Kind == KindData && old.Gen == m.Gen
}

// postUpstream adds an entry of KindUpstream, unless one is there: it says "look at Hub.Stale".
func (b *Mailbox) postUpstream() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.upstream {
		b.queue, b.upstream = append(b.queue, &Message{Kind: KindUpstream}), true
	}
}

// postMark adds an entry of KindMark, for which there always is room: each belongs to a command that waits. It stands behind
// all that was posted before.
func (b *Mailbox) postMark(m *Message) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.over.empty() {
		b.queue = append(b.queue, m)
	} else {
		b.marks = append(b.marks, m)
	}
}

// postAnswer notes that the loads of w were answered. Any goroutine may call it.
func (b *Mailbox) postAnswer(w *Waiter) {
	b.mu.Lock()
	b.answers = append(b.answers, w)
	b.mu.Unlock()
}

// A Post is the content of a mailbox.
type Post struct {
	Queue    []*Message // the oldest first
	Overflow []*Message // behind Queue: messages of lossless topics may be missing before each of them
	Answers  []*Waiter  // their loads were answered, and the messages before that are in the lists
	Replaced uint64     // messages that were conflated away
}

// Take empties the mailbox. spare is an empty slice for the messages from now on. The shard's loop calls it.
func (b *Mailbox) Take(spare []*Message) Post {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := Post{b.queue, append(b.over.take(), b.marks...), b.answers, b.replaced}
	b.base += uint32(len(b.queue))
	b.queue, b.bounded, b.bytes, b.upstream = spare[:0], 0, 0, false
	b.marks, b.answers, b.replaced = nil, nil, 0
	return p
}

// Empty reports whether no message waits. Any goroutine may call it.
func (b *Mailbox) Empty() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.empty()
}

func (b *Mailbox) empty() bool { return len(b.queue) == 0 && b.over.empty() }

// Len returns the number of messages that wait. Any goroutine may call it.
func (b *Mailbox) Len() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.queue) + len(b.over.at) + len(b.marks)
}

// Overflows returns how many messages were beyond the bounds so far. Any goroutine may call it.
func (b *Mailbox) Overflows() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.overflows
}
