package topics

import (
	"cmp"
	"errors"
	"slices"

	"tickcast/broadcast/subject"
)

// ErrTooManyTopics is the refusal of a topic or pattern beyond Config.MaxTopics.
var ErrTooManyTopics = errors.New("the server holds too many topics")

// all yields all topics, always in the same order.
func (r *registry) all(yield func(*Topic) bool) {
	for _, t := range r.byID {
		if t != nil && !yield(t) {
			return
		}
	}
}

// under appends the topics that a pattern matches, always in the same order.
func (r *registry) under(dst []*Topic, pattern string) []*Topic {
	n := len(dst)
	dst = r.tree.Under(dst, pattern)
	slices.SortFunc(dst[n:], func(x, y *Topic) int { return cmp.Compare(x.ID, y.ID) })
	return dst
}

// interestIn returns the interest in name, which it makes if there is none.
func (r *registry) interestIn(name string) (*interest, error) {
	if i := r.interests[name]; i != nil {
		return i, nil
	}
	i := &interest{name: name, shards: make([]bool, len(r.boxes)), since: r.total}
	if subject.IsPattern(name) {
		if r.patterns.Len() >= r.cfg.MaxTopics || r.full {
			return nil, ErrTooManyTopics
		}
		r.patterns.Insert(name, i)
		if c := r.classes.over(name); c != nil && c.Streamed() {
			i.since = unknown
		}
	} else {
		t := r.topics[name]
		if t == nil {
			if t = r.addTopic(name); t == nil {
				return nil, ErrTooManyTopics
			}
			if s := r.streamOf(t.Class); s != nil && t.since == unknown {
				s.loadTopic(t)
			}
		}
		t.exact, i.topic = i, t
	}
	r.interests[name] = i
	r.nameBytes += len(name)
	r.feed(i)
	r.retarget(i)
	return i, nil
}

// feed gives i the feeds that it needs from upstream.
func (r *registry) feed(i *interest) {
	for _, c := range r.classes {
		if !subject.Overlap(c.Match, i.name) {
			continue
		}
		whole := subject.Covers(c.Match, i.name)
		switch {
		case c.Streamed():
			s := r.streamOf(c)
			i.use(&s.feed)
			if i.topic == nil {
				s.loadPattern(i)
			}
		case c.mapped && !whole:
			i.use(r.feedOf(c.subjects()))
		default:
			i.use(r.feedOf(c.SubjectOf(i.name)))
		}
		if whole {
			return
		}
	}
}

// feedOf returns the subscription to a subject or pattern, which it makes if there is none.
func (r *registry) feedOf(name string) *feed {
	f := r.feeds[name]
	if f == nil {
		f = &feed{subject: name}
		r.feeds[name] = f
		if subject.IsPattern(name) {
			r.wide.Insert(name, f)
		}
	}
	return f
}

// forgetFeed removes a subscription that no interest uses.
func (r *registry) forgetFeed(f *feed) {
	if f.denied {
		r.denials--
	}
	r.feeds = Delete(r.feeds, f.subject, &r.feedsPeak)
	if subject.IsPattern(f.subject) {
		r.wide.Remove(f.subject)
	}
}

// use ties i to f.
func (i *interest) use(f *feed) {
	if !slices.Contains(i.feeds, f) {
		f.users++
		i.feeds = append(i.feeds, f)
	}
}

// want counts one more that wants i.
func (r *registry) want(i *interest) {
	if i.wanted++; i.wanted > 1 {
		return
	}
	for _, f := range i.feeds {
		if f.live++; !f.asked { // it is new, or may have been unwanted at the last look
			r.enqueue(f)
		}
	}
}

// unwant counts one less that wants i.
func (r *registry) unwant(i *interest) {
	if i.wanted--; i.wanted > 0 {
		return
	}
	for _, f := range i.feeds {
		f.live--
	}
	i.until = r.now() + int64(r.cfg.Linger)
	if !i.queued {
		i.queued = true
		r.idle = append(r.idle, i)
	}
	r.wakeRun()
}

// retarget makes the topics under i work out their targets again.
func (r *registry) retarget(i *interest) {
	if i.topic != nil {
		i.topic.targetsAt = 0
	} else {
		r.patternAt++
	}
}

// reown makes the topics behind f work out again whose copies count.
func (r *registry) reown(f *feed) {
	if f.class != nil || subject.IsPattern(f.subject) {
		r.feedBrings()
		return
	}
	if t := r.topics[f.subject]; t != nil {
		t.ownerAt = 0
	}
	for _, c := range r.mapped {
		if name, ok := c.topicOf(f.subject); ok && r.topics[name] != nil {
			r.topics[name].ownerAt = 0
		}
	}
}

// enqueue schedules a look of Hub.Run at f.
func (r *registry) enqueue(f *feed) {
	if !f.queued {
		f.queued = true
		r.changed = append(r.changed, f)
	}
	r.wakeRun()
}

func (r *registry) wakeRun() {
	select {
	case r.kick <- struct{}{}:
	default:
	}
}

// stepsLocked is the number of topics that a walk visits before it lets others have the hub's lock. Chosen by us.
const stepsLocked = 1024

// spend counts steps of a walk, with the hub's lock held; n are those since others could have the lock. After stepsLocked of them it lets
// others have it.
func (h *Hub) spend(n *int, steps int) {
	h.steps += uint64(steps)
	*n += steps
	h.longest = max(h.longest, *n)
	if *n >= stepsLocked {
		*n = 0
		h.unlock()
		h.mu.Lock()
	}
}

// eachUnder calls visit for the topics under a pattern, with the hub's lock held. From time to time it gives the lock away.
func (h *Hub) eachUnder(pattern string, visit func(*Topic)) {
	w, n := h.tree.Walk(pattern), 0
	for t, ok := w.Next(); ok; t, ok = w.Next() {
		h.spend(&n, 1)
		if !t.Ended() {
			visit(t)
		}
	}
}

// sweepPatterns is the number of ended patterns from which on one walk over all topics serves them together. Chosen by us.
const sweepPatterns = 4

// removeLeft forgets the topics that only patterns kept which have ended since.
func (h *Hub) removeLeft() {
	h.mu.Lock()
	defer h.unlock()
	left := h.left
	if h.left = nil; len(left) > sweepPatterns {
		left = []string{">"}
	}
	for _, name := range left {
		var under []*Topic
		h.eachUnder(name, func(t *Topic) {
			if t.exact == nil {
				under = append(under, t)
			}
		})
		h.unlock()
		slices.SortFunc(under, func(x, y *Topic) int { return cmp.Compare(x.ID, y.ID) }) // always the same order
		h.mu.Lock()
		for n, t := range under {
			if n%stepsLocked == stepsLocked-1 {
				h.unlock()
				h.mu.Lock()
			}
			if !t.Ended() {
				h.removeUnwanted(t)
			}
		}
	}
}

// end forgets i and the topic that only it kept. It returns the feeds that no interest uses any more, which upstream is to end.
// removeLeft must follow.
func (r *registry) end(i *interest) (unused []*feed) {
	r.interests = Delete(r.interests, i.name, &r.interestsPeak)
	r.nameBytes -= len(i.name)
	for _, f := range i.feeds {
		if f.users--; f.users > 0 {
			continue
		}
		unused = append(unused, f)
	}
	i.feeds = nil
	r.retarget(i)
	r.total++ // see Topic.Birth
	if i.topic != nil {
		i.topic.exact = nil
		r.removeUnwanted(i.topic)
		return unused
	}
	r.patterns.Remove(i.name)
	r.left = append(r.left, i.name)
	return unused
}
