package broadcast

import "tickcast/broadcast/topics"

// tiers are the slower paces at which a shard sends topics.
type tiers struct {
	hub   *topics.Hub
	alarm *alarm
	list  []tier     // by index into the hub's rates; the first is not used
	turns []tierTurn // due now
}

// A tier is one pace. All its topics have their turn at the same time, at every multiple of the rate, so that a subscriber of
// many gets them in one write. A topic that has not changed is left out.
type tier struct {
	rate  int64         // nanoseconds
	dirty []*shardTopic // changed since the last turn
	due   int64         // the next turn, by the hub's clock; 0 = no topic is dirty
}

// A tierTurn is a topic that is due to the subscribers at a rate.
type tierTurn struct {
	t    *shardTopic
	tier uint8
}

func newTiers(hub *topics.Hub, a *alarm) tiers {
	k := tiers{hub: hub, alarm: a}
	for _, r := range hub.Rates() {
		k.list = append(k.list, tier{rate: int64(r)})
	}
	return k
}

// markChanged marks t for the rates at which it has subscribers.
func (k *tiers) markChanged(t *shardTopic) {
	if t.topic.Class.Mode == topics.ModeAll {
		return
	}
	for _, tied := range t.more {
		f := tied.f
		if bit := uint16(1) << f.tier; f.tier != 0 && t.dirty&bit == 0 {
			t.dirty |= bit
			slower := &k.list[f.tier]
			slower.dirty = append(slower.dirty, t)
			if slower.due == 0 {
				now := k.hub.Now()
				slower.due = now - now%slower.rate + slower.rate
				k.alarm.set(slower.due)
			}
		}
	}
}

// collectTurns moves the topics of the tiers that are due to turns, and sets the alarm for the other tiers.
func (k *tiers) collectTurns(now int64) {
	for i := range k.list {
		slower := &k.list[i]
		switch {
		case slower.due == 0:
		case slower.due > now:
			k.alarm.set(slower.due)
		default:
			for _, t := range slower.dirty {
				k.turns = append(k.turns, tierTurn{t, uint8(i)})
			}
			slower.dirty, slower.due = emptied(slower.dirty), 0
		}
	}
}

// nextTurn removes the first of the turns. Its topic owes the tier nothing more.
func (k *tiers) nextTurn() tierTurn {
	turn := k.turns[0]
	if k.turns = k.turns[1:]; len(k.turns) == 0 {
		k.turns = nil
	}
	turn.t.dirty &^= 1 << turn.tier
	return turn
}
