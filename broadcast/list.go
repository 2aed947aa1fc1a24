package broadcast

import (
	"encoding/json"

	"tickcast/broadcast/wire"
)

// writeAck writes an ack in as many pages as it needs to the client in slot: the first at once, and each other when the socket has
// taken the one before. The client's next commands wait for that; see Busy.
func (s *Shard) writeAck(slot uint32, a *wire.Ack, id json.RawMessage) {
	pages := a.Frames(id)
	if waiting := s.pages[slot]; len(waiting) > 0 {
		s.pages[slot] = append(waiting, pages...)
		return
	}
	s.writePages(slot, pages)
}

// writePages writes pages of answers to the client in slot, as far as the socket takes them. It reports whether the socket took
// them all.
func (s *Shard) writePages(slot uint32, pages [][]byte) bool {
	for i, page := range pages {
		if s.write(slot, page) {
			continue
		}
		if pages = pages[i+1:]; len(pages) > 0 && s.subs.At(slot).joined() {
			if s.pages == nil {
				s.pages = make(map[uint32][][]byte)
			}
			s.pages[slot] = pages
		}
		return false
	}
	return true
}

// goOnPages writes the pages that wait for the socket of the client in slot. It reports whether the socket took them all.
func (s *Shard) goOnPages(slot uint32) bool {
	pages := s.pages[slot]
	delete(s.pages, slot)
	return s.writePages(slot, pages)
}

// A listing is an answer to list on its way. A page is made when the socket has taken the one before: one command of a few bytes
// must not fill memory with pages that its client does not read.
type listing struct {
	id   json.RawMessage
	rest []*filter
}

// applyList answers with all subscriptions of the client in slot.
func (s *Shard) applyList(slot uint32, c *wire.Command) error {
	if s.listings[slot] != nil {
		return &wire.Error{Code: wire.CodeTooMany, Reason: "too many requests: the answer to an earlier list is on its way"}
	}
	sub := s.subs.At(slot)
	l := &listing{id: c.ID, rest: make([]*filter, 0, sub.n)}
	for k := range sub.n {
		l.rest = append(l.rest, s.filters.filterAt(sub, k))
	}
	s.listings[slot] = l
	s.goOnListing(slot)
	return nil
}

// goOnListing writes the next pages of a listing, as far as the socket takes them. It reports whether the socket took them all.
func (s *Shard) goOnListing(slot uint32) bool {
	for l := s.listings[slot]; ; {
		var page wire.Page
		for full := false; len(l.rest) > 0 && !full; l.rest = l.rest[1:] {
			s.filters.steps++
			full = page.Add(s.ackTopic(l.rest[0]))
		}
		more := len(l.rest) > 0
		if !more {
			delete(s.listings, slot)
		}
		if !s.write(slot, page.Frame(l.id, more)) {
			return false
		}
		if !more {
			return true
		}
	}
}
