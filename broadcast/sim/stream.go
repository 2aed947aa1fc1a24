package sim

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"tickcast/broadcast/subject"
	"tickcast/broadcast/topics"
)

// A stream is one of JetStream, which keeps the last messages of its topics.
type stream struct {
	w       *World
	number  int
	lives   int // how often it was made
	exists  bool
	leader  bool // somebody answers
	last    uint64
	content []stored
	removed [mostTopics]uint64 // the last message of each topic that is gone
}

// A stored message is one that a stream keeps.
type stored struct {
	seq   uint64
	topic int
	index uint64
}

func (s *stream) epoch() string { return fmt.Sprintf("S%dL%d", s.number, s.lives) }

// publish stores a message, and reports whether the publisher hears that it was.
func (s *stream) publish(topic int, index uint64) bool {
	if !s.exists {
		return false
	}
	s.last++
	s.content = append(s.content, stored{s.last, topic, index})
	if n := len(s.content) - s.w.setup.Keep; n > 0 {
		s.w.met[metEvicted] += n
		s.remove(n)
	}
	return true
}

// remove removes the first n messages.
func (s *stream) remove(n int) {
	for _, m := range s.content[:n] {
		s.removed[m.topic] = max(s.removed[m.topic], m.index)
	}
	s.content = s.content[n:]
}

func (s *stream) first() uint64 {
	if len(s.content) == 0 {
		return s.last + 1
	}
	return s.content[0].seq
}

func (s *stream) anew() {
	s.lives++
	s.remove(len(s.content))
	s.exists, s.last = true, 0
}

// holds reports whether a message is still there.
func (s *stream) holds(topic int, index uint64) bool {
	return slices.ContainsFunc(s.content, func(m stored) bool { return m.topic == topic && m.index == index })
}

func (m stored) message() topics.StreamMessage {
	return topics.StreamMessage{Subject: universe[m.topic].name, Data: strconv.AppendUint(nil, m.index, 10), Seq: m.seq}
}

// newest returns the newest message of each subject up to a sequence.
func (s *stream) newest(pattern string, upto uint64) (list []topics.StreamMessage) {
	var newest [mostTopics]stored
	for _, m := range s.content {
		if m.seq <= upto {
			newest[m.topic] = m
		}
	}
	for _, m := range newest {
		if m.seq > 0 && subject.Covers(pattern, universe[m.topic].name) {
			list = append(list, m.message())
		}
	}
	slices.SortFunc(list, func(x, y topics.StreamMessage) int { return cmp.Compare(x.Seq, y.Seq) })
	return list
}

// since returns messages as jetstream.Stream.Since does.
func (s *stream) since(pattern string, after, upto uint64, most int) (list []topics.StreamMessage, whole bool) {
	whole = s.first() <= after+1
	for _, m := range s.content {
		switch {
		case !subject.Covers(pattern, universe[m.topic].name) || m.seq > upto:
		case m.seq == after:
			whole = whole || !subject.IsPattern(pattern)
		case m.seq > after:
			list = append(list, m.message())
		}
	}
	if len(list) > most {
		return list[:most], false
	}
	return list, whole
}

// A reader reads a stream for a node, as jetstream.Stream.Follow does.
type reader struct {
	node    *node
	stream  *stream
	steps   *topics.StreamSteps
	reading int // see StreamSteps.Wanted
	open    bool
	away    bool // the connection was, since it was opened
	epoch   string
	last    uint64             // all up to here was delivered
	from    [mostTopics]uint64 // the messages that were published before it was opened
	heard   [mostTopics]bool   // the node was given a message of the topic
	retryAt int64
	vainAt  int64 // when a question had no answer
	asked   []*inquiry
}

// An inquiry is a question on its way.
type inquiry struct {
	*topics.Inquiry
	answer topics.Answer
	heard  bool
	at     int64
}

var (
	errNoStream = errors.New("no stream holds the subject")
	errNoAnswer = errors.New("no answer of the stream")
)

const (
	patience = int64(5e9)
)

// reopen returns the time between attempts to find the stream.
func (r *reader) reopen() int64 {
	if r.node.w.setup.Soon > 0 {
		return 20e6
	}
	return 1e9
}

