package broadcast

import (
	"slices"

	"tickcast/broadcast/subject"
	"tickcast/broadcast/topics"
	"tickcast/broadcast/wire"
)

// Busy reports whether a command of the client in slot is under way, or its answer. Further commands must wait until that is over,
// and for Writable if the socket is full.
func (s *Shard) Busy(slot uint32) bool {
	s.checkOwner()
	return s.runs.bySlot[slot] != nil || len(s.pages[slot]) > 0
}

// isLong reports whether a command sub is carried out in shares: it names many topics, or a pattern that is new or matches many.
func (s *Shard) isLong(a *subCommand) bool {
	return len(a.c.Topics) > s.cfg.CommandSteps || slices.ContainsFunc(a.c.Topics, func(name string) bool {
		if !subject.IsPattern(name) {
			return false
		}
		known := false
		for tier := range s.filters.rates {
			if f := s.filters.find(filterName{name, uint8(tier)}); f != nil {
				if known = true; f.growing || len(f.topics) > s.cfg.CommandSteps {
					return true
				}
			}
		}
		return !known
	})
}

// startRun carries out a command sub in shares: the first one now, the others in drains.
func (s *Shard) startRun(slot uint32, a *subCommand) {
	s.finishRun(slot) // an earlier command may have waited for a stream meanwhile
	if !s.subs.At(slot).joined() {
		return
	}
	s.subs.At(slot).flags |= flagSubscribed // it has asked in time
	r := &run{slot: slot, id: a.c.ID, cmd: a, left: a.c.Topics, order: s.needsOrder(a)}
	if a.resumes() { // the client may have come back just before a linger ends
		r.kept = topics.NewWaiter(s.index)
		s.hub.Hold(r.left, r.kept)
	}
	s.enter(r)
}

// enter adds a run, and begins it if it is the only one.
func (s *Shard) enter(r *run) {
	s.runs.add(r)
	if len(s.runs.queue) == 1 && !s.filters.late {
		s.goOnRuns()
	}
	if len(s.runs.queue) > 0 {
		s.Wake()
	}
}

// goOnRuns carries out a share of the first run. A run whose page the socket has not taken steps aside until it has: the pages of a
// short command must not fill memory for a client that does not read them. One whose length only the topics of a pattern bound lets
// the others go first.
func (s *Shard) goOnRuns() {
	if len(s.runs.queue) == 0 {
		return
	}
	r := s.runs.queue[0]
	switch s.shareRun(r); {
	case s.runs.bySlot[r.slot] != r:
	case r.waits:
		s.runs.pause(r)
	case r.pattern != nil || r.owing != nil || r.writes:
		s.runs.pause(r)
		s.runs.goOn(r)
	}
}

// finishRun carries out what is left of the run of the client in slot, if there is one, and writes the backlog that it leaves as far as
// the socket takes it.
func (s *Shard) finishRun(slot uint32) {
	for r := s.runs.bySlot[slot]; r != nil; r = s.runs.bySlot[slot] {
		s.shareRun(r)
	}
}

// shareRun carries out a share of r: topics until these and the pairs with patterns are Config.CommandSteps.
func (s *Shard) shareRun(r *run) {
	sub, end := s.subs.At(r.slot), s.filters.steps+uint64(s.cfg.CommandSteps)
	switch {
	case r.writes:
		s.Writable(r.slot)
		return
	case r.order:
		s.shareOrder(r, sub, end)
		return
	case !r.begun && !s.beginRun(r, sub):
		return
	}
	for (len(r.left) > 0 || r.owing != nil) && s.filters.steps < end {
		if r.owing != nil {
			s.oweSome(r, sub, end)
			continue
		}
		full, goesOn := s.doName(r, sub, r.left[0], end)
		if goesOn {
			return
		}
		r.left = r.left[1:]
		if full && len(r.left) > 0 && (!s.writePage(r, true) || r.waits) {
			return
		}
	}
	if len(r.left) == 0 && r.owing == nil {
		s.endRun(r, sub)
	}
}

