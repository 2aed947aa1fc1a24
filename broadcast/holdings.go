package broadcast

import "slices"

// The subscriptions of one subscriber, as far as they are a question of its filters.

// indexFrom is the number of topics in a command from which on an index pays. Chosen by us.
const indexFrom = 32

// An entryIndex finds the entries of one subscriber, for a command that names many topics: each of them need not be searched for
// among all subscriptions then.
type entryIndex struct {
	entries  map[uint32]uint32 // by filter.index
	patterns int               // of them
}

// indexEntries indexes the entries of sub until dropIndex, for a command that names n topics. It reports whether dropIndex must
// follow.
func (t *filterTable) indexEntries(sub *subscriber, n int) bool {
	if n < indexFrom || t.indexes[sub] != nil {
		return false
	}
	own := &entryIndex{entries: make(map[uint32]uint32, n), patterns: t.countWildcards(sub)}
	for k := range sub.n {
		own.entries[sub.entryAt(k).filter] = k
	}
	if t.indexes == nil {
		t.indexes = make(map[*subscriber]*entryIndex)
	}
	t.indexes[sub] = own
	return true
}

// dropIndex drops the index of sub's entries, if there is one.
func (t *filterTable) dropIndex(sub *subscriber) {
	if delete(t.indexes, sub); len(t.indexes) == 0 {
		t.indexes = nil
	}
}

// entryOf returns sub's entry of a filter.
func (t *filterTable) entryOf(sub *subscriber, f *filter) (k uint32, held bool) {
	if own := t.indexes[sub]; own != nil {
		k, held = own.entries[f.index]
		return k, held
	}
	t.steps += uint64(sub.n) / searchAStep
	return sub.findEntry(f.index)
}

// searchAStep is the number of entries that a search passes in about the time of a step.
const searchAStep = 64

// findName returns sub's entry for a name, at whatever rate.
func (t *filterTable) findName(sub *subscriber, name string) (k uint32, held bool) {
	for tier := range t.rates {
		if f := t.find(filterName{name, uint8(tier)}); f != nil {
			if k, held := t.entryOf(sub, f); held {
				return k, true
			}
		}
	}
	return 0, false
}

// filterAt returns the filter of sub's entry k.
func (t *filterTable) filterAt(sub *subscriber, k uint32) *filter {
	return t.list[sub.entryAt(k).filter]
}

// countWildcards returns the number of patterns that sub holds.
func (t *filterTable) countWildcards(sub *subscriber) (n int) {
	if own := t.indexes[sub]; own != nil {
		return own.patterns
	}
	t.steps += uint64(sub.n) / searchAStep
	for k := range sub.n {
		if t.filterAt(sub, k).topic == nil {
			n++
		}
	}
	return n
}

// holdings are the topics and patterns of one subscriber, to be asked many times.
type holdings struct {
	topics   map[*shardTopic]bool
	patterns []*filter
	looked   int // topics and patterns so far
}

// holdingsOf returns the holdings of sub.
func (t *filterTable) holdingsOf(sub *subscriber) (h holdings) {
	h.topics = make(map[*shardTopic]bool, sub.n)
	for k := range sub.n {
		if f := t.filterAt(sub, k); f.topic != nil {
			h.topics[f.topic] = true
		} else {
			h.patterns = append(h.patterns, f)
		}
	}
	return h
}

// hold reports whether one of the filters matches st, which may be nil.
func (h *holdings) hold(st *shardTopic) bool {
	h.looked++
	if st == nil || h.topics[st] {
		return st != nil
	}
	h.looked += len(h.patterns)
	return slices.ContainsFunc(h.patterns, func(f *filter) bool { return f.brings(st) })
}

// holdsFaster reports whether sub holds another filter that brings st's messages sooner than a tier does.
func (t *filterTable) holdsFaster(sub *subscriber, st *shardTopic, tier uint8) bool {
	if sub.n < 2 {
		return false
	}
	for k := range sub.n {
		if f := t.filterAt(sub, k); t.faster(f.tier, tier) && f.brings(st) {
			return true
		}
	}
	return false
}

// faster reports whether tier a is faster than tier b. Tier 0 is at once.
func (t *filterTable) faster(a, b uint8) bool { return t.rates[a] < t.rates[b] }

// fastestTier returns the tier of the fastest of sub's filters that bring st's messages.
func (t *filterTable) fastestTier(sub *subscriber, st *shardTopic) (tier uint8) {
	for k, found := uint32(0), false; k < sub.n; k++ {
		if f := t.filterAt(sub, k); f.brings(st) && (!found || t.faster(f.tier, tier)) {
			tier, found = f.tier, true
		}
	}
	return tier
}

// addEntry gives the subscriber in slot an entry and a place of f.
func (t *filterTable) addEntry(slot uint32, sub *subscriber, f *filter) {
	k := sub.addEntry(entry{filter: f.index, position: uint32(len(f.places))})
	f.places = append(withRoom(f.places), place{slot: slot, entry: k})
	if own := t.indexes[sub]; own != nil {
		own.entries[f.index] = k
		if f.topic == nil {
			own.patterns++
		}
	}
	sub.flags |= flagSubscribed
	t.held++
}

// removeEntry removes entry k of sub, and its filter with the last subscriber. With walked true, a fan-out walks places by
// index, so that they must not move: the entry leaves a hole in its filter, which is returned.
func (t *filterTable) removeEntry(sub *subscriber, k uint32, walked bool) *filter {
	t.steps++
	e := *sub.entryAt(k)
	f := t.list[e.filter]
	own := t.indexes[sub]
	if own != nil {
		delete(own.entries, f.index)
		if f.topic == nil {
			own.patterns--
		}
	}
	if sub.removeEntry(k) {
		moved := sub.entryAt(k)
		t.list[moved.filter].places[moved.position].entry = k
		if own != nil {
			own.entries[moved.filter] = k
		}
	}
	t.held--
	if walked {
		f.places[e.position].slot = vacant
		f.holes++
		return f
	}
	last := len(f.places) - 1
	if p := f.places[last]; int(e.position) != last {
		f.places[e.position] = p
		t.subs.At(p.slot).entryAt(p.entry).position = e.position
	}
	f.places = trimmed(f.places[:last])
	if last == 0 {
		t.remove(f)
	}
	return f
}

// closeHoles closes the holes that a fan-out left in f, and removes f if no place is left.
func (t *filterTable) closeHoles(f *filter) {
	if f.holes == 0 {
		return
	}
	kept := f.places[:0]
	for i, p := range f.places {
		if p.slot == vacant {
			continue
		}
		if len(kept) != i {
			t.subs.At(p.slot).entryAt(p.entry).position = uint32(len(kept))
		}
		kept = append(kept, p)
	}
	f.places, f.holes = trimmed(kept), 0
	if len(kept) == 0 {
		t.remove(f)
	}
}
