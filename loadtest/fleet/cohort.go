package fleet

import (
	"time"

	"tickcast/wsproto"
)

// slowBeat is the time between two reads of slow clients.
const slowBeat = 100 * time.Millisecond

// doChores lets slow clients read and others leave, and samples ages, if it is time. It returns the time until its next call; negative: never.
func (w *worker) doChores() time.Duration {
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
		wait = sooner(wait, w.churnClients())
	}
	if l := w.ledger; l != nil && l.publishes() {
		now := w.fleet.now()
		if now-l.aged >= int64(ageBeat) {
			w.sampleAges(now)
		}
		wait = sooner(wait, time.Duration(l.aged+int64(ageBeat)-now))
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
			continue // it ended; it is listed again when it comes back
		}
		w.readSocket(slot, w.buf[:min(share, len(w.buf))])
		if c.state == stateOpen {
			keep = append(keep, slot)
		}
	}
	w.slow = keep
}

// churnClients makes as many clients leave as are due, chosen at random. It returns the time until the next is due.
func (w *worker) churnClients() time.Duration {
	elapsed := time.Since(w.leaving.begun)
	for tries := 0; float64(w.leaving.done) < elapsed.Seconds()*w.leaving.rate && tries < dialBatch; tries++ {
		slot := int32(w.rng.Uint64() % uint64(len(w.clients)))
		if c := &w.clients[slot]; c.state != stateOpen || !c.replied || c.role != roleReader {
			continue // try another one; if there are few, in the next turn
		}
		w.leaving.done++
		if w.leaving.done%2 == 0 {
			w.sendClose(slot, wsproto.StatusGoingAway) // half of them with a close frame
		}
		w.comeBack(slot)
	}
	next := time.Duration(float64(w.leaving.done+1) / w.leaving.rate * float64(time.Second))
	return max(time.Millisecond, next-elapsed)
}

// comeBack closes an open client's connection and schedules another one.
func (w *worker) comeBack(slot int32) {
	c := &w.clients[slot]
	if c.state != stateOpen {
		return
	}
	w.dropClient(slot)
	w.totals.Left++
	c.returning, c.replied = true, false
	w.back = append(w.back, slot)
}

// storm makes a share of the open clients, 0 to 1, leave at once and come back as fast as they can. It returns their
// number.
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
