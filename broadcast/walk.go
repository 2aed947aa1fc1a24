package broadcast

import (
	"cmp"
	"slices"

	"tickcast/broadcast/topics"
)

// placesAStep is the number of places that count as one step: a place costs far less than a write.
const placesAStep = 8

// beginMessage begins the fan-out of m, or drops m if no subscriber is left or something newer was delivered.
func (s *Shard) beginMessage(m *topics.Message) {
	switch m.Kind {
	case topics.KindUpstream:
		s.fanout.startAll(m)
		return
	case topics.KindMark:
		s.reachMark(m)
		return
	}
	t := s.filters.findOrMatch(m.Topic)
	if t == nil || !s.takeOver(t, m) {
		s.hub.Finish(m)
		return
	}
	if m.Seed {
		t.newest, t.Seq, t.gapped = m, max(t.Seq, m.Seq), t.gapped || m.Seq < t.Seq // a hole is behind it already
		s.hub.Finish(m)
		return
	}
	if m.Kind == topics.KindData && s.fillGap(t, m) { // others go first
		return
	}
	s.places.note(m, &s.inbox)
	switch m.Kind {
	case topics.KindStale, topics.KindFresh:
		s.told = max(s.told, m.Seq)
		if t.state, t.stated = m, m.Seq; m.Dropped {
			t.newest, t.recent = nil, nil
			return
		}
	case topics.KindGap, topics.KindRestart:
		if m.Wide && t.Seq < m.Seq {
			m = m.Widened(t.Seq)
		}
		t.gapped = t.gapped || !t.seeded(m)
		t.Seq = max(t.Seq, m.Seq)
	default:
		t.newest, t.Seq, t.recent, t.gapped = m, m.Seq, nil, false
		s.tiers.markChanged(t)
	}
	s.startWalk(m, t, 0)
}

// takeOver begins a new generation of t if m says so, and reports false if m is older than t: m came with the snapshot.
func (s *Shard) takeOver(t *shardTopic, m *topics.Message) bool {
	switch {
	case m.Kind == topics.KindStale || m.Kind == topics.KindFresh:
		return m.Seq > t.stated
	case m.Gen < t.Gen || m.Kind == topics.KindRestart && m.Gen == t.Gen:
		return false
	case m.Kind == topics.KindRestart:
		t.newest, t.Seq, t.recent, t.gapped = nil, 0, nil, false
	}
	if t.Gen != m.Gen {
		t.Gen = m.Gen
		t.tellPatterns()
	}
	if t.newest == nil && (m.Kind == topics.KindGap || m.Seed) {
		return true
	}
	return m.Seq > t.Seq || m.Kind == topics.KindRestart || m.Kind == topics.KindGap && t.seeded(m) && !t.gapped
}

// fillGap puts the messages that m, of a lossless topic, follows before m: they were lost between the hub and this shard.
// Where the history lacks some it puts a gap there. It reports false if there are none.
func (s *Shard) fillGap(t *shardTopic, m *topics.Message) bool {
	upto, missing := missingBefore(t.Seq, t.gapped, m)
	if !missing {
		return false
	}
	list, whole := s.hub.Missed(t.topic, t.Position, upto)
	if !whole {
		s.hub.CountGap()
		list = []*topics.Message{topics.NewGap(t.topic, tooSlow, t.Position, upto)}
	}
	if len(list) == 0 {
		return false
	}
	s.inbox.putBack(list)
	return true
}

// tooSlow is the reason of a gap between the hub and a shard.
const tooSlow = "the server was too slow"

// missingBefore reports whether messages may be missing between the sequence seq, up to which m's topic is delivered, and m;
// then they end at upto. gapped says that a gap was delivered last.
func missingBefore(seq uint64, gapped bool, m *topics.Message) (upto uint64, missing bool) {
	switch {
	case m.Topic.Class.Mode != topics.ModeAll:
		return 0, false
	case m.Prev != 0 || m.First:
		return m.Prev, m.Prev > seq && !(m.First && seq == 0) // a shard without the topic has missed none of it
	default:
		return m.Seq - 1, seq > 0 && !gapped && m.Seq-1 > seq
	}
}

// mend puts the messages that the mailbox lacked room for back into its overflow, in the order over all topics of one epoch.
// Where the histories lack them it puts a gap at the place of the first.
func (s *Shard) mend(overflow []*topics.Message) []*topics.Message {
	lost := s.findLost(overflow)
	if len(lost) == 0 {
		return overflow
	}
	for _, list := range lost {
		slices.SortStableFunc(list, func(x, y *topics.Message) int { return cmp.Compare(x.Before().Seq, y.Before().Seq) })
	}
	var mended []*topics.Message
	for _, m := range overflow {
		if m.Kind == topics.KindData || m.Kind == topics.KindGap {
			e := s.lifeOf(m)
			n, _ := slices.BinarySearchFunc(lost[e], m.Before().Seq, func(x *topics.Message, seq uint64) int { return cmp.Compare(x.Before().Seq, seq) })
			mended, lost[e] = append(mended, lost[e][:n]...), lost[e][n:]
		}
		mended = append(mended, m)
	}
	return mended
}

// A life is an epoch that has an order of its own: those of a stream and of the one before it under the same name are two.
type life struct {
	epoch string
	gen   uint32
}

func (s *Shard) lifeOf(m *topics.Message) life { return life{s.hub.EpochOf(m.Topic.Class), m.Gen} }

