package topics

import (
	"context"
	"slices"
	"strings"
	"time"

	"tickcast/broadcast/subject"
)

// reload asks once more all that was asked in vain while the stream was not there. Hub.mu is held; from time to time it lets others have
// it.
func (s *streamReader) reload() {
	h, n := s.hub, 0
	s.vain = false // what fails meanwhile is asked for again
	for id := 0; id < len(h.byID); id++ {
		if t := h.byID[id]; t != nil && t.Class == s.class && t.since == unknown && t.loading == nil {
			s.loadTopic(t)
		}
		h.spend(&n, 1) // topics that are new since have been asked for
	}
	var again []*interest
	for w := h.patterns.Walk(">"); ; h.spend(&n, 1) {
		i, ok := w.Next()
		if !ok {
			break
		}
		if s.inVain(i) {
			again = append(again, i)
		}
	}
	slices.SortFunc(again, func(x, y *interest) int { return strings.Compare(x.name, y.name) })
	for _, i := range again {
		if s.inVain(i) { // still
			i.vain = slices.DeleteFunc(i.vain, func(f *feed) bool { return f == &s.feed })
			s.loadPattern(i)
		}
		h.spend(&n, 1)
	}
}

// inVain reports whether the stream was asked in vain for the topics of a pattern, and is not being asked. An interest that has ended has
// no feeds.
func (s *streamReader) inVain(i *interest) bool {
	return (i.since == unknown || slices.Contains(i.vain, &s.feed)) && slices.Contains(i.feeds, &s.feed) &&
		!slices.ContainsFunc(i.loads, func(l *load) bool { return l.class == s.class })
}

// retryLoads asks again all that the streams did not answer, unless they are not there: then Placed does.
func (h *Hub) retryLoads() {
	for _, s := range h.readers {
		if s == nil || s.stop == nil {
			continue
		}
		h.mu.Lock()
		if s.vain && s.ok {
			s.reload()
		}
		h.unlock()
	}
}

// nextLoad returns a load that no loader works at, or nil.
func (s *streamReader) nextLoad() *load {
	s.hub.mu.Lock()
	defer s.hub.unlock()
	for len(s.loads) > 0 {
		l := s.loads[0]
		s.loads = s.loads[1:]
		if l.abandoned() || l.resume && l.gen != s.gen {
			s.endLoad(l, nil, nil, false)
			continue
		}
		if len(s.loads) > 0 {
			s.wakeLoader() // there is work for another one
		}
		return l
	}
	return nil
}

// isAbout reports whether all messages of t have come since l was asked: it was wanted then. Hub.mu is held.
func (l *load) isAbout(t *Topic) bool {
	if l.topic != nil {
		return l.topic == t
	}
	return l.interest.feeds != nil && subject.Covers(l.interest.name, t.Name)
}

// abandoned reports whether all waiters have left, and no subscriber waits for the answer either. Hub.mu is held.
func (l *load) abandoned() bool {
	if slices.ContainsFunc(l.waiters, func(w *Waiter) bool { return !w.released }) {
		return false
	}
	i := l.interest
	if l.topic != nil {
		i = l.topic.exact
	}
	return l.resume || i == nil || i.wanted == 0
}

// answerLoads works at loads until ctx is done. It begins when it is certain which messages come through the consumer: no
// message is then missed between the two.
func (s *streamReader) answerLoads(ctx context.Context, found Stream, placed <-chan struct{}) {
	select {
	case <-ctx.Done():
		return
	case <-placed:
	}
	for {
		if l := s.nextLoad(); l != nil {
			s.answer(ctx, found, l)
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-s.kick:
		}
	}
}

// endLoads ends the loads that nobody waits for, or all of them, without an answer. A command waits no longer than its own
// patience for a stream that is not there; meanwhile the loads must not pile up.
func (s *streamReader) endLoads(all bool) {
	s.hub.mu.Lock()
	defer s.hub.unlock()
	loads := s.loads
	s.loads = nil
	for _, l := range loads {
		if all || l.abandoned() {
			s.endLoad(l, nil, nil, false)
		} else {
			s.loads = append(s.loads, l)
		}
	}
}

// answer asks the stream the question of l.
func (s *streamReader) answer(ctx context.Context, found Stream, l *load) {
	q := s.inquire(l)
	for !q.done {
		var a Answer
		if q.Since {
			a.Msgs, a.Whole, a.Err = found.Since(ctx, q.Pattern, q.After, q.Upto, q.Most)
		} else {
			a.Msgs, a.Upto, a.Err = found.Newest(ctx, q.Pattern, q.Most)
		}
		if a.Err != nil && ctx.Err() == nil {
			s.hub.log.Warn("the stream was asked for earlier messages in vain", "subject", q.Pattern, "err", a.Err)
		}
		s.hear(q, a)
	}
	s.conclude(q, s.await(ctx, q))
}

