package broadcast

import (
	"slices"
	"strings"

	"tickcast/broadcast/topics"
	"tickcast/broadcast/wire"
)

// places are the positions up to which a shard has delivered its feeds, the sequences of topics.Class.Feed. Clients without a
// position of their own are told these.
type places struct {
	hub  *topics.Hub
	list []feedPlace // by feed
	sets [][]int     // feeds of clients, by subscriber.bits; the first is all feeds
}

// A feedPlace is a position in one feed. Updates of topics of ModeLast may stand in the place of older ones, before entries with
// lower sequences: then seen is ahead of sure until the inbox is empty.
type feedPlace struct {
	sure  topics.Position // all entries up to it have begun their fan-out
	seen  topics.Position // the last one of all that have
	taken uint64          // inbox.taken when seen was set
}

func newPlaces(hub *topics.Hub) places {
	p := places{hub: hub, list: make([]feedPlace, hub.Feeds())}
	all := make([]int, min(hub.Feeds(), wire.MaxCursors))
	for i := range all {
		all[i] = i
	}
	p.sets = [][]int{all}
	return p
}

// later returns the later one of two positions.
func later(a, b topics.Position) topics.Position {
	if a.Behind(b) {
		return b
	}
	return a
}

// note notes that the fan-out of m begins.
func (p *places) note(m *topics.Message, in *inbox) {
	if m.Kind == topics.KindStale || m.Kind == topics.KindFresh {
		return
	}
	p.advance(m.Topic.Class, topics.Position{Seq: m.Seq, Gen: m.Gen}, in, m.Kind != topics.KindData)
}

// advance notes that the fan-out of topics of a class has come to a position.
func (p *places) advance(c *topics.Class, at topics.Position, in *inbox, notice bool) {
	f := &p.list[c.Feed()]
	if f.taken != in.taken {
		f.sure, f.taken = later(f.sure, f.seen), in.taken
	}
	f.seen = later(f.seen, at)
	if in.ordered || notice || c.Mode == topics.ModeAll {
		f.sure = later(f.sure, at)
	}
}

// begin notes that all of a filter's topics are delivered as far as they are known. All that was posted before the interest in
// them began has begun its fan-out.
func (p *places) begin(f *filter, in *inbox) {
	for t := range f.matched() {
		p.advance(t.topic.Class, t.Position, in, false)
	}
	if f.topic == nil {
		feed := 0
		if c := p.hub.ClassOver(f.name); c != nil {
			feed = c.Feed()
		}
		p.list[feed].sure = later(p.list[feed].sure, f.since)
	}
}

// at returns the position up to which a feed has been delivered.
func (p *places) at(feed int, in *inbox) topics.Position {
	f := &p.list[feed]
	if f.taken != in.taken || in.len() == 0 {
		return later(f.sure, f.seen)
	}
	return f.sure
}

// setOf returns the number of a set of feeds, which are sorted.
func (p *places) setOf(feeds []int) uint8 {
	if len(feeds) > wire.MaxCursors {
		return 0
	}
	i := slices.IndexFunc(p.sets, func(set []int) bool { return slices.Equal(set, feeds) })
	if i < 0 && len(p.sets) < 256 {
		i = len(p.sets)
		p.sets = append(p.sets, feeds)
	}
	return uint8(max(i, 0))
}

// placeOf returns the position in a feed of the client in a slot: it has been sent all of its topics up to there, and nothing
// behind it, once the first n messages of its queue are written.
func (s *Shard) placeOf(sub *subscriber, feed, n int) topics.Position {
	if b := sub.backlog; b != nil {
		for _, q := range b.queue[n:] {
			if q.m.Topic.Class.Feed() == feed {
				return q.m.Before()
			}
		}
	}
	at := s.places.at(feed, &s.inbox)
	if f := &s.fanout; f.topic != nil && f.tier == 0 && f.m.Kind != topics.KindStale && f.m.Kind != topics.KindFresh &&
		f.topic.topic.Class.Feed() == feed && (s.gathering || sub.visited != f.serial) { // its visit is still to come
		if before := f.m.Before(); later(before, at) == at {
			at = before
		}
	}
	return at
}

// cursorsOf returns the cursors of a client, one for each epoch of its topics, once the first n messages of its queue are written.
// Two streams of one epoch have the lower one: their entries come in no common order.
func (s *Shard) cursorsOf(sub *subscriber, feeds []int, n int) string {
	var list [wire.MaxCursors]string
	count := 0
	for _, feed := range feeds {
		cursor := s.hub.CursorIn(feed, s.placeOf(sub, feed, n))
		if cursor == "" {
			continue
		}
		epoch := cursor[:strings.IndexByte(cursor, ':')+1]
		i := slices.IndexFunc(list[:count], func(c string) bool { return strings.HasPrefix(c, epoch) })
		switch {
		case i < 0:
			list[count] = cursor
			count++
		case len(cursor) < len(list[i]) || len(cursor) == len(list[i]) && cursor < list[i]:
			list[i] = cursor
		}
	}
	return strings.Join(list[:count], ",")
}
