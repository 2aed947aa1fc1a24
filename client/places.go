package client

import (
	"encoding/json"
	"net/url"
)

// settle notes how far a subscription has come, when its messages end or another command counts for it.
func (w *want) settle() {
	if w.place != nil {
		w.reach = max(w.reach, w.place.seq)
		w.place = nil
	}
}

// end returns the sequence up to which nothing is missing.
func (w *want) end() uint64 { return max(w.at.seq, w.reach) }

// placeOf returns the place of a subscription that the server has accepted; nil if its epoch is not known.
func (s *subscriptions) placeOf(w *want) *place {
	if w.epoch == "" {
		return nil
	}
	key := placeKey{w.id, w.epoch}
	p := s.places[key]
	if p == nil {
		p = new(place)
		s.places[key] = p
	}
	return p
}

// behind takes the cursors that the server names behind the messages of a request.
func (s *subscriptions) behind(cursors string) {
	for _, c := range parseCursors(cursors) {
		if p := s.places[placeKey{0, c.epoch}]; p != nil {
			p.seq = max(p.seq, c.seq)
		}
	}
}

// form returns the request that names all subscriptions, and the list of topics without a cursor of their own beside others with one;
// nil if there is no subscription. A cursor holds for all topics of its epoch, so it is the lowest of theirs: what is sent once more
// is left out.
func (s *subscriptions) form() (form url.Values, unplaced string) {
	s.forgetGone()
	if len(s.wants) == 0 {
		return nil, ""
	}
	lowest := s.lowest()
	s.requests, s.retried, s.apart = true, s.apart, false
	s.sent = make(map[string]uint64)
	for _, p := range lowest[:min(len(lowest), maxCursors)] {
		s.sent[p.epoch] = p.seq
	}
	var all, without []string
	rate := s.wants[0].rate
	for _, w := range s.wants {
		w.id, w.state = 0, wantSent
		all = append(all, w.topic)
		if !w.known || !w.lossless {
			without = append(without, w.topic)
		}
		if w.rate != rate {
			rate = 0
		}
	}
	form = url.Values{"topics": {list(all)}}
	if rate > 0 {
		form.Set("rate", formatRate(rate))
	}
	if len(lowest) > 0 {
		form.Set("after", joinCursors(lowest))
		if len(without) > 0 {
			unplaced = list(without)
		}
	}
	return form, unplaced
}

// list returns a list of topics as JSON: a topic may hold a comma.
func list(topics []string) string {
	b, err := json.Marshal(topics)
	if err != nil {
		panic(err) // strings alone
	}
	return string(b)
}

// lowest returns the lowest end of the lossless subscriptions of each epoch.
func (s *subscriptions) lowest() (places []position) {
	index := make(map[string]int)
	for _, w := range s.wants {
		if !w.lossless || w.at.epoch == "" {
			continue
		}
		i, ok := index[w.at.epoch]
		if !ok {
			index[w.at.epoch] = len(places)
			places = append(places, position{w.at.epoch, w.end()})
			continue
		}
		places[i].seq = min(places[i].seq, w.end())
	}
	return places
}

// isApart reports whether a subscription was not recovered for another's sake: the cursor of its epoch was further back than its own.
// Once the other one has begun anew, and the server has named the cursor behind that, a second request has a later cursor.
func (s *subscriptions) isApart(w *want, cursor position) bool {
	seq, ok := s.sent[w.at.epoch]
	return ok && s.requests && !s.retried && w.known && w.lossless && cursor.epoch == w.at.epoch && seq < w.end()
}

// isDue reports whether the request of a transport without commands names other subscriptions than the application wants.
func (s *subscriptions) isDue() bool {
	for _, w := range s.wants {
		if w.state == wantDue || len(w.handlers) == 0 {
			return true
		}
	}
	return false
}
