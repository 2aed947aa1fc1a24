package broadcast

import (
	"cmp"
	"slices"

	"tickcast/broadcast/topics"
	"tickcast/broadcast/wire"
	"tickcast/wsproto"
)

// carryOut subscribes the client in slot to the topics of a command. The answer comes before the first message.
func (s *Shard) carryOut(slot uint32, a *subCommand) {
	sub := s.subs.At(slot)
	s.scratch.owed, s.scratch.notice = s.scratch.owed[:0], nil
	sub.reserve(min(len(a.c.Topics), s.cfg.MaxTopicsPerConnection))
	if s.filters.indexEntries(sub, len(a.c.Topics)) {
		defer s.filters.dropIndex(sub)
	}
	streams := s.hub.Streams()
	for i, name := range a.c.Topics {
		if err := a.refusal(i); err != nil {
			a.ack.Fail(name, err)
			continue
		}
		if streams {
			if why := s.hub.Unavailable(name); why != "" {
				a.ack.Fail(name, &wire.Error{Code: wire.CodeNotAvailable, Reason: "not available: " + why})
				continue
			}
		}
		f, added, err := s.subscribeChecked(slot, sub, a, i)
		if err != nil {
			a.ack.Fail(name, err)
			continue
		}
		if b := sub.backlog; !added && a.after(name) != nil && b != nil && len(b.queue) > 0 { // it would get them out of order, and once more each time
			a.ack.Fail(name, &wire.Error{Code: wire.CodeTooMany, Reason: "too many requests: earlier messages still wait"})
			continue
		}
		s.resume(slot, a, f, added, a.ahead != nil && a.ahead[i])
	}
	sub.trim()
	if sub.codec.Events() {
		s.chooseEvents(sub)
	}
	s.stats.errors.Add(uint64(len(a.ack.Errors)))
	if sub.codec == wire.CodecPoll {
		s.carryOutPoll(slot, sub, a)
		return
	}
	switch {
	case sub.codec != wire.CodecRaw:
		s.writeAck(slot, &a.ack, a.c.ID)
	case len(a.ack.Errors) > 0: // of its one topic, and it reads payloads alone
		s.out.Close(slot, wsproto.StatusPolicyViolation, a.ack.Errors[0].Msg)
	}
	if !s.catchUp(slot, a) && sub.codec.Events() && sub.backlog == nil && sub.n > 0 {
		s.writeEventID(slot, sub)
	}
}

// resume notes in a the messages of f that the client in slot is due: those that it missed, a snapshot, or none. ahead is that of the
// command for f's name.
func (s *Shard) resume(slot uint32, a *subCommand, f *filter, added, ahead bool) {
	entry, from := s.ackTopic(f), a.after(f.name)
	recovered := false
	if from != nil {
		var missed []*topics.Message
		if !ahead {
			missed, recovered = s.missed(f, from, a.noticed())
		}
		if recovered {
			a.replay = append(a.replay, missed...)
			for t := range f.matched() {
				sub := s.subs.At(slot)
				if sub.backlog != nil { // the newest is among the missed ones
					sub.backlog.dirty.forgetNewest(t.topic.ID)
				}
				s.fanout.passBy(sub, t)
				t.markUpToDate(slot)
				s.forgetOwed(t)
				a.again = append(a.again, t.topic)
				if t.state != nil && t.state.Kind == topics.KindStale {
					a.stale = append(a.stale, t)
				}
				if t.topic.Class.Mode == topics.ModeLast && !s.mayPrecede(t, from) && !slices.ContainsFunc(missed, func(m *topics.Message) bool { return m.Topic == t.topic }) {
					a.newest = append(a.newest, t)
				}
			}
		}
		told := recovered // a variable of its own, which is on the heap only where there is a cursor
		entry.Recovered = &told
	}
	if a.ack.Topics == nil { // as a rule all are granted
		a.ack.Topics = make([]wire.AckTopic, 0, min(len(a.c.Topics), s.cfg.MaxTopicsPerConnection))
	}
	a.ack.Topics = append(a.ack.Topics, entry)
	if (added || from != nil) && !recovered {
		a.fresh = append(a.fresh, f)
	}
}

// mayPrecede reports whether t's newest message may be older than the one that a client with the cursor from has: messages behind it
// were removed from the stream before this server read them.
func (s *Shard) mayPrecede(t *shardTopic, from *wire.Cursor) bool {
	m := t.newest
	return m != nil && m.Seq <= from.Seq && t.topic.Class.Streamed() && (t.gapped || s.hub.LostBehind(t.topic, m.Seq))
}

