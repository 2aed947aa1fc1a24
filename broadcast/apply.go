package broadcast

import (
	"errors"
	"slices"
	"strconv"
	"time"

	"tickcast/broadcast/topics"
	"tickcast/broadcast/wire"
)

// Apply carries out one message of the client in slot and answers it.
func (s *Shard) Apply(slot uint32, message []byte) {
	if !s.beginCommand(slot) {
		return
	}
	c, err := wire.ParseCommand(message)
	if err == nil {
		err = s.apply(slot, c)
	}
	if err != nil {
		s.fail(slot, c, err)
	}
}

// Subscribe is the command sub for topics that came with the request's address; after may be empty. The names stay the caller's.
func (s *Shard) Subscribe(slot uint32, names []string, after, rate string) {
	if !s.beginCommand(slot) {
		return
	}
	c := wire.Command{Op: "sub", Topics: slices.Clone(names), After: wire.After{Cursor: after}, Rate: rate}
	if err := s.apply(slot, &c); err != nil {
		s.fail(slot, &c, err)
	}
}

// beginCommand writes the messages that were gathered for the client in slot, which go before the answer. It reports false if
// that ended the client.
func (s *Shard) beginCommand(slot uint32) bool {
	s.checkOwner()
	s.stats.commands.Add(1)
	s.finishRun(slot)
	s.flush(slot)
	return s.subs.At(slot).joined()
}

// fail answers a command with an error. A backlog does not hold an answer back: the outlet bounds it.
func (s *Shard) fail(slot uint32, c *wire.Command, err error) {
	s.stats.errors.Add(1)
	var e *wire.Error
	if !errors.As(err, &e) {
		s.cfg.Log.Error("command failed", "op", c.Op, "err", err)
	}
	s.write(slot, wire.ErrFrame(c.ID, wire.ErrorOf(err)))
}

func (s *Shard) apply(slot uint32, c *wire.Command) error {
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
		s.write(slot, wire.Pong(c.ID, time.Now()))
		return nil
	case "auth":
		return s.applyAuth(slot, c)
	default:
		return &wire.Error{Code: wire.CodeUnknownOp, Reason: "unknown op " + wire.Quoted(c.Op)}
	}
}

// commandTopics is the number of topics that one command may name at least; more where a connection may hold more. The answer
// names each of them. Chosen by us.
const commandTopics = 1024

// checkTopics refuses a command with no topics or too many.
func (s *Shard) checkTopics(c *wire.Command) error {
	if len(c.Topics) == 0 {
		return wire.BadRequest("%s needs topics", c.Op)
	}
	if most := max(commandTopics, s.cfg.MaxTopicsPerConnection); len(c.Topics) > most {
		return &wire.Error{Code: wire.CodeLimit, Reason: "limit exceeded: more than " + strconv.Itoa(most) + " topics in one command"}
	}
	return nil
}

// applySub subscribes to each topic on its own: some may fail.
func (s *Shard) applySub(slot uint32, c *wire.Command) error {
	if err := s.checkTopics(c); err != nil {
		return err
	}
	a, err := newSubCommand(s.hub, c)
	if err != nil {
		return err
	}
	a.placed = s.subs.At(slot).codec >= wire.WebSockets
	waits, err := s.park(slot, a)
	if !waits && err == nil {
		s.begin(slot, a)
	}
	return err
}

// begin carries out a command, at once or in shares.
func (s *Shard) begin(slot uint32, a *subCommand) {
	if s.isLong(a) {
		s.startRun(slot, a)
	} else {
		s.carryOutInOrder(slot, a)
	}
}

// park parks a command if a stream must be asked first. It reports false if the command can go on.
func (s *Shard) park(slot uint32, a *subCommand) (waits bool, err error) {
	if !s.hub.Streams() {
		return false, nil
	}
	var waiter *topics.Waiter
	full := s.parksTooMany(slot)
	for _, i := range s.withinRoom(slot, a) {
		name := a.c.Topics[i]
		if !s.hub.MayAwait(name) {
			continue
		}
		if full != nil { // before a stream is asked: a refusal must cost nothing
			return false, full
		}
		if waiter == nil {
			waiter = topics.NewWaiter(s.index)
		}
		if q := s.hub.Await(name, a.after(name), a.asked[name], waiter); q != 0 {
			a.noteAsked(name, q)
			waits = true
		}
	}
	if !waits {
		return false, nil
	}
	if a.resumes() { // its other topics wait too
		s.hub.Hold(a.c.Topics, waiter)
	}
	if a.until == 0 {
		a.until = s.hub.Now() + int64(parkedPatience)
	}
	s.subs.At(slot).flags |= flagSubscribed // it has asked in time
	s.parked.add(&parkedCommand{slot: slot, cmd: a, waiter: waiter, until: a.until})
	s.alarm.set(a.until)
	s.hub.Asked(waiter)
	return true, nil
}

// parksTooMany returns the refusal of a command of a client with too many parked ones, or nil.
func (s *Shard) parksTooMany(slot uint32) error {
	if commands, _ := s.parked.count(slot); commands >= max(mostParked, s.cfg.MaxTopicsPerConnection) {
		return &wire.Error{Code: wire.CodeTooMany, Reason: "too many requests: earlier ones wait for the stream"}
	}
	return nil
}

// withinRoom returns the topics of a command that will not be refused, by index: the others must not cost anything.
func (s *Shard) withinRoom(slot uint32, a *subCommand) (list []int) {
	sub := s.subs.At(slot)
	_, waiting := s.parked.count(slot)
	room := s.cfg.MaxTopicsPerConnection - int(sub.n) - waiting
	for i, name := range a.c.Topics {
		if _, held := s.filters.findName(sub, name); !held {
			if room--; room < 0 {
				continue
			}
		}
		if _, err := s.permit(slot, sub, name, a.rate); err == nil {
			list = append(list, i)
		}
	}
	return list
}

