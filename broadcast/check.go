package broadcast

import (
	"fmt"
	"slices"

	"tickcast/broadcast/subject"
)

// Check holds the tables of all shards and of their hub together, for tests: it returns the first contradiction. No other
// goroutine may use them meanwhile.
func (s *Shards) Check() error {
	for _, shard := range s.list {
		if err := shard.Check(); err != nil {
			return fmt.Errorf("shard %d: %w", shard.index, err)
		}
	}
	wanted := make([]int, len(s.list))
	err := s.Hub.Check(func(shard int, name string) bool {
		_, held := s.list[shard].heldNames()[name]
		if held {
			wanted[shard]++
		}
		return held
	})
	for i, shard := range s.list {
		if n := len(shard.heldNames()); err == nil && n != wanted[i] {
			err = fmt.Errorf("shard %d: %d names are held, %d of them have an interest", i, n, wanted[i])
		}
	}
	return err
}

// heldNames returns the names of all filters.
func (s *Shard) heldNames() map[string]bool {
	names := make(map[string]bool)
	for n := range s.filters.names {
		names[n.name] = true
	}
	for _, f := range s.filters.ending {
		names[f.name] = true
	}
	return names
}

// Check holds the tables of the shard together, for tests: every entry and its place point at each other, and so do filters
// and topics. It returns the first contradiction.
func (s *Shard) Check() error {
	filled := make(map[*filter]int)
	if err := s.checkSubscribers(filled); err != nil {
		return err
	}
	t, live := &s.filters, 0
	for i, f := range t.list {
		if f == nil {
			if !slices.Contains(t.free, uint32(i)) {
				return fmt.Errorf("filter %d is lost", i)
			}
			continue
		}
		live++
		if err := s.checkFilter(f, uint32(i), filled[f]); err != nil {
			return fmt.Errorf("filter %q: %w", f.name, err)
		}
	}
	if live != len(t.names) || live+countNil(t.list) != len(t.list) {
		return fmt.Errorf("%d filters, %d names of %d", live, len(t.names), len(t.list))
	}
	return t.checkTopics()
}

// checkSubscribers checks the subscribers, their bundles and their entries, and counts the entries of each filter.
func (s *Shard) checkSubscribers(filled map[*filter]int) error {
	var joined, held int64
	holders := make([]uint32, len(s.batch.bundles))
	for slot := range s.subs.Len() {
		sub := s.subs.At(slot)
		if !sub.joined() {
			if *sub != (subscriber{}) {
				return fmt.Errorf("free slot %d is not empty: %+v", slot, *sub)
			}
			continue
		}
		joined++
		held += int64(sub.n)
		if sub.pending != 0 {
			if holders[sub.pending]++; sub.backlog != nil {
				return fmt.Errorf("slot %d has a backlog and gathered messages", slot)
			}
		}
		if err := s.filters.checkEntries(slot, sub, filled); err != nil {
			return fmt.Errorf("slot %d: %w", slot, err)
		}
	}
	if joined != s.joined || held != s.filters.held {
		return fmt.Errorf("%d subscribers with %d subscriptions are counted as %d and %d", joined, held, s.joined, s.filters.held)
	}
	for i, u := range s.batch.bundles {
		if u.holders != holders[i] {
			return fmt.Errorf("bundle %d has %d holders, counted as %d", i, holders[i], u.holders)
		}
	}
	return nil
}

func (t *filterTable) checkEntries(slot uint32, sub *subscriber, filled map[*filter]int) error {
	if want := max(int(sub.n)-1, 0); sub.more == nil && want > 0 || sub.more != nil && len(*sub.more) != want {
		return fmt.Errorf("%d entries, but not %d behind the first", sub.n, want)
	}
	for k := range sub.n {
		e := *sub.entryAt(k)
		f := t.list[e.filter]
		if f == nil || int(e.position) >= len(f.places) || f.places[e.position] != (place{slot, k}) {
			return fmt.Errorf("entry %d points at position %d of filter %d, which does not point back", k, e.position, e.filter)
		}
		filled[f]++
	}
	return nil
}

// checkFilter checks f, to whose places so many entries point.
func (s *Shard) checkFilter(f *filter, index uint32, filled int) error {
	t, holes, pattern := &s.filters, 0, subject.IsPattern(f.name)
	for _, p := range f.places {
		if p.slot == vacant {
			holes++
		}
	}
	switch {
	case f.index != index || t.names[f.filterName] != index:
		return fmt.Errorf("index %d and %d by name, want %d", f.index, t.names[f.filterName], index)
	case holes != f.holes || holes+filled != len(f.places):
		return fmt.Errorf("%d places, %d filled, %d holes counted as %d", len(f.places), filled, holes, f.holes)
	case !s.fanout.underWay() && filled == 0 && f.pins == 0 && !f.ending:
		return fmt.Errorf("no subscriber")
	case !s.fanout.underWay() && holes > 0:
		return fmt.Errorf("holes after the fan-out")
	case !pattern && (f.topic == nil || f.tier == 0 && f.topic.exact != f || t.findTopic(f.topic.topic) != f.topic || f.topics != nil):
		return fmt.Errorf("it and its topic do not fit")
	case pattern && f.topic != nil:
		return fmt.Errorf("a pattern with a topic")
	case f.growing != (t.growing[f] != nil) || f.growing && filled > 0:
		return fmt.Errorf("it grows, with %d subscribers", filled)
	}
	for i, m := range f.topics {
		st := m.st
		if !subject.Covers(f.name, st.topic.Name) || int(m.at) >= len(st.more) || st.more[m.at] != (tie{f, uint32(i)}) || t.findTopic(st.topic) != st {
			return fmt.Errorf("it and topic %q do not fit", st.topic.Name)
		}
		if st.Seq != st.topic.Birth && f.at.Behind(st.Position) {
			return fmt.Errorf("it is at %v and topic %q at %v", f.at, st.topic.Name, st.Position)
		}
	}
	return nil
}

func (t *filterTable) checkTopics() error {
	if n := len(t.byID) - countNil(t.byID); n != t.tracked {
		return fmt.Errorf("%d topics are counted as %d", n, t.tracked)
	}
	for id, st := range t.byID {
		if st == nil {
			continue
		}
		if int(st.topic.ID) != id || st.exact == nil && len(st.more) == 0 {
			return fmt.Errorf("topic %q at %d has no filter or is misplaced", st.topic.Name, id)
		}
		for name, index := range t.names {
			tied := slices.ContainsFunc(st.more, func(p tie) bool { return p.f == t.list[index] })
			if subject.IsPattern(name.name) && !t.list[index].growing && subject.Covers(name.name, st.topic.Name) != tied && !st.topic.Ended() { // it goes with its id
				return fmt.Errorf("topic %q: pattern %q is missing or wrong", st.topic.Name, name.name)
			}
		}
	}
	return nil
}

// countNil returns the number of nil pointers in list.
func countNil[T any](list []*T) (n int) {
	for _, v := range list {
		if v == nil {
			n++
		}
	}
	return n
}
