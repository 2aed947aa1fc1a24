package broadcast

import "time"

// A tier is a slower pace that a shard sends topics at. All its topics have their turn at the same time, at every multiple of
// the rate, so that a subscriber of many gets them in one write. A topic that has not changed is left out.
type tier struct {
	rate   int64         // nanoseconds
	dirty  []*shardTopic // changed since the last turn
	due    int64         // the next turn, by the hub's clock; 0 = nothing is dirty
	left   int           // topics whose turn has come and has not begun
	began  uint64        // Shard.serial at the last turn
	recent []*filter     // that have recent subscribers
}

// A recentSlot is a subscriber that came to a filter with a rate, and has what was the newest then.
type recentSlot struct {
	slot uint32
	at   uint64 // Shard.serial
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

// turns puts the topics of the tiers that are due into tierQueue.
func (s *Shard) turns() {
	if s.alarmAt == 0 {
		return
	}
	now := s.hub.nanotime()
	if s.alarmAt <= now {
		s.alarmAt = 0
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
			k.left += len(k.dirty)
			k.began = s.serial
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
	k := &s.tiers[j.tier]
	j.t.dirty &^= 1 << j.tier
	if j.t.newest != nil && s.topicOf(j.t.topic) == j.t {
		s.walk(j.t.newest, j.t, j.tier)
	}
	if k.left--; k.left == 0 {
		s.forgetRecent(k)
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

// came notes that the subscriber in slot has come to f, which has a rate, and has the newest of what f matches.
func (s *Shard) came(f *filter, slot uint32) {
	if k := &s.tiers[f.tier]; f.tier == 0 || k.due == 0 && k.left == 0 {
		return // nothing is on its way that it could get twice
	}
	if len(f.recent) == 0 {
		s.tiers[f.tier].recent = append(s.tiers[f.tier].recent, f)
	}
	f.recent = append(f.recent, recentSlot{slot, s.serial})
}

// isRecent reports whether the subscriber in slot came to f since t changed.
func (f *filter) isRecent(slot uint32, t *shardTopic) bool {
	for _, r := range f.recent {
		if r.slot == slot && r.at >= t.serial {
			return true
		}
	}
	return false
}

// passRecent has the fan-out that begins pass by those who have come since t changed: they have it.
func (s *Shard) passRecent(t *shardTopic) {
	for _, f := range s.fanout.lists {
		for _, r := range f.recent {
			if r.at >= t.serial {
				s.subs.at(r.slot).visited = s.fanout.serial
			}
		}
	}
}

// forgetRecent forgets who came to filters with a rate before the last turn.
func (s *Shard) forgetRecent(k *tier) {
	kept := k.recent[:0]
	for _, f := range k.recent {
		later := f.recent[:0]
		for _, r := range f.recent {
			if r.at >= k.began {
				later = append(later, r)
			}
		}
		if f.recent = later; len(later) > 0 {
			kept = append(kept, f)
		} else {
			f.recent = nil
		}
	}
	clear(k.recent[len(kept):])
	k.recent = kept
}

// holdsFaster reports whether sub holds another filter of t that brings its messages sooner than a tier does.
func (s *Shard) holdsFaster(sub *subscriber, t *shardTopic, tier uint8) bool {
	if sub.n < 2 {
		return false
	}
	for k := range sub.n {
		f := s.filters[sub.at(k).filter]
		if f.tier != 0 && s.hub.rates[f.tier] >= s.hub.rates[tier] {
			continue
		}
		if f.topic == t {
			return true
		}
		for _, p := range t.more {
			if p == f {
				return true
			}
		}
	}
	return false
}
