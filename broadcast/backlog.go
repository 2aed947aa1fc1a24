package broadcast

// A backlog is what a subscriber has missed since its socket filled up. Of topics of ModeLast nothing is queued for it: they
// are marked, and when the socket has drained it gets the newest message of each. Messages of ModeAll are queued, as
// pointers, up to Config.QueueBytes. A backlog exists only while there is something to owe.
type backlog struct {
	dirty     dirtySet
	queue     []queued // of topics of ModeAll, the oldest first
	bytes     int      // of queue
	allowed   int      // bytes beyond Config.QueueBytes: of a history that was asked for
	conflated uint64   // messages that a newer one replaced; told with lag
	listed    bool     // in Shard.slow
}

type queued struct {
	m   *Message
	how dirtMark
}

// spareBacklog returns an empty backlog, the same each time until it becomes a client's: most clients that subscribe are owed
// nothing, and what a ramp of them leaves behind among what stays is never given back.
func (s *Shard) spareBacklog() *backlog {
	if s.spare == nil {
		s.spare = new(backlog)
	}
	*s.spare = backlog{}
	return s.spare
}

// queuedCost is what a queued message costs beyond its bytes, which are shared: its place in the queue.
const queuedCost = 16

// flushBytes is about how much is given to a drained socket in one call.
const flushBytes = 16 << 10

// owe notes that m, of a topic that sub holds, is owed to it. It may close the client in slot.
func (s *Shard) owe(slot uint32, sub *subscriber, m *Message, how dirtMark) {
	b, t := sub.backlog, m.topic
	switch {
	case m.kind == kindStale || m.kind == kindFresh:
		b.dirty.mark(t.id, dirtState)
	case m.kind != kindData || t.class.Mode == ModeAll:
		s.enqueue(slot, sub, m, how)
	case b.dirty.mark(t.id, how):
		b.conflated++
		s.conflated++
	}
}

// enqueue queues m for the client in slot, or closes it if that is too much.
func (s *Shard) enqueue(slot uint32, sub *subscriber, m *Message, how dirtMark) {
	b := sub.backlog
	cost := m.size() + queuedCost
	if b.bytes+cost > s.hub.cfg.QueueBytes+b.allowed {
		s.closeSlow(slot, sub, m)
		return
	}
	if !b.listed {
		s.listSlow(slot, b)
	}
	b.queue = append(b.queue, queued{m, how})
	b.bytes += cost
	if total := s.hub.queued.Add(int64(cost)); s.hub.cfg.MemoryBudget > 0 && total > int64(s.hub.cfg.MemoryBudget) {
		s.shed()
	}
}

// A slowClient has a queue. It may have ended since: then the slot has another backlog or none.
type slowClient struct {
	slot uint32
	b    *backlog
}

// listSlow notes that the client in slot has a queue from now on.
func (s *Shard) listSlow(slot uint32, b *backlog) {
	if len(s.slow) == cap(s.slow) { // before it grows, those who have caught up are taken out
		live := s.slow[:0]
		for _, c := range s.slow {
			if c.b.listed = len(c.b.queue) > 0; c.b.listed {
				live = append(live, c)
			}
		}
		clear(s.slow[len(live):])
		s.slow = live
	}
	b.listed = true
	s.slow = append(s.slow, slowClient{slot, b})
}

// shed closes the client that has had a queue for the longest time.
func (s *Shard) shed() {
	for len(s.slow) > 0 {
		c := s.slow[0]
		c.b.listed = false
		s.slow = s.slow[1:]
		if sub := s.subs.at(c.slot); sub.backlog == c.b && len(c.b.queue) > 0 {
			s.stats.shed.Add(1)
			s.closeSlow(c.slot, sub, c.b.queue[0].m)
			return
		}
	}
}

// closeSlow closes the client in slot, which did not get m of a lossless topic. It is told from where to resume.
func (s *Shard) closeSlow(slot uint32, sub *subscriber, m *Message) {
	if queue := sub.backlog.queue; len(queue) > 0 {
		m = queue[0].m
	}
	s.stats.slow.Add(1)
	s.out.Close(slot, StatusSlowConsumer, "slow consumer: resume after "+s.hub.cursor(m.topic.class, m.prev))
}

// release gives up b's queue.
func (s *Shard) release(b *backlog) {
	s.hub.queued.Add(int64(-b.bytes))
	b.queue, b.bytes = nil, 0
	for len(s.slow) > 0 && len(s.slow[0].b.queue) == 0 { // whose queue is empty by now
		s.slow[0].b.listed = false
		s.slow = s.slow[1:]
	}
	if len(s.slow) == 0 {
		s.slow = nil
	}
}

// Writable tells the shard that the client in slot, to which a write had not gone through whole, has taken everything. It
// gets what it missed, as far as its socket takes it. Writable reports whether the client is up to date again; if not, it
// has a new backlog in its socket or it is gone.
func (s *Shard) Writable(slot uint32) bool {
	s.check()
	sub := s.subs.at(slot)
	b := sub.backlog
	if b == nil {
		return true
	}
	for len(b.queue) > 0 {
		if !s.writeQueue(slot, sub, b) {
			return false
		}
	}
	for b.dirty.len() > 0 {
		if !s.writeDirty(slot, sub, b) {
			return false
		}
	}
	lag := b.conflated
	sub.backlog = nil
	if lag > 0 && sub.codec != CodecRaw && !s.write(slot, lagFrame(lag)) {
		return false
	}
	if stale := s.hub.stale.Load(); stale != (sub.flags&flagStale != 0) {
		return s.tellState(slot, sub, stale)
	}
	return true
}

