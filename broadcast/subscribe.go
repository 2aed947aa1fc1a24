package broadcast

import (
	"errors"
	"math"
	"slices"
	"strings"
	"time"

	"tickcast/broadcast/subject"
	"tickcast/broadcast/topics"
	"tickcast/broadcast/wire"
)

var (
	errWildcardLimit = errors.New("too many wildcards on this connection")
	errTooManyNew    = errors.New("many new topics, try again in a second")
	errTopicLimit    = errors.New("too many topics on this connection")
)

// permit checks whether the subscriber in slot may subscribe to name at a rate, and returns the tier of the rate.
func (s *Shard) permit(slot uint32, sub *subscriber, name string, rate time.Duration) (tier uint8, err error) {
	if err := subject.Check(name, s.cfg.MaxTopicLength, s.cfg.MaxTopicTokens); err != nil {
		return 0, topicError(err)
	}
	if err := s.mayRead(slot, sub, name); err != nil {
		return 0, err
	}
	c := s.hub.ClassOver(name)
	if c == nil { // a pattern over several classes
		if rate != 0 {
			return 0, &wire.Error{Code: wire.CodeNoSuchTier, Reason: "no such rate tier for all topics under it"}
		}
		return 0, nil
	}
	return permitClass(c, sub, name, rate)
}

// permitClass checks a subscription against the class of the topics under name, and returns the tier of its rate.
func permitClass(c *topics.Class, sub *subscriber, name string, rate time.Duration) (tier uint8, err error) {
	if c.Mapped() && subject.Check(c.SubjectOf(name), math.MaxInt, math.MaxInt) != nil { // it must not lead into NATS's own subjects
		return 0, &wire.Error{Code: wire.CodeDenied, Reason: "permission denied: it stands for a reserved subject"}
	}
	if c.Payload == wire.PayloadBinary && !sub.codec.Binary() {
		return 0, &wire.Error{Code: wire.CodeCodec, Reason: "the payload is binary: ask for tickcast.v1.bin or tickcast.v1.raw"}
	}
	tier, ok := c.Tier(rate)
	if !ok {
		return 0, &wire.Error{Code: wire.CodeNoSuchTier, Reason: "no such rate tier: " + rate.String()}
	}
	return tier, nil
}

// topicError returns a client's error for an error of subject.Check.
func topicError(err error) error {
	if errors.Is(err, subject.ErrReserved) {
		return &wire.Error{Code: wire.CodeDenied, Reason: "permission denied: " + err.Error()}
	}
	return wire.BadRequest("%v", err)
}

// subscribeChecked checks name i of a command and gives it to the subscriber in slot, as subscribe does.
func (s *Shard) subscribeChecked(slot uint32, sub *subscriber, a *subCommand, i int) (*filter, bool, error) {
	s.filters.steps++
	name := a.c.Topics[i]
	tier, permitted := a.permitted(i)
	if !permitted {
		var err error
		if tier, err = s.permit(slot, sub, name, a.rate); err != nil {
			return nil, false, err
		}
	}
	f, added, err := s.subscribe(slot, sub, name, tier)
	if err != nil {
		return nil, false, limitError(err)
	}
	return f, added, nil
}

// limitError returns a client's error for a refusal of subscribe.
func limitError(err error) error {
	if errors.Is(err, errTooManyMatches) || errors.Is(err, errTooManyNew) {
		return &wire.Error{Code: wire.CodeTooMany, Reason: "too many requests: " + err.Error()}
	}
	return &wire.Error{Code: wire.CodeLimit, Reason: "limit exceeded: " + err.Error()}
}

// subscribe gives the subscriber in slot the valid topic or pattern name at the rate of a tier. It returns the filter, and
// whether the subscriber did not hold the name before.
func (s *Shard) subscribe(slot uint32, sub *subscriber, name string, tier uint8) (f *filter, added bool, err error) {
	f = s.filters.find(filterName{name, tier})
	if f != nil {
		if _, held := s.filters.entryOf(sub, f); held {
			return f, false, nil
		}
	}
	s.keepNotice(sub, name)
	if s.filters.paced() {
		if k, held := s.filters.findName(sub, name); held {
			f, err := s.changeRate(slot, sub, k, tier)
			return f, false, err
		}
	}
	switch err = s.hasRoom(sub, name); {
	case err != nil:
	case f != nil && f.unused:
	case f != nil:
		err = s.filters.chargeHeld(f)
	default:
		f, err = s.newFilter(slot, filterName{name, tier})
	}
	if err == nil {
		err = s.filters.complete(f)
	}
	if err != nil {
		return nil, false, err
	}
	f.unused = false
	s.addEntry(slot, sub, f)
	return f, true, nil
}

