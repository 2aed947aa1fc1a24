package broadcast

import (
	"slices"

	"tickcast/broadcast/wire"
)

// A subscriber is a connection as its shard sees it. There may be a million: 40 bytes, and nothing else on the heap while
// it holds one subscription and keeps up.
type subscriber struct {
	first   entry
	more    *[]entry // the second subscription and on
	backlog *backlog // nil while the client keeps up
	n       uint32   // subscriptions
	visited uint32   // the last fan-out that is through with it; see fanout.serial
	pending uint32   // its bundle in the shard's batch: gathered and not yet written; 0 = nothing
	flags   subscriberFlags
	bits    uint8 // window of its compressed frames, 2^bits bytes; 0 = plain frames
	codec   wire.Codec
}

type subscriberFlags uint8

const (
	flagJoined     subscriberFlags = 1 << iota
	flagSubscribed                 // has subscribed or published at some time
	flagGranted                    // has a grant, in Shard.grants
	flagStale                      // was told stale last, not fresh
)

// joined reports whether a client is in the slot.
func (s *subscriber) joined() bool { return s.flags&flagJoined != 0 }

// stale reports whether the client was told stale last.
func (s *subscriber) stale() bool { return s.flags&flagStale != 0 }

// An entry is one subscription as its subscriber sees it; a place is the same as the filter sees it. Each holds the other's
// position, so that either can be removed in constant time.
type entry struct {
	filter   uint32 // index into filterTable.list
	position uint32 // index into filter.places
}

// entryAt returns entry k, 0 <= k < s.n. The pointer is good until the next addEntry or removeEntry.
func (s *subscriber) entryAt(k uint32) *entry {
	if k == 0 {
		return &s.first
	}
	return &(*s.more)[k-1]
}

// findEntry returns the entry of a filter, by the filter's index.
func (s *subscriber) findEntry(filter uint32) (k uint32, ok bool) {
	for k := range s.n {
		if s.entryAt(k).filter == filter {
			return k, true
		}
	}
	return 0, false
}

// addEntry appends e and returns its index.
func (s *subscriber) addEntry(e entry) uint32 {
	k := s.n
	s.n++
	switch {
	case k == 0:
		s.first = e
	case s.more == nil:
		s.more = &[]entry{e}
	default:
		*s.more = append(withRoom(*s.more), e)
	}
	return k
}

// reserve makes room for the first n subscriptions at once. A client's first command often names all its topics: the list
// then has its exact size and leaves no shorter ones behind.
func (s *subscriber) reserve(n int) {
	if s.n == 0 && n > 2 {
		more := slices.Grow([]entry(nil), n-1)
		s.more = &more
	}
}

// trim gives back reserved room that was not needed.
func (s *subscriber) trim() {
	switch {
	case s.more == nil:
	case s.n < 2:
		s.more = nil
	default:
		*s.more = trimmed(*s.more)
	}
}

// removeEntry removes entry k. If moved is true, the last entry is k now, and its filter must be told.
func (s *subscriber) removeEntry(k uint32) (moved bool) {
	last := s.n - 1
	moved = k != last
	if moved {
		*s.entryAt(k) = *s.entryAt(last)
	}
	if last == 0 {
		s.first = entry{}
	} else {
		*s.more = (*s.more)[:last-1]
	}
	s.n = last
	s.trim()
	return moved
}

// withRoom returns list with room for one more element at least. It grows by an eighth, where append would double it or add a
// quarter: there are as many lists as clients and topics, together they are most of a shard's memory, and they grow seldom.
// The size classes of the allocator are used up.
func withRoom[T any](list []T) []T {
	n := len(list)
	if n < cap(list) {
		return list
	}
	return append(slices.Grow([]T(nil), n+n/8+1), list...)
}

// trimmed returns list without the room that it had when it was much longer.
func trimmed[T any](list []T) []T {
	if n := len(list); cap(list) >= 16 && n < cap(list)/2 {
		return append(slices.Grow([]T(nil), n+n/8), list...)
	}
	return list
}
