package broadcast

import (
	"sync/atomic"
)

// A budget bounds the bytes that all shards queue for their slow clients. Any goroutine may use it.
type budget struct {
	total  atomic.Int64 // bytes queued by all shards
	places atomic.Int64 // of their queues
	limit  int64        // of total; 0 = none
	shards []*Shard     // immutable after New
}

// over reports whether all queues together take too much.
func (b *budget) over() bool { return b.limit > 0 && b.total.Load() > b.limit }

// A hog is the client of a shard that weighs the most, as other shards see it: the bytes of its queue and the time since which
// it has one. Its weight is their product: a client that has never read weighs more than one that is behind for a moment.
type hog struct{ bytes, since atomic.Int64 }

func (h *hog) set(bytes, since int64) {
	h.bytes.Store(bytes)
	h.since.Store(since)
}

func (h *hog) weight(now int64) float64 { return weight(h.bytes.Load(), h.since.Load(), now) }

func weight(bytes, since, now int64) float64 { return float64(bytes) * (float64(now-since) + 1e6) }

// A slowList holds the clients with a queue, in the order in which they got it. It counts the bytes of their queues.
type slowList struct {
	clients []slowClient // the queue of some is empty by now
	budget  *budget
	largest hog         // any goroutine may read it; it may have left since
	forced  atomic.Bool // as shed, whatever the budget
	shed    atomic.Bool // another shard asks for the end of the client that weighs the most
}

// A slowClient has a queue. It may have ended since: then its slot has another backlog or none.
type slowClient struct {
	slot uint32
	b    *backlog
}

// count adds a cost of b's queue, which may be negative, to the bytes of all shards, and its places if they have changed.
func (l *slowList) count(b *backlog, cost int) {
	l.budget.total.Add(int64(cost))
	if b.places != b.counted {
		l.budget.places.Add(int64(b.places - b.counted))
		b.counted = b.places
	}
}

// note makes b the largest if it is. now is of the hub's clock.
func (l *slowList) note(b *backlog, now int64) {
	if weight(int64(b.bytes), b.since, now) > l.largest.weight(now) {
		l.largest.set(int64(b.bytes), b.since)
	}
}

// heaviest returns the client that weighs the most, and notes the one after it for the other shards. ok is false without a
// client.
func (l *slowList) heaviest(now int64, live func(slowClient) bool) (first slowClient, ok bool) {
	var most, next float64
	var second *backlog
	for _, c := range l.clients {
		w := weight(int64(c.b.bytes), c.b.since, now)
		switch {
		case len(c.b.queue) == 0 || !live(c):
		case w > most || !ok:
			if ok {
				second, next = first.b, most
			}
			first, most, ok = c, w, true
		case w > next:
			second, next = c.b, w
		}
	}
	if second != nil {
		l.largest.set(int64(second.bytes), second.since)
	} else {
		l.largest.set(0, 0)
	}
	return first, ok
}

// add lists the client in slot, which has or is about to get a queue, unless it is listed. now is of the hub's clock.
func (l *slowList) add(slot uint32, b *backlog, now int64) {
	if !b.listed || len(b.queue) == 0 {
		b.since = now
	}
	if b.listed {
		return
	}
	if len(l.clients) == cap(l.clients) { // before the list grows, the clients that have caught up are removed
		live := l.clients[:0]
		for _, c := range l.clients {
			if c.b.listed = len(c.b.queue) > 0; c.b.listed {
				live = append(live, c)
			}
		}
		clear(l.clients[len(live):])
		l.clients = live
	}
	b.listed = true
	l.clients = append(l.clients, slowClient{slot, b})
}

// removeOldest removes the client that was listed first.
func (l *slowList) removeOldest() slowClient {
	c := l.clients[0]
	c.b.listed = false
	l.clients = l.clients[1:]
	return c
}

// release drops b's queue, and the first clients of the list as far as their queues are empty.
func (l *slowList) release(b *backlog) {
	for _, q := range b.queue {
		q.m.Dequeued()
	}
	bytes := b.bytes
	b.queue, b.bytes, b.places, b.allowed = nil, 0, 0, 0
	l.count(b, -bytes)
	for len(l.clients) > 0 && len(l.clients[0].b.queue) == 0 {
		l.removeOldest()
	}
	if len(l.clients) == 0 {
		l.clients = nil
	}
}
