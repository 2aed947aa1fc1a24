package broadcast

import (
	"slices"
	"testing"
)

// checkShard fails unless all that s holds fits together: every entry and its place point at each other, and so do filters,
// topics and the hub's interests. Not to be called while other goroutines use the hub.
func checkShard(t testing.TB, s *Shard) {
	t.Helper()
	var joined, held int64
	holders := make([]uint32, len(s.batch.bundles))
	filled := make(map[*filter]int)
	for slot := range s.subs.len() {
		sub := s.subs.at(slot)
		if sub.flags&flagJoined == 0 {
			if *sub != (subscriber{}) {
				t.Fatalf("free slot %d is not empty: %+v", slot, *sub)
			}
			continue
		}
		joined++
		if sub.pending != 0 {
			holders[sub.pending]++
			if sub.backlog != nil {
				t.Fatalf("slot %d has a backlog and something gathered", slot)
			}
		}
		held += int64(sub.n)
		if want := max(int(sub.n)-1, 0); sub.more == nil && want > 0 || sub.more != nil && len(*sub.more) != want {
			t.Fatalf("slot %d has %d entries and not %d more", slot, sub.n, want)
		}
		for k := range sub.n {
			e := *sub.at(k)
			f := s.filters[e.filter]
			if f == nil || int(e.position) >= len(f.places) || f.places[e.position] != (place{slot, k}) {
				t.Fatalf("slot %d: entry %d points at position %d of filter %d, which does not point back", slot, k, e.position, e.filter)
			}
			filled[f]++
		}
	}
	if joined != s.joined || held != s.held {
		t.Fatalf("%d subscribers with %d subscriptions are counted as %d and %d", joined, held, s.joined, s.held)
	}
	for i := range holders {
		if got := s.batch.bundles[i].holders; got != holders[i] {
			t.Fatalf("bundle %d has %d holders, counted as %d", i, holders[i], got)
		}
	}
	live := 0
	for i, f := range s.filters {
		if f == nil {
			if !slices.Contains(s.free, uint32(i)) {
				t.Fatalf("filter %d is lost", i)
			}
			continue
		}
		live++
		checkFilter(t, s, f, uint32(i), filled[f])
	}
	if live != len(s.names) || live+len(s.free) != len(s.filters) {
		t.Fatalf("%d filters, %d names, %d free of %d", live, len(s.names), len(s.free), len(s.filters))
	}
	checkTopics(t, s)
}

func checkFilter(t testing.TB, s *Shard, f *filter, index uint32, filled int) {
	t.Helper()
	holes := 0
	for _, p := range f.places {
		if p.slot == vacant {
			holes++
		}
	}
	switch {
	case f.index != index || s.names[filterName{f.name, f.tier}] != index:
		t.Fatalf("filter %q: index %d and %d by name, want %d", f.name, f.index, s.names[filterName{f.name, f.tier}], index)
	case holes != f.holes || holes+filled != len(f.places):
		t.Fatalf("filter %q: %d places, %d filled, %d holes counted as %d", f.name, len(f.places), filled, holes, f.holes)
	case s.fanout.m == nil && filled == 0:
		t.Fatalf("filter %q has no subscriber", f.name)
	case s.fanout.m == nil && holes > 0:
		t.Fatalf("filter %q has holes after the fan-out", f.name)
	case !isPattern(f.name) && (f.topic == nil || f.tier == 0 && f.topic.exact != f || s.topicOf(f.topic.topic) != f.topic || f.topics != nil):
		t.Fatalf("filter %q and its topic do not fit", f.name)
	case isPattern(f.name) && f.topic != nil:
		t.Fatalf("filter %q has a topic", f.name)
	}
	for i, st := range f.topics {
		if !naiveMatch(f.name, st.topic.name) || !slices.Contains(st.more, f) || s.topicOf(st.topic) != st || slices.Contains(f.topics[:i], st) {
			t.Fatalf("filter %q and topic %q do not fit", f.name, st.topic.name)
		}
	}
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	if i := s.hub.interests[f.name]; i == nil || !i.shards[s.index] {
		t.Fatalf("filter %q has no interest", f.name)
	}
}

func checkTopics(t testing.TB, s *Shard) {
	t.Helper()
	for id, st := range s.byID {
		if st == nil {
			continue
		}
		if int(st.topic.id) != id || st.exact == nil && len(st.more) == 0 {
			t.Fatalf("topic %q at %d is wanted by nobody or misplaced", st.topic.name, id)
		}
		for name, index := range s.names {
			if f := s.filters[index]; isPattern(name.name) && naiveMatch(name.name, st.topic.name) != slices.Contains(st.more, f) {
				t.Fatalf("topic %q: pattern %q is missing or wrong", st.topic.name, name)
			}
		}
	}
	h := s.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.topics) != h.tree.n || int(h.ids)-len(h.free) != len(h.topics) {
		t.Fatalf("%d topics, %d in the tree, %d by id", len(h.topics), h.tree.n, int(h.ids)-len(h.free))
	}
	byID := make(map[uint32]string)
	for _, id := range h.free {
		byID[id] = "nobody"
	}
	for name, topic := range h.topics {
		if other, taken := byID[topic.id]; taken || topic.id >= h.ids || topic.ended.Load() {
			t.Fatalf("topic %q has the id of %q, or one of %d, or ended", name, other, h.ids)
		}
		byID[topic.id] = name
	}
	for name, i := range h.interests {
		wanted := 0
		for n, w := range i.shards {
			holds := false
			for tier := range h.rates {
				_, at := h.shards[n].names[filterName{name, uint8(tier)}]
				holds = holds || at
			}
			if w != holds {
				t.Fatalf("interest %q: shard %d wants it: %v, has the filter: %v", name, n, w, holds)
			}
			if w {
				wanted++
			}
		}
		if wanted != i.wanted {
			t.Fatalf("interest %q is wanted by %d shards, counted as %d", name, wanted, i.wanted)
		}
	}
}
