package broadcast

import (
	"errors"
	"slices"

	"tickcast/broadcast/subject"
	"tickcast/broadcast/topics"
	"tickcast/broadcast/wire"
)

func (s *Shard) applyPub(slot uint32, c *wire.Command) error {
	if err := subject.CheckConcrete(c.Topic, s.cfg.MaxTopicLength, s.cfg.MaxTopicTokens); err != nil {
		return topicError(err)
	}
	if err := s.mayPublish(slot, s.subs.At(slot), c.Topic); err != nil {
		return err
	}
	if len(c.Data) == 0 {
		return wire.BadRequest("pub needs data")
	}
	if s.hub.StoredIn(c.Topic) {
		return s.store(slot, c)
	}
	if err := s.hub.Send(c.Topic, c.Data); err != nil {
		return sendError(err)
	}
	s.subs.At(slot).flags |= flagSubscribed // a client that only publishes has asked for something in time
	s.write(slot, (&wire.Ack{}).Frame(c.ID))
	return nil
}

// store publishes to a topic of a stream. The answer to the client waits for that of the stream.
func (s *Shard) store(slot uint32, c *wire.Command) error {
	if err := s.parksTooMany(slot); err != nil {
		return err
	}
	w := topics.NewWaiter(s.index)
	if err := s.hub.Store(c.Topic, c.Data, w); err != nil {
		return sendError(err)
	}
	s.subs.At(slot).flags |= flagSubscribed
	p := &parkedCommand{slot: slot, id: slices.Clone(c.ID), waiter: w, until: s.hub.Now() + int64(parkedPatience)}
	s.parked.add(p)
	s.alarm.set(p.until)
	return nil
}

// endPub answers a pub that was stored or refused, or whose stream has not answered in time.
func (s *Shard) endPub(p *parkedCommand, late bool) {
	if !s.subs.At(p.slot).joined() {
		return
	}
	err := s.hub.Stored(p.waiter)
	if late && err == nil {
		err = topics.ErrUnanswered
	}
	if err == nil {
		s.write(p.slot, (&wire.Ack{}).Frame(p.id))
		return
	}
	s.fail(p.slot, &wire.Command{Op: "pub", ID: p.id}, sendError(err))
}

// sendError is the answer to a pub that upstream does not take.
func sendError(err error) *wire.Error {
	var large *topics.TooLargeError
	switch {
	case errors.As(err, &large):
		return &wire.Error{Code: wire.CodeLimit, Reason: "limit exceeded: " + err.Error()}
	case errors.Is(err, topics.ErrDenied):
		return &wire.Error{Code: wire.CodeDenied, Reason: "permission denied: " + err.Error()}
	default:
		return &wire.Error{Code: wire.CodeNotAvailable, Reason: "not available: " + err.Error()}
	}
}
