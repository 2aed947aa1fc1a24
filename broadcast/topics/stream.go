package topics

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"tickcast/broadcast/subject"
)

// A streamReader reads the JetStream stream behind a class: the messages from now on through a consumer, those of before by
// direct get, when somebody asks for them. Sequences and epoch are the stream's, and so the same on every node.
type streamReader struct {
	*streamState
	hub   *Hub
	class *Class

	// Owned by Hub.reconcile.
	stop  context.CancelFunc // nil = it is not read
	runs  int                // how often it was started
	tasks sync.WaitGroup

	// Owned by run.
	first  bool          // the stream was not opened yet
	told   string        // the last failure
	placed chan struct{} // closed once it is certain which messages come through the consumer; of one follow
	back   rewound
}

// A rewound is the last stream that has lost its newest messages. Its cursors have an epoch of this node's own since, which no other node
// takes for one of before.
type rewound struct {
	epoch, name string // its own epoch, and that of its cursors; "" = there was none
	now         bool   // it is to be opened for the first time since
}

const (
	streamLoaders  = 32                   // questions at a time
	streamPatience = 5 * time.Second      // until a question is given up because the stream is not there
	streamCatchUp  = 2 * time.Millisecond // between looks at whether the consumer has come so far
	streamReopen   = time.Second          // between attempts to find the stream
	patternResume  = 10_000               // most messages that a pattern with a cursor gets back
	overtakeMost   = 4096                 // messages of a page, where one copy of a stream is behind another
	overtakePages  = 64                   // most pages of them
)

// start begins to read, and end ends it. Hub.reconcile calls them.
func (s *streamReader) start(ctx context.Context, up Upstream) {
	ctx, s.stop = context.WithCancel(ctx)
	s.runs++
	s.first, s.told = true, ""
	s.last.Store(0)
	if !s.hub.stepped {
		s.tasks.Go(func() { s.run(ctx, up) })
	}
}

func (s *streamReader) end() {
	if s.stop != nil {
		s.stop()
		s.tasks.Wait()
		s.stop = nil
		s.endLoads(true)
		s.Current(false)
	}
}

// run follows the stream until ctx is done. A stream that is not there yet, or not any more, is looked for again.
func (s *streamReader) run(ctx context.Context, up Upstream) {
	for ctx.Err() == nil {
		err := s.follow(ctx, up)
		if ctx.Err() != nil || errors.Is(err, ErrClosed) {
			break
		}
		s.interrupted(err)
		select {
		case <-ctx.Done():
		case <-time.After(streamReopen):
		}
	}
	s.endLoads(true)
}

// interrupted notes that following ended, with err if the stream cannot be read.
func (s *streamReader) interrupted(err error) {
	if err != nil && err.Error() != s.told {
		s.told = err.Error()
		s.setWhy(s.told)
		s.hub.log.Warn("the stream behind a topic class cannot be read, trying on", "match", s.class.Match, "err", err)
	}
	s.Current(false)
}

// setWhy keeps the reason why the stream cannot be read, for Hub.Unavailable.
func (s *streamReader) setWhy(why string) {
	s.hub.mu.Lock()
	defer s.hub.unlock()
	s.why = why
}

// follow opens the stream and reads it until something ends that.
func (s *streamReader) follow(ctx context.Context, up Upstream) error {
	found, err := up.OpenStream(ctx, s.class.Source())
	if err != nil {
		s.endLoads(false)
		return err
	}
	start := s.opened(found.Epoch())
	ctx, cancel := context.WithCancel(ctx)
	var loaders sync.WaitGroup
	defer loaders.Wait()
	defer cancel()
	for range streamLoaders {
		loaders.Go(func() { s.answerLoads(ctx, found, s.placed) })
	}
	err = found.Follow(ctx, s.feed.subject, start, s)
	if errors.Is(err, ErrRewound) {
		s.back = rewound{found.Epoch(), s.hub.cfg.Epoch(), true}
	}
	return err
}

// opened notes that the stream was found, and returns the place from which it is to be read.
func (s *streamReader) opened(epoch string) (start StreamStart) {
	back := s.back.epoch == epoch && s.back.now
	if s.back.epoch == epoch {
		epoch, s.back.now = s.back.name, false
	}
	start.NewestPerSubject = (s.first || back) && s.class.Always
	since := uint64(0) // all of it comes
	if back {
		since = unknown // it may be long: what it has is asked for, as at the first time
	}
	switch {
	case s.begin(epoch, since):
		if !back {
			start = StreamStart{From: 1}
		}
	case s.last.Load() > 0:
		start = StreamStart{From: s.last.Load() + 1}
	}
	s.first, s.told, s.placed = false, "", make(chan struct{})
	return start
}