// An Inquiry is a load on its way to the stream: the next request, and the answers so far.
type Inquiry struct {
	Pattern     string // a subject or pattern
	Since       bool   // the request is for the messages after After and up to Upto, else for the newest of each subject
	After, Upto uint64
	Most        int // messages of an answer

	load           *load
	newest, missed []StreamMessage
	pages          int // of later messages than the newest
	whole          bool
	torn           uint64 // see load.torn
	done           bool   // there is no further request
}

// inquire makes the first request for a load.
func (s *streamReader) inquire(l *load) *Inquiry {
	q := &Inquiry{Pattern: s.frame(l), load: l, Most: s.hub.cfg.MaxTopics}
	if l.resume {
		q.Since, q.After, q.Upto, q.Most = true, l.after, l.upto, s.class.History
		if l.interest != nil {
			q.Most = patternResume
		}
	}
	return q
}

// An Answer is the answer of a stream to a request.
type Answer struct {
	Msgs  []StreamMessage
	Upto  uint64 // of the newest messages: the answer knows the stream up to this sequence
	Whole bool   // of the messages since: these are all that there ever were
	Err   error
}

// hear takes the answer to the request of q. The copy of the stream that was asked for the newest messages may be behind the
// place where the consumer begins: then it asks for the later ones up to load.upto, a page at a time.
func (s *streamReader) hear(q *Inquiry, a Answer) {
	l := q.load
	q.done, q.whole = true, a.Err == nil
	switch {
	case a.Err != nil:
		return
	case l.resume:
		q.missed, q.whole = a.Msgs, a.Whole
		return
	case q.Since:
		q.newest = newestOf(q.newest, a.Msgs)
		if !a.Whole { // limits of the stream are faster than the copy
			q.torn = q.After
		}
		if len(a.Msgs) < q.Most {
			return
		}
		q.pages++
		q.After = a.Msgs[len(a.Msgs)-1].Seq
	default:
		q.newest = a.Msgs
		q.Since, q.After, q.Upto, q.Most = true, a.Upto, l.upto, overtakeMost
	}
	q.done = q.After >= q.Upto || q.pages == overtakePages
	q.whole = q.After >= q.Upto || !q.done
}

// newestOf returns the newest message of each subject of two lists, by rising sequence. Those of the second are newer.
func newestOf(older, newer []StreamMessage) (list []StreamMessage) {
	if len(newer) == 0 {
		return older
	}
	known := make(map[string]bool)
	for _, from := range [][]StreamMessage{newer, older} {
		for _, m := range slices.Backward(from) {
			if !known[m.Subject] {
				known[m.Subject] = true
				list = append(list, m)
			}
		}
	}
	slices.Reverse(list)
	return list
}

// caughtUp reports whether the consumer has brought all messages that the answers to q tell of: one topic must not be ahead of
// the others, or a client that resumes them all with the last sequence that it saw would miss something.
func (s *streamReader) caughtUp(q *Inquiry) bool {
	return !q.whole || len(q.newest) == 0 || s.last.Load() >= q.newest[len(q.newest)-1].Seq // they are sorted
}

// conclude ends the load of q with its answers; caughtUp false says that the wait for that took too long.
func (s *streamReader) conclude(q *Inquiry, caughtUp bool) {
	s.hub.mu.Lock()
	defer s.hub.unlock()
	q.load.torn = q.torn
	whole := q.whole && caughtUp
	if !whole && (!q.whole || s.class.Mode == ModeAll) { // an older one would stand for the newest, or break the order
		q.newest = nil
	}
	s.endLoad(q.load, q.newest, q.missed, whole)
}

// frame fixes the end of the time that l asks about, and returns the subject or pattern to ask for.
func (s *streamReader) frame(l *load) (name string) {
	h := s.hub
	h.mu.Lock()
	defer h.unlock()
	l.upto = max(s.from, s.last.Load())
	if t := l.topic; t != nil {
		name = t.Name
		l.upto = max(l.upto, t.seq) // an earlier answer may be ahead of the consumer
	} else {
		name = l.interest.name
		h.eachUnder(name, func(t *Topic) {
			if t.Class == s.class {
				l.upto = max(l.upto, t.seq)
			}
		})
		l.upto = max(l.upto, s.from, s.last.Load()) // meanwhile the lock was free
	}
	if subject.Covers(s.class.Match, name) {
		return s.class.SubjectOf(name)
	}
	return s.feed.subject
}

// await waits until caughtUp. It reports false if that takes too long.
func (s *streamReader) await(ctx context.Context, q *Inquiry) bool {
	for deadline := time.Now().Add(streamPatience); !s.caughtUp(q); {
		select {
		case <-ctx.Done():
			return false
		case <-time.After(streamCatchUp):
			if time.Now().After(deadline) {
				return false
			}
		}
	}
	return true
}

