package broadcast

import (
	"context"
	"errors"
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// A streamFeed reads the JetStream stream behind a class: what comes from now on through a consumer, what was before by
// direct get, when somebody asks for it. Sequences and epoch are the stream's, and so the same on every node.
type streamFeed struct {
	hub   *Hub
	class *class
	feed  feed
	epoch atomic.Pointer[string] // of the stream; nil until it was found
	last  atomic.Uint64          // every message up to this sequence has come, or was there before

	// Owned by reconcile.
	stop  context.CancelFunc // nil = it is not read
	tasks sync.WaitGroup

	// Guarded by Hub.mu.
	loads []*load       // that nobody works at yet
	kick  chan struct{} // wakes a loader; capacity 1
	from  uint64        // every message after this one comes through the consumer; see placed
	ok    bool          // messages arrive
}

// A load is a question to a stream about what was before. Who waits for the answer is parked.
type load struct {
	topic    *topic    // or
	interest *interest // of a pattern

	after   uint64 // with resume: what was after this sequence
	upto    uint64 // when the stream was asked, everything after this one was sure to come
	resume  bool
	waiters []*parked
	waiting []delivery // what came for topic meanwhile
}

const (
	streamLoaders  = 4                    // questions at a time
	streamPatience = 5 * time.Second      // until a question is given up because the stream is not there
	streamCatchUp  = 2 * time.Millisecond // between looks at whether the consumer has come so far
	streamReopen   = time.Second          // between attempts to find the stream
	patternResume  = 10_000               // most messages that a pattern with a cursor gets back
	loadWaiting    = 4096                 // most messages that wait for a topic's load
)

// unknown is a topic's since when nobody can say what it was.
const unknown = math.MaxUint64

func newStreamFeed(h *Hub, c *class) *streamFeed {
	s := &streamFeed{hub: h, class: c, kick: make(chan struct{}, 1)}
	s.feed = feed{subject: c.Match, stream: s}
	if c.mapped {
		s.feed.subject = c.subject.pattern()
	}
	return s
}

// epochNow returns the stream's epoch, or a word that is none.
func (s *streamFeed) epochNow() string {
	if e := s.epoch.Load(); e != nil {
		return *e
	}
	return "none"
}

// begin starts to read, and end ends it. reconcile calls them.
func (s *streamFeed) begin(ctx context.Context, source streamSource) {
	ctx, s.stop = context.WithCancel(ctx)
	s.tasks.Go(func() { s.run(ctx, source) })
}

func (s *streamFeed) end() {
	if s.stop != nil {
		s.stop()
		s.tasks.Wait()
		s.stop = nil
	}
}

// run follows the stream until ctx is done. A stream that is not there yet, or not any more, is looked for again.
func (s *streamFeed) run(ctx context.Context, source streamSource) {
	h, first, told := s.hub, true, ""
	s.last.Store(0)
	for ctx.Err() == nil {
		err := s.follow(ctx, source, first, func() { first, told = false, "" })
		if ctx.Err() != nil || errors.Is(err, errNATSClosed) {
			break
		}
		if err != nil && err.Error() != told {
			told = err.Error()
			h.log.Warn("the stream behind a topic class cannot be read, trying on", "match", s.class.Match, "err", err)
		}
		s.current(false)
		select {
		case <-ctx.Done():
		case <-time.After(streamReopen):
		}
	}
	s.abandon()
}

// follow opens the stream and reads it until something ends that.
func (s *streamFeed) follow(ctx context.Context, source streamSource, first bool, opened func()) error {
	found, err := source.stream(ctx, s.feed.subject)
	if err != nil {
		s.abandon() // who waits should not wait for this
		return err
	}
	epoch := found.epoch()
	was := s.epoch.Swap(&epoch)
	start := streamStart{lastPerSubject: first && s.class.Always}
	switch {
	case was != nil && *was != epoch:
		s.restart()
		start = streamStart{from: 1}
	case s.last.Load() > 0:
		start.from, start.lastPerSubject = s.last.Load()+1, false
	}
	opened()
	ctx, cancel := context.WithCancel(ctx)
	var loaders sync.WaitGroup
	defer loaders.Wait()
	defer cancel()
	placed := make(chan struct{})
	for range streamLoaders {
		loaders.Go(func() { s.answer(ctx, found, placed) })
	}
	return found.follow(ctx, s.feed.subject, start, &streamReceiver{s, placed})
}

// restart forgets all that was known of another stream of that name.
func (s *streamFeed) restart() {
	h := s.hub
	s.last.Store(0)
	h.mu.Lock()
	for _, t := range h.topics {
		if t.class == s.class {
			h.forget(t)
			t.seq, t.newest, t.since = 0, nil, unknown
			h.tell(t, kindRestart, "the stream was made anew")
		}
	}
	h.mu.Unlock()
	wakeAll(h.shards)
}

// A streamReceiver is the streamSink of a streamFeed.
type streamReceiver struct {
	*streamFeed
	placed chan struct{}
}

func (r *streamReceiver) ready(after, last uint64) {
	r.hub.mu.Lock()
	r.from = after
	r.last.Store(max(r.last.Load(), after))
	if after > 0 { // else all of it comes through the consumer
		r.reload()
	}
	r.hub.mu.Unlock()
	close(r.placed)
}

// message takes one message of the stream.
func (r *streamReceiver) message(m streamMessage) {
	h, c := r.hub, r.class
	defer r.last.Store(m.seq)
	h.stats.messages.Add(1)
	h.stats.bytes.Add(uint64(len(m.data)))
	name := m.subject
	if c.mapped {
		var ok bool
		if name, ok = c.subject.invert(m.subject); !ok {
			return
		}
	}
	d := delivery{topic: name, class: c, payload: m.data, received: h.nanotime(), seq: m.seq}
	data, ok := c.Payload.dataOf(m.data)
	if !ok || isPattern(name) || h.classOf(name) != c {
		h.stats.invalid.Add(1)
		return
	}
	h.mu.Lock()
	woken := r.take(d, data)
	h.mu.Unlock()
	wakeAll(woken)
}

// take delivers d unless it is known, or has it wait for its topic's load. h.mu is held.
func (s *streamFeed) take(d delivery, data []byte) []*Shard {
	t := s.hub.wantedTopic(d.topic)
	switch {
	case t == nil || d.seq <= t.seq:
		return nil
	case t.loading != nil:
		if l := t.loading; len(l.waiting) < loadWaiting {
			l.waiting = append(l.waiting, d)
		} else {
			s.loaded(l, nil, nil, false)
			return s.take(d, data)
		}
		return nil
	}
	return s.hub.accept(t, d, data)
}

func (r *streamReceiver) gap(after, before uint64) {
	h := r.hub
	h.mu.Lock()
	for _, t := range h.topics {
		if t.class != r.class || t.loading != nil {
			continue
		}
		h.forget(t)
		t.since = before - 1
		if t.class.Mode == ModeAll {
			h.tell(t, kindGap, "upstream")
		}
	}
	h.mu.Unlock()
	wakeAll(h.shards)
}

func (r *streamReceiver) current(ok bool) { r.streamFeed.current(ok) }

// current tells subscribers whether messages of the stream are sure to arrive.
func (s *streamFeed) current(ok bool) {
	h := s.hub
	h.mu.Lock()
	defer wakeAll(h.shards)
	defer h.mu.Unlock()
	if s.ok == ok {
		return
	}
	s.ok = ok
	for _, t := range h.topics {
		if t.class != s.class {
			continue
		}
		if ok {
			h.tell(t, kindFresh, "")
		} else {
			h.tell(t, kindStale, "upstream")
		}
	}
}

// load has the stream asked for the newest message of a new topic. h.mu is held.
func (s *streamFeed) load(t *topic) {
	if s.class.Always { // it comes through the consumer
		return
	}
	t.loading = s.ask(&load{topic: t})
}

// loadPattern has the stream asked for the newest messages of all topics under a new pattern. h.mu is held.
func (s *streamFeed) loadPattern(i *interest) {
	if !s.class.Always {
		i.loading = s.ask(&load{interest: i})
	}
}

// reload asks once more for what was asked in vain while the stream was not there. h.mu is held.
func (s *streamFeed) reload() {
	for _, t := range s.hub.topics {
		if t.class == s.class && t.since == unknown && t.loading == nil {
			s.load(t)
		}
	}
	for _, i := range s.hub.interests {
		if i.topic != nil || i.since != unknown || i.loading != nil {
			continue
		}
		for _, f := range i.feeds {
			if f == &s.feed {
				s.loadPattern(i)
			}
		}
	}
}

func (s *streamFeed) ask(l *load) *load {
	s.loads = append(s.loads, l)
	s.kickLoader()
	return l
}

func (s *streamFeed) kickLoader() {
	select {
	case s.kick <- struct{}{}:
	default:
	}
}

// next returns a load that nobody works at, or nil.
func (s *streamFeed) next() *load {
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	var l *load
	for l == nil && len(s.loads) > 0 {
		l = s.loads[0]
		s.loads = s.loads[1:]
		if l.forNobody() {
			s.loaded(l, nil, nil, false)
			l = nil
		}
	}
	if len(s.loads) > 0 {
		s.kickLoader() // there is work for another one
	}
	return l
}

// forNobody reports whether all who asked have left, and nobody else is there who should be told. h.mu is held.
func (l *load) forNobody() bool {
	for _, p := range l.waiters {
		if !p.over {
			return false
		}
	}
	i := l.interest
	if l.topic != nil {
		i = l.topic.exact
	}
	return l.resume || i == nil || i.wanted == 0
}

// answer works at loads until ctx is done. It begins when it is certain what comes through the consumer: nothing is then
// missed between the two.
func (s *streamFeed) answer(ctx context.Context, found *stream, placed <-chan struct{}) {
	patience := time.NewTimer(streamPatience)
	defer patience.Stop()
	for waiting := true; waiting; {
		select {
		case <-ctx.Done():
			return
		case <-placed:
			waiting = false
		case <-patience.C:
			s.abandon()
			patience.Reset(streamPatience)
		}
	}
	for {
		if l := s.next(); l != nil {
			s.work(ctx, found, l)
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-s.kick:
		}
	}
}

// abandon answers all loads with nothing.
func (s *streamFeed) abandon() {
	h := s.hub
	h.mu.Lock()
	loads := s.loads
	s.loads = nil
	for _, l := range loads {
		s.loaded(l, nil, nil, false)
	}
	h.mu.Unlock()
	wakeAll(h.shards)
}

// work asks the stream.
func (s *streamFeed) work(ctx context.Context, found *stream, l *load) {
	h := s.hub
	subject := s.subjectOf(l)
	var newest, missed []streamMessage
	whole := false
	var err error
	if l.resume {
		most := s.class.History
		if l.interest != nil {
			most = patternResume
		}
		missed, whole, err = found.since(ctx, subject, l.after, l.upto, most)
	} else {
		newest, _, err = found.last(ctx, subject, h.cfg.MaxTopics)
		whole = err == nil
		if err == nil && l.topic != nil && s.class.Mode == ModeAll {
			newest, whole, err = s.catchUp(ctx, found, subject, newest, l.upto)
		}
	}
	if err != nil && ctx.Err() == nil {
		h.log.Warn("the stream was asked for earlier messages in vain", "subject", subject, "err", err)
	}
	if err == nil {
		whole = s.reached(ctx, newest) && whole
	}
	h.mu.Lock()
	s.loaded(l, newest, missed, whole && err == nil)
	h.mu.Unlock()
	wakeAll(h.shards)
}

// subjectOf fixes up to where l asks, and returns the subject to ask for.
func (s *streamFeed) subjectOf(l *load) (subject string) {
	h := s.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	l.upto = max(s.from, s.last.Load())
	var name string
	if l.topic != nil {
		name = l.topic.name
		l.upto = max(l.upto, l.topic.seq) // what was asked before may be ahead of the consumer
	} else {
		name = l.interest.name
		for _, t := range h.tree.under(nil, name) {
			if t.class == s.class {
				l.upto = max(l.upto, t.seq)
			}
		}
	}
	if Covers(s.class.Match, name) {
		return s.class.sourceOf(name)
	}
	return s.feed.subject
}

// reached waits until the consumer has brought what the stream has told of already: one topic must not be ahead of the others,
// or a client that resumes them all with the last sequence that it saw would miss something. It reports false if that takes
// too long.
func (s *streamFeed) reached(ctx context.Context, newest []streamMessage) bool {
	if len(newest) == 0 {
		return true
	}
	upto := newest[len(newest)-1].seq // they are sorted
	for deadline := time.Now().Add(streamPatience); s.last.Load() < upto; {
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

// catchUp makes sure that the newest message of a subject is that: the copy of the stream that was asked may lag behind what the
// consumer begins with.
func (s *streamFeed) catchUp(ctx context.Context, found *stream, subject string, newest []streamMessage, upto uint64) ([]streamMessage, bool, error) {
	after := uint64(0)
	if len(newest) > 0 {
		after = newest[len(newest)-1].seq
	}
	if after == 0 || after >= upto {
		return newest, true, nil
	}
	later, _, err := found.since(ctx, subject, after, upto, loadWaiting)
	if err == nil && len(later) > 0 {
		newest = later[len(later)-1:]
	}
	return newest, err == nil, err
}

// loaded ends a load with what the stream said, or nothing. h.mu is held.
func (s *streamFeed) loaded(l *load, newest, missed []streamMessage, whole bool) {
	h := s.hub
	for _, m := range newest {
		s.begun(l, m)
	}
	if l.resume && whole {
		s.resumed(l, missed)
	}
	if t := l.topic; t != nil && t.loading == l {
		t.loading = nil
		if !whole && !s.ok {
			h.tell(t, kindStale, "upstream")
		}
		if whole && t.seq == 0 {
			t.since = s.from // nothing is there, and what comes is known of
		}
		for _, d := range l.waiting {
			data, _ := d.class.Payload.dataOf(d.payload)
			if !t.ended.Load() && d.seq > t.seq {
				if t.targetsAt != h.patternAt {
					h.aim(t)
				}
				h.accept(t, d, data)
			}
		}
		l.waiting = nil
	}
	if i := l.interest; i != nil && i.loading == l {
		i.loading = nil
		if whole {
			i.since = min(i.since, l.upto)
		}
	}
	for _, p := range l.waiters {
		if p.left--; p.left == 0 {
			p.ready.Store(true)
			h.shards[p.shard].mailbox.post(answered)
		}
	}
	l.waiters = nil
}

// begun has a topic begin with m, its newest message. h.mu is held.
func (s *streamFeed) begun(l *load, m streamMessage) {
	h := s.hub
	t := s.topicOf(m.subject)
	if t == nil || t.loading != nil && t.loading != l || t.since != unknown {
		return // it is known already: what is newer comes through the consumer, with what is between
	}
	data, ok := s.class.Payload.dataOf(m.data)
	if !ok {
		return
	}
	msg := newMessage(t, m.seq, 0, m.data, data, h.nanotime())
	t.seq, t.newest, t.since = m.seq, msg, m.seq
	h.forget(t) // there is none of what is newer
	if t.targetsAt != h.patternAt {
		h.aim(t)
	}
	h.post(t, msg) // to those who have the topic already
}

// topicOf returns the topic of a subject that somebody wants. h.mu is held.
func (s *streamFeed) topicOf(subject string) *topic {
	name := subject
	if s.class.mapped {
		var ok bool
		if name, ok = s.class.subject.invert(subject); !ok {
			return nil
		}
	}
	if s.hub.classOf(name) != s.class {
		return nil
	}
	return s.hub.wantedTopic(name)
}

// resumed puts what a client has missed into the histories. h.mu is held.
func (s *streamFeed) resumed(l *load, missed []streamMessage) {
	h := s.hub
	byTopic := make(map[*topic][]*Message)
	for _, m := range missed {
		t := s.topicOf(m.subject)
		if t == nil {
			continue
		}
		data, ok := s.class.Payload.dataOf(m.data)
		if !ok {
			continue
		}
		list, prev := byTopic[t], uint64(0) // of the first it is not known
		if len(list) > 0 {
			prev = list[len(list)-1].seq
		}
		byTopic[t] = append(list, newMessage(t, m.seq, prev, m.data, data, h.nanotime()))
	}
	if l.topic != nil {
		h.merge(l.topic, l.after, byTopic[l.topic])
		return
	}
	for t, list := range byTopic {
		h.merge(t, l.after, list)
	}
	for _, t := range h.tree.under(nil, l.interest.name) {
		if t.class == s.class && len(byTopic[t]) == 0 && t.loading == nil {
			h.merge(t, l.after, nil)
		}
	}
	l.interest.since = min(l.interest.since, l.after)
}
