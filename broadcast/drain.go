package broadcast

import "time"

// Drain delivers the posted messages, for at most about budget. It reports whether there is more to do: it must then be called
// again, after the loop has looked at its sockets.
func (s *Shard) Drain(budget time.Duration) (more bool) {
	s.checkOwner()
	s.mailbox.Scheduled() // until there is nothing left: a post meanwhile must not schedule a second drain
	now := s.hub.Now()
	until := now + int64(budget)
	s.batch.look(now, s.cfg.ConflateAfter+s.cfg.FlushInterval)
	s.collectTurns()
	s.endLingering()
	s.conflated += s.inbox.collect(s.mailbox)
	s.shedIfAsked()
	s.endFilters()
	s.goOnRuns()
	for !more && s.hasWork() {
		more = !s.doNext(until) || s.budgetSpent(until)
	}
	s.stats.deliveries.Store(s.delivered)
	s.stats.coalesced.Store(s.coalesced)
	s.stats.conflated.Store(s.conflated)
	s.publishTables()
	// Subtle: an alarm that rings during the drain wakes nothing. So it is looked at once more, after the mailbox is idle.
	return more || s.unfinished() || s.alarm.due(s.hub.Now())
}

// unfinished reports whether work is left that one drain does a share of.
func (s *Shard) unfinished() bool { return len(s.runs.queue)+len(s.filters.ending) > 0 }

// endsAtOnce is the number of steps that one drain may take to remove filters without subscribers. Chosen by us.
const endsAtOnce = 1024

// endFilters removes some of the filters whose last subscriber has left.
func (s *Shard) endFilters() {
	n, most := 0, endsAtOnce
	if len(s.runs.queue) > 0 { // these have their steps too
		most /= 2
	}
	s.filters.endSome(func() bool { n++; return n >= most })
}

// SetLate tells the shard that the loop's round has taken its time: until SetLate(false), work that can wait is left to Drain.
func (s *Shard) SetLate(late bool) {
	s.checkOwner()
	s.filters.late = late
}

// collectTurns collects the tiers that are due, and sets the alarm for the others and the end of the batch.
func (s *Shard) collectTurns() {
	if s.alarm.at == 0 {
		return
	}
	now := s.hub.Now()
	if s.alarm.clearIfDue(now) && s.batch.flushAt > now && !s.batch.empty() {
		s.alarm.set(s.batch.flushAt)
	}
	s.tiers.collectTurns(now)
	s.giveUpParked(now)
}

// hasWork reports whether there is something to do now. If not, posts wake the loop again.
func (s *Shard) hasWork() bool {
	for !s.fanout.underWay() && s.inbox.empty() && len(s.tiers.turns) == 0 && (s.batch.empty() || s.batchWaits()) {
		s.conflated += s.inbox.collect(s.mailbox)
		if s.inbox.empty() && (s.unfinished() || s.mailbox.Idle()) { // with work left the loop comes back by itself
			return false
		}
	}
	return true
}

// batchWaits reports whether the batch waits for more messages.
func (s *Shard) batchWaits() bool {
	return s.cfg.FlushInterval > 0 && s.batch.hasRoom() && s.hub.Now() < s.batch.flushAt
}

// doNext does the next step: it gathers as long as there is room for more, since that is cheap and makes the writes fewer. It
// reports false if the hub's clock said until.
func (s *Shard) doNext(until int64) bool {
	b := &s.batch
	switch {
	case s.fanout.underWay():
		return s.walk(until)
	case len(s.tiers.turns) > 0 && b.hasRoom():
		s.beginTurn(s.tiers.nextTurn())
	case s.inbox.queued() && b.hasRoom():
		s.beginMessage(s.inbox.next())
	case s.inbox.len() > 0 && b.hasRoom():
		s.inbox.replaceOverflow(s.mend(s.inbox.overflow))
	case s.inbox.len() == 0 && len(s.inbox.answers) > 0:
		if p := s.parked.remove(s.inbox.nextAnswer()); p != nil { // one at a time: many commands may wait for the same answer
			s.retryParked(p, false)
		}
	case !b.empty():
		s.flushTurns()
	}
	if len(b.light.ends)+len(b.heavy.ends) > 0 {
		s.finishWritten()
	}
	if b.empty() && len(b.bundles) > 0 && !s.fanout.underWay() {
		b.reset()
	}
	return true
}
