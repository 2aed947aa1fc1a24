package broadcast

import (
	"slices"
	"sync/atomic"
)

// A parked command waits until a stream has said what it holds of its topics. Until then its client is no subscriber of
// them: what comes first is the answer.
type parked struct {
	slot  uint32
	shard int
	sub   *subscription
	ready atomic.Bool

	// Guarded by Hub.mu.
	left int         // loads that are not done
	held []*interest // kept for it
	over bool        // nobody waits any more
}

// answered makes a shard look at its parked commands.
var answered = new(Message)

// mostParked is how many commands of one client may wait. Chosen by us.
const mostParked = 128

// park has a command wait if a stream has to be asked first. It reports false if the command can go on.
func (s *Shard) park(slot uint32, a *subscription) (bool, error) {
	if !s.hub.streams {
		return false, nil
	}
	p := &parked{slot: slot, shard: s.index, sub: a}
	sub, waits, full := s.subs.at(slot), false, s.parkedOf(slot) >= mostParked
	room := s.hub.cfg.MaxTopicsPerConnection - int(sub.n) - s.parkedTopics(slot)
	for _, name := range a.c.Topics {
		if _, held := s.entryOf(sub, name); !held {
			if room--; room < 0 { // it will be refused, and must not cost anything
				continue
			}
		}
		if _, err := s.permitted(sub, name, a.rate); err != nil || !s.hub.mayPrepare(name) {
			continue
		}
		if full { // before a stream is asked: what is refused must cost nothing
			return false, &CommandError{CodeTooMany, "too many requests: earlier ones wait for the stream"}
		}
		waits = s.hub.prepare(name, a, p) || waits
	}
	if !waits {
		return false, nil
	}
	sub.flags |= flagSubscribed // it has asked in time
	s.parked = append(s.parked, p)
	return true, nil
}

// retryParked goes on with the commands whose streams have answered.
func (s *Shard) retryParked() {
	var ready []*parked // taken out first: whoever leaves meanwhile changes the list
	s.parked = slices.DeleteFunc(s.parked, func(p *parked) bool {
		if !p.ready.Load() {
			return false
		}
		ready = append(ready, p)
		return true
	})
	for _, p := range ready {
		s.flush(p.slot)
		if s.subs.at(p.slot).flags&flagJoined != 0 {
			if again, _ := s.park(p.slot, p.sub); !again { // what was loaded first may show that more has to be
				s.take(p.slot, p.sub)
			}
		}
		s.hub.release(p)
	}
}

// unpark forgets the commands of the client in slot, which has left.
func (s *Shard) unpark(slot uint32) {
	for i := 0; i < len(s.parked); {
		if p := s.parked[i]; p.slot == slot {
			s.parked = slices.Delete(s.parked, i, i+1)
			s.hub.release(p)
		} else {
			i++
		}
	}
}

// parkedOf returns how many commands of the client in slot wait.
func (s *Shard) parkedOf(slot uint32) (n int) {
	for _, p := range s.parked {
		if p.slot == slot {
			n++
		}
	}
	return n
}

// parkedTopics returns how many topics these commands name.
func (s *Shard) parkedTopics(slot uint32) (n int) {
	for _, p := range s.parked {
		if p.slot == slot {
			n += len(p.sub.c.Topics)
		}
	}
	return n
}

// cancelParked takes name out of the waiting commands of the client in slot. It reports whether it was there.
func (s *Shard) cancelParked(slot uint32, name string) (waited bool) {
	for _, p := range s.parked {
		if p.slot == slot {
			before := len(p.sub.c.Topics)
			p.sub.c.Topics = slices.DeleteFunc(p.sub.c.Topics, func(t string) bool { return t == name })
			waited = waited || len(p.sub.c.Topics) < before
		}
	}
	return waited
}

// mayPrepare reports whether a stream may be behind name.
func (h *Hub) mayPrepare(name string) bool {
	c := h.classOver(name)
	return c == nil || c.stream != nil
}

// prepare has p wait for what the streams behind name have to say first, and reports whether that is anything.
func (h *Hub) prepare(name string, a *subscription, p *parked) bool {
	from := a.from
	c := h.classOver(name)
	if c != nil && c.stream == nil {
		return false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	i, err := h.interestIn(name)
	if err != nil {
		return false
	}
	if t := i.topic; t != nil && t.loading == nil && t.since == unknown && c != nil { // it was asked for in vain
		c.stream.load(t)
	}
	var l *load
	switch {
	case i.topic != nil && i.topic.loading != nil:
		l = i.topic.loading
	case i.topic == nil && i.loading != nil:
		l = i.loading
	case from == nil || a.asked[name] || c == nil || from.epoch != c.stream.epochNow() || c.History == 0:
	case i.topic != nil && i.topic.since > from.seq:
		l = c.stream.ask(&load{topic: i.topic, resume: true, after: from.seq})
	case i.topic == nil && !h.knows(i, c, from.seq):
		l = c.stream.ask(&load{interest: i, resume: true, after: from.seq})
	}
	if l != nil && l.resume {
		if a.asked == nil {
			a.asked = make(map[string]bool)
		}
		a.asked[name] = true
	}
	h.want(i)
	if l == nil {
		h.unwant(i) // lingers until it is raised
		return false
	}
	l.waiters = append(l.waiters, p)
	p.left++
	p.held = append(p.held, i)
	return true
}

// knows reports whether the histories of all of c's topics under the pattern of i begin with a sequence or before. h.mu is held.
func (h *Hub) knows(i *interest, c *class, after uint64) bool {
	if i.since > after {
		return false
	}
	for _, t := range h.tree.under(nil, i.name) {
		if t.class == c && t.since > after {
			return false
		}
	}
	return true
}

// release lets go of the interests that were kept for p.
func (h *Hub) release(p *parked) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, i := range p.held {
		h.unwant(i)
	}
	p.held, p.over = nil, true
}
