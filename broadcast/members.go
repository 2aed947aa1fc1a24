package broadcast

import "tickcast/broadcast/wire"

// Join adds the client in slot and returns its greeting: hello, and stale if upstream is away; none for a poll. bits is the window of the
// compressed frames that the client can read, from 8 to 15 for 2^bits bytes; with 0 all its frames are plain.
func (s *Shard) Join(slot uint32, codec wire.Codec, bits uint8) [][]byte {
	s.checkOwner()
	s.subs.Grow(slot)
	sub := s.subs.At(slot)
	if s.cfg.Deflater == nil {
		bits = 0
	}
	*sub = subscriber{flags: flagJoined, codec: codec, bits: bits}
	s.joined++
	s.stats.subscribers.Store(s.joined)
	if codec == wire.CodecPoll {
		return nil
	}
	greeting := s.scratch.greeting[:0]
	if codec != wire.CodecRaw {
		greeting = append(greeting, s.hello)
	}
	if s.hub.Stale() {
		sub.flags |= flagStale
		if codec != wire.CodecRaw {
			greeting = append(greeting, wire.StaleAll())
		}
	}
	if codec.Events() {
		for i := range greeting {
			greeting[i] = wire.EventOf(greeting[i])
		}
	}
	s.scratch.greeting = greeting
	return greeting
}

// Forget forgets what is kept of the polls of a connection in slot, which has ended.
func (s *Shard) Forget(slot uint32) {
	s.checkOwner()
	s.pace.forget(slot)
}

// Drop gives the memory of the places from slot on back, none of which has a client; see [SlotTable.Drop].
func (s *Shard) Drop(slot uint32) {
	s.checkOwner()
	s.subs.Drop(slot)
}

// Leave forgets the client in slot and its subscriptions. It may be called at any time, in the middle of a write too.
func (s *Shard) Leave(slot uint32) {
	s.checkOwner()
	if slot >= s.subs.Len() {
		return
	}
	sub := s.subs.At(slot)
	if !sub.joined() {
		return
	}
	if p := s.polls[slot]; sub.codec == wire.CodecPoll && p != nil {
		s.linger(sub, p.owner)
		delete(s.polls, slot)
	}
	if r := s.runs.remove(slot); r != nil {
		s.dropRun(r)
	}
	s.filters.dropIndex(sub)
	for sub.n > 0 {
		s.removeEntry(sub, sub.n-1)
	}
	if sub.codec != wire.CodecPoll { // the next poll of the connection goes on
		s.pace.forget(slot)
	}
	delete(s.listings, slot)
	delete(s.pages, slot)
	s.batch.remove(sub)
	if b := sub.backlog; b != nil {
		s.slow.release(b)
	}
	s.removeGrant(slot, sub)
	*sub = subscriber{}
	for _, p := range s.parked.removeSlot(slot) {
		s.unpin(p.pinned)
		if p.waiter != nil {
			s.hub.Release(p.waiter)
		}
	}
	s.joined--
	s.stats.subscribers.Store(s.joined)
}
