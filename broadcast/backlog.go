package broadcast

// A backlog is what a subscriber has missed since its socket filled up. Nothing is queued for it: its topics are marked,
// and when the socket has drained it gets the newest message of each. It exists only while there is something to owe.
type backlog struct {
	dirty     []*shardTopic            // in the order in which they were marked
	marked    map[*shardTopic]dirtMark // the same as a set
	conflated uint64                   // messages that a newer one replaced; told with lag
}

// A dirtMark says how the newest message of a topic is owed.
type dirtMark uint8

const (
	dirtUpdate dirtMark = iota // as an update
	dirtSnap                   // as a snapshot: the subscription is new
)

// mark notes that t is owed to the subscriber. It reports whether that conflates a message that was owed before.
func (b *backlog) mark(t *shardTopic, how dirtMark) bool {
	if _, ok := b.marked[t]; ok {
		b.conflated++
		return true
	}
	if b.marked == nil {
		b.marked = make(map[*shardTopic]dirtMark)
	}
	b.marked[t] = how
	b.dirty = append(b.dirty, t)
	return false
}

// flushBytes is about how much is given to a drained socket in one call.
const flushBytes = 16 << 10

// Writable tells the shard that the client in slot, to which a write had not gone through whole, has taken everything. It
// gets the newest message of each topic that it missed, as far as its socket takes them. Writable reports whether the
// client is up to date again; if not, it has a new backlog in its socket or it is gone.
func (s *Shard) Writable(slot uint32) bool {
	s.check()
	sub := s.subs.at(slot)
	b := sub.backlog
	if b == nil {
		return true
	}
	for len(b.dirty) > 0 {
		frames, size, done := s.frames[:0], 0, 0
		for _, t := range b.dirty {
			if size >= flushBytes {
				break
			}
			done++
			how := b.marked[t]
			delete(b.marked, t)
			m := t.newest
			if m == nil || !s.holds(sub, t) {
				continue
			}
			frames = append(frames, s.frameOf(m, sub, how))
			size += len(frames[len(frames)-1])
			if s.skip(sub, t) { // the message owed is replaced by that of the fan-out under way
				b.conflated++
				s.conflated++
			}
		}
		b.dirty = b.dirty[done:]
		s.frames = frames[:0]
		s.delivered += uint64(len(frames))
		if len(frames) > 0 && !s.out.Writev(slot, frames) {
			return false
		}
	}
	lag := b.conflated
	sub.backlog = nil
	if lag > 0 && !s.out.Write(slot, lagFrame(lag)) {
		return s.behind(slot)
	}
	if stale := s.hub.stale.Load(); stale != (sub.flags&flagStale != 0) {
		return s.tellState(slot, sub, stale)
	}
	return true
}

// holds reports whether one of sub's filters matches t.
func (s *Shard) holds(sub *subscriber, t *shardTopic) bool {
	for k := range sub.n {
		f := s.filters[sub.at(k).filter]
		if f.topic == t {
			return true
		}
		for _, p := range t.patterns {
			if p == f {
				return true
			}
		}
	}
	return false
}

// behind gives the client in slot a backlog, after a write to it that its socket did not take whole. A failed write may
// have ended the client instead. It returns false, for the caller to return.
func (s *Shard) behind(slot uint32) bool {
	if sub := s.subs.at(slot); sub.flags&flagJoined != 0 && sub.backlog == nil {
		sub.backlog = new(backlog)
	}
	return false
}

// oweSnapshot notes that t's newest message, if any, is owed to sub as a snapshot.
func (s *Shard) oweSnapshot(sub *subscriber, b *backlog, t *shardTopic) {
	if t.newest == nil {
		return
	}
	if _, owed := b.marked[t]; !owed {
		b.mark(t, dirtSnap)
		s.skip(sub, t)
	}
}