// beginRun gives r's client a backlog, which keeps messages back. It reports false if the client has ended.
func (s *Shard) beginRun(r *run, sub *subscriber) bool {
	s.flush(r.slot) // gathered before
	if !sub.joined() {
		return false
	}
	r.begun = true
	if r.full = sub.backlog != nil; !r.full {
		sub.backlog = new(backlog)
	}
	if r.cmd != nil {
		sub.reserve(min(len(r.left), s.cfg.MaxTopicsPerConnection))
	}
	s.filters.indexEntries(sub, len(r.left))
	return true
}

// doName carries out r for one of its names. It reports whether the page of the answer is full, or that the name needs another share.
func (s *Shard) doName(r *run, sub *subscriber, name string, end uint64) (full, goesOn bool) {
	if r.cmd == nil {
		if s.removeName(r.slot, sub, name) || r.waited[name] {
			return r.page.Add(wire.AckTopic{Topic: name}), false
		}
		s.filters.steps++
		return s.failInRun(r, name, errNotSubscribed), false
	}
	if why := s.hub.Unavailable(name); why != "" {
		s.filters.steps++
		return r.page.Fail(name, &wire.Error{Code: wire.CodeNotAvailable, Reason: "not available: " + why}), false
	}
	goesOn, err := s.prepare(r, sub, name, end)
	switch {
	case goesOn:
		return false, true
	case err != nil:
		full = s.failInRun(r, name, limitError(err))
	default:
		full = s.subscribeInRun(r, sub, name)
	}
	s.unpinPattern(r)
	return full, false
}

// failInRun adds an error to the answer of r, and reports whether the page is full.
func (s *Shard) failInRun(r *run, name string, err error) (full bool) {
	s.stats.errors.Add(1)
	return r.page.Fail(name, err)
}

// subscribeInRun subscribes r's client to a topic or pattern, and owes it the snapshots. It reports whether the page of the
// answer is full.
func (s *Shard) subscribeInRun(r *run, sub *subscriber, name string) (full bool) {
	f, added, err := s.subscribeChecked(r.slot, sub, r.cmd, r.done())
	s.oweNotice(sub.backlog)
	if err != nil {
		return s.failInRun(r, name, err)
	}
	for _, t := range s.scratch.owed { // at another rate
		sub.backlog.dirty.mark(t.topic.ID, dirtyUpdate)
		s.fanout.passBy(sub, t)
	}
	s.scratch.owed = emptied(s.scratch.owed)
	switch {
	case !added:
	case f.topic != nil:
		s.filters.steps++
		s.oweSnapshot(r.slot, sub, sub.backlog, f.topic)
	default:
		r.owing, r.owed = f, len(f.topics)
	}
	return r.page.Add(s.ackTopic(f))
}

// prepare makes the filter of a pattern that r's client may subscribe to, and ties it to its topics until filterTable.steps is end. It
// reports whether there are more. Other names need nothing, and subscribe says why those fail that it refuses.
func (s *Shard) prepare(r *run, sub *subscriber, name string, end uint64) (goesOn bool, err error) {
	if r.pattern == nil && subject.IsPattern(name) {
		if err := s.pinPattern(r, sub, name); err != nil {
			return false, err
		}
	}
	if r.pattern == nil {
		return false, nil
	}
	return s.filters.grow(r.pattern, end)
}

// pinPattern makes r keep the filter of a pattern, which may have to grow.
func (s *Shard) pinPattern(r *run, sub *subscriber, name string) error {
	tier, err := s.permit(r.slot, sub, name, r.cmd.rate)
	if err != nil {
		return nil
	}
	n := filterName{name, tier}
	f := s.filters.find(n)
	if f == nil {
		if _, held := s.filters.findName(sub, name); !held && s.hasRoom(sub, name) != nil {
			return nil
		}
		if f, err = s.newFilter(r.slot, n); err != nil {
			return err
		}
	}
	f.pins++
	r.pattern = f
	return nil
}

// unpinPattern lets go of the filter that pinPattern keeps, if there is one.
func (s *Shard) unpinPattern(r *run) {
	if f := r.pattern; f != nil {
		r.pattern = nil
		s.filters.unpin(f)
	}
}

