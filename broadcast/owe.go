package broadcast

import (
	"tickcast/broadcast/topics"
	"tickcast/broadcast/wire"
)

// write writes a frame that is not an update to the client in slot. It reports whether its socket took it.
func (s *Shard) write(slot uint32, frame []byte) bool {
	switch codec := s.subs.At(slot).codec; {
	case codec.Events():
		frame = wire.EventOf(frame)
	case codec == wire.CodecPoll:
		s.tellPoll(slot, frame)
		return true
	}
	_, ok := s.out.Write(slot, frame, 1) // one frame is always accepted
	if !ok {
		s.fallBehind(slot)
	}
	return ok
}

// Behind reports whether the client in slot has a backlog: then all that the shard writes to it are answers.
func (s *Shard) Behind(slot uint32) bool {
	return slot < s.subs.Len() && s.subs.At(slot).backlog != nil
}

// writeState writes stale or fresh to the client in slot. It reports whether its socket took it.
func (s *Shard) writeState(slot uint32, sub *subscriber, stale bool) bool {
	frame := wire.FreshAll()
	sub.flags &^= flagStale
	if stale {
		frame = wire.StaleAll()
		sub.flags |= flagStale
	}
	return sub.codec == wire.CodecRaw || s.write(slot, frame)
}

// fallBehind gives the client in slot a backlog, after a write to it that its socket did not take whole. A failed write may
// have ended the client instead: then fallBehind returns false.
func (s *Shard) fallBehind(slot uint32) bool {
	sub := s.subs.At(slot)
	if !sub.joined() {
		return false
	}
	s.endWrites(slot) // until Writable
	if sub.backlog == nil {
		sub.backlog = new(backlog)
		for _, m := range s.batch.pathTo(s.batch.remove(sub)) { // gathered and not yet written
			if s.owe(slot, sub, m); !sub.joined() {
				return false
			}
		}
	}
	return true
}

// owe adds m, an update or a notice of a topic that sub holds, to sub's backlog. It may close the client in slot.
func (s *Shard) owe(slot uint32, sub *subscriber, m *topics.Message) {
	b, t := sub.backlog, m.Topic
	switch {
	case m.Kind == topics.KindStale || m.Kind == topics.KindFresh:
		b.dirty.mark(t.ID, dirtyState)
	case m.Kind != topics.KindData || t.Class.Mode == topics.ModeAll:
		s.enqueue(slot, sub, m)
	case b.dirty.mark(t.ID, dirtyUpdate):
		b.conflated++
		s.conflated++
	}
}

// enqueue queues m for the client in slot, or closes it if that is too much.
func (s *Shard) enqueue(slot uint32, sub *subscriber, m *topics.Message) {
	b, q := sub.backlog, queued{m, wire.FormUpdate}
	if len(b.queue) > 0 && b.bytes+q.cost() > s.cfg.QueueBytes+b.allowed { // one message always fits
		s.closeSlow(slot, b, m)
		return
	}
	s.slow.add(slot, b, s.hub.Now())
	s.slow.count(b, b.push(q))
	s.holdBudget(b)
}

// holdBudget ends the client that weighs the most of all shards if all queues together take too much. b has grown.
func (s *Shard) holdBudget(b *backlog) {
	if len(b.queue) == 0 {
		return
	}
	now := s.hub.Now()
	s.slow.note(b, now)
	for s.slow.budget.over() {
		owner := s
		for _, other := range s.slow.budget.shards {
			if other.slow.largest.weight(now) > owner.slow.largest.weight(now) {
				owner = other
			}
		}
		if owner != s {
			if !owner.slow.shed.Swap(true) {
				owner.Wake()
			}
			return // its loop comes to it soon
		}
		if !s.shed() {
			return
		}
	}
}

// shedIfAsked ends the client that weighs the most if another shard has asked for it, and if that is still needed.
func (s *Shard) shedIfAsked() {
	asked := s.slow.shed.Load() && s.slow.shed.Swap(false) && s.slow.budget.over()
	if forced := s.slow.forced.Load() && s.slow.forced.Swap(false); asked || forced {
		s.shed()
	}
}

// shed closes the client that weighs the most. It reports false if there is none.
func (s *Shard) shed() bool {
	c, ok := s.slow.heaviest(s.hub.Now(), func(c slowClient) bool { return s.subs.At(c.slot).backlog == c.b })
	if ok {
		s.stats.shed.Add(1)
		s.closeSlow(c.slot, c.b, nil)
	}
	return ok
}

// closeSlow closes the client in slot, which is told where to resume: before the first message of its queue or, without one,
// before m. All messages before that were sent.
func (s *Shard) closeSlow(slot uint32, b *backlog, m *topics.Message) {
	if len(b.queue) > 0 {
		m = b.queue[0].m
	}
	s.stats.slow.Add(1)
	reason := "slow consumer"
	if cursor := s.hub.Cursor(m.Topic.Class, m.Before()); m.Kind != topics.KindRestart && cursor != "" {
		reason += ": resume after " + cursor
	}
	if sub := s.subs.At(slot); sub.codec.Events() {
		s.gathering = true // m is not in the queue
		s.writeEventID(slot, sub)
		if s.gathering = false; !sub.joined() {
			return
		}
	}
	s.out.Close(slot, wire.StatusSlowConsumer, reason)
}

// lostBehind is the reason of a gap behind a snapshot.
const lostBehind = "messages after this one are lost"

// inVain is the reason of a gap in place of a snapshot: the client must not take the cursor of other topics for this one's.
const inVain = "the stream has not answered"

// oweNotice adds the notice that keepNotice took, if any, to b.
func (s *Shard) oweNotice(b *backlog) {
	m := s.scratch.notice
	switch s.scratch.notice = nil; {
	case m == nil:
	case m.Kind == topics.KindStale || m.Kind == topics.KindFresh:
		b.dirty.mark(m.Topic.ID, dirtyState)
	default:
		s.slow.count(b, b.replay(m, wire.FormUpdate))
	}
}

// oweSnapshot adds t's newest message, if any, to the backlog of sub, in slot, as a snapshot, and its state if it is stale.
func (s *Shard) oweSnapshot(slot uint32, sub *subscriber, b *backlog, t *shardTopic) {
	if m := t.newest; m != nil && t.topic.Class.Snapshot != topics.SnapshotNone {
		s.slow.count(b, b.replay(m, wire.FormSnapshot))
		s.fanout.passBy(sub, t)
		t.markUpToDate(slot)
		if t.gapped && t.topic.Class.Mode == topics.ModeAll { // or the snapshot would stand for the present
			s.slow.count(b, b.replay(topics.NewGap(t.topic, lostBehind, topics.Position{Seq: m.Seq, Gen: m.Gen}, t.Seq), wire.FormUpdate))
		}
	}
	c, stale := t.topic.Class, t.state != nil && t.state.Kind == topics.KindStale
	if t.newest == nil && !stale && c.Mode == topics.ModeAll && c.Streamed() && s.hub.AskedInVain(t.topic.Name) {
		s.slow.count(b, b.replay(topics.NewGap(t.topic, inVain, t.Position, t.Seq), wire.FormUpdate))
	}
	if stale {
		b.dirty.mark(t.topic.ID, dirtyState)
	}
}
