package client

import (
	"slices"
	"strings"
	"time"
)

// commandTopics topics in one command are taken by every server.
const commandTopics = 1024

// A wantState is how far a subscription is.
type wantState int

const (
	wantDue     wantState = iota // the server has not been asked on this connection
	wantSent                     // it has, and has not answered
	wantLive                     // it said yes
	wantRefused                  // it said no
	wantLater                    // it said no for now
)

// A want is a subscription as the server sees it: a topic or pattern, whatever connections and handlers come and go.
type want struct {
	topic string
	rate  time.Duration
	at    position // of the last message that was seen
	epoch string   // of the messages that come; empty if it is not known
	// lossless says that every message matters: the mode is "all".
	lossless bool
	// reach is a sequence of the epoch of at: up to there, messages of other topics included, nothing of this subscription is missing.
	reach uint64
	// again is the sequence up to which the server may send messages once more, since another subscription has missed them.
	again uint64
	apart bool   // the request was too far back for it: another request follows, and messages count from there
	place *place // of what this subscription was asked for with, on this connection; nil = not known
	// known says that a server has said yes before, so that messages can be missed.
	known bool
	state wantState
	id    int // of the command that asked for it last
	tries int // refusals in a row

	handlers []*Subscription    // none: unsubscribed, and the server does not know yet
	newest   map[string]Message // of each topic, for handlers that come later
}

// A place is the newest sequence, in one epoch, of all lossless subscriptions that one command or request has asked for: their messages
// come in the order of the sequences.
type place struct{ seq uint64 }

// A placeKey names a place: by the id of the command, or 0 for a request.
type placeKey struct {
	id    int
	epoch string
}

// A route is the way of the messages of one topic.
type route struct {
	to   []*want
	last uint64 // sequence of the newest message, if seen
	seen bool
}

// subscriptions are those of every connection: where their messages go, and how far they have come. What they find out is put into
// the queue. Guarded by Client.mu.
type subscriptions struct {
	queue    *queue
	wants    []*want // in the order in which the application asked
	byTopic  map[string]*want
	patterns []*want
	routes   map[string]*route
	silent   map[string]bool // topics and patterns that the server called stale
	told     map[string]TopicState

	// Of the present connection.

	places   map[placeKey]*place
	requests bool              // the transport takes no commands: one request names all subscriptions
	sent     map[string]uint64 // the cursors of the request, by epoch
	apart    bool              // some subscription is
	retried  bool              // this is the other one
}

func newSubscriptions(q *queue) *subscriptions {
	return &subscriptions{queue: q, byTopic: make(map[string]*want), routes: make(map[string]*route), silent: make(map[string]bool),
		told: make(map[string]TopicState), places: make(map[placeKey]*place)}
}

// add adds a handler to the subscription of a topic, which it makes if there is none.
func (s *subscriptions) add(topic string, h *Subscription, rate time.Duration, after position) {
	w := s.byTopic[topic]
	if w == nil {
		resumed := after != position{}
		w = &want{topic: topic, rate: rate, at: after, epoch: after.epoch, lossless: resumed, known: resumed, newest: make(map[string]Message)}
		s.wants, s.byTopic[topic] = append(s.wants, w), w
		if isPattern(topic) {
			s.patterns = append(s.patterns, w)
		}
		for _, r := range s.under(topic) {
			r.to = append(r.to, w)
		}
	}
	if w.rate != rate {
		w.rate, w.state = rate, wantDue
	}
	w.handlers = append(w.handlers, h)
	for _, m := range w.newest {
		m.Snapshot = true
		s.queue.message(h, m)
	}
}

// remove takes a handler off a topic.
func (s *subscriptions) remove(topic string, h *Subscription) {
	if w := s.byTopic[topic]; w != nil {
		w.handlers = slices.DeleteFunc(slices.Clone(w.handlers), func(other *Subscription) bool { return other == h })
	}
}

// reset says that the connection has ended.
func (s *subscriptions) reset() {
	s.forgetGone()
	for _, w := range s.wants {
		w.settle()
		w.state, w.apart = wantDue, false
	}
	clear(s.silent)
	clear(s.places)
	s.requests = false
}

// commands returns the commands that bring the server up to date, each of at most size bytes.
func (s *subscriptions) commands(size int, nextID func() int) (list [][]byte) {
	if gone := s.forgetGone(); len(gone) > 0 {
		list = s.pack(list, "unsub", gone, size, nextID)
	}
	var rates []time.Duration
	due := make(map[time.Duration][]string)
	for _, w := range s.wants {
		if w.state == wantDue {
			if due[w.rate] == nil {
				rates = append(rates, w.rate)
			}
			due[w.rate] = append(due[w.rate], w.topic)
		}
	}
	for _, rate := range rates {
		list = s.pack(list, "sub", due[rate], size, nextID)
	}
	return list
}

