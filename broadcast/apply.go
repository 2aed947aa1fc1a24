package broadcast

import (
	"cmp"
	"errors"
	"math"
	"slices"
	"strconv"
	"time"

	"tickcast/wsproto"
)

// Apply carries out one message of the client in slot and answers it.
func (s *Shard) Apply(slot uint32, message []byte) {
	if !s.commanded(slot) {
		return
	}
	c, err := ParseCommand(message)
	if err == nil {
		err = s.apply(slot, c)
	}
	if err != nil {
		s.fail(slot, c, err)
	}
}

// Subscribe is the command sub for topics that came with the request's address; after may be empty.
func (s *Shard) Subscribe(slot uint32, topics []string, after, rate string) {
	if !s.commanded(slot) {
		return
	}
	c := Command{Op: "sub", Topics: topics, After: after, Rate: rate}
	if err := s.apply(slot, &c); err != nil {
		s.fail(slot, &c, err)
	}
}

// commanded begins a command of the client in slot: what has been gathered for it goes before the answer. It reports false if
// that ended the client.
func (s *Shard) commanded(slot uint32) bool {
	s.check()
	s.stats.commands.Add(1)
	s.flush(slot)
	return s.subs.at(slot).flags&flagJoined != 0
}

func (s *Shard) fail(slot uint32, c *Command, err error) {
	s.stats.errors.Add(1)
	var e *CommandError
	if !errors.As(err, &e) {
		e = &CommandError{CodeInternal, "internal error"}
		s.hub.log.Error("command failed", "op", c.Op, "err", err)
	}
	s.answer(slot, errFrame(c.ID, e))
}

// answer writes a control message to the client in slot. It is not held back by a backlog: the outlet bounds it.
func (s *Shard) answer(slot uint32, frame []byte) { s.write(slot, frame) }

func (s *Shard) apply(slot uint32, c *Command) error {
	switch c.Op {
	case "sub":
		return s.applySub(slot, c)
	case "unsub":
		return s.applyUnsub(slot, c)
	case "list":
		return s.applyList(slot, c)
	case "pub":
		return s.applyPub(slot, c)
	case "ping":
		s.answer(slot, pongFrame(c.ID, time.Now()))
		return nil
	case "auth":
		return &CommandError{CodeNotAvailable, "not available: this server asks for no token"}
	default:
		return &CommandError{CodeUnknownOp, "unknown op " + quoted(c.Op)}
	}
}

// A subscription is what a client asked for with sub, on its way.
type subscription struct {
	c    *Command
	rate time.Duration
	from *cursor // nil = it comes without one

	asked map[string]bool // topics of which a stream was asked what came after from

	ack    ack
	fresh  []*filter  // whose snapshots are due
	replay []*Message // what the client has missed, due after the answer
}

// applySub subscribes to each topic on its own: some may fail. The answer comes before the first snapshot.
func (s *Shard) applySub(slot uint32, c *Command) error {
	if err := s.checkTopics(c); err != nil {
		return err
	}
	a := subscription{c: c}
	if c.Rate != "" {
		var err error
		if a.rate, err = time.ParseDuration(c.Rate); err != nil || a.rate < 0 {
			return &CommandError{CodeNoSuchTier, "no such rate tier: " + quoted(c.Rate)}
		}
	}
	if c.After != "" {
		from, err := parseCursor(c.After)
		if err != nil {
			return err
		}
		a.from = &from
	}
	if waits, err := s.park(slot, &a); waits || err != nil {
		return err
	}
	s.take(slot, &a)
	return nil
}

// take subscribes to a's topics.
func (s *Shard) take(slot uint32, a *subscription) {
	sub := s.subs.at(slot)
	s.owed = s.owed[:0]
	sub.expect(min(len(a.c.Topics), s.hub.cfg.MaxTopicsPerConnection))
	for _, name := range a.c.Topics {
		f, added, err := s.trySubscribe(slot, sub, name, a.rate)
		if err != nil {
			a.ack.fail(name, err)
			continue
		}
		if b := sub.backlog; !added && a.from != nil && b != nil && len(b.queue) > 0 { // it would get them out of order, and once more each time
			a.ack.fail(name, &CommandError{CodeTooMany, "too many requests: earlier messages still wait"})
			continue
		}
		s.resume(slot, a, f, added)
	}
	sub.fit()
	s.stats.errors.Add(uint64(len(a.ack.Errors)))
	if sub.codec == CodecRaw {
		s.answerRaw(slot, a)
	} else {
		s.answer(slot, a.ack.frame(a.c.ID))
	}
	s.catchUp(slot, a)
}

