package client

import "time"

// deliver hands a message to the handlers of each subscription that covers its topic.
func (s *subscriptions) deliver(m Message, hasPrev bool) {
	r := s.route(m.Topic)
	if !m.Snapshot && m.Prev != 0 && r.seen && m.Prev != r.last {
		s.gap(m.Topic, "missing")
	}
	r.last, r.seen = m.Seq, true
	for _, w := range r.to {
		if hasPrev {
			w.lossless = true // the mode of a pattern over several classes says nothing
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
	w.lossless = w.lossless || t.Mode == "all"
	cursor, err := parseCursor(t.Cursor)
	if !t.Recovered {
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
		w.at, w.epoch = cursor, ""
	}
	if err == nil {
		w.epoch = cursor.epoch
	}
	w.known, w.state, w.tries = true, wantLive, 0
}

// refuse takes the server's no. Of refusals that may pass, only the first in a row is told.
func (s *subscriptions) refuse(w *want, e AckError) (wait time.Duration) {
	retry := mayPass(e.Code)
	w.state = wantRefused
	if w.tries == 0 {
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
