package client

import (
	"slices"
	"time"
)

// deliver hands a message to the handlers of each subscription that covers its topic.
func (s *subscriptions) deliver(m Message, hasPrev bool) {
	r := s.route(m.Topic)
	if len(r.to) > 0 && !slices.ContainsFunc(r.to, func(w *want) bool { return !w.apart }) {
		return
	}
	if m.Snapshot || !r.seen || m.Seq > r.last {
		if !m.Snapshot && m.Prev != 0 && r.seen && m.Prev != r.last {
			s.gap(m.Topic, "missing")
		}
		r.last, r.seen = m.Seq, true
	}
	for _, w := range r.to {
		if hasPrev {
			w.lossless = true // the mode of a pattern over several classes says nothing
		}
		if w.apart || hasPrev && !m.Snapshot && m.Seq <= w.again {
			continue
		}
		if w.lossless && !m.Snapshot && w.place != nil && !s.requests {
			w.place.seq = max(w.place.seq, m.Seq)
		}
		if w.epoch != "" && !(m.Snapshot && m.Seq < w.at.seq) {
			w.at = position{w.epoch, m.Seq}
		}
		w.newest[m.Topic] = m
		for _, h := range w.handlers {
			s.queue.message(h, m)
		}
	}
}

// gap says that messages of a topic are lost behind the last one.
func (s *subscriptions) gap(topic, why string) {
	r := s.route(topic)
	r.seen = false
	lossless, from := false, ""
	for _, w := range r.to {
		w.again = 0 // sequences may begin again behind a gap
		lossless = lossless || w.lossless
		if from == "" {
			from = w.at.String()
		}
	}
	if lossless {
		s.queue.lost(Lost{topic, from, why})
	}
}

// acked takes the answer to a sub. It returns how long the client should wait before it asks again, or 0.
func (s *subscriptions) acked(id int, a Ack) (wait time.Duration) {
	for _, t := range a.Topics {
		if w := s.byTopic[t.Topic]; w != nil && w.id == id {
			s.accepted(w, t)
		}
	}
	for _, e := range a.Errors {
		if w := s.byTopic[e.Topic]; w != nil && w.id == id {
			wait = max(wait, s.refuse(w, e))
		}
	}
	return wait
}

func (s *subscriptions) accepted(w *want, t AckTopic) {
	cursor, err := parseCursor(t.Cursor)
	w.settle() // the cursors behind this answer are not its own if it is apart
	if !t.Recovered && s.isApart(w, cursor) {
		s.apart, w.apart, w.state = true, true, wantDue
		return
	}
	w.lossless = w.lossless || t.Mode == "all"
	if t.Recovered {
		s.recovered(w, cursor.epoch)
	} else {
		s.beginAnew(w, cursor)
	}
	if err == nil {
		w.epoch = cursor.epoch
	}
	w.place = s.placeOf(w)
	w.known, w.state, w.tries = true, wantLive, 0
}

// recovered notes that the messages behind the cursor that was sent follow. By a request that may be another subscription's, which is
// further back.
func (s *subscriptions) recovered(w *want, epoch string) {
	if seq, ok := s.sent[epoch]; ok && s.requests && w.at.epoch == "" {
		w.at = position{epoch, seq}
	}
	w.again = w.at.seq
}

// beginAnew begins at the server's cursor. Messages before it are lost, if there were any to miss.
func (s *subscriptions) beginAnew(w *want, cursor position) {
	if w.known && w.lossless {
		why := "not recovered"
		if w.at.epoch == "" {
			why = "no cursor"
		}
		s.queue.lost(Lost{w.topic, w.at.String(), why})
	}
	for _, r := range s.under(w.topic) {
		r.seen = false
	}
	w.at, w.epoch, w.reach, w.again = cursor, "", 0, 0
}

// refuse takes the server's no. Of refusals that may pass, only the first in a row is told.
func (s *subscriptions) refuse(w *want, e AckError) (wait time.Duration) {
	retry, told := mayPass(e.Code), w.state == wantRefused || w.tries > 0 // each answer to a poll says no
	w.settle()
	w.state = wantRefused
	if !told {
		s.queue.error(&Error{Code: e.Code, Message: e.Message, Topic: w.topic, Retry: retry})
	}
	if !retry {
		return 0
	}
	w.state = wantLater
	w.tries++
	return backoff(w.tries - 1)
}

// refused says that a command was refused as a whole.
func (s *subscriptions) refused(id, code int, message string) (wait time.Duration) {
	for _, w := range s.wants {
		if w.id == id && w.state == wantSent {
			wait = max(wait, s.refuse(w, AckError{Code: code, Message: message}))
		}
	}
	return wait
}

// ended takes the subscriptions that a new token does not cover: the server has ended them.
func (s *subscriptions) ended(errors []AckError) {
	for _, e := range errors {
		if w := s.byTopic[e.Topic]; w != nil {
			s.refuse(w, e)
		}
	}
}
