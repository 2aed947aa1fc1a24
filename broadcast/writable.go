package broadcast

import "tickcast/broadcast/wire"

// flushBytes is about the number of bytes that a drained socket is given in one call.
const flushBytes = 16 << 10

// Writable tells the shard that the socket of the client in slot, which had not taken a write whole, has taken all bytes.
// The client gets its backlog, as far as the socket takes it. Writable reports whether the client is up to date again; if
// not, its socket is full again or it is gone.
func (s *Shard) Writable(slot uint32) bool {
	s.checkOwner()
	sub := s.subs.At(slot)
	b := sub.backlog
	if b == nil {
		s.endWrites(slot)
		return true
	}
	if !s.goOnPages(slot) {
		return false
	}
	if r := s.runs.bySlot[slot]; r != nil && r.begun && !r.writes { // its end comes back to this
		r.full, r.waits = false, false
		s.runs.goOn(r)
		s.Wake()
		return false
	}
	upToDate, more := s.writeBacklog(slot, sub, b)
	if more {
		s.writeOn(slot)
	} else {
		s.endWrites(slot)
	}
	return upToDate
}

// writesAtOnce is the number of writes of about flushBytes that a backlog gets before others have their turn. Chosen by us.
const writesAtOnce = 4

// writeBacklog writes the backlog b of the client in slot, as far as the socket takes it. It reports whether the client is up to date,
// or else whether the socket took all writes and there are more.
func (s *Shard) writeBacklog(slot uint32, sub *subscriber, b *backlog) (upToDate, more bool) {
	if stale := s.hub.Stale(); stale != sub.stale() && !s.writeState(slot, sub, stale) { // first: a topic may be stale though upstream is back
		return false, false
	}
	for n := 0; !b.empty(); n++ {
		switch {
		case n == writesAtOnce:
			return false, true
		case len(b.queue) > 0 && !s.writeQueue(slot, sub, b), len(b.queue) == 0 && !s.writeDirty(slot, sub, b):
			return false, false
		}
	}
	return s.endBacklog(slot, sub, b), false
}

// endBacklog ends the backlog of the client in slot, which is written. It reports whether the socket took what follows.
func (s *Shard) endBacklog(slot uint32, sub *subscriber, b *backlog) bool {
	lag := b.conflated
	sub.backlog = nil
	if b.places > 0 { // of a queue whose topics were all replayed or left
		s.slow.release(b)
	}
	if lag > 0 && sub.codec != wire.CodecRaw && !s.write(slot, wire.Lag(lag)) {
		return false
	}
	if sub.codec == wire.CodecEventIDs && !s.writeEventID(slot, sub) { // snapshots have no cursor
		return false
	}
	if _, unfinished := s.listings[slot]; unfinished {
		return s.goOnListing(slot)
	}
	return true
}

// writeQueue writes the first messages of b's queue. It reports whether the socket took them.
func (s *Shard) writeQueue(slot uint32, sub *subscriber, b *backlog) bool {
	j, n := &s.batch.joined, 0
	for j.reset(); n < len(b.queue) && j.len() < flushBytes; n++ {
		j.add(s.framer.frameOf(b.queue[n].m, sub, b.queue[n].form))
	}
	s.joinEventID(sub, n)
	taken, ok := s.writeJoined(slot)
	if sub.backlog != b { // it ended
		return false
	}
	for i, q := range b.queue[:n] {
		if taken -= len(s.framer.frameOf(q.m, sub, q.form)); taken < 0 {
			n = i
			break
		}
	}
	s.delivered += uint64(n)
	s.slow.count(b, -b.removeFirst(n))
	if len(b.queue) == 0 {
		s.slow.release(b)
	}
	return ok
}

// writeDirty writes the newest messages and the states of the topics that were marked first. It reports whether the socket
// took them.
func (s *Shard) writeDirty(slot uint32, sub *subscriber, b *backlog) bool {
	j, n, ends := &s.batch.joined, 0, s.scratch.ends[:0]
	for j.reset(); n < b.dirty.len() && j.len() < flushBytes; n++ {
		id, flags := b.dirty.topic(n)
		half := s.joinDirty(sub, s.filters.topicByID(id), flags)
		ends = append(ends, half, j.len())
	}
	s.scratch.ends = ends
	s.joinEventID(sub, 0)
	taken, ok := s.writeJoined(slot)
	if sub.backlog != b { // it ended
		return false
	}
	for i := range n {
		id, flags := b.dirty.topic(i)
		if ends[2*i+1] > taken {
			if ends[2*i] <= taken { // the first of both frames was accepted
				b.dirty.clearNewest(i)
			}
			n = i
			break
		}
		if t := s.filters.topicByID(id); t != nil && flags&dirtyNewest != 0 {
			s.delivered++
			t.markUpToDate(slot)
			if s.fanout.passBy(sub, t) { // the message of the fan-out under way replaces the one owed
				b.conflated++
				s.conflated++
			}
		}
	}
	b.dirty.removeFirst(n)
	return ok
}

// joinDirty adds the frames that are owed of t to the batch's joiner: its newest message and its state. It returns the
// number of bytes that the joiner held after the first.
func (s *Shard) joinDirty(sub *subscriber, t *shardTopic, flags dirtyFlags) (half int) {
	j := &s.batch.joined
	if t == nil {
		return j.len()
	}
	if m := t.newest; m != nil && flags&dirtyNewest != 0 {
		form := wire.FormUpdate
		if flags&dirtySnapshot != 0 {
			form = wire.FormSnapshot
		}
		j.add(s.framer.frameOf(m, sub, form))
	}
	half = j.len()
	if m := t.state; m != nil && (flags&dirtyState != 0 || m.Dropped && t.newest == nil) {
		j.add(m.Framed(sub.codec, wire.FormUpdate))
	}
	return half
}

// joinEventID adds the cursors of a client of events to the batch's joiner, which holds the first n messages of its queue.
func (s *Shard) joinEventID(sub *subscriber, n int) {
	if sub.codec == wire.CodecEvents && s.batch.joined.n > 0 {
		s.batch.joined.add(s.eventID(sub, n))
	}
}

// writeJoined writes the frames of the batch's joiner to the client in slot, as Outlet.Write does.
func (s *Shard) writeJoined(slot uint32) (taken int, ok bool) {
	if frames := s.batch.joined.bytes(); len(frames) > 0 {
		return s.out.Write(slot, frames, s.batch.joined.n)
	}
	return 0, true
}