// begin notes the epoch of the stream and reports whether it is another stream than before. Then all that was known of the one
// before is forgotten, together with its epoch: no position may be told under another's. Every message of another stream after since
// comes.
func (s *streamReader) begin(epoch string, since uint64) (anew bool) {
	h := s.hub
	h.mu.Lock()
	defer h.unlock()
	s.why = ""
	was := s.epoch.Load()
	if was != nil && was.name == epoch {
		return false
	}
	if anew = was != nil; anew {
		s.gen++
		s.last.Store(0)
		s.cut = 0
	}
	s.epoch.Store(&streamEpoch{epoch, s.gen})
	if !anew {
		return false
	}
	for t := range h.all {
		if t.Class == s.class {
			h.history.forget(t)
			h.mendTear(t)
			t.seq, t.since, t.cut = 0, since, 0
			h.setNewest(t, nil)
			m := newNotice(t, KindRestart, madeAnew, 0)
			m.Gen = s.gen
			h.notify(t, m)
		}
	}
	for _, i := range h.interests {
		if s.covers(i) {
			i.since = since
		}
		if i.topic == nil && slices.Contains(i.feeds, &s.feed) {
			i.noteAnew(&s.feed)
		}
	}
	return true
}

// Placed is called by Stream.Follow.
func (s *streamReader) Placed(after uint64) {
	h := s.hub
	h.mu.Lock()
	s.from = after
	if after > 0 { // else all of it comes through the consumer
		s.reload()
	}
	s.passed(after)
	h.unlock()
	close(s.placed)
}

// passed notes that every message up to a sequence has come. Hub.mu is held.
func (s *streamReader) passed(seq uint64) {
	s.last.Store(max(s.last.Load(), seq))
	if len(s.reachings) == 0 {
		return
	}
	s.reachings = slices.DeleteFunc(s.reachings, func(r reaching) bool {
		if r.seq <= seq {
			s.hub.answered(r.waiter)
		}
		return r.seq <= seq || r.waiter.released
	})
}

// Message takes one message of the stream. Stream.Follow calls it.
func (s *streamReader) Message(m StreamMessage) {
	h, c := s.hub, s.class
	h.stats.messages.Add(1)
	h.stats.bytes.Add(uint64(len(m.Data)))
	name, ok := c.topicOf(m.Subject)
	var data []byte
	if ok {
		if data, ok = c.data(m.Data); !ok || subject.IsPattern(name) || h.classes.of(name) != c {
			h.stats.invalid.Add(1)
			ok = false
		}
	}
	h.mu.Lock()
	defer h.unlock()
	if ok {
		s.accept(delivery{topic: name, class: c, payload: m.Data, received: h.now(), seq: m.Seq}, data)
	}
	s.passed(m.Seq)
}

// accept delivers d unless it is known. A topic whose load is under way gets it at once, or the order over topics would not
// hold; the load then tells of the time before. Hub.mu is held.
func (s *streamReader) accept(d delivery, data []byte) {
	switch t, lost := s.hub.wantedTopic(d.topic); {
	case lost:
		s.cut = d.seq // for the questions that are under way
		s.hub.noteNoRoom(d.topic, d.seq)
	case t != nil && d.seq > t.seq:
		s.hub.accept(t, d, data)
	}
}

// Gap notes that messages were removed from the stream before they could be read. Stream.Follow calls it.
func (s *streamReader) Gap(after, before uint64) {
	h := s.hub
	h.mu.Lock()
	defer h.unlock()
	s.cut = before - 1
	for t := range h.all {
		switch {
		case t.Class != s.class:
		case t.since == unknown: // the stream is or will be asked, for those who want the topic by name
			if t.cut = before - 1; t.Class.Mode == ModeAll {
				m := newNotice(t, KindGap, "upstream", t.cut)
				m.Gen = s.gen
				h.notify(t, m)
			}
		default:
			h.cut(t, before-1, "upstream", false)
		}
	}
	for _, i := range h.interests {
		if s.covers(i) && i.since != unknown {
			i.since = max(i.since, before-1)
		}
		if i.topic == nil && slices.Contains(i.feeds, &s.feed) {
			i.hole = "upstream"
		}
	}
	s.passed(before - 1)
}

// Current tells subscribers whether messages of the stream are sure to arrive. Stream.Follow calls it.
func (s *streamReader) Current(ok bool) {
	h := s.hub
	h.mu.Lock()
	defer h.unlock()
	if s.ok == ok {
		return
	}
	s.ok = ok
	for t := range h.all {
		state := t.state.Load()
		switch {
		case t.Class != s.class:
		case !ok:
			h.setStale(t, causeAway, "upstream")
		case state == nil || state.cause != causeAway:
		default:
			h.setFresh(t)
			h.fallSilent(t) // it may have done so meanwhile
		}
	}
}