// forgetOwed takes t from the topics that the rate of before owes: t's newest message is missed or due as a snapshot, or the client
// has it.
func (s *Shard) forgetOwed(t *shardTopic) {
	s.scratch.owed = slices.DeleteFunc(s.scratch.owed, func(o *shardTopic) bool { return o == t })
}

// missed returns the messages of f's topics after a client's cursor, and whether these are all that there were. known is the number
// of the last notice that the client knows.
func (s *Shard) missed(f *filter, from *wire.Cursor, known uint64) (list []*topics.Message, whole bool) {
	var held []topics.Held
	for t := range f.matched() {
		held = append(held, topics.Held{Topic: t.topic, Position: t.Position})
	}
	list, told, whole := s.hub.Resume(f.name, held, *from, known)
	s.told = max(s.told, told)
	return list, whole
}

// catchUp sends the client in slot the messages that it has missed, or the newest message of every topic that it has not been
// sent yet. It reports whether there was any.
func (s *Shard) catchUp(slot uint32, a *subCommand) (wrote bool) {
	sub, owed := s.subs.At(slot), s.scratch.owed
	if !sub.joined() || len(a.fresh)+len(a.replay)+len(a.newest)+len(a.stale)+len(owed) == 0 && s.scratch.notice == nil { // the answer may have ended it
		return false
	}
	b, behind := sub.backlog, sub.backlog != nil
	if !behind {
		b = s.spareBacklog()
	}
	if len(b.queue) > 0 { // of overlapping subscriptions: all of these come once more, behind those that wait
		slices.SortFunc(a.again, byID)
		s.slow.count(b, -b.retain(func(t *topics.Topic) bool {
			i, again := slices.BinarySearchFunc(a.again, t, byID)
			return !again || a.again[i] != t
		}))
	}
	list := slices.Compact(topics.Merge(a.replay)) // of several topics
	if len(list) > len(b.queue) {
		b.queue = append(make([]queued, 0, len(b.queue)+len(list)), b.queue...)
		b.places = cap(b.queue)
	}
	for _, m := range list {
		s.slow.count(b, b.replay(m, wire.FormUpdate))
	}
	s.oweNotice(b)
	for _, t := range owed {
		b.dirty.mark(t.topic.ID, dirtyUpdate)
		s.fanout.passBy(sub, t)
	}
	for _, t := range s.inOrder(a) {
		s.oweSnapshot(slot, sub, b, t)
	}
	for _, t := range a.stale {
		b.dirty.mark(t.topic.ID, dirtyState)
	}
	s.scratch.owed = emptied(owed)
	if !behind && !b.empty() {
		s.scratch.backlog, sub.backlog = nil, b
		if wrote = true; len(a.c.Topics) > s.cfg.CommandSteps {
			s.writeOn(slot)
		} else {
			s.Writable(slot) // the socket is empty: it takes the backlog at once, or a part
		}
	}
	if sub.joined() && sub.backlog == b && len(b.queue) > 0 {
		s.slow.add(slot, b, s.hub.Now())
		s.holdBudget(b)
	}
	return wrote
}

func byID(x, y *topics.Topic) int { return cmp.Compare(x.ID, y.ID) }

// inOrder returns the topics of which the client of a is due a snapshot, in the order of their messages.
func (s *Shard) inOrder(a *subCommand) []*shardTopic {
	list := a.newest
	for _, f := range a.fresh {
		list = slices.AppendSeq(list, f.matched())
	}
	if s.lossless { // else nobody can tell
		slices.SortFunc(list, func(x, y *shardTopic) int {
			return cmp.Or(cmp.Compare(x.Seq, y.Seq), cmp.Compare(x.topic.ID, y.topic.ID))
		})
		list = slices.Compact(list) // of overlapping patterns
	}
	return list
}

// ackTopic describes a subscription to its client.
func (s *Shard) ackTopic(f *filter) wire.AckTopic {
	a := wire.AckTopic{Topic: f.name, Mode: topics.ModeLast.String()}
	if f.tier != 0 {
		a.Rate = s.filters.rates[f.tier].String()
	}
	if t := f.topic; t != nil {
		a.Mode = t.topic.Class.Mode.String()
		a.Cursor = s.hub.Cursor(t.topic.Class, t.Position)
	} else if c := s.hub.ClassOver(f.name); c != nil {
		a.Mode = c.Mode.String()
		if c.History > 0 && !s.hub.AskedInVain(f.name) { // else its topics are delivered up to different places
			a.Cursor = s.hub.Cursor(c, f.at)
		}
	}
	return a
}
