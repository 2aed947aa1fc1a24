package eventloop

const (
	wheelSize = 512 // buckets: one turn is 51.2 s. A later deadline stays in its bucket for another turn
	expired   = wheelSize
	inBucket  = 1 << 31 // set in conn.prev of the first connection in a bucket; the other bits number the bucket
)

// A wheel holds at most one timer for each connection of a loop, in lists through conn.next and conn.prev. It does not
// allocate. A deadline that moves to a later tick does not touch the wheel: a timer that fires looks for the real deadline.
type wheel struct {
	conns *conns
	heads [wheelSize + 1]uint32 // slot+1 of the first in each bucket; the last bucket holds the expired timers
	now   uint32                // the tick up to which buckets have been emptied
}

// schedule sets c's timer to fire at tick due, or at the next tick if that is over.
func (w *wheel) schedule(c *conn, due uint32) {
	w.remove(c)
	c.due = due
	w.link(c, max(due, w.now+1)%wheelSize)
}

func (w *wheel) link(c *conn, bucket uint32) {
	head := &w.heads[bucket]
	c.prev, c.next = inBucket|bucket, *head
	if c.next != 0 {
		w.conns.At(c.next - 1).prev = c.slot + 1
	}
	*head = c.slot + 1
}

// remove takes c's timer out of the wheel.
func (w *wheel) remove(c *conn) {
	switch {
	case c.prev == 0:
		return
	case c.prev&inBucket != 0:
		w.heads[c.prev&^inBucket] = c.next
	default:
		w.conns.At(c.prev - 1).next = c.next
	}
	if c.next != 0 {
		w.conns.At(c.next - 1).prev = c.prev
	}
	c.next, c.prev = 0, 0
}

// advance moves the timers that are due at tick now to the expired ones.
func (w *wheel) advance(now uint32) {
	if now-w.now > wheelSize { // the loop stood still for more than a turn: each bucket once is enough
		w.now = now - wheelSize
	}
	for w.now < now {
		w.now++
		for next := w.heads[w.now%wheelSize]; next != 0; {
			c := w.conns.At(next - 1)
			next = c.next
			if c.due <= now {
				w.remove(c)
				w.link(c, expired)
			}
		}
	}
}

// popExpired takes an expired timer out of the wheel, or returns nil.
func (w *wheel) popExpired() *conn {
	first := w.heads[expired]
	if first == 0 {
		return nil
	}
	c := w.conns.At(first - 1)
	w.remove(c)
	return c
}
