package topics

import (
	"slices"

	"tickcast/broadcast/subject"
)

// cut puts a hole into the messages of t, at the sequence seq or later. It travels as they do. History and cursors end there,
// and the next message does not know the one before it.
func (r *registry) cut(t *Topic, seq uint64, why string, stale bool) {
	r.history.forget(t)
	t.since, t.cut = max(seq, t.seq), max(seq, t.seq)
	switch {
	case t.Class.Mode == ModeAll:
		m := newNotice(t, KindGap, why, t.cut)
		m.Gen = r.genOf(t.Class)
		r.notify(t, m)
	case stale:
		r.setStale(t, causeLost, why)
	}
}

// lose cuts the topics that a hole concerns, of the classes for which of reports true. The hole takes a sequence.
func (r *registry) lose(o *hole, of func(c *Class) bool) {
	r.total++
	for t := range r.all {
		if !of(t.Class) {
			continue
		}
		if r.aim(t); o.concerns(t) {
			r.cut(t, r.total, o.why, o.stale)
		}
	}
	for name := range o.names {
		r.noteHoleUnder(name, o.why)
	}
	if o.spared != nil { // of the topics of a pattern that are not known, other feeds than its own may be the owners
		for name := range o.sources {
			r.noteHoleOver(name, o.why, of)
		}
	}
	for _, i := range r.interests {
		if i.since != unknown && r.mayReach(i, of) && slices.ContainsFunc(i.feeds, o.concernsFeed) {
			i.since = r.total
			i.hole = o.why
		}
	}
}

// noteHoleUnder notes a hole on the patterns over a topic without a stream, if it is not known: it is to be told of it first.
func (r *registry) noteHoleUnder(name, why string) {
	if r.topics[name] != nil {
		return
	}
	for _, i := range r.patterns.Match(nil, name) {
		if c := r.classes.over(i.name); c == nil || !c.Streamed() {
			i.since = r.total
			i.hole = why
		}
	}
}

// tellLostBefore calls t stale if its patterns have a hole from before it was known. It has no message yet, but a copy of one came that
// does not count: the copy of its owner may be lost in that hole.
func (r *registry) tellLostBefore(t *Topic) {
	if t.Class.Mode != ModeLast {
		return // see tellHoles
	}
	for _, i := range r.patterns.Match(nil, t.Name) {
		if i.hole != "" {
			r.setStale(t, causeLost, i.hole)
			return
		}
	}
}

// noteNoRoom notes on the patterns over a topic for which there is no room that its message is lost. seq is the message's sequence in
// its stream; 0 without one. A new topic of the same patterns is told too: nobody keeps the names of those without room.
func (r *registry) noteNoRoom(name string, seq uint64) {
	const why = "the server holds too many topics"
	r.total++ // the hole's own position
	for _, i := range r.patterns.Match(nil, name) {
		switch c := r.classes.over(i.name); {
		case c == nil || !c.Streamed():
			i.since = r.total
		case i.since != unknown:
			i.since = max(i.since, seq)
		}
		i.hole = why
	}
}

// noteHoleOver notes a hole of a feed on the patterns over its topics, of the classes for which of reports true.
func (r *registry) noteHoleOver(source, why string, of func(c *Class) bool) {
	if !subject.IsPattern(source) {
		r.eachClass(source, func(name string, c *Class) {
			if of(c) {
				r.noteHoleUnder(name, why)
			}
		})
		return
	}
	for _, i := range r.interests {
		if i.topic == nil && r.mayReach(i, of) && slices.ContainsFunc(i.feeds, func(g *feed) bool {
			return g.class == nil && subject.Overlap(g.subject, source)
		}) {
			i.since = r.total
			i.hole = why
		}
	}
}

// mayReach reports whether topics under i may be of a class for which of reports true.
func (r *registry) mayReach(i *interest, of func(c *Class) bool) bool {
	if c := r.classes.over(i.name); c != nil {
		return of(c)
	}
	return slices.ContainsFunc(r.classes, func(c *Class) bool { return of(c) && subject.Overlap(c.Match, i.name) })
}