// resume notes in a what the client in slot is due for f: what it missed, a snapshot, or nothing.
func (s *Shard) resume(slot uint32, a *subscription, f *filter, added bool) {
	entry := s.ackTopic(f)
	recovered := false
	if a.from != nil {
		var missed []*Message
		if missed, recovered = s.missed(f, a.from); recovered {
			a.replay = append(a.replay, missed...)
			for _, t := range f.matched() {
				s.skip(s.subs.at(slot), t)
				s.has(slot, t)
			}
		}
		told := recovered // a variable of its own, which is on the heap only where there is a cursor
		entry.Recovered = &told
	}
	a.ack.Topics = append(a.ack.Topics, entry)
	if (added || a.from != nil) && !recovered {
		a.fresh = append(a.fresh, f)
	}
}

// commandTopics is how many topics one command may name at least; more where a connection may hold more. The answer
// names each of them. Chosen by us.
const commandTopics = 1024

// checkTopics refuses a command with no topics or too many.
func (s *Shard) checkTopics(c *Command) error {
	if len(c.Topics) == 0 {
		return badRequest("%s needs topics", c.Op)
	}
	if most := max(commandTopics, s.hub.cfg.MaxTopicsPerConnection); len(c.Topics) > most {
		return &CommandError{CodeLimit, "limit exceeded: more than " + strconv.Itoa(most) + " topics in one command"}
	}
	return nil
}

// permitted checks whether sub may subscribe to name at a rate, and returns the tier of that.
func (s *Shard) permitted(sub *subscriber, name string, rate time.Duration) (tier uint8, err error) {
	cfg := &s.hub.cfg
	if err := CheckTopic(name, cfg.MaxTopicLength, cfg.MaxTopicTokens); err != nil {
		return 0, topicError(err)
	}
	if !coveredBy(cfg.Subscribe, name) {
		return 0, &CommandError{CodeDenied, "permission denied"}
	}
	return s.classRules(sub, name, rate)
}

// trySubscribe checks name and subscribes to it.
func (s *Shard) trySubscribe(slot uint32, sub *subscriber, name string, rate time.Duration) (*filter, bool, error) {
	tier, err := s.permitted(sub, name, rate)
	if err != nil {
		return nil, false, err
	}
	f, added, err := s.subscribe(slot, sub, name, tier)
	switch {
	case errors.Is(err, errTooManyMatches):
		return nil, false, &CommandError{CodeTooMany, "too many requests: " + err.Error()}
	case err != nil:
		return nil, false, &CommandError{CodeLimit, "limit exceeded: " + err.Error()}
	}
	return f, added, nil
}

// topicError makes a client's answer of an error of CheckTopic's.
func topicError(err error) error {
	if errors.Is(err, errTopicReserved) {
		return &CommandError{CodeDenied, "permission denied: " + err.Error()}
	}
	return badRequest("%v", err)
}

// classRules checks what the classes of the topics under name say about a subscription, and returns the tier of its rate.
func (s *Shard) classRules(sub *subscriber, name string, rate time.Duration) (tier uint8, err error) {
	c := s.hub.classOver(name)
	if c == nil { // a pattern over several classes
		if rate != 0 {
			return 0, &CommandError{CodeNoSuchTier, "no such rate tier for all topics under it"}
		}
		return 0, nil
	}
	if c.mapped && CheckTopic(c.sourceOf(name), math.MaxInt, math.MaxInt) != nil { // it must not lead into NATS's own subjects
		return 0, &CommandError{CodeDenied, "permission denied: it stands for a reserved subject"}
	}
	if c.Private {
		return 0, &CommandError{CodeUnauthorized, "unauthorized"}
	}
	if c.Payload == PayloadBinary && sub.codec == CodecJSON {
		return 0, &CommandError{CodeCodec, "the payload is binary: ask for tickcast.v1.bin or tickcast.v1.raw"}
	}
	tier, ok := s.hub.tier(c, rate)
	if !ok {
		return 0, &CommandError{CodeNoSuchTier, "no such rate tier: " + rate.String()}
	}
	return tier, nil
}

// answerRaw ends a client of CodecRaw whose one topic was refused: it reads nothing but payloads.
func (s *Shard) answerRaw(slot uint32, a *subscription) {
	if len(a.ack.Errors) > 0 {
		s.out.Close(slot, wsproto.StatusPolicyViolation, a.ack.Errors[0].Msg)
	}
}

