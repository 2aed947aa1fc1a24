package topics

import (
	"bytes"
	"cmp"
	"slices"
)

// A seam is the place where a subscription ends and another one of the same connection goes on with a topic. NATS delivers the
// two copies of a message one behind the other, but the PONG that makes the end may come between them. So the last copies are
// kept while the end is on its way. Each source has brought the message of the last one of all, or brings it behind the end.
type seam struct {
	feed *feed // that ends
	mine []byte
	last string            // source of the last copy; "" = a hole is behind it, or that source has ended
	rest map[string][]byte // the last copies of the other sources
	open bool              // the end has come: the second copy of mine is next, and counts for nothing
}

// watchSeam notes a copy of a message of t, whose owner is about to end.
func (r *registry) watchSeam(t *Topic, d *delivery) {
	s := r.seams[t]
	if s == nil || s.feed != t.owner {
		r.dropSeam(t)
		s = &seam{feed: t.owner, rest: make(map[string][]byte)}
		r.putSeam(t, s)
	}
	if s.last = d.source; d.source == s.feed.subject {
		s.mine = append(s.mine[:0], d.payload...)
	} else {
		s.rest[d.source] = append(s.rest[d.source][:0], d.payload...)
	}
}

// putSeam gives t a seam. The feed that ends knows its topics: only these are looked at when it has ended.
func (r *registry) putSeam(t *Topic, s *seam) {
	r.seams[t] = s
	if s.feed.seams == nil {
		s.feed.seams = make(map[*Topic]*seam)
	}
	s.feed.seams[t] = s
}

// dropSeam forgets the seam of t, if there is one.
func (r *registry) dropSeam(t *Topic) {
	if s := r.seams[t]; s != nil {
		delete(r.seams, t)
		delete(s.feed.seams, t)
	}
}

// openSeams notes the end of f, whose topics have new owners. same reports whether a feed is of its connection; nil = all are.
func (r *registry) openSeams(f *feed, same func(source string) bool) {
	var ahead []*Topic
	payloads := make(map[*Topic][]byte)
	ended := f.seams
	f.seams = nil
	for t, s := range ended {
		r.steps++
		delete(r.seams, t)
		r.own(t)
		if t.owner == nil || t.awaits != nil || same != nil && !same(t.owner.subject) {
			continue
		}
		mine, rest, last := s.mine, s.rest[t.owner.subject], s.rest[s.last]
		if s.last == f.subject {
			last = mine
		}
		if mine == nil && t.newest != nil && t.Class.Delay == 0 { // it came before all that is kept
			mine = t.newest.payload
		}
		old, goesOn := mine != nil && bytes.Equal(mine, last), rest != nil && bytes.Equal(rest, last)
		s.open = old && !goesOn
		if goesOn && !old && mine != nil {
			ahead, payloads[t], mine = append(ahead, t), rest, rest
		}
		if s.feed, s.mine = t.owner, mine; s.open || t.owner.leaves { // its own end may be at this very place
			r.putSeam(t, s)
		}
	}
	slices.SortFunc(ahead, func(x, y *Topic) int { return cmp.Compare(x.ID, y.ID) })
	for _, t := range ahead { // its other copy is behind the end, and comes no more
		d := delivery{topic: t.Name, class: t.Class, payload: payloads[t], received: r.now(), source: t.owner.subject}
		if t.Class.Delay > 0 {
			r.postpone(t, d)
		} else if data, ok := t.Class.data(d.payload); ok {
			r.accept(t, d, data)
		}
	}
}

// tearSeams notes a hole in the messages of all topics but the spared ones: the copies of before are not behind it.
func (r *registry) tearSeams(spared map[*Topic]struct{}) {
	for t, s := range r.seams {
		if _, in := spared[t]; in {
			continue
		}
		if clear(s.rest); s.last != s.feed.subject {
			s.last = ""
		}
	}
}

// forgetCopies forgets the copies that an earlier subscription to the subject of f has brought.
func (r *registry) forgetCopies(f *feed) {
	for _, s := range r.seams {
		delete(s.rest, f.subject)
		if s.last == f.subject && s.feed != f {
			s.last = ""
		}
	}
}

// closeSeams notes that f does not end, or brings nothing any more.
func (r *registry) closeSeams(f *feed) {
	for t := range f.seams {
		r.steps++
		delete(r.seams, t)
	}
	f.seams = nil
}

// crossSeam reports whether a copy of a message of t from its owner counts: the first one behind a seam may be the second copy of
// the last message.
func (r *registry) crossSeam(t *Topic, d *delivery) (counts bool) {
	s := r.seams[t]
	if s == nil || !s.open {
		return true
	}
	r.dropSeam(t)
	return !bytes.Equal(d.payload, s.mine)
}
