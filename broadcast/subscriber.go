package broadcast

import "slices"

// A subscriber is a connection as its shard sees it. There may be a million: 40 bytes, and nothing else on the heap while
// it holds one subscription and reads what it is sent.
type subscriber struct {
	first   entry
	more    *[]entry // the second subscription and on
	backlog *backlog // nil while the client keeps up
	n       uint32   // subscriptions
	visited uint32   // the last fan-out that is through with it; see fanout.serial
	pending uint32   // its bundle in the shard's batch: what has been gathered and not been written; 0 = nothing
	flags   subscriberFlags
	bits    uint8 // window of the compressed frames that it is sent, 2^bits bytes; 0 = plain frames
	codec   Codec
}

type subscriberFlags uint8

const (
	flagJoined     subscriberFlags = 1 << iota
	flagSubscribed                 // has held a subscription at some time
	flagStale                      // was told stale last, not fresh
)

// An entry is one subscription in the eyes of its subscriber; place is the same in the eyes of the filter. Each holds the
// other's position, so that either can be taken out in constant time.
type entry struct {
	filter   uint32 // index into Shard.filters
	position uint32 // index into filter.places
}

type place struct {
	slot  uint32 // of the subscriber; vacant = it left during a fan-out
	entry uint32 // which of its entries
}

const vacant = ^uint32(0)

// at returns entry k, 0 <= k < s.n. The pointer is good until the next add or remove.
func (s *subscriber) at(k uint32) *entry {
	if k == 0 {
		return &s.first
	}
	return &(*s.more)[k-1]
}

// find returns the entry of a filter, by the filter's index.
func (s *subscriber) find(filter uint32) (k uint32, ok bool) {
	for k := range s.n {
		if s.at(k).filter == filter {
			return k, true
		}
	}
	return 0, false
}

// add appends e and returns its index.
func (s *subscriber) add(e entry) uint32 {
	k := s.n
	s.n++
	switch {
	case k == 0:
		s.first = e
	case s.more == nil:
		s.more = &[]entry{e}
	default:
		*s.more = append(roomier(*s.more), e)
	}
	return k
}

// expect makes room for the first n subscriptions at once: a client's first command often names all that it will ever hold, and
// the list then takes no more than it needs and leaves no shorter ones behind.
func (s *subscriber) expect(n int) {
	if s.n == 0 && n > 2 {
		more := slices.Grow([]entry(nil), n-1)
		s.more = &more
	}
}

// fit gives back the room that was expected and not needed.
func (s *subscriber) fit() {
	switch {
	case s.more == nil:
	case s.n < 2:
		s.more = nil
	default:
		*s.more = shrunk(*s.more)
	}
}

// roomier returns list with room for one more at least. It grows by an eighth, where append would double it or add a
// quarter: there are as many lists as clients and topics, all of them together are most of what a shard holds, and they grow
// seldom. What the allocator rounds up is used.
func roomier[T any](list []T) []T {
	n := len(list)
	if n < cap(list) {
		return list
	}
	return append(slices.Grow([]T(nil), n+n/8+1), list...)
}

// shrunk returns list without the room that it had when it was much longer.
func shrunk[T any](list []T) []T {
	if n := len(list); cap(list) >= 16 && n < cap(list)/2 {
		return append(slices.Grow([]T(nil), n+n/8), list...)
	}
	return list
}

// remove takes entry k out. The last entry moves to k: its filter must be told if moved is true.
func (s *subscriber) remove(k uint32) (moved bool) {
	last := s.n - 1
	moved = k != last
	if moved {
		*s.at(k) = *s.at(last)
	}
	if last == 0 {
		s.first = entry{}
	} else {
		*s.more = (*s.more)[:last-1]
	}
	s.n = last
	s.fit()
	return moved
}

// subscribers is a table by slot that grows without moving what it holds.
type subscribers struct {
	chunks []*[chunkSize]subscriber
}

const chunkSize = 512

// at returns the subscriber in slot, which must have been made by grow.
func (t *subscribers) at(slot uint32) *subscriber {
	return &t.chunks[slot/chunkSize][slot%chunkSize]
}

// grow makes slot exist. Slots are dense: a new one is used only when none is free.
func (t *subscribers) grow(slot uint32) {
	for int(slot/chunkSize) >= len(t.chunks) {
		t.chunks = append(t.chunks, new([chunkSize]subscriber))
	}
}

// len returns how many slots exist.
func (t *subscribers) len() uint32 { return uint32(len(t.chunks)) * chunkSize }
