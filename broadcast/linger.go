package broadcast

// lingering keeps the topics and patterns of polls between one poll and the next: without a subscriber their messages would not be
// kept any more. Each is charged to the address whose poll named it first.
type lingering struct {
	kept  map[*filter]*lingerer
	order []*lingerer       // by looked
	owned map[uint64]uint32 // lingerers by owner
}

// A lingerer is a filter that is kept until a time of the hub's clock.
type lingerer struct {
	f      *filter
	until  int64
	looked int64 // when until is looked at: it may have been prolonged
	owner  uint64
}

// linger keeps the filters of a poll that ends for Config.PollLinger, as far as there is room.
func (s *Shard) linger(sub *subscriber, owner uint64) {
	if s.cfg.PollLinger <= 0 || sub.n == 0 {
		return
	}
	g, until := &s.lingering, s.hub.Now()+int64(s.cfg.PollLinger)
	if g.kept == nil {
		g.kept, g.owned = make(map[*filter]*lingerer), make(map[uint64]uint32)
	}
	for k := range sub.n {
		f := s.filters.filterAt(sub, k)
		if l := g.kept[f]; l != nil {
			l.until = until
			continue
		}
		if len(g.kept) >= s.cfg.PollTopics || int(g.owned[owner]) >= s.cfg.PollTopicsPerAddress {
			s.stats.unkept.Add(1)
			continue
		}
		f.pins++
		l := &lingerer{f, until, until, owner}
		g.kept[f] = l
		g.order = append(g.order, l)
		g.owned[owner]++
	}
	s.stats.lingering.Store(int64(len(g.kept)))
	if len(g.order) > 0 {
		s.alarm.set(g.order[0].looked)
	}
}

// endLingering lets go of the filters whose time is over, and sets the alarm for the next one.
func (s *Shard) endLingering() {
	g := &s.lingering
	if len(g.order) == 0 {
		return
	}
	now := s.hub.Now()
	for n := len(g.order); n > 0 && g.order[0].looked <= now; n-- {
		l := g.order[0]
		g.order[0] = nil
		g.order = g.order[1:]
		if l.until > now {
			l.looked = l.until
			g.order = append(g.order, l)
			continue
		}
		delete(g.kept, l.f)
		if g.owned[l.owner]--; g.owned[l.owner] == 0 {
			delete(g.owned, l.owner)
		}
		s.filters.unpin(l.f)
	}
	s.stats.lingering.Store(int64(len(g.kept)))
	if len(g.order) > 0 {
		s.alarm.set(g.order[0].looked)
	}
}
