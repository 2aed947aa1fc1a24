package broadcast

import (
	"slices"

	"tickcast/broadcast/topics"
	"tickcast/broadcast/wire"
)

// feedsOf returns the feeds of a client's subscriptions, which begin where the shard is, and whether all their topics are lossless.
func (s *Shard) feedsOf(sub *subscriber) (feeds []int, lossless bool) {
	lossless = true
	for k := range sub.n {
		f := s.filters.filterAt(sub, k)
		s.places.begin(f, &s.inbox)
		c := s.hub.ClassOver(f.name)
		lossless = lossless && c != nil && c.Mode == topics.ModeAll
		for _, feed := range s.hub.FeedsUnder(f.name) {
			if !slices.Contains(feeds, feed) {
				feeds = append(feeds, feed)
			}
		}
	}
	slices.Sort(feeds)
	return feeds, lossless
}

// ResumeAfter writes the messages that were gathered for the client in slot, and returns the cursors to come back with to its
// lossless topics; "" without any.
func (s *Shard) ResumeAfter(slot uint32) string {
	s.checkOwner()
	s.flush(slot)
	sub := s.subs.At(slot)
	if !sub.joined() {
		return ""
	}
	var feeds []int
	for k := range sub.n {
		f := s.filters.filterAt(sub, k)
		if c := s.hub.ClassOver(f.name); c == nil || c.Mode != topics.ModeAll {
			continue
		} else if s.places.begin(f, &s.inbox); !slices.Contains(feeds, c.Feed()) && len(feeds) < wire.MaxCursors {
			feeds = append(feeds, c.Feed())
		}
	}
	return s.cursorsOf(sub, feeds, 0)
}

// chooseEvents chooses the form of a client's events once it has its subscriptions. Where all topics are lossless and of one feed
// each event carries the cursor behind it, the same for all clients. Else every write ends with the cursors of the client.
func (s *Shard) chooseEvents(sub *subscriber) {
	feeds, lossless := s.feedsOf(sub)
	if sub.codec, sub.bits = wire.CodecEvents, s.places.setOf(feeds); lossless && len(feeds) == 1 {
		sub.codec = wire.CodecEventIDs
	}
}

// eventID returns the block with the cursors of a client of events, once the first n messages of its queue are written; nil
// without a cursor.
func (s *Shard) eventID(sub *subscriber, n int) []byte {
	cursors := s.cursorsOf(sub, s.places.sets[sub.bits], n)
	if cursors == "" {
		return nil
	}
	return wire.AppendLine(nil, "id: "+cursors)
}

// writeEventID writes the cursors of the client of events in slot. It reports whether its socket took them.
func (s *Shard) writeEventID(slot uint32, sub *subscriber) bool {
	id := s.eventID(sub, 0)
	if id == nil {
		return true
	}
	_, ok := s.out.Write(slot, id, 1)
	return ok || !s.fallBehind(slot)
}

// eventsOf returns the events of a bundle's path and the cursors behind them for sub, as batch.framesOf returns frames. The
// cursors are good for all holders of the bundle: what was gathered since it was made is none of theirs.
func (s *Shard) eventsOf(bundle uint32, sub *subscriber) (events []byte, n int, stable bool) {
	b := &s.batch
	if s := b.shared(bundle, sub); s != nil {
		return s.b, s.n, true
	}
	b.joined.reset()
	for _, m := range b.pathTo(bundle) {
		b.joined.add(s.framer.frameOf(m, sub, wire.FormUpdate))
	}
	if b.joined.n == 0 {
		return nil, 0, true
	}
	b.joined.add(s.eventID(sub, 0))
	return b.share(bundle, sub)
}
