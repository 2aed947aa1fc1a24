package broadcast

import (
	"cmp"
	"slices"

	"tickcast/broadcast/topics"
	"tickcast/broadcast/wire"
)

// A Poller is an Outlet with clients of wire.CodecPoll. Such a client joins for one command Poll, and is answered once.
type Poller interface {
	// Answer sends the client in slot its answer, and calls Leave. The bytes are good until it returns.
	Answer(slot uint32, a *PollAnswer)
	// Waits says that there is nothing for the client in slot yet: Answer follows, at EndPoll at the latest.
	Waits(slot uint32)
}

// A PollAnswer is the answer to a poll: the elements of a JSON array, each with a comma behind it, and a place to go on from.
type PollAnswer struct {
	Told     []byte      // of this client: what became of its topics, and the state of upstream
	Messages []byte      // shared by all clients that waited for the same topics since the same place
	Cursors  string      // "" if it was refused
	Refused  *wire.Error // nothing of the command could be carried out; nil = a part at least
}

// A PollCommand asks for the messages of topics behind cursors.
type PollCommand struct {
	Topics      []string
	After, Rate string
	Latest      bool   // nothing but the newest messages, at once
	Owner       uint64 // of the interests that stay for the next poll
}

// A poll is the state of a client of wire.CodecPoll.
type poll struct {
	owner   uint64
	latest  bool
	waiting bool // the command is carried out
	tiered  bool // some subscription has a rate
	told    []byte
	feeds   []int
}

// Poll carries out the command of the client in slot, now or later.
func (s *Shard) Poll(slot uint32, p *PollCommand) {
	if !s.beginCommand(slot) {
		return
	}
	if s.polls == nil {
		s.polls = make(map[uint32]*poll)
	}
	s.polls[slot] = &poll{owner: p.Owner, latest: p.Latest}
	c := wire.Command{Op: "sub", Topics: slices.Clone(p.Topics), After: wire.After{Cursor: p.After}, Rate: p.Rate}
	if err := s.apply(slot, &c); err != nil {
		s.stats.errors.Add(1)
		e := wire.ErrorOf(err)
		s.poller.Answer(slot, &PollAnswer{Told: wire.AppendElement(nil, wire.PayloadOf(wire.ErrFrame(nil, e))), Refused: e})
	}
}

// EndPoll answers the poll of the client in slot, whose time is over. It reports false if its command is not carried out yet.
func (s *Shard) EndPoll(slot uint32) bool {
	s.checkOwner()
	p, sub := s.polls[slot], s.subs.At(slot)
	if p == nil || !p.waiting {
		return false
	}
	if s.flush(slot); s.polls[slot] == p { // nothing was gathered
		s.answerPoll(slot, sub, p, nil)
	}
	return true
}

// answerPoll sends the client in slot an answer.
func (s *Shard) answerPoll(slot uint32, sub *subscriber, p *poll, messages []byte) {
	s.poller.Answer(slot, &PollAnswer{Told: p.told, Messages: messages, Cursors: s.pollCursors(sub, p)})
}

// pollCursors returns the place behind an answer: the cursors of the topics, and the last notice of stale or fresh in an epoch of
// its own, with a bit for upstream. With it, the next poll is not told the same once more.
func (s *Shard) pollCursors(sub *subscriber, p *poll) string {
	state := s.told << 1
	if sub.stale() {
		state++
	}
	mark := wire.Cursor{Epoch: "~" + s.hub.Epoch(), Seq: state}.String()
	if cursors := s.cursorsOf(sub, p.feeds, 0); cursors != "" {
		return cursors + "," + mark
	}
	return mark
}

// tellPoll tells the client in slot a frame for which it has not asked: at once if it waits, else with its answer.
func (s *Shard) tellPoll(slot uint32, frame []byte) {
	p := s.polls[slot]
	if p == nil {
		return
	}
	p.told = wire.AppendElement(p.told, wire.PayloadOf(frame))
	if p.waiting {
		s.answerPoll(slot, s.subs.At(slot), p, nil)
	}
}

// answerGathered answers the poll of the client in slot with the messages that were gathered for it.
func (s *Shard) answerGathered(slot uint32, sub *subscriber, bundle uint32) {
	p := s.polls[slot]
	messages, n, _ := s.batch.framesOf(bundle, sub, &s.framer)
	if n == 0 || p == nil {
		return
	}
	s.delivered += uint64(n)
	s.conflated += uint64(s.batch.skipped)
	if n > 1 {
		s.coalesced += uint64(n)
	}
	if p.tiered {
		messages = s.addOwed(slot, sub, slices.Clone(messages))
	}
	s.answerPoll(slot, sub, p, messages)
}

// addOwed adds the newest messages of the topics whose turn has not come: the cursor of the answer is behind them.
func (s *Shard) addOwed(slot uint32, sub *subscriber, messages []byte) []byte {
	for k := range sub.n {
		for t := range s.filters.filterAt(sub, k).matched() {
			if t.newest != nil && t.dirty != 0 && !s.upToDate(sub, t) && !slices.Contains(t.recent, slot) {
				messages = append(messages, t.newest.Framed(wire.CodecPoll, wire.FormUpdate)...)
				t.markUpToDate(slot) // two subscriptions may hold it
			}
		}
	}
	return messages
}