// endLoad ends a load with the answer of the stream, or without one. Hub.mu is held. With many newest messages it lets others have it
// from time to time: each topic begins by itself, and messages that come through the consumer meanwhile are newer.
func (s *streamReader) endLoad(l *load, newest, missed []StreamMessage, whole bool) {
	h, n := s.hub, 0
	for _, m := range newest {
		s.beginTopic(l, m)
		h.spend(&n, 1)
	}
	s.vain = s.vain || !whole && !l.resume
	if l.resume && whole && s.cut <= l.upto {
		s.keepMissed(l, missed)
	}
	if t := l.topic; t != nil && t.loading == l {
		t.loading = nil
		if !whole && !s.ok {
			h.setStale(t, causeAway, "upstream")
		}
		if whole && t.since == unknown {
			t.since = max(s.cutSince(l), t.cut) // the stream has no message of t, and the next ones come
		}
	}
	if i := l.interest; i != nil && slices.Contains(i.loads, l) {
		i.loads = slices.DeleteFunc(i.loads, func(o *load) bool { return o == l })
		switch {
		case !whole && !slices.Contains(i.vain, &s.feed):
			i.vain = append(i.vain, &s.feed)
		case whole && s.covers(i):
			i.since = min(i.since, s.cutSince(l))
		}
	}
	for _, w := range l.waiters {
		h.answered(w)
	}
	l.waiters = nil
}

// beginTopic begins a topic with m, its newest message. Hub.mu is held.
func (s *streamReader) beginTopic(l *load, m StreamMessage) {
	h := s.hub
	t, _ := s.wantedTopic(m.Subject)
	if t == nil || t.since != unknown || !l.isAbout(t) {
		return // it has begun: later messages come through the consumer
	}
	data, ok := s.class.data(m.Data)
	if !ok {
		return
	}
	msg := newMessage(t, m.Seq, 0, m.Data, data, h.now())
	msg.Gen = s.gen
	t.seq = m.Seq
	s.hub.setNewest(t, msg)
	h.history.forget(t) // none of it is newer
	if s.cut > l.upto { // messages may have been removed since the question
		t.cut = max(t.cut, s.cut)
	}
	if m.Seq <= l.torn { // or before the answer
		t.cut = max(t.cut, l.upto)
	}
	t.since = max(m.Seq, t.cut)
	h.aim(t)
	msg.Seed = t.Class.Mode == ModeAll // several loads have no order
	h.post(t, msg)                     // to the shards that have the topic already
	if !msg.Seed || len(t.targets) == 0 {
		return
	}
	tell := func(why string, at uint64) {
		m := newNotice(t, KindGap, why, at)
		m.Gen = s.gen
		h.notify(t, m)
	}
	tell("the stream did not answer before", t.seq)
	if t.cut > t.seq {
		tell("upstream", t.cut) // behind it
	}
}

// wantedTopic is registry.wantedTopic for a subject of the stream. Hub.mu is held.
func (s *streamReader) wantedTopic(subject string) (t *Topic, lost bool) {
	name, ok := s.class.topicOf(subject)
	if !ok || s.hub.classes.of(name) != s.class {
		return nil, false
	}
	return s.hub.wantedTopic(name)
}

// keepMissed puts the messages that a client has missed into the histories. Hub.mu is held.
func (s *streamReader) keepMissed(l *load, missed []StreamMessage) {
	h := s.hub
	for _, m := range newestOf(nil, missed) { // topics that were asked for in vain: their shards do not know them
		s.beginTopic(l, m)
	}
	byTopic, whole := make(map[*Topic][]*Message), true
	for _, m := range missed {
		t, lost := s.wantedTopic(m.Subject)
		whole = whole && !lost
		if t == nil {
			continue
		}
		data, ok := s.class.data(m.Data)
		if !ok {
			continue
		}
		list, prev := byTopic[t], uint64(0) // 0 = not known
		if len(list) > 0 {
			prev = list[len(list)-1].Seq
		}
		kept := newMessage(t, m.Seq, prev, m.Data, data, h.now())
		kept.Gen = s.gen
		byTopic[t] = append(list, kept)
	}
	merge := func(t *Topic) {
		if t.since == unknown || t.since <= l.upto { // else the history has lost messages behind these
			h.history.merge(t, l.after, byTopic[t])
		}
	}
	if l.topic != nil {
		merge(l.topic)
		return
	}
	for _, t := range h.under(nil, l.interest.name) {
		if t.Class == s.class && (len(byTopic[t]) > 0 || t.loading == nil) {
			merge(t)
		}
	}
	if whole {
		l.interest.since = min(l.interest.since, l.after)
	}
}