// writeQueue writes the first messages of b's queue. It reports whether the socket took them.
func (s *Shard) writeQueue(slot uint32, sub *subscriber, b *backlog) bool {
	j, n := &s.batch.joined, 0
	j.reset()
	for n < len(b.queue) && j.len() < flushBytes {
		j.add(s.frameOf(b.queue[n].m, sub, b.queue[n].how))
		n++
	}
	taken, ok := s.writeJoined(slot)
	if sub.backlog != b { // it ended
		return false
	}
	cost := 0
	for i := range n {
		q := b.queue[i]
		if taken -= len(s.frameOf(q.m, sub, q.how)); taken < 0 {
			n = i
			break
		}
		cost += q.m.size() + queuedCost
		s.delivered++
	}
	clear(b.queue[:n])
	b.queue = b.queue[n:]
	b.bytes -= cost
	b.allowed = max(b.allowed-cost, 0) // what was asked for stands in front
	s.hub.queued.Add(int64(-cost))
	if len(b.queue) == 0 {
		b.queue, b.allowed = nil, 0
		s.release(b)
	}
	return ok
}

// writeDirty writes the newest messages of the topics that were marked first. It reports whether the socket took them.
func (s *Shard) writeDirty(slot uint32, sub *subscriber, b *backlog) bool {
	j, n := &s.batch.joined, 0
	j.reset()
	ends := s.ends[:0]
	for n < b.dirty.len() && j.len() < flushBytes {
		id, bits := b.dirty.at(n)
		half := s.joinOwed(sub, s.byID[id], bits)
		ends = append(ends, half, j.len())
		n++
	}
	s.ends = ends
	taken, ok := s.writeJoined(slot)
	if sub.backlog != b { // it ended
		return false
	}
	for i := range n {
		id, bits := b.dirty.at(i)
		if ends[2*i+1] > taken {
			if ends[2*i] <= taken { // of both frames it has the first
				b.dirty.told(i)
			}
			n = i
			break
		}
		if t := s.byID[id]; bits&(bitUpdate|bitSnap) != 0 {
			s.delivered++
			s.has(slot, t)
			if s.skip(sub, t) { // the message owed is replaced by that of the fan-out under way
				b.conflated++
				s.conflated++
			}
		}
	}
	b.dirty.pop(n)
	return ok
}

// writeJoined writes what the batch's joiner holds to the client in slot, as Outlet.Write does.
func (s *Shard) writeJoined(slot uint32) (taken int, ok bool) {
	if frames := s.batch.joined.bytes(); len(frames) > 0 {
		return s.out.Write(slot, frames, s.batch.joined.n)
	}
	return 0, true
}

// joinOwed adds what is owed of t to the batch's joiner: its newest message, and whether it is stale. It returns how many bytes
// the joiner held after the first.
func (s *Shard) joinOwed(sub *subscriber, t *shardTopic, bits uint32) (half int) {
	if t == nil {
		return s.batch.joined.len()
	}
	if m := t.newest; m != nil && bits&(bitUpdate|bitSnap) != 0 {
		how := dirtUpdate
		if bits&bitSnap != 0 {
			how = dirtSnap
		}
		s.batch.joined.add(s.frameOf(m, sub, how))
	}
	half = s.batch.joined.len()
	if m := t.state; m != nil && bits&bitState != 0 {
		s.batch.joined.add(m.framed(sub.codec, dirtUpdate))
	}
	return half
}

// behind gives the client in slot a backlog, after a write to it that its socket did not take whole. A failed write may
// have ended the client instead: then behind returns false.
func (s *Shard) behind(slot uint32) bool {
	sub := s.subs.at(slot)
	if sub.flags&flagJoined == 0 {
		return false
	}
	if sub.backlog == nil {
		sub.backlog = new(backlog)
		s.unpack(slot, sub)
	}
	return sub.flags&flagJoined != 0
}

// write writes a frame that belongs to the client in slot alone, or to everyone. It reports whether its socket took it.
func (s *Shard) write(slot uint32, frame []byte) bool {
	_, ok := s.out.Write(slot, frame, 1) // of one frame the outlet keeps what the socket leaves
	if !ok {
		s.behind(slot)
	}
	return ok
}

// oweSnapshot notes that t's newest message, if any, is owed to sub as a snapshot, and that it is stale if it is.
func (s *Shard) oweSnapshot(slot uint32, sub *subscriber, b *backlog, t *shardTopic) {
	if m := t.newest; m != nil && t.topic.class.Snapshot != SnapshotNone {
		b.replay(s, m, dirtSnap)
		s.skip(sub, t)
		s.has(slot, t)
	}
	if t.state != nil && t.state.kind == kindStale {
		b.dirty.mark(t.topic.id, dirtState)
	}
}

// replay notes that m, which is older than what comes from now on, is owed. It is not counted against Config.QueueBytes: it was
// asked for, and a class bounds its history.
func (b *backlog) replay(s *Shard, m *Message, how dirtMark) {
	if m.topic.class.Mode == ModeLast && how == dirtSnap {
		if !b.dirty.owed(m.topic.id) {
			b.dirty.mark(m.topic.id, how)
		}
		return
	}
	cost := m.size() + queuedCost
	b.queue = append(b.queue, queued{m, how})
	b.bytes += cost
	b.allowed += cost
	s.hub.queued.Add(int64(cost))
}