// hasRoom returns the refusal of one more topic or pattern of sub, or nil.
func (s *Shard) hasRoom(sub *subscriber, name string) error {
	if int(sub.n) >= s.cfg.MaxTopicsPerConnection {
		return errTopicLimit
	}
	if subject.IsPattern(name) && s.filters.countWildcards(sub) >= s.cfg.MaxWildcards {
		return errWildcardLimit
	}
	return nil
}

// newFilter makes a filter for the client in slot. A pattern has no topics yet; see filterTable.complete.
func (s *Shard) newFilter(slot uint32, n filterName) (*filter, error) {
	if !s.pace.take(slot, s.hub.Now()) {
		return nil, errTooManyNew
	}
	n.name = strings.Clone(n.name)
	return s.filters.begin(n)
}

// keepNotice takes a notice of the fan-out under way for sub, which holds the notice's topic and gets one more filter of it, named
// name: the walk may not come to the place of that one, and the other may end before it comes. oweNotice must follow. A poll has
// its notices by their numbers.
func (s *Shard) keepNotice(sub *subscriber, name string) {
	f := &s.fanout
	if f.topic == nil || f.m.Kind == topics.KindData || sub.codec == wire.CodecPoll || sub.visited == f.serial || !subject.Covers(name, f.topic.topic.Name) {
		return
	}
	for k := range sub.n {
		if s.filters.filterAt(sub, k).brings(f.topic) {
			sub.visited, s.scratch.notice = f.serial, f.m
			return
		}
	}
}

// changeRate moves subscription k of the subscriber in slot to the rate of another tier. No message is lost and none
// comes twice: the topics that the old rate still owes go to scratch.owed.
func (s *Shard) changeRate(slot uint32, sub *subscriber, k uint32, tier uint8) (f *filter, err error) {
	old := s.filters.filterAt(sub, k)
	switch f = s.filters.find(filterName{old.name, tier}); {
	case f == nil:
		f, err = s.filters.add(filterName{old.name, tier})
	case f.unused:
		err = s.filters.complete(f)
	default:
		if err = s.filters.chargeHeld(f); err == nil {
			err = s.filters.complete(f)
		}
	}
	if err != nil {
		return nil, err
	}
	f.unused = false
	for t := range old.matched() {
		s.filters.steps++
		if !s.upToDate(sub, t) && !slices.Contains(t.recent, slot) {
			s.scratch.owed = append(s.scratch.owed, t)
		}
		t.markUpToDate(slot)
	}
	s.removeEntry(sub, k)
	s.addEntry(slot, sub, f)
	return f, nil
}

// upToDate reports whether sub, which holds t, has been sent t's newest message, or is owed it.
func (s *Shard) upToDate(sub *subscriber, t *shardTopic) bool {
	if t.dirty == 0 && !s.fanout.awaits(sub, t) { // whatever its rate
		return true
	}
	tier := s.filters.fastestTier(sub, t)
	return t.dirty&(1<<tier) == 0 && !(s.fanout.tier == tier && s.fanout.awaits(sub, t))
}

// removeName takes name from the subscriber in slot and reports whether it held it. dropDebts must follow.
func (s *Shard) removeName(slot uint32, sub *subscriber, name string) bool {
	k, held := s.filters.findName(sub, name)
	if held {
		s.removeHeld(slot, sub, k)
	}
	return held
}

// removeHeld takes subscription k from the subscriber in slot. dropDebts must follow.
func (s *Shard) removeHeld(slot uint32, sub *subscriber, k uint32) {
	f := s.filters.filterAt(sub, k)
	if last := len(f.places)-f.holes == 1; last || s.filters.paced() {
		s.filters.made += len(f.topics)
	}
	if s.filters.paced() {
		for t := range f.matched() {
			if s.filters.steps++; t.dirty != 0 && s.upToDate(sub, t) { // it may still hold a slower filter
				t.markUpToDate(slot)
			}
		}
	}
	s.removeEntry(sub, k)
}

// dropDebts drops the debts of the topics that sub does not hold any more, after it has unsubscribed from some. It looks at each
// subscription and at each debt once.
func (s *Shard) dropDebts(sub *subscriber) {
	b := sub.backlog
	if b == nil {
		return
	}
	own := s.filters.holdingsOf(sub)
	b.dirty.retain(func(id uint32) bool { return own.hold(s.filters.topicByID(id)) })
	s.slow.count(b, -b.retain(func(t *topics.Topic) bool { return own.hold(s.filters.findTopic(t)) }))
	s.filters.steps += uint64(int(sub.n) + own.looked)
}