// follow opens the stream if that is due, and delivers n of its messages. It reports whether it did something.
func (r *reader) follow(n int) (busy bool) {
	reading := r.steps.Wanted()
	if reading != r.reading {
		r.reading, r.open, r.retryAt = reading, false, 0
		r.giveUp()
	}
	link, sink := r.node.links[0], r.steps.Sink()
	away := !link.connected || link.frozen
	switch {
	case reading == 0:
		return false
	case r.open && (!r.stream.exists || r.epoch != r.stream.epoch()) && !away:
		r.open, r.retryAt = false, r.node.w.clock.now+r.reopen()
		r.giveUp()
		r.steps.Failed(true, errNoStream)
		return true
	case !r.open && r.retryAt > r.node.w.clock.now:
		return false
	case !r.open && (away || !r.stream.exists || !r.stream.leader):
		r.retryAt = r.node.w.clock.now + r.reopen()
		r.steps.Failed(false, errNoStream)
		r.node.w.met[metNoStream]++
		return true
	case !r.open:
		r.begin()
		return true
	}
	if r.away, away = away, r.away; r.away {
		sink.Current(false)
		return false
	}
	if away { // another consumer, behind what is gone
		r.skipTo(r.stream.first())
	}
	sink.Current(true)
	r.conclude()
	return r.deliver(n)
}

// begin opens the stream.
func (r *reader) begin() {
	r.open, r.epoch = true, r.stream.epoch()
	start, sink := r.steps.Opened(r.epoch), r.steps.Sink()
	if r.last = start.From - 1; start.From == 0 {
		r.last, r.from = r.stream.last, r.node.w.published
	}
	sink.Placed(r.last)
	r.skipTo(r.stream.first())
	sink.Current(true)
}

// skipTo tells that the messages before first are gone.
func (r *reader) skipTo(first uint64) {
	if first > r.last+1 {
		r.node.w.met[metStreamGap]++
		r.steps.Sink().Gap(r.last, first)
		r.last = first - 1
	}
}

func (r *reader) deliver(n int) (busy bool) {
	i, _ := slices.BinarySearchFunc(r.stream.content, r.last+1, func(m stored, seq uint64) int { return cmp.Compare(m.seq, seq) })
	list := slices.Clone(r.stream.content[i:])
	for _, m := range list[:min(n, len(list))] {
		r.skipTo(m.seq)
		r.last, r.heard[m.topic], busy = m.seq, true, true
		r.steps.Sink().Message(m.message())
	}
	if len(list) == 0 && r.last < r.stream.last {
		r.skipTo(r.stream.last + 1)
		return true
	}
	return busy
}

// ask puts the next question to a copy of the stream, which may be so many messages behind.
func (r *reader) ask(lag int) (busy bool) {
	if l := r.node.links[0]; !l.connected || l.frozen {
		return false
	}
	if !r.open || len(r.asked) >= 4 || r.reading != r.steps.Wanted() {
		return false
	}
	q := r.steps.Inquire()
	if q == nil {
		return false
	}
	a := &inquiry{Inquiry: q, at: r.node.w.clock.now}
	r.asked = append(r.asked, a)
	r.request(a, lag)
	return true
}

func (r *reader) request(a *inquiry, lag int) {
	s := r.stream
	if a.Since {
		a.answer.Msgs, a.answer.Whole = s.since(a.Pattern, a.After, a.Upto, a.Most)
		return
	}
	if lag > 0 {
		r.node.w.met[metLagAnswer]++
	}
	a.answer.Upto = s.last - min(uint64(lag), s.last)
	a.answer.Msgs = s.newest(a.Pattern, a.answer.Upto)
}

// answer hands the next answer to the hub.
func (r *reader) answer(fails bool) (busy bool) {
	if l := r.node.links[0]; l.frozen {
		return false
	} else if !l.connected {
		fails = true
	}
	for _, a := range r.asked {
		if a.heard {
			continue
		}
		if fails || !r.stream.leader || r.epoch != r.stream.epoch() {
			r.node.w.met[metNoAnswer]++
			r.vainAt = r.node.w.clock.now
			a.answer = topics.Answer{Err: errNoAnswer}
		}
		for _, m := range a.answer.Msgs {
			r.heard[topicByName([]byte(m.Subject))] = true
		}
		if r.steps.Hear(a.Inquiry, a.answer) {
			r.request(a, 0)
		} else {
			a.heard = true
		}
		r.conclude()
		return true
	}
	return false
}

// conclude ends the questions that are answered.
func (r *reader) conclude() {
	r.asked = slices.DeleteFunc(r.asked, func(a *inquiry) bool {
		return a.heard && r.steps.Conclude(a.Inquiry, r.node.w.clock.now > a.at+patience)
	})
}

// giveUp ends all questions: the stream is read no longer.
func (r *reader) giveUp() {
	for _, a := range r.asked {
		if !a.heard {
			r.vainAt = r.node.w.clock.now
			r.steps.Hear(a.Inquiry, topics.Answer{Err: errNoAnswer})
		}
		r.steps.Conclude(a.Inquiry, true)
	}
	r.asked = nil
}