// carryOutInOrder carries out a command at a place in the stream of messages: its topics begin where the shard is with all
// others, so that the order over lossless topics holds and nothing at or before a cursor comes. Messages that the hub has
// posted already go first. Meanwhile the filters of the command exist without its client.
func (s *Shard) carryOutInOrder(slot uint32, a *subCommand) {
	if !s.needsOrder(a) {
		s.carryOut(slot, a)
		return
	}
	within := s.withinRoom(slot, a)
	pinned := make([]*filter, 0, len(within))
	for _, i := range within {
		if f := s.pinName(slot, a, i); f != nil {
			pinned = append(pinned, f)
			if err := s.filters.complete(f); err != nil {
				a.refuse(i, limitError(err))
			}
		}
	}
	s.carryOutAtMark(slot, a, pinned)
}

// carryOutAtMark carries out a command, whose filters are pinned, where all that the hub has posted is delivered. It unpins them.
func (s *Shard) carryOutAtMark(slot uint32, a *subCommand, pinned []*filter) {
	if s.inbox.len() == 0 && s.mailbox.Empty() {
		s.carryOut(slot, a)
		s.unpin(pinned)
		return
	}
	s.subs.At(slot).flags |= flagSubscribed
	for i, name := range a.c.Topics {
		if from := a.after(name); from != nil && !s.hub.Reached(name, *from) {
			a.noteAhead(i)
		}
	}
	s.parked.add(&parkedCommand{slot: slot, cmd: a, mark: s.hub.Mark(s.index), pinned: pinned})
}

// pinName makes the filter of name i of a for the client in slot, which may not hold it yet, and pins it. The result is nil if that is
// refused; then the answer tells: a filter that is made later may begin behind the others.
func (s *Shard) pinName(slot uint32, a *subCommand, i int) *filter {
	name := a.c.Topics[i]
	tier, err := s.permit(slot, s.subs.At(slot), name, a.rate)
	if err != nil {
		a.refuse(i, err)
		return nil
	}
	if s.filters.find(filterName{name, tier}) == nil && !s.pace.take(slot, s.hub.Now()) {
		a.refuse(i, limitError(errTooManyNew))
		return nil
	}
	f, err := s.filters.pin(filterName{name, tier})
	if err != nil {
		a.refuse(i, limitError(err))
		return nil
	}
	a.notePermitted(i, tier)
	a.c.Topics[i] = f.name // commands that wait for the same topics share their names
	return f
}

// needsOrder reports whether a command comes with a cursor or may name lossless topics, or the client is told cursors of all.
func (s *Shard) needsOrder(a *subCommand) bool {
	return a.placed || a.resumes() || s.lossless && slices.ContainsFunc(a.c.Topics, func(name string) bool {
		c := s.hub.ClassOver(name)
		return c == nil || c.Mode == topics.ModeAll
	})
}

func (s *Shard) unpin(pinned []*filter) {
	for _, f := range pinned {
		s.filters.unpin(f)
	}
}

// retryParked goes on with a command whose streams have answered, or not within its patience.
func (s *Shard) retryParked(p *parkedCommand, late bool) {
	defer s.LookAtClock()
	s.flush(p.slot)
	if p.cmd == nil {
		s.endPub(p, late)
		return
	}
	if s.subs.At(p.slot).joined() {
		waits := false
		if late {
			s.hub.GiveUp(p.waiter)
		} else {
			waits, _ = s.park(p.slot, p.cmd) // the first answer may show that more must be asked
		}
		if !waits {
			s.begin(p.slot, p.cmd)
		}
	}
	s.hub.Release(p.waiter)
}

// lateAtOnce is the number of commands that one drain gives up waiting for a stream. Chosen by us.
const lateAtOnce = 8

// giveUpParked goes on with some of the commands that have waited too long for a stream.
func (s *Shard) giveUpParked(now int64) {
	for range lateAtOnce {
		p, next := s.parked.nextLate(now)
		if p == nil {
			if next != 0 {
				s.alarm.set(next)
			}
			return
		}
		s.retryParked(p, true)
	}
	s.alarm.set(now) // for the others
}

// reachMark carries out the command that waited for a mark.
func (s *Shard) reachMark(mark *topics.Message) {
	p := s.parked.remove(mark)
	if p == nil { // its client left
		return
	}
	s.flush(p.slot)
	if s.subs.At(p.slot).joined() {
		s.carryOut(p.slot, p.cmd)
	}
	s.unpin(p.pinned)
	s.LookAtClock() // that took long, and there may be many
}

func (s *Shard) applyUnsub(slot uint32, c *wire.Command) error {
	if err := s.checkTopics(c); err != nil {
		return err
	}
	waited := s.parked.cancel(slot, c.Topics)
	if len(c.Topics) > s.cfg.CommandSteps {
		s.enter(&run{slot: slot, id: c.ID, left: c.Topics, waited: waited})
		return nil
	}
	sub := s.subs.At(slot)
	if s.filters.indexEntries(sub, len(c.Topics)) {
		defer s.filters.dropIndex(sub)
	}
	var a wire.Ack
	for _, name := range c.Topics {
		if s.removeName(slot, sub, name) || waited[name] {
			a.Topics = append(a.Topics, wire.AckTopic{Topic: name})
		} else {
			a.Fail(name, errNotSubscribed)
		}
	}
	s.dropDebts(sub)
	s.stats.errors.Add(uint64(len(a.Errors)))
	s.writeAck(slot, &a, c.ID)
	return nil
}

var errNotSubscribed = &wire.Error{Code: wire.CodeUnknownTopic, Reason: "not subscribed"}