// carryOutPoll answers the client in slot, which has its subscriptions, if there is something behind its cursors. Else it waits.
func (s *Shard) carryOutPoll(slot uint32, sub *subscriber, a *subCommand) {
	p := s.polls[slot]
	s.scratch.owed = emptied(s.scratch.owed)
	if len(a.ack.Topics) == 0 {
		e := &wire.Error{Code: wire.CodeInternal, Reason: "internal error"}
		if len(a.ack.Errors) > 0 {
			e = &wire.Error{Code: a.ack.Errors[0].Code, Reason: a.ack.Errors[0].Msg}
		}
		s.poller.Answer(slot, &PollAnswer{Told: appendAck(p.told, &a.ack), Refused: e})
		return
	}
	p.feeds, _ = s.feedsOf(sub)
	if len(p.feeds) > wire.MaxCursors-1 {
		p.feeds = p.feeds[:wire.MaxCursors-1]
	}
	notices := s.noticesFor(sub, p, a)
	due := s.dueTo(slot, a)
	now := p.latest || a.from == nil || len(due) > 0 || len(notices)+len(p.told) > 0
	unsure := len(a.ack.Errors) > 0
	for _, t := range a.ack.Topics {
		if t.Recovered != nil && !*t.Recovered {
			unsure = true
			now = now || s.hub.ClassOver(t.Topic) != nil // a pattern over several classes never is, and would not wait
		}
	}
	switch {
	case !p.latest && (now || unsure):
		p.told = append(appendAck(p.told, &a.ack), notices...)
	case p.latest && len(a.ack.Errors) > 0:
		p.told = append(appendAck(p.told, &wire.Ack{Errors: a.ack.Errors}), notices...)
	default:
		p.told = append(p.told, notices...)
	}
	if !now {
		p.waiting = true
		s.poller.Waits(slot)
		return
	}
	messages, n := s.joinDue(due, sub)
	s.delivered += uint64(n)
	if n < len(due) {
		sub.backlog = &backlog{queue: due[n:]} // the cursors are before it
	}
	answer := &PollAnswer{Told: p.told, Messages: messages, Cursors: s.pollCursors(sub, p)}
	sub.backlog = nil
	s.poller.Answer(slot, answer)
}

// appendAck appends the pages of an ack as elements. It uses a up.
func appendAck(dst []byte, a *wire.Ack) []byte {
	for _, frame := range a.Frames(nil) {
		dst = wire.AppendElement(dst, wire.PayloadOf(frame))
	}
	return dst
}

// noticesFor returns the notices of stale and fresh, as elements, that the client has not been told by its cursors.
func (s *Shard) noticesFor(sub *subscriber, p *poll, a *subCommand) (notices []byte) {
	var known uint64
	told := a.from.In("~" + s.hub.Epoch())
	if told != nil {
		known = told.Seq >> 1
	}
	sub.flags &^= flagStale
	if s.hub.Stale() {
		sub.flags |= flagStale
	}
	switch was := told != nil && told.Seq&1 != 0; {
	case sub.stale() && !was:
		notices = wire.AppendElement(notices, wire.PayloadOf(wire.StaleAll()))
	case !sub.stale() && was:
		notices = wire.AppendElement(notices, wire.PayloadOf(wire.FreshAll()))
	}
	for k := range sub.n {
		for t := range s.filters.filterAt(sub, k).matched() {
			s.told = max(s.told, t.stated)
			if m := t.state; m != nil && m.Seq > known && (told != nil || m.Kind == topics.KindStale) {
				notices = append(notices, m.Framed(wire.CodecPoll, wire.FormUpdate)...)
			}
		}
	}
	return notices
}

// dueTo returns the messages that the client is due, by feed and in the order of their sequences: those that it has missed, and the
// newest of the topics that are not recovered, or are of ModeLast, as far as they are behind its cursors.
func (s *Shard) dueTo(slot uint32, a *subCommand) (due []queued) {
	for _, m := range a.replay {
		due = append(due, queued{m, wire.FormUpdate})
	}
	seen := make(map[*shardTopic]bool)
	for _, t := range s.inOrder(a) {
		m, c := t.newest, t.topic.Class
		if m == nil || c.Snapshot == topics.SnapshotNone || seen[t] {
			continue
		}
		seen[t] = true
		if from := a.from.In(s.hub.EpochOf(c)); from != nil && m.Seq <= from.Seq && from.Seq <= s.places.at(c.Feed(), &s.inbox).Seq {
			continue
		}
		s.fanout.passBy(s.subs.At(slot), t)
		due = append(due, queued{m, wire.FormSnapshot})
	}
	slices.SortStableFunc(due, func(x, y queued) int {
		return cmp.Or(cmp.Compare(x.m.Topic.Class.Feed(), y.m.Topic.Class.Feed()), cmp.Compare(x.m.Seq, y.m.Seq))
	})
	return slices.CompactFunc(due, func(x, y queued) bool { return x.m == y.m })
}

// joinDue returns the first n messages as elements, up to about Config.PollBytes.
func (s *Shard) joinDue(due []queued, sub *subscriber) (elements []byte, n int) {
	j := &s.batch.joined
	for j.reset(); n < len(due) && (n == 0 || j.len()+due[n].m.Size() <= s.cfg.PollBytes); n++ {
		j.add(s.framer.frameOf(due[n].m, sub, due[n].form))
	}
	return j.bytes(), n
}
