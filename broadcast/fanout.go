package broadcast

// A fanout is the walk of one message over its subscribers, for each of which it is gathered. It stops after a slice and goes
// on where it was. While it is under way places keep their index: who leaves makes a hole, who joins is appended behind the
// end of the walk.
type fanout struct {
	m       *Message // nil: none under way
	topic   *shardTopic
	tier    uint8     // the rate that it is for; 0 = at once
	mixed   bool      // a subscriber may hold a faster filter of the topic as well
	lists   []*filter // whose subscribers get m
	holed   []*filter // that have holes to close in the end
	list    int       // index into lists
	start   int       // where the walk of the list began: it rotates, so that nobody is always last
	count   int       // places to visit in the list, from start on and around
	visited int       // of these, done
	serial  uint32    // stamped on the subscribers that need no visit any more
	slot    uint32    // for a notice: the next slot
	steps   uint32    // of all fan-outs: places, slots, bundles and messages; see late
}

// lookAtClock is how many deliveries pass between two looks at the clock.
const lookAtClock = 32

// placesAStep is how many places count as much as a delivery.
const placesAStep = 8

// late counts a step and reports whether the hub's clock says until. It counts on from one message to the next: many small
// fan-outs are as long as a large one. A place costs far less than a write and counts for a part of one.
func (s *Shard) late(until int64) bool {
	s.fanout.steps++
	return s.fanout.steps%lookAtClock == 0 && s.hub.nanotime() >= until
}

// LookAtClock has a fan-out under way look at the clock with its next step. An outlet calls it when a write took long.
func (s *Shard) LookAtClock() {
	s.check()
	s.fanout.steps |= lookAtClock - 1
}

// begin starts the fan-out of m, or drops m if nobody is left or something newer was delivered.
func (s *Shard) begin(m *Message) {
	f := &s.fanout
	if m == notice {
		f.m, f.slot, f.tier = m, 0, 0
		return
	}
	if m == answered {
		s.retryParked()
		return
	}
	t := s.topicOf(m.topic)
	if t == nil && s.wild.n > 0 && !m.topic.ended.Load() { // of an ended topic the id may be another's
		s.tidy(s.addTopic(m.topic)) // it stays if a pattern matches
		t = s.topicOf(m.topic)
	}
	switch {
	case t == nil:
		s.done(m)
		return
	case m.kind == kindStale || m.kind == kindFresh:
		t.state = m
	case m.kind == kindGap:
	case m.kind == kindRestart:
		t.newest, t.at, t.recent = nil, 0, nil
	case m.seq <= t.at: // it came with the snapshot
		s.done(m)
		return
	case m.prev > t.at && m.topic.class.Mode == ModeAll && s.mend(t, m): // others go first
		return
	default:
		t.newest, t.at, t.recent = m, m.seq, nil
		s.markTiers(t)
	}
	s.walk(m, t, 0)
}

// mend sees to it that a message of a lossless topic is not delivered before those that it follows: they were lost between
// the hub and this shard. It puts them before m, or a gap. It reports false if there is nothing to be done.
func (s *Shard) mend(t *shardTopic, m *Message) bool {
	s.hub.mu.Lock()
	list, whole := s.hub.missed(t.topic, t.at, m.prev)
	s.hub.mu.Unlock()
	t.at = m.prev
	if !whole {
		s.hub.stats.gaps.Add(1)
		list = []*Message{newTold(t.topic, kindGap, "the server was too slow")}
	} else if len(list) == 0 {
		return false
	} else {
		t.at = list[0].prev
	}
	s.next--
	s.queue = append(s.queue[:s.next], append(list, s.queue[s.next:]...)...)
	return true
}

// walk starts the fan-out of m to the filters of t with a rate.
func (s *Shard) walk(m *Message, t *shardTopic, tier uint8) {
	f := &s.fanout
	f.m, f.topic, f.tier, f.mixed = m, t, tier, false
	all := m.kind != kindData || m.topic.class.Mode == ModeAll // whatever their rate
	if t.exact != nil && (tier == 0 || all) {
		f.lists = append(f.lists, t.exact)
	}
	for _, p := range t.more {
		switch {
		case all || p.tier == tier:
			f.lists = append(f.lists, p)
		case tier != 0 && (p.tier == 0 || s.hub.rates[p.tier] < s.hub.rates[tier]):
			f.mixed = true
		}
	}
	f.mixed = f.mixed || tier != 0 && t.exact != nil
	if f.serial++; f.serial == 0 { // after 4 billion: no stamp of the last round may match
		for slot := range s.subs.len() {
			s.subs.at(slot).visited = 0
		}
		f.serial = 1
	}
	if tier != 0 {
		s.passRecent(t)
	}
	s.enter(0)
}

