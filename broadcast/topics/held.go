package topics

import (
	"maps"
	"sync/atomic"
)

// A queueAccount counts what the queues of all slow clients take. Any goroutine may use it.
type queueAccount struct {
	entries atomic.Int64 // in all queues
	bytes   atomic.Int64 // of the messages that no history holds, each counted once
}

const (
	inHistory   = 1 << 24 // in Message.holders: the history of its topic holds the message
	messageCost = 176     // about the memory of a message beyond its Size. Measured
)

// Enqueued notes that one more queue of a client holds m, which has a topic. Any goroutine may call it.
func (m *Message) Enqueued() {
	if a := m.Topic.Class.queues; a != nil {
		a.entries.Add(1)
		m.hold(a, 1)
	}
}

// Dequeued notes that one queue holds m no more. Any goroutine may call it.
func (m *Message) Dequeued() {
	if a := m.Topic.Class.queues; a != nil {
		a.entries.Add(-1)
		m.hold(a, -1)
	}
}

// hold adds n to the holders, and keeps a up to date: m counts while a queue holds it and no history does.
func (m *Message) hold(a *queueAccount, n int32) {
	after := m.holders.Add(n)
	switch was, is := counts(after-n), counts(after); {
	case is && !was:
		a.bytes.Add(int64(m.Size() + messageCost))
	case was && !is:
		a.bytes.Add(-int64(m.Size() + messageCost))
	}
}

// counts reports whether a message with so many holders is a cost of the queues.
func counts(holders int32) bool { return holders > 0 && holders < inHistory }

// keep notes that the history of m's topic holds m; with false, no more.
func (m *Message) keep(kept bool) {
	a, n := m.Topic.Class.queues, int32(inHistory)
	if !kept {
		n = -n
	}
	if a != nil {
		m.hold(a, n)
	}
}

// A Peak is the largest size that a map had.
type Peak int

const (
	shrinkAt   = 1024 // most entries of a map that is copied: a bounded time. Chosen by us
	shrinkFrom = 512  // entries or places of a table that is worth it. Chosen by us
	shrinkPart = 8    // a map is copied when it has so small a part of its peak: deletions pay for the copy
)

// Places returns about the number of places of a map of n entries. They double when seven eighths of them are taken, and the map keeps
// those of its largest size.
func (p Peak) Places(n int) int {
	places := 8
	for n = max(n, int(p)); places/8*7 < n; {
		places *= 2
	}
	return places
}

// Shrinks reports whether a map with n entries is to be copied, and notes that it is.
func (p *Peak) Shrinks(n int) bool {
	if *p < shrinkFrom || n > min(int(*p)/shrinkPart, shrinkAt) {
		return false
	}
	*p = 0
	return true
}

// Delete deletes key from m. Go's maps never shrink, so the result is a copy of a map that was large once and is small now.
func Delete[K comparable, V any](m map[K]V, key K, peak *Peak) map[K]V {
	*peak = max(*peak, Peak(len(m)))
	delete(m, key)
	if !peak.Shrinks(len(m)) {
		return m
	}
	small := make(map[K]V, len(m))
	maps.Copy(small, m)
	return small
}

// FreePlace frees place i of a list, whose free places below its end are among free. A list that was long once and is short now gives
// its memory back.
func FreePlace[T comparable](list []T, free []uint32, i uint32) ([]T, []uint32) {
	var none T
	list[i] = none
	free = append(free, i)
	if cap(list) < shrinkFrom {
		return list, free
	}
	n := len(list)
	for n > 0 && list[n-1] == none {
		n--
	}
	if list = list[:n]; n < cap(list)/4 {
		list = append(make([]T, 0, 2*n), list...)
		below := make([]uint32, 0, n)
		for _, i := range free {
			if int(i) < n {
				below = append(below, i)
			}
		}
		free = below
	}
	return list, free
}

// TakePlace returns a free place of a list, which may be the one behind its end, and the rest of free.
func TakePlace[T any](list []T, free []uint32) (i uint32, rest []uint32) {
	for n := len(free); n > 0; n = len(free) {
		if i, free = free[n-1], free[:n-1]; int(i) < len(list) {
			return i, free
		}
	}
	return uint32(len(list)), free
}
