package broadcast

import (
	"errors"
	"strconv"
	"time"
)

// Apply carries out one message of the client in slot and answers it.
func (s *Shard) Apply(slot uint32, message []byte) {
	s.check()
	s.stats.commands.Add(1)
	c, err := ParseCommand(message)
	if err == nil {
		err = s.apply(slot, &c)
	}
	if err != nil {
		s.fail(slot, &c, err)
	}
}

// Subscribe is the command sub for topics that came with the request's address; after may be empty.
func (s *Shard) Subscribe(slot uint32, topics []string, after, rate string) {
	s.check()
	s.stats.commands.Add(1)
	c := Command{Op: "sub", Topics: topics, After: after, Rate: rate}
	if err := s.apply(slot, &c); err != nil {
		s.fail(slot, &c, err)
	}
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
func (s *Shard) answer(slot uint32, frame []byte) {
	if !s.out.Write(slot, frame) {
		s.behind(slot)
	}
}

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

// applySub subscribes to each topic on its own: some may fail. The answer comes before the first snapshot.
func (s *Shard) applySub(slot uint32, c *Command) error {
	if err := s.checkTopics(c); err != nil {
		return err
	}
	if c.Rate != "" {
		return &CommandError{CodeNoSuchTier, "no such rate tier: " + quoted(c.Rate)}
	}
	var from cursor
	if c.After != "" {
		var err error
		if from, err = parseCursor(c.After); err != nil {
			return err
		}
	}
	sub := s.subs.at(slot)
	var a ack
	var fresh []*filter // whose snapshots are due
	for _, name := range c.Topics {
		f, added, err := s.trySubscribe(slot, sub, name)
		if err != nil {
			a.fail(name, err)
			continue
		}
		entry := s.ackTopic(f)
		recovered := c.After != "" && f.topic != nil && f.topic.newest != nil &&
			from == cursor{*s.hub.epoch.Load(), f.topic.newest.seq}
		if c.After != "" {
			entry.Recovered = &recovered
		}
		a.Topics = append(a.Topics, entry)
		if (added || c.After != "") && !recovered {
			fresh = append(fresh, f)
		}
	}
	s.stats.errors.Add(uint64(len(a.Errors)))
	s.answer(slot, a.frame(c.ID))
	s.snapshots(slot, fresh)
	return nil
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

// trySubscribe checks name and subscribes to it.
func (s *Shard) trySubscribe(slot uint32, sub *subscriber, name string) (*filter, bool, error) {
	cfg := &s.hub.cfg
	if err := CheckTopic(name, cfg.MaxTopicLength, cfg.MaxTopicTokens); err != nil {
		return nil, false, topicError(err)
	}
	if !coveredBy(cfg.Subscribe, name) {
		return nil, false, &CommandError{CodeDenied, "permission denied"}
	}
	f, added, err := s.subscribe(slot, sub, name)
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

// snapshots sends the newest message of every topic under filters that the client in slot has not been sent yet.
func (s *Shard) snapshots(slot uint32, filters []*filter) {
	sub := s.subs.at(slot)
	if sub.flags&flagJoined == 0 || len(filters) == 0 { // the answer may have ended it
		return
	}
	b := sub.backlog
	if b == nil {
		b = new(backlog)
	}
	for _, f := range filters {
		if f.topic != nil {
			s.oweSnapshot(sub, b, f.topic)
		}
		for _, t := range f.topics {
			s.oweSnapshot(sub, b, t)
		}
	}
	if sub.backlog == nil && len(b.dirty) > 0 {
		sub.backlog = b
		s.Writable(slot) // the socket is empty: it takes them at once, or what it can
	}
}

func (s *Shard) applyUnsub(slot uint32, c *Command) error {
	if err := s.checkTopics(c); err != nil {
		return err
	}
	sub := s.subs.at(slot)
	var a ack
	for _, name := range c.Topics {
		if s.unsubscribe(slot, sub, name) {
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
	a := ackTopic{Topic: f.name, Mode: "last"}
	if f.topic != nil {
		var seq uint64
		if f.topic.newest != nil {
			seq = f.topic.newest.seq
		}
		a.Cursor = s.hub.cursor(seq)
	}
	return a
}
