package loadtest

import (
	"time"

	"golang.org/x/sys/unix"

	"tickcast/wsproto"
)

// slowBeat is how often slow clients read.
const slowBeat = 100 * time.Millisecond

// A churn makes clients leave and come back at a steady rate. The zero value makes none.
type churn struct {
	rate  float64 // clients a second, of this worker
	begun time.Time
	done  int
}

// chores does what is due at this time and returns how long until it wants to be called again; negative: never.
func (w *worker) chores() time.Duration {
	wait := time.Duration(-1)
	if len(w.slow) > 0 {
		now := time.Now()
		if !now.Before(w.slowDue) {
			w.readSlowly()
			w.slowDue = now.Add(slowBeat)
		}
		wait = w.slowDue.Sub(now)
	}
	if w.leaving.rate > 0 {
		wait = sooner(wait, w.leave())
	}
	return wait
}

// readSlowly lets each slow client read its share of a beat.
func (w *worker) readSlowly() {
	share := max(1, w.fleet.slowRate*int(slowBeat)/int(time.Second))
	keep := w.slow[:0]
	for _, slot := range w.slow {
		c := &w.clients[slot]
		if c.state != stateOpen || !c.replied {
			continue // it ended; it is put here again when it comes back
		}
		w.read(slot, w.buf[:min(share, len(w.buf))])
		if c.state == stateOpen {
			keep = append(keep, slot)
		}
	}
	w.slow = keep
}

// leave makes the clients leave whose turn it is, chosen at random, and returns when the next one's is.
func (w *worker) leave() time.Duration {
	elapsed := time.Since(w.leaving.begun)
	for tries := 0; float64(w.leaving.done) < elapsed.Seconds()*w.leaving.rate && tries < dialBatch; tries++ {
		slot := int32(w.rng.Uint64() % uint64(len(w.clients)))
		if c := &w.clients[slot]; c.state != stateOpen || !c.replied || c.role != roleReader {
			continue // another one, in the next turn if there are few
		}
		w.leaving.done++
		if w.leaving.done%2 == 0 {
			w.sendClose(slot, wsproto.StatusGoingAway) // half of them say goodbye
		}
		w.comeBack(slot)
	}
	next := time.Duration(float64(w.leaving.done+1) / w.leaving.rate * float64(time.Second))
	return max(time.Millisecond, next-elapsed)
}

// comeBack closes an open client's connection and has it connect again.
func (w *worker) comeBack(slot int32) {
	c := &w.clients[slot]
	if c.state != stateOpen {
		return
	}
	w.drop(slot)
	w.totals.Left++
	c.returning, c.replied = true, false
	w.back = append(w.back, slot)
}

// storm makes a share of the open clients, 0 to 1, leave at once and come back as fast as they can. It returns how many
// there were.
func (w *worker) storm(share float64) (n int) {
	for slot := range w.clients {
		c := &w.clients[slot]
		if c.state == stateOpen && c.replied && c.role == roleReader &&
			float64(w.rng.Uint64()>>11)/(1<<53) < share {
			w.comeBack(int32(slot))
			c.stormy = true
			w.totals.Away++
			n++
		}
	}
	return n
}

// withdrawn handles what epoll reported about a client that does not listen to it: its connection ended.
func (w *worker) withdrawn(slot int32, events uint32) {
	if events&(unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		w.end(slot, Fault{Kind: FaultEOF})
	}
}