// pack appends one command, or two halves of it if it is beyond the limits.
func (s *subscriptions) pack(list [][]byte, op string, topics []string, size int, nextID func() int) [][]byte {
	c := command{Op: op, ID: nextID(), Topics: topics}
	for _, t := range topics {
		w := s.byTopic[t]
		if w == nil {
			continue
		}
		w.id, w.state = c.ID, wantSent
		c.Rate = formatRate(w.rate)
		if w.lossless && w.at.epoch != "" {
			if c.After == nil {
				c.After = make(map[string]string)
			}
			c.After[t] = w.at.String()
		}
	}
	b := c.encode()
	if half := len(topics) / 2; half > 0 && (len(topics) > commandTopics || len(b) > size) {
		list = s.pack(list, op, topics[:half], size, nextID)
		return s.pack(list, op, topics[half:], size, nextID)
	}
	return append(list, b)
}

// hasAny reports whether anything is subscribed.
func (s *subscriptions) hasAny() bool {
	return slices.ContainsFunc(s.wants, func(w *want) bool { return len(w.handlers) > 0 })
}

// again asks again for what the server could not give.
func (s *subscriptions) again() {
	for _, w := range s.wants {
		if w.state == wantLater {
			w.state = wantDue
		}
	}
}

// forgetGone forgets the subscriptions without handlers, and returns those that the server knows.
func (s *subscriptions) forgetGone() (known []string) {
	isGone := func(w *want) bool { return len(w.handlers) == 0 }
	if !slices.ContainsFunc(s.wants, isGone) {
		return nil
	}
	for _, w := range s.wants {
		if !isGone(w) {
			continue
		}
		if w.state == wantSent || w.state == wantLive {
			known = append(known, w.topic)
		}
		delete(s.byTopic, w.topic)
		for topic, r := range s.under(w.topic) {
			r.to = slices.DeleteFunc(slices.Clone(r.to), func(other *want) bool { return other == w })
			if len(r.to) == 0 {
				delete(s.routes, topic)
			}
		}
	}
	s.wants, s.patterns = slices.DeleteFunc(s.wants, isGone), slices.DeleteFunc(s.patterns, isGone)
	return known
}

// route returns the way of a topic's messages.
func (s *subscriptions) route(topic string) *route {
	r := s.routes[topic]
	if r == nil {
		r = &route{to: s.over(topic)}
		if len(r.to) > 0 {
			s.routes[topic] = r
		}
	}
	return r
}

// over returns the subscriptions that cover a topic.
func (s *subscriptions) over(topic string) (list []*want) {
	if w := s.byTopic[topic]; w != nil {
		list = append(list, w)
	}
	for _, w := range s.patterns {
		if w.topic != topic && Covers(w.topic, topic) {
			list = append(list, w)
		}
	}
	return list
}

// under returns the routes of a subscription, by topic: a topic has one.
func (s *subscriptions) under(key string) map[string]*route {
	list := make(map[string]*route)
	if r := s.routes[key]; r != nil {
		list[key] = r
	}
	if isPattern(key) {
		for topic, r := range s.routes {
			if Covers(key, topic) {
				list[topic] = r
			}
		}
	}
	return list
}

// state returns the state of a topic or pattern.
func (s *subscriptions) state(topic string) TopicState {
	list := s.over(topic)
	if w := s.byTopic[topic]; w != nil {
		list = []*want{w}
	}
	refused := 0
	for _, w := range list {
		switch w.state {
		case wantLive:
			return s.liveOrStale(topic)
		case wantRefused:
			refused++
		}
	}
	switch {
	case len(list) == 0:
		return TopicNone
	case refused == len(list):
		return TopicRefused
	}
	return TopicWaiting
}

func (s *subscriptions) liveOrStale(topic string) TopicState {
	for name := range s.silent {
		if Covers(name, topic) {
			return TopicStale
		}
	}
	return TopicLive
}

// tell reports the states that have changed since it was called last.
func (s *subscriptions) tell() {
	for topic, before := range s.told {
		if s.byTopic[topic] == nil && !s.silent[topic] {
			delete(s.told, topic)
			if state := s.state(topic); state != before {
				s.queue.topic(topic, state)
			}
		}
	}
	for _, w := range s.wants {
		s.tellOne(w.topic)
	}
	for topic := range s.silent {
		s.tellOne(topic)
	}
}

func (s *subscriptions) tellOne(topic string) {
	before, ok := s.told[topic]
	if !ok {
		before = TopicNone
	}
	state := s.state(topic)
	s.told[topic] = state
	if state != before {
		s.queue.topic(topic, state)
	}
}

// staleNames returns the topics and patterns that the server called stale.
func (s *subscriptions) staleNames() (names []string) {
	for name := range s.silent {
		names = append(names, name)
	}
	slices.SortFunc(names, strings.Compare)
	return names
}

func (s *subscriptions) cursor(topic string) string {
	if w := s.byTopic[topic]; w != nil && w.lossless {
		return w.at.String()
	}
	return ""
}
