package fleet

import (
	"bytes"
	"slices"
)

func newLedger(w *worker, cfg *Account) *ledger {
	f := w.fleet
	l := &ledger{
		tape: cfg.Tape, run: cfg.Run, topics: f.topics, perClient: f.plan.each,
		lossless: cfg.Lossless, bound: int64(cfg.Bound),
		subs:       make([]subscription, len(w.clients)*f.plan.each),
		byTopic:    make([]TopicLedger, len(f.topics)),
		broadcasts: make([]BroadcastLedger, MaxBroadcasts),
		latency:    NewHistogram(),
		ages:       NewHistogram(),
	}
	var places []uint32
	for slot := range w.clients {
		places = f.plan.appendTopics(places[:0], w.number(slot))
		for j, k := range places {
			l.subscriptionsOf(int32(slot))[j] = subscription{topic: k, base: unanswered}
		}
	}
	return l
}

// startOwing puts the client's subscriptions into force: the server owes it all messages from now on. late is for a server
// without answers, which may have published before it subscribed the client. The first message that comes is then the first
// that it owes.
func (w *worker) startOwing(slot int32, late bool) {
	l, c := w.ledger, &w.clients[slot]
	subs := l.subscriptionsOf(slot)
	for j := range subs {
		s := &subs[j]
		s.base = l.tape.Count(s.topic)
		if late && s.base > 0 {
			s.base, s.last = unanswered, w.tenths() // Subtle: last is the time, until the first message comes
			continue
		}
		if c.role.owed() {
			t := &l.byTopic[s.topic]
			t.Live++
			t.Reached += uint64(max(s.base, s.last))
		}
	}
}

// stopOwing ends the subscriptions of a client that ended.
func (w *worker) stopOwing(slot int32) {
	l, c := w.ledger, &w.clients[slot]
	subs := l.subscriptionsOf(slot)
	for j := range subs {
		s := &subs[j]
		if s.base != unanswered && c.role.owed() {
			t := &l.byTopic[s.topic]
			t.Live--
			t.Reached -= uint64(max(s.base, s.last))
		}
		*s = subscription{topic: s.topic, base: unanswered}
	}
}

// accountFor accounts for a message of the server. It reports whether the message is data.
func (w *worker) accountFor(slot int32, payload []byte) bool {
	l := w.ledger
	if !bytes.Equal(payload, l.text) {
		ours, good := l.parseMessage(w, slot, payload)
		if !good {
			l.text = l.text[:0]
			return ours
		}
		l.text = append(l.text[:0], payload...)
	}
	for _, t := range l.parsed {
		l.countDelivery(w, slot, t)
	}
	return len(l.parsed) > 0
}

// parseMessage finds the ticks of a message, and reports whether it is a data message. A good message has ticks that may be
// counted for other clients too. parseMessage has already accounted for a message that is not good, for this client alone.
func (l *ledger) parseMessage(w *worker, slot int32, payload []byte) (data, good bool) {
	l.parsed = l.parsed[:0]
	ours := bytes.HasPrefix(payload, dataPrefix)
	good = true
	for rest := payload; ; {
		t, behind, found, whole := parseTick(rest)
		switch {
		case !found && len(rest) == len(payload) && ours && l.publishes():
			// The topics are the run's own, so no other publisher sends on them.
			l.countCorrupted(w, slot, Trouble{Kind: "corrupted"})
			return true, false
		case !found && good:
			return ours || len(l.parsed) > 0, len(l.parsed) > 0
		case !found:
			l.countParsed(w, slot)
			return true, false
		case whole && t.run != l.run:
			l.unknown++ // for example the newest message of an earlier run
			good = false
		case !whole, int(t.topic) >= len(l.topics), ours && !l.namesTopic(payload, t.topic):
			l.countParsed(w, slot) // the earlier ones
			l.acceptBroken(w, slot, t)
			good = false
		default:
			l.parsed = append(l.parsed, t)
		}
		rest = behind
	}
}

// countParsed accounts for the ticks found so far of a bad message, and forgets them.
func (l *ledger) countParsed(w *worker, slot int32) {
	for _, t := range l.parsed {
		l.countDelivery(w, slot, t)
	}
	l.parsed = l.parsed[:0]
}

// acceptBroken accounts for a tick that was changed on its way. If it is the next one of its topic, it counts as received,
// so that it is not missing too.
func (l *ledger) acceptBroken(w *worker, slot int32, t tick) {
	l.countCorrupted(w, slot, Trouble{Topic: t.topic, Seq: t.seq, Kind: "corrupted"})
	for j := range l.subscriptionsOf(slot) {
		s := &l.subscriptionsOf(slot)[j]
		if s.topic == t.topic && s.base != unanswered && t.seq == max(s.base, s.last)+1 {
			l.advanceTo(w, slot, s, t.seq)
		}
	}
}

func (l *ledger) countCorrupted(w *worker, slot int32, t Trouble) {
	l.corrupted++
	l.keepTrouble(w, slot, t)
}

// keepTrouble keeps an example of a trouble.
func (l *ledger) keepTrouble(w *worker, slot int32, t Trouble) {
	if len(l.troubles) < MaxTroubles {
		t.Client, t.Count = w.number(int(slot)), max(t.Count, 1)
		l.troubles = append(l.troubles, t)
	}
}