// findLost returns by life the messages that the overflow lacks, or gaps in their place.
func (s *Shard) findLost(overflow []*topics.Message) map[life][]*topics.Message {
	type place struct {
		topics.Position
		gapped bool
	}
	at := make(map[*topics.Topic]place)
	lost := make(map[life][]*topics.Message)
	for _, m := range overflow {
		if m.Topic == nil {
			continue
		}
		p, known := at[m.Topic]
		if st := s.filters.findOrMatch(m.Topic); st == nil {
			continue
		} else if !known {
			p = place{st.Position, st.gapped}
		}
		switch m.Kind {
		case topics.KindData:
			if m.Gen > p.Gen { // without a restart: the shard did not have the topic before
				p.Position = topics.Position{Gen: m.Gen}
			}
			if upto, missing := missingBefore(p.Seq, p.gapped, m); missing && m.Gen == p.Gen && !m.Seed {
				list, whole := s.hub.Missed(m.Topic, p.Position, upto)
				if !whole {
					s.hub.CountGap()
					list = []*topics.Message{topics.NewGap(m.Topic, tooSlow, p.Position, upto)}
				}
				e := s.lifeOf(m)
				lost[e] = append(lost[e], list...)
			}
			at[m.Topic] = place{topics.Position{Seq: m.Seq, Gen: m.Gen}, false}
		case topics.KindGap, topics.KindRestart:
			at[m.Topic] = place{topics.Position{Seq: m.Seq, Gen: m.Gen}, true}
		}
	}
	return lost
}

// beginTurn begins the fan-out of a topic's newest message to a tier.
func (s *Shard) beginTurn(turn tierTurn) {
	t := turn.t
	if t.newest != nil && s.filters.findTopic(t.topic) == t {
		s.startWalk(t.newest, t, turn.tier)
	}
}

// startWalk starts the fan-out of m to the subscribers of t at the rate of a tier.
func (s *Shard) startWalk(m *topics.Message, t *shardTopic, tier uint8) {
	s.fanout.start(m, t, tier, s.filters.rates)
	s.fanout.stamp(&s.subs)
	if tier != 0 { // the walk passes by the subscribers that have the message
		for _, slot := range t.recent {
			if sub := s.subs.At(slot); sub.joined() { // it may have left since
				sub.visited = s.fanout.serial
			}
		}
		if t.dirty == 0 { // it was the last turn
			t.recent = nil
		}
	}
	s.fanout.startList(0)
}

// walk goes on with the fan-out until the hub's clock says until. It reports whether the fan-out is finished.
func (s *Shard) walk(until int64) (finished bool) {
	f := &s.fanout
	if f.topic == nil {
		return s.walkAll(until)
	}
	for f.list < len(f.lists) {
		places := f.lists[f.list].places
		for f.visited < f.count {
			i := f.first + f.visited
			if i >= f.count {
				i -= f.count
			}
			f.visited++
			if slot := places[i].slot; slot != vacant {
				s.visit(slot)
			}
			if f.visited%placesAStep == 0 && s.budgetSpent(until) {
				return false
			}
		}
		f.startList(f.list + 1)
	}
	s.finishWalk()
	return true
}

// visit gathers the message of the fan-out for the subscriber in slot, or adds it to the client's backlog.
func (s *Shard) visit(slot uint32) {
	f := &s.fanout
	sub := s.subs.At(slot)
	if sub.visited == f.serial {
		return
	}
	sub.visited = f.serial
	switch {
	case f.mixed && s.filters.holdsFaster(sub, f.topic, f.tier):
	case sub.backlog != nil:
		s.owe(slot, sub, f.m)
	default:
		s.gather(slot, sub, f.m)
	}
}

// gather adds m to the messages that the subscriber in slot is sent next.
func (s *Shard) gather(slot uint32, sub *subscriber, m *topics.Message) {
	b := &s.batch
	if b.overflows(sub, m) {
		s.gathering = true
		s.flush(slot)
		s.gathering = false
		switch {
		case !sub.joined():
			return
		case sub.backlog != nil:
			s.owe(slot, sub, m)
			return
		}
	}
	if b.empty() && s.cfg.FlushInterval > 0 {
		b.flushAt = s.hub.Now() + int64(s.cfg.FlushInterval)
		s.alarm.set(b.flushAt)
	}
	b.add(slot, sub, m)
}

// walkAll is walk for stale or fresh to all clients.
func (s *Shard) walkAll(until int64) (finished bool) {
	f := &s.fanout
	for f.slot < s.subs.Len() {
		slot := f.slot
		f.slot++
		s.tellState(slot)
		if s.budgetSpent(until) {
			return false
		}
	}
	s.finishWalk()
	return true
}

// tellState writes stale or fresh to the client in slot, unless it knows. A client that is behind is told when its socket has
// drained.
func (s *Shard) tellState(slot uint32) {
	sub := s.subs.At(slot)
	news := func() bool { return sub.joined() && sub.backlog == nil && s.hub.Stale() != sub.stale() }
	if news() {
		if s.flush(slot); news() {
			s.writeState(slot, sub, s.hub.Stale())
		}
	}
}

// finishWalk ends the fan-out.
func (s *Shard) finishWalk() {
	f := &s.fanout
	m := f.m
	for _, holed := range f.end() {
		s.filters.closeHoles(holed)
	}
	f.holed = emptied(f.holed)
	if f.tier == 0 {
		s.batch.end(m)
		s.finishWritten() // there may be no turn to wait for
	}
}

// finishWritten finishes the messages whose subscribers all had their turn.
func (s *Shard) finishWritten() {
	for _, t := range [...]*turns{&s.batch.light, &s.batch.heavy} {
		for m := t.nextWritten(); m != nil; m = t.nextWritten() {
			s.hub.Finish(m)
		}
	}
}
