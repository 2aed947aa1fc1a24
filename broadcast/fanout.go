package broadcast

import (
	"time"

	"tickcast/broadcast/topics"
)

// A fanout is the walk of one message over its subscribers, for each of which it is gathered. It stops after a slice and
// goes on where it was. Meanwhile places keep their index: a subscriber that leaves makes a hole, one that joins is appended
// behind the end of the walk.
type fanout struct {
	m       *topics.Message // nil: none under way
	topic   *shardTopic     // nil: the walk is over all slots
	tier    uint8           // rate of the subscribers; 0 = at once
	mixed   bool            // a subscriber may hold a faster filter of the topic as well
	lists   []*filter       // their subscribers get m
	holed   []*filter       // their holes are closed in the end
	list    int             // index into lists
	first   int             // place where the walk of the list began: it rotates, so that no subscriber is always last
	count   int             // places to visit in the list, from first on and around
	visited int             // of these, done
	serial  uint32          // stamped on the subscribers that need no visit any more
	slot    uint32          // of a walk over all slots: the next one
	steps   uint32          // of all fan-outs: places, slots, bundles and messages; see Shard.budgetSpent
}

// underWay reports whether a walk has begun and is not over.
func (f *fanout) underWay() bool { return f.m != nil }

// startAll starts a walk over all slots.
func (f *fanout) startAll(m *topics.Message) { f.m, f.slot, f.tier = m, 0, 0 }

// start starts the walk of m over the subscribers of t at the rate of a tier.
func (f *fanout) start(m *topics.Message, t *shardTopic, tier uint8, rates []time.Duration) {
	f.m, f.topic, f.tier, f.mixed = m, t, tier, false
	all := m.Kind != topics.KindData || m.Topic.Class.Mode == topics.ModeAll // whatever their rate
	if t.exact != nil && (tier == 0 || all) {
		f.lists = append(f.lists, t.exact)
	}
	for _, tied := range t.more {
		p := tied.f
		p.reach(t.Position)
		switch {
		case all || p.tier == tier:
			f.lists = append(f.lists, p)
		case tier != 0 && rates[p.tier] < rates[tier]:
			f.mixed = true
		}
	}
	f.mixed = f.mixed || tier != 0 && t.exact != nil
}

// startList starts the walk of list i.
func (f *fanout) startList(i int) {
	f.list, f.visited, f.count, f.first = i, 0, 0, 0
	if i < len(f.lists) {
		f.count = len(f.lists[i].places)
		if f.count > 0 {
			f.first = int((uint64(f.serial) * 0x9E3779B97F4A7C15 >> 32) % uint64(f.count))
		}
	}
}

// stamp gives the walk a serial of its own.
func (f *fanout) stamp(subs *SlotTable[subscriber]) {
	if f.serial++; f.serial == 0 { // after 4 billion: no stamp of the last round may match
		for slot := range subs.Len() {
			subs.At(slot).visited = 0
		}
		f.serial = 1
	}
}

// awaits reports whether the walk is of t's newest message and sub may still get it.
func (f *fanout) awaits(sub *subscriber, t *shardTopic) bool {
	return f.m != nil && t == f.topic && f.m.Kind == topics.KindData && sub.visited != f.serial
}

// passBy makes a walk of t pass sub by, which has the message or will get it otherwise. It reports whether sub was still to
// be visited with a new message. Without a walk of t it does nothing.
func (f *fanout) passBy(sub *subscriber, t *shardTopic) bool {
	if !f.awaits(sub, t) {
		return false
	}
	sub.visited = f.serial
	return f.tier == 0
}

// noteHole notes the first hole of a filter, which is closed when the walk is over.
func (f *fanout) noteHole(holed *filter) {
	if holed.holes == 1 {
		f.holed = append(f.holed, holed)
	}
}

// end ends the walk and returns the filters with holes.
func (f *fanout) end() (holed []*filter) {
	f.m, f.topic = nil, nil
	f.lists = emptied(f.lists)
	return f.holed
}
