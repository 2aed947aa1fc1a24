package broadcast

// A fanout is the walk of one message over its subscribers. It stops after a slice and goes on where it was. While it is
// under way places keep their index: who leaves makes a hole, who joins is appended behind the end of the walk.
type fanout struct {
	m       *Message // nil: none under way
	topic   *shardTopic
	lists   []*filter // whose subscribers get m
	holed   []*filter // that have holes to close in the end
	list    int       // index into lists
	start   int       // where the walk of the list began: it rotates, so that nobody is always last
	count   int       // places to visit in the list, from start on and around
	visited int       // of these, done
	serial  uint32    // stamped on the subscribers that need no visit any more
	slot    uint32    // for a notice: the next slot
	steps   uint32    // of all fan-outs: places, slots and messages; see late
}

// lookAtClock is how many deliveries pass between two looks at the clock.
const lookAtClock = 32

// late counts a step and reports whether the hub's clock says until. It counts on from one message to the next: many small
// fan-outs are as long as a large one.
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
	f.lists, f.holed = f.lists[:0], f.holed[:0]
	f.slot, f.list = 0, 0
	if m == notice {
		f.m = m
		return
	}
	t := s.topicOf(m.topic)
	if t == nil && s.wild.n > 0 && !m.topic.ended.Load() { // of an ended topic the id may be another's
		t = s.addTopic(m.topic)
		s.tidy(t) // unless a pattern matches
	}
	if t == nil || t.newest != nil && t.newest.seq >= m.seq { // nobody is left, or it came with the snapshot
		s.done(m)
		return
	}
	t.newest = m
	f.m, f.topic = m, t
	if t.exact != nil {
		f.lists = append(f.lists, t.exact)
	}
	f.lists = append(f.lists, t.patterns...)
	if f.serial++; f.serial == 0 { // after 4 billion: no stamp of the last round may match
		for slot := range s.subs.len() {
			s.subs.at(slot).visited = 0
		}
		f.serial = 1
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
				s.deliver(slot)
			}
			if s.late(until) {
				return false
			}
		}
		s.enter(f.list + 1)
	}
	s.finish()
	return true
}

// deliver writes the message of the fan-out to the subscriber in slot, or marks its topic if the client is behind.
func (s *Shard) deliver(slot uint32) {
	f := &s.fanout
	sub := s.subs.at(slot)
	if sub.visited == f.serial {
		return
	}
	sub.visited = f.serial
	if sub.backlog != nil {
		if sub.backlog.mark(f.topic, dirtUpdate) {
			s.conflated++
		}
		return
	}
	s.delivered++
	frame := f.m.frame
	if sub.bits != 0 {
		frame = s.frameOf(f.m, sub, dirtUpdate)
	}
	if !s.out.Write(slot, frame) {
		s.behind(slot)
	}
}

// skip has a fan-out of t pass sub by, which has the message or will get it otherwise. It reports whether sub was still to
// be visited. Without a fan-out of t it does nothing.
func (s *Shard) skip(sub *subscriber, t *shardTopic) bool {
	f := &s.fanout
	if t != f.topic || sub.visited == f.serial {
		return false
	}
	sub.visited = f.serial
	return true
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
			s.tellState(slot, sub, stale)
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
	if !s.out.Write(slot, frame) {
		return s.behind(slot)
	}
	return true
}

// finish ends the fan-out.
func (s *Shard) finish() {
	f := &s.fanout
	m := f.m
	f.m, f.topic = nil, nil
	clear(f.lists)
	for _, holed := range f.holed {
		s.compact(holed)
	}
	clear(f.holed)
	s.done(m)
}

// done notes that this shard is through with m. The last one has its latency observed.
func (s *Shard) done(m *Message) {
	if m != notice && m.pending.Add(-1) == 0 && s.hub.cfg.ObserveFanout != nil {
		s.hub.cfg.ObserveFanout(float64(s.hub.nanotime()-m.received) / 1e9)
	}
}

// leftHoles notes that filter has holes to close when the fan-out is over.
func (f *fanout) leftHoles(filter *filter) {
	if filter.holes == 1 {
		f.holed = append(f.holed, filter)
	}
}
