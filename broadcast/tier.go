package broadcast

import "time"

// A tier is a slower pace that a shard sends topics at. All its topics have their turn at the same time, at every multiple of
// the rate, so that a subscriber of many gets them in one write. A topic that has not changed is left out.
type tier struct {
	rate  int64         // nanoseconds
	dirty []*shardTopic // changed since the last turn
	due   int64         // the next turn, by the hub's clock; 0 = nothing is dirty
}

// markTiers notes that t has changed, for the rates that somebody has asked for.
func (s *Shard) markTiers(t *shardTopic) {
	if t.topic.class.Mode == ModeAll {
		return
	}
	for _, f := range t.more {
		if bit := uint16(1) << f.tier; f.tier != 0 && t.dirty&bit == 0 {
			t.dirty |= bit
			k := &s.tiers[f.tier]
			k.dirty = append(k.dirty, t)
			if k.due == 0 {
				now := s.hub.nanotime()
				k.due = now - now%k.rate + k.rate
				s.wakeAt(k.due)
			}
		}
	}
}

// turns puts the topics of the tiers that are due into tierQueue, and sets the alarm for what is not due yet.
func (s *Shard) turns() {
	if s.alarmAt == 0 {
		return
	}
	now := s.hub.nanotime()
	if s.alarmAt <= now {
		s.alarmAt = 0
		if s.flushAt > now && !s.batch.ring.empty() {
			s.wakeAt(s.flushAt)
		}
	}
	for i := range s.tiers {
		k := &s.tiers[i]
		switch {
		case k.due == 0:
		case k.due > now:
			s.wakeAt(k.due)
		default:
			for _, t := range k.dirty {
				s.tierQueue = append(s.tierQueue, tierTurn{t, uint8(i)})
			}
			clear(k.dirty)
			k.dirty, k.due = k.dirty[:0], 0
		}
	}
}

// A tierTurn is a topic that is to be sent to those who asked for a rate.
type tierTurn struct {
	t    *shardTopic
	tier uint8
}

// beginTurn starts the fan-out of a topic's newest message to a tier.
func (s *Shard) beginTurn(j tierTurn) {
	j.t.dirty &^= 1 << j.tier
	if j.t.newest != nil && s.topicOf(j.t.topic) == j.t {
		s.walk(j.t.newest, j.t, j.tier)
	}
}

// wakeAt has Drain called at a time of the hub's clock.
func (s *Shard) wakeAt(at int64) {
	if s.alarmAt != 0 && s.alarmAt <= at {
		return
	}
	s.alarmAt = at
	wait := time.Duration(max(at-s.hub.nanotime(), 0))
	if s.alarm == nil {
		s.alarm = time.AfterFunc(wait, s.Wake)
	} else {
		s.alarm.Reset(wait)
	}
}

// has notes that the subscriber in slot has t's newest message, or is owed it, whatever turns are to come.
func (s *Shard) has(slot uint32, t *shardTopic) {
	if t.dirty != 0 {
		t.recent = append(t.recent, slot)
	}
}

// passRecent has the turn that begins pass by those who have t's newest message.
func (s *Shard) passRecent(t *shardTopic) {
	for _, slot := range t.recent {
		s.subs.at(slot).visited = s.fanout.serial
	}
	if t.dirty == 0 { // it was the last one
		t.recent = nil
	}
}

// upToDate reports whether sub, which holds t, has been sent t's newest message, or is owed it.
func (s *Shard) upToDate(sub *subscriber, t *shardTopic) bool {
	pace := uint8(0) // of the quickest of its filters
	for k, found := uint32(0), false; k < sub.n; k++ {
		f := s.filters[sub.at(k).filter]
		if f.brings(t) && (!found || s.hub.rates[f.tier] < s.hub.rates[pace]) {
			pace, found = f.tier, true
		}
	}
	return t.dirty&(1<<pace) == 0 && !(s.fanout.tier == pace && s.unvisited(sub, t))
}

// holdsFaster reports whether sub holds another filter of t that brings its messages sooner than a tier does.
func (s *Shard) holdsFaster(sub *subscriber, t *shardTopic, tier uint8) bool {
	if sub.n < 2 {
		return false
	}
	for k := range sub.n {
		f := s.filters[sub.at(k).filter]
		if (f.tier == 0 || s.hub.rates[f.tier] < s.hub.rates[tier]) && f.brings(t) {
			return true
		}
	}
	return false
}
