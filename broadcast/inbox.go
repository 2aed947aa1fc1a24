package broadcast

import (
	"slices"

	"tickcast/broadcast/topics"
)

// An inbox holds the messages that were taken from the mailbox, until their fan-outs begin.
type inbox struct {
	queue    []*topics.Message
	first    int               // index into queue
	overflow []*topics.Message // behind the queue: see Shard.mend
	answers  []*topics.Waiter  // behind both: a stream has answered their parked commands
	taken    uint64            // how often the mailbox was taken
	ordered  bool              // the messages of queue stand in the order of their sequences
}

// len returns the number of messages.
func (b *inbox) len() int { return len(b.queue) - b.first + len(b.overflow) }

// empty reports whether there is nothing to do.
func (b *inbox) empty() bool { return b.len() == 0 && len(b.answers) == 0 }

// collect takes over the mailbox's messages once its own are used up, and returns the number of messages that were conflated
// there.
func (b *inbox) collect(from *topics.Mailbox) (replaced uint64) {
	if !b.empty() {
		return 0
	}
	p := from.Take(emptied(b.queue))
	b.queue, b.first, b.overflow, b.answers = p.Queue, 0, p.Overflow, p.Answers
	b.taken, b.ordered = b.taken+1, p.Replaced == 0 && len(p.Overflow) == 0
	return p.Replaced
}

// queued reports whether the queue holds a message; else the overflow is next.
func (b *inbox) queued() bool { return b.first < len(b.queue) }

// next removes the first message of the queue.
func (b *inbox) next() *topics.Message {
	b.first++
	return b.queue[b.first-1]
}

// putBack makes the message that was removed last the first again, behind a list of others.
func (b *inbox) putBack(list []*topics.Message) {
	b.first--
	b.queue = append(b.queue[:b.first], slices.Concat(list, b.queue[b.first:])...)
}

// replaceOverflow makes list the queue, in place of the overflow.
func (b *inbox) replaceOverflow(list []*topics.Message) {
	b.queue, b.first, b.overflow, b.ordered = list, 0, nil, false
}

// nextAnswer removes the first answer.
func (b *inbox) nextAnswer() *topics.Waiter {
	w := b.answers[0]
	b.answers[0] = nil
	b.answers = b.answers[1:]
	return w
}