// oweSome owes r's client the snapshots of topics of its newest pattern until filterTable.steps is end: from the last on, since the
// place of a topic that goes is taken by the last one.
func (s *Shard) oweSome(r *run, sub *subscriber, end uint64) {
	f := r.owing
	held := s.filters.listed(f)
	if held {
		_, held = s.filters.entryOf(sub, f)
	}
	if !held { // a new token has ended it
		r.owing = nil
		return
	}
	for r.owed = min(r.owed, len(f.topics)); r.owed > 0 && s.filters.steps < end; s.filters.steps++ {
		r.owed--
		s.oweSnapshot(r.slot, sub, sub.backlog, f.topics[r.owed].st)
	}
	if r.owed == 0 {
		r.owing = nil
	}
}

// writePage writes the page of r's answer. It reports false if that ended the client.
func (s *Shard) writePage(r *run, more bool) bool {
	frame := r.page.Frame(r.id, more)
	r.page = wire.Page{}
	r.full = !s.write(r.slot, frame)
	r.waits = more && r.full
	return s.runs.bySlot[r.slot] == r
}

// endRun writes the last page of the answer, and then the messages that were kept back.
func (s *Shard) endRun(r *run, sub *subscriber) {
	if r.cmd == nil {
		s.dropDebts(sub)
	}
	sub.trim()
	if !s.writePage(r, false) {
		return
	}
	s.filters.dropIndex(sub)
	if r.full {
		s.runs.remove(r.slot)
		return
	}
	r.writes = true
	s.Writable(r.slot)
}

// writeOn lets drains go on to write the backlog of the client in slot, whose socket has room.
func (s *Shard) writeOn(slot uint32) {
	r := s.runs.bySlot[slot]
	if r == nil {
		r = &run{slot: slot, writes: true}
		s.runs.add(r)
	}
	r.owes = r.order
	s.runs.goOn(r)
	s.Wake()
}

// endWrites ends the run that writes the backlog of the client in slot, if there is one: nothing is left, or the socket is full.
func (s *Shard) endWrites(slot uint32) {
	switch r := s.runs.bySlot[slot]; {
	case r == nil:
	case r.writes:
		s.runs.remove(slot)
	default:
		r.owes = false
	}
}

// shareOrder makes filters of a command that needs an order, and then carries it out: its topics begin at one position, so the rest
// has no shares, but for the writes.
func (s *Shard) shareOrder(r *run, sub *subscriber, end uint64) {
	if r.pins == nil {
		_, waiting := s.parked.count(r.slot)
		r.room = s.cfg.MaxTopicsPerConnection - int(sub.n) - waiting
		r.pins = make([]*filter, 0, len(r.left))
		s.filters.indexEntries(sub, len(r.left))
	}
	for (len(r.left) > 0 || r.pattern != nil) && s.filters.steps < end {
		if r.pattern != nil {
			s.growPinned(r, end)
			continue
		}
		s.filters.steps++
		i, name := r.done(), r.left[0]
		r.left = r.left[1:]
		if _, held := s.filters.findName(sub, name); !held {
			if r.room <= 0 {
				continue
			}
			r.room--
		}
		if f := s.pinName(r.slot, r.cmd, i); f != nil {
			if r.pins = append(r.pins, f); f.growing {
				f.pins++
				r.pattern = f
			}
		}
	}
	if len(r.left) > 0 || r.pattern != nil {
		return
	}
	pins := r.pins
	r.pins = nil
	s.runs.remove(r.slot)
	if r.owes { // before anything else is written: a socket that is full then ends it
		s.writeOn(r.slot)
	}
	if s.flush(r.slot); sub.joined() {
		s.carryOutAtMark(r.slot, r.cmd, pins)
		s.filters.dropIndex(sub)
	} else {
		s.unpin(pins)
	}
	s.dropRun(r)
}

// growPinned goes on with the growth of the newest filter of an ordered command.
func (s *Shard) growPinned(r *run, end uint64) {
	more, err := s.filters.grow(r.pattern, end)
	if err != nil {
		r.cmd.refuse(r.done()-1, limitError(err))
	}
	if !more {
		s.unpinPattern(r)
	}
}

// dropRun lets go of all that was kept for r, which is over.
func (s *Shard) dropRun(r *run) {
	s.unpinPattern(r)
	s.unpin(r.pins)
	if r.kept != nil {
		s.hub.Release(r.kept)
	}
}