// forgetTrouble forgets an example that turned out to be wrong.
func (l *ledger) forgetTrouble(w *worker, slot int32, t Trouble) {
	t.Client = w.number(int(slot))
	l.troubles = slices.DeleteFunc(l.troubles, func(o Trouble) bool { return o == t })
}

// countDelivery accounts for an unchanged tick of this run.
func (l *ledger) countDelivery(w *worker, slot int32, t tick) {
	var s *subscription
	subs := l.subscriptionsOf(slot)
	for j := range subs {
		if subs[j].topic == t.topic {
			s = &subs[j]
			break
		}
	}
	if s == nil {
		l.misrouted++
		l.keepTrouble(w, slot, Trouble{Topic: t.topic, Seq: t.seq, Kind: "misrouted"})
		return
	}
	if s.base == unanswered && w.clients[slot].replied {
		// The server does not answer subscriptions: this one is in force from this message on.
		s.base, s.last = t.seq-1, t.seq-1
		if w.clients[slot].role.owed() {
			l.byTopic[s.topic].Live++
			l.byTopic[s.topic].Reached += uint64(s.base)
		}
	}
	if l.advanceTo(w, slot, s, t.seq) && t.seq > s.base {
		l.timeDelivery(w, slot, t)
	}
}

// timeDelivery judges the latency of a delivery. For all clients except the probes it counts to the begin of the turn.
func (l *ledger) timeDelivery(w *worker, slot int32, t tick) {
	c := &w.clients[slot]
	if !c.role.owed() {
		return
	}
	took := w.turned - t.at
	if c.probe {
		took = w.fleet.now() - t.at
		record(l.latency, took)
	}
	if l.bound > 0 && took > l.bound {
		if l.late++; l.late <= lateTroubles { // the others are for worse troubles
			l.keepTrouble(w, slot, Trouble{Topic: t.topic, Seq: t.seq, Kind: "late"})
		}
	}
	if t.number < uint64(len(l.broadcasts)) {
		b := &l.broadcasts[t.number]
		b.At, b.Topic, b.Seq = t.at, t.topic, t.seq
		b.Received++
		if n := len(l.touched); n == 0 || l.touched[n-1] != t.number {
			l.touched = append(l.touched, t.number)
		}
	}
}

// advanceTo accounts for message n of a subscription and reports whether it came for the first time.
func (l *ledger) advanceTo(w *worker, slot int32, s *subscription, n uint32) bool {
	t := &l.byTopic[s.topic]
	owed := w.clients[slot].role.owed()
	switch back := s.last - n; {
	case n > s.last:
		if from := max(s.base, s.last); n > from && owed {
			t.Received++
			t.Reached += uint64(n - from)
			if gap := n - from - 1; gap > 0 && l.lossless {
				t.Missing += uint64(gap)
				l.keepTrouble(w, slot, Trouble{Topic: s.topic, Seq: from + 1, Count: gap, Kind: "missing"})
			} else {
				t.Conflated += uint64(gap)
			}
		}
		// Shifts of the word's size or more give 0, as they should.
		s.seen = s.seen<<(n-s.last) | 1
		s.last = n
		return true
	case back < window && s.seen&(1<<back) != 0:
		t.Doubled++
		l.keepTrouble(w, slot, Trouble{Topic: s.topic, Seq: n, Kind: "doubled"})
	default:
		t.OutOfOrder++
		l.keepTrouble(w, slot, Trouble{Topic: s.topic, Seq: n, Kind: "out of order"})
		if back >= window || n <= s.base || !owed {
			return back < window
		}
		s.seen |= 1 << back // it was counted as lost
		t.Received++
		if l.lossless {
			t.Missing--
			l.forgetTrouble(w, slot, Trouble{Topic: s.topic, Seq: n, Count: 1, Kind: "missing"})
		} else {
			t.Conflated--
		}
		return true
	}
	return false
}

// countSilent returns the number of subscriptions without a message, though one was published well after them. It is for
// servers that do not answer subscriptions.
func (l *ledger) countSilent(w *worker) (n int) {
	if w.fleet.acks {
		return 0
	}
	now := w.fleet.now()
	for slot := range w.clients {
		if c := &w.clients[slot]; c.state != stateOpen || !c.role.owed() {
			continue
		}
		for _, s := range l.subscriptionsOf(int32(slot)) {
			since := now - int64(w.tenths()-s.last)*int64(tenth)
			if s.base == unanswered && l.tape.newest(s.topic) > since+int64(grace) {
				n++
			}
		}
	}
	return n
}

// appendOwed appends examples of owed messages that have not come yet.
func (l *ledger) appendOwed(w *worker, troubles []Trouble) []Trouble {
	for slot := range w.clients {
		if !w.clients[slot].role.owed() {
			continue
		}
		for _, s := range l.subscriptionsOf(int32(slot)) {
			if len(troubles) >= MaxTroubles {
				return troubles
			}
			if s.base == unanswered {
				continue
			}
			if from, now := max(s.base, s.last), l.tape.Count(s.topic); from < now {
				troubles = append(troubles, Trouble{w.number(slot), s.topic, from + 1, now - from, "missing"})
			}
		}
	}
	return troubles
}