// catchUp sends the client in slot what it has missed, or the newest message of every topic that it has not been sent yet.
func (s *Shard) catchUp(slot uint32, a *subscription) {
	sub := s.subs.at(slot)
	if sub.flags&flagJoined == 0 || len(a.fresh)+len(a.replay)+len(s.owed) == 0 { // the answer may have ended it
		return
	}
	b, behind := sub.backlog, sub.backlog != nil
	if !behind {
		b = s.spareBacklog()
	}
	slices.SortFunc(a.replay, func(x, y *Message) int { return cmp.Compare(x.seq, y.seq) }) // of several topics
	for _, m := range slices.CompactFunc(a.replay, func(x, y *Message) bool { return x == y }) {
		b.replay(s, m, dirtUpdate)
	}
	for _, t := range s.owed {
		b.dirty.mark(t.topic.id, dirtUpdate)
		s.skip(sub, t)
	}
	for _, f := range a.fresh {
		for _, t := range f.matched() {
			s.oweSnapshot(slot, sub, b, t)
		}
	}
	s.owed = clearOf(s.owed)
	if !behind && (b.dirty.len() > 0 || len(b.queue) > 0) {
		s.spare, sub.backlog = nil, b
		s.Writable(slot) // the socket is empty: it takes them at once, or what it can
	}
	if most := int64(s.hub.cfg.MemoryBudget); most > 0 && s.hub.queued.Load() > most {
		s.shed()
	}
}

func (s *Shard) applyUnsub(slot uint32, c *Command) error {
	if err := s.checkTopics(c); err != nil {
		return err
	}
	sub := s.subs.at(slot)
	var a ack
	for _, name := range c.Topics {
		if waited := s.cancelParked(slot, name); s.unsubscribe(slot, sub, name) || waited {
			a.Topics = append(a.Topics, ackTopic{Topic: name})
		} else {
			a.fail(name, &CommandError{CodeUnknownTopic, "not subscribed"})
		}
	}
	s.stats.errors.Add(uint64(len(a.Errors)))
	s.answer(slot, a.frame(c.ID))
	return nil
}

func (s *Shard) applyList(slot uint32, c *Command) error {
	sub := s.subs.at(slot)
	a := ack{Topics: make([]ackTopic, 0, sub.n)}
	for k := range sub.n {
		a.Topics = append(a.Topics, s.ackTopic(s.filters[sub.at(k).filter]))
	}
	s.answer(slot, a.frame(c.ID))
	return nil
}

func (s *Shard) applyPub(slot uint32, c *Command) error {
	cfg := &s.hub.cfg
	if err := checkConcrete(c.Topic, cfg.MaxTopicLength, cfg.MaxTopicTokens); err != nil {
		return topicError(err)
	}
	if !coveredBy(cfg.Publish, c.Topic) {
		return &CommandError{CodeDenied, "permission denied"}
	}
	if len(c.Data) == 0 {
		return badRequest("pub needs data")
	}
	if err := s.hub.send(c.Topic, c.Data); err != nil {
		return &CommandError{CodeNotAvailable, "not available: " + err.Error()}
	}
	s.answer(slot, (&ack{}).frame(c.ID))
	return nil
}

// ackTopic describes a subscription to its client.
func (s *Shard) ackTopic(f *filter) ackTopic {
	a := ackTopic{Topic: f.name, Mode: ModeLast.String()}
	if f.tier != 0 {
		a.Rate = s.hub.rates[f.tier].String()
	}
	if t := f.topic; t != nil {
		a.Mode = t.topic.class.Mode.String()
		a.Cursor = s.hub.cursor(t.topic.class, t.at)
	} else if c := s.hub.classOver(f.name); c != nil {
		a.Mode = c.Mode.String()
		if c.History > 0 {
			a.Cursor = s.hub.cursor(c, s.position(f, c))
		}
	}
	return a
}

// position returns the sequence up to which this shard has delivered the topics of c under a pattern.
func (s *Shard) position(f *filter, c *class) (seq uint64) {
	s.hub.mu.Lock()
	if i := s.hub.interests[f.name]; i != nil && i.since != unknown {
		seq = i.since
	}
	s.hub.mu.Unlock()
	for _, t := range f.topics {
		seq = max(seq, t.at)
	}
	return seq
}

// missed returns what a client with a cursor has missed of f's topics, and whether that is all that there was.
func (s *Shard) missed(f *filter, from *cursor) (list []*Message, whole bool) {
	h := s.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	if f.topic == nil {
		i := h.interests[f.name]
		if c := h.classOver(f.name); c == nil || from.epoch != h.epochOf(c) || i == nil || i.since > from.seq {
			return nil, false
		}
	}
	for _, t := range f.matched() {
		if from.epoch != h.epochOf(t.topic.class) || from.seq < t.topic.birth || t.topic.class.stream == nil && from.seq > h.total {
			return nil, false
		}
		missed, whole := h.missed(t.topic, from.seq, t.at)
		if !whole {
			return nil, false
		}
		list = append(list, missed...)
	}
	return list, true
}
