package broadcast

import (
	"sync/atomic"
	"time"
)

// delayed are the messages that wait for their class's delay.
type delayed struct {
	queues  []*delayQueue // immutable
	most    int           // bytes, of all queues together
	changed chan struct{} // wakes watchDelays; capacity 1
	dropped atomic.Uint64 // messages that did not fit

	// Guarded by Hub.mu.
	bytes int
}

// A delayQueue holds the messages of one class, in the order in which they came. It is guarded by Hub.mu.
type delayQueue struct {
	waiting []delivery
}

// delayCost is about what a waiting message takes in memory beyond its payload.
const delayCost = 160

// delay has d wait. What does not fit is dropped: nothing may be sent sooner than it is due. It returns the shards to be woken.
// h.mu is held.
func (h *Hub) delay(q *delayQueue, t *topic, d delivery) (woken []*Shard) {
	if h.delays.bytes+len(d.payload)+delayCost > h.delays.most {
		h.delays.dropped.Add(1)
		h.forget(t)
		h.total++ // a position of its own: no cursor from before reaches across the hole
		t.since = h.total
		if t.class.Mode == ModeAll {
			return h.tell(t, kindGap, "more messages than may wait for their delay")
		}
		return nil
	}
	d.payload = append([]byte{}, d.payload...)
	q.waiting = append(q.waiting, d)
	h.delays.bytes += len(d.payload) + delayCost
	if len(q.waiting) == 1 {
		select {
		case h.delays.changed <- struct{}{}:
		default:
		}
	}
	return nil
}

// mature delivers what has waited long enough, some at a time, and returns when the next message is due.
func (h *Hub) mature(now int64) (next int64) {
	const atOnce = 256
	var woken []*Shard
	for _, q := range h.delays.queues {
		h.mu.Lock()
		n := 0
		for n < len(q.waiting) && n < atOnce && q.waiting[n].received+int64(q.waiting[n].class.Delay) <= now {
			d := q.waiting[n]
			n++
			h.delays.bytes -= len(d.payload) + delayCost
			if t := h.wantedTopic(d.topic); t != nil {
				d.received = now                             // by us: the delay is none of ours
				data, _ := d.class.Payload.dataOf(d.payload) // was good when it came
				woken = append(woken, h.accept(t, d, data)...)
			}
		}
		clear(q.waiting[:n])
		q.waiting = q.waiting[n:]
		if len(q.waiting) == 0 {
			q.waiting = nil
		} else if due := q.waiting[0].received + int64(q.waiting[0].class.Delay); next == 0 || due < next {
			next = due
		}
		h.mu.Unlock()
	}
	wakeAll(woken)
	return next
}

// watchDelays delivers delayed messages when they are due, until done is closed.
func (h *Hub) watchDelays(done <-chan struct{}) {
	if len(h.delays.queues) == 0 {
		return
	}
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		now := h.nanotime()
		wait := time.Hour
		if next := h.mature(now); next > 0 {
			wait = max(time.Duration(next-now), 0)
		}
		timer.Reset(wait)
		select {
		case <-done:
			return
		case <-h.delays.changed:
		case <-timer.C:
		}
	}
}