// enter starts the walk of list i.
func (s *Shard) enter(i int) {
	f := &s.fanout
	f.list, f.visited, f.count, f.start = i, 0, 0, 0
	if i < len(f.lists) {
		f.count = len(f.lists[i].places)
		if f.count > 0 {
			f.start = int((uint64(f.serial) * 0x9E3779B97F4A7C15 >> 32) % uint64(f.count))
		}
	}
}

// step goes on with the fan-out until the hub's clock says until. It reports whether the fan-out is finished.
func (s *Shard) step(until int64) (finished bool) {
	f := &s.fanout
	if f.m == nil {
		return true
	}
	if f.m == notice {
		return s.stepNotice(until)
	}
	for f.list < len(f.lists) {
		places := f.lists[f.list].places
		for f.visited < f.count {
			i := f.start + f.visited
			if i >= f.count {
				i -= f.count
			}
			f.visited++
			if slot := places[i].slot; slot != vacant {
				s.visit(slot)
			}
			if f.visited%placesAStep == 0 && s.late(until) {
				return false
			}
		}
		s.enter(f.list + 1)
	}
	s.finish()
	return true
}

// visit gathers the message of the fan-out for the subscriber in slot, or notes that it is owed if the client is behind.
func (s *Shard) visit(slot uint32) {
	f := &s.fanout
	sub := s.subs.at(slot)
	if sub.visited == f.serial {
		return
	}
	sub.visited = f.serial
	switch {
	case f.mixed && s.holdsFaster(sub, f.topic, f.tier):
	case sub.backlog != nil:
		s.owe(slot, sub, f.m, dirtUpdate)
	default:
		s.gather(slot, sub, f.m)
	}
}

// unvisited reports whether a fan-out of t's newest message is under way that sub may still get.
func (s *Shard) unvisited(sub *subscriber, t *shardTopic) bool {
	f := &s.fanout
	return f.m != nil && t == f.topic && f.m.kind == kindData && sub.visited != f.serial
}

// skip has a fan-out of t pass sub by, which has the message or will get it otherwise. It reports whether sub was still to
// be visited. Without a fan-out of t it does nothing.
func (s *Shard) skip(sub *subscriber, t *shardTopic) bool {
	if !s.unvisited(sub, t) {
		return false
	}
	sub.visited = s.fanout.serial
	return s.fanout.tier == 0
}

// stepNotice is step for a notice: stale or fresh, to everyone.
func (s *Shard) stepNotice(until int64) (finished bool) {
	f := &s.fanout
	for f.slot < s.subs.len() {
		slot := f.slot
		f.slot++
		sub := s.subs.at(slot)
		stale := s.hub.stale.Load()
		// Who is behind is told when its socket has drained; who joined since then knows.
		if sub.flags&flagJoined != 0 && sub.backlog == nil && stale != (sub.flags&flagStale != 0) {
			if s.flush(slot); sub.flags&flagJoined != 0 && sub.backlog == nil {
				s.tellState(slot, sub, stale)
			}
		}
		if s.late(until) {
			return false
		}
	}
	s.finish()
	return true
}

// tellState writes stale or fresh to the client in slot. It reports whether its socket took it.
func (s *Shard) tellState(slot uint32, sub *subscriber, stale bool) bool {
	frame := freshFrame
	sub.flags &^= flagStale
	if stale {
		frame = staleFrame
		sub.flags |= flagStale
	}
	return sub.codec == CodecRaw || s.write(slot, frame)
}

// finish ends the fan-out.
func (s *Shard) finish() {
	f := &s.fanout
	m := f.m
	f.m, f.topic = nil, nil
	f.lists = clearOf(f.lists)
	for _, holed := range f.holed {
		s.compact(holed)
	}
	f.holed = clearOf(f.holed)
	if f.tier == 0 {
		s.batch.ends = append(s.batch.ends, batchEnd{m, s.batch.ring.tail})
		s.written() // nobody may have a turn
	}
}

// done notes that this shard is through with m. The last one has its latency observed.
func (s *Shard) done(m *Message) {
	if m.kind == kindData && m != notice && m.pending.Add(-1) == 0 && s.hub.cfg.ObserveFanout != nil {
		s.hub.cfg.ObserveFanout(float64(s.hub.nanotime()-m.received) / 1e9)
	}
}

// leftHoles notes that filter has holes to close when the fan-out is over.
func (f *fanout) leftHoles(filter *filter) {
	if filter.holes == 1 {
		f.holed = append(f.holed, filter)
	}
}
