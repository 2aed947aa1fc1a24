package topics

import (
	"fmt"
	"strings"
	"testing"

	"tickcast/broadcast/wire"
)

// starred returns n different patterns that all match "a.a.a....x", with 14 tokens before the last.
func starred(n int) (list []string) {
	for k := range n {
		b := []byte(strings.Repeat("a.", 14))
		for bit := range 14 {
			if k>>bit&1 == 1 {
				b[2*bit] = '*'
			}
		}
		list = append(list, string(b)+">")
	}
	return list
}

// The end of patterns visits the topics under one pattern, or all topics once, and not all topics for each pattern.
func TestEndOfPatternsCostsTheirTopics(t *testing.T) {
	for _, row := range []struct{ patterns, topics int }{{1, 1}, {1, 100}, {1, 10_000}, {100, 100}, {10, 10_000}, {10_000, 1}, {10_000, 10}} {
		h := New(Config{})
		patterns := starred(row.patterns)
		for _, p := range patterns {
			raise(t, h, p)
		}
		for i := range row.topics {
			h.Publish(fmt.Sprintf("%s%d", strings.Repeat("a.", 14), i), []byte("1"))
		}
		h.steps = 0
		for _, p := range patterns {
			h.Lower(0, p)
		}
		_, idle := h.takeChanged()
		for _, l := range idle {
			h.expire(l)
		}
		h.removeLeft()
		if n, most := int(h.steps), min(row.patterns, sweepPatterns)*row.topics; n > most || len(h.topics) > 0 {
			t.Errorf("%d patterns over %d topics: %d steps, want at most %d; %d topics are left", row.patterns, row.topics, n, most, len(h.topics))
		}
	}
}

// Calls about many topics hold the lock for a bounded number of steps at a time, and take steps in proportion to the topics and to the
// messages that they find.
func TestLockIsHeldForABoundedTime(t *testing.T) {
	for _, n := range []int{1, 100, 10_000} {
		h := New(Config{Classes: []Class{{Match: "ord.>", Mode: ModeAll, History: 3}}})
		raise(t, h, "ord.*")
		var names []string
		for i := range n {
			names = append(names, fmt.Sprintf("ord.%d", i))
		}
		for range 4 {
			for _, name := range names {
				h.Publish(name, []byte("1"))
			}
		}
		var held []Held
		for _, name := range names {
			raise(t, h, name)
			held = append(held, Held{h.topics[name], Position{Seq: h.topics[name].seq}})
		}
		w := NewWaiter(0)
		count := func(what string, most, once int, op func()) {
			t.Helper()
			h.steps, h.longest = 0, 0
			op()
			if h.steps > uint64(most) || h.steps == 0 {
				t.Errorf("%d topics: %s takes %d steps, want at most %d", n, what, h.steps, most)
			}
			if h.longest > once || h.longest == 0 {
				t.Errorf("%d topics: %s takes %d steps with the lock held, want at most %d", n, what, h.longest, once)
			}
		}
		count("Resume", 3*n, stepsLocked+2, func() {
			list, _, whole := h.Resume("ord.*", held, wire.Cursor{Epoch: h.Epoch(), Seq: h.total - uint64(2*n)}, 0)
			if !whole || len(list) != 2*n {
				t.Errorf("%d topics: %d messages are missed, all of them: %v", n, len(list), whole)
			}
		})
		count("Resume up to date", n, stepsLocked, func() { h.Resume("ord.*", held, wire.Cursor{Epoch: h.Epoch(), Seq: h.total}, 0) })
		count("Hold", n, stepsLocked, func() { h.Hold(names, w) })
		count("GiveUp", n, stepsLocked, func() { h.GiveUp(w) })
		count("Release", n, stepsLocked, func() { h.Release(w) })
		count("the look for a question", n, stepsLocked, func() {
			h.mu.Lock()
			defer h.unlock()
			h.interests["ord.*"].since = 0
			h.knows(h.interests["ord.*"], h.classes.of(names[0]), h.total)
		})
	}
}

// A command asks streams about its topics one after the other. It goes on when all have answered, and not when those have that were
// asked first.
func TestEarlyAnswersAreNotAllAnswers(t *testing.T) {
	h := New(Config{Classes: []Class{{Match: "st.>", Snapshot: SnapshotStream}}})
	h.readers[0].begin("E", 0)
	w := NewWaiter(0)
	answer := func(name string) {
		h.mu.Lock()
		defer h.unlock()
		h.readers[0].endLoad(h.topics[name].loading, nil, nil, true)
	}
	answers := func(want int, when string) {
		t.Helper()
		if n := len(h.boxes[0].answers); n != want {
			t.Errorf("%s: %d answers, want %d", when, n, want)
		}
	}
	for _, name := range []string{"st.a", "st.b", "st.c"} {
		if h.Await(name, nil, 0, w) != AskPast {
			t.Fatalf("%s waits for nothing", name)
		}
		if name != "st.c" {
			answer(name)
			answers(0, "before all are asked")
		}
	}
	h.Asked(w)
	answers(0, "before the last answer")
	answer("st.c")
	answers(1, "in the end")
}

// A name on which nothing was ever published ends with its last subscriber, whatever patterns match it.
func TestUnheardTopicsEndUnderAPattern(t *testing.T) {
	h := New(Config{})
	raise(t, h, ">")
	for _, name := range []string{"a", "b"} {
		raise(t, h, name)
	}
	h.Publish("b", []byte("1"))
	for _, name := range []string{"a", "b"} {
		h.Lower(0, name)
	}
	_, idle := h.takeChanged()
	for _, l := range idle {
		h.expire(l)
	}
	if len(h.topics) != 1 || h.topics["b"] == nil {
		t.Errorf("%d topics are left, want b alone", len(h.topics))
	}
}

// The end of a subscription at upstream visits the topics that it brought, and not those of other subscriptions that end.
func TestEndOfSubscriptionsCostsTheirTopics(t *testing.T) {
	all := func(string) bool { return true }
	for _, n := range []int{1, 100, 10_000} {
		h, up := New(Config{}), new(listUpstream)
		var names []string
		for i := range n {
			names = append(names, fmt.Sprintf("a.%d", i))
		}
		for _, name := range append(names, "a.>", "b.*") { // the subscriptions to single topics are the first, and so the owners
			raise(t, h, name)
			lookOnce(t, h, up)
		}
		h.Publish("b.x", []byte("1"))
		for _, name := range names {
			h.Publish(name, []byte("1"))
			h.Lower(0, name)
		}
		h.Lower(0, "b.*")
		h.reconcile(t.Context(), up, new(reconciler))
		for _, name := range names {
			h.Deliver(name, []byte("2"), name)
			h.Deliver(name, []byte("2"), "a.>")
		}
		if len(h.seams) != n {
			t.Fatalf("%d seams, want %d", len(h.seams), n)
		}
		h.steps = 0
		h.Ended("b.*", all)
		if h.steps > 1 {
			t.Errorf("%d topics: the end of another subscription takes %d steps", n, h.steps)
		}
		for _, name := range names {
			h.Ended(name, all)
		}
		if most := uint64(3*n + 1); h.steps > most || len(h.seams) > 0 {
			t.Errorf("%d topics: %d steps, want at most %d; %d seams are left", n, h.steps, most, len(h.seams))
		}
	}
}

// Patterns over the same topics that end one after the other look at each pair of them a few times, and not at all pairs for each end.
func TestEndOfManyPatternsCostsTheirPairs(t *testing.T) {
	all := func(string) bool { return true }
	for _, levels := range []int{1, 4, 8} {
		h, up := New(Config{}), new(listUpstream)
		const topics = 20
		patterns := []string{"p"}
		for range levels {
			var longer []string
			for _, p := range patterns {
				longer = append(longer, p+".a", p+".*")
			}
			patterns = longer
		}
		for i := range patterns {
			patterns[i] += ".>"
		}
		for _, p := range append(patterns, "p.>") { // the last one stays
			raise(t, h, p)
			lookOnce(t, h, up)
		}
		base := "p" + strings.Repeat(".a", levels)
		for i := range topics {
			h.Publish(fmt.Sprintf("%s.%d", base, i), []byte("1"))
		}
		if len(h.topics) != topics {
			t.Fatalf("%d topics", len(h.topics))
		}
		for _, p := range patterns {
			h.Lower(0, p)
		}
		h.reconcile(t.Context(), up, new(reconciler))
		h.steps = 0
		for _, p := range patterns {
			h.Ended(p, all)
		}
		if pairs := uint64(len(patterns) * topics); h.steps > 6*pairs || h.steps < pairs {
			t.Errorf("%d patterns over %d topics: their ends take %d steps for %d pairs", len(patterns), topics, h.steps, pairs)
		}
		if len(h.heirs) > 0 {
			t.Errorf("heirs of %d topics are left", len(h.heirs))
		}
	}
}

// The new owners of the topics of a subscription that ends are worked out before its place among the messages, while others have the
// lock now and then. At that place each topic is looked at a few times, however many patterns are over it. Topics that nobody wants any
// more are gone by then.
func TestEndOfASubscriptionIsPrepared(t *testing.T) {
	all := func(string) bool { return true }
	for _, row := range []struct{ patterns, topics int }{{1, 1}, {1, 100}, {1, 10_000}, {100, 100}, {1000, 100}} {
		for _, stays := range []bool{true, false} {
			h, up := New(Config{}), new(listUpstream)
			patterns := starred(row.patterns)
			for _, p := range patterns {
				raise(t, h, p)
				lookOnce(t, h, up)
			}
			last := strings.Repeat("a.", 14) + "*"
			raise(t, h, last)
			lookOnce(t, h, up)
			for i := range row.topics {
				h.Publish(fmt.Sprintf("%s%d", strings.Repeat("a.", 14), i), []byte("1"))
			}
			other := "z.>" // the owners are not known any more
			raise(t, h, other)
			lookOnce(t, h, up)
			for _, p := range patterns {
				h.Lower(0, p)
			}
			if !stays {
				h.Lower(0, last)
			}
			h.longest = 0
			h.reconcile(t.Context(), up, new(reconciler))
			if most := stepsLocked + 2*row.patterns + 2; h.longest > most {
				t.Errorf("%+v: the lock is held for %d steps, want at most %d", row, h.longest, most)
			}
			left := row.topics
			if !stays {
				left = 0
			}
			if len(h.topics) != left {
				t.Fatalf("%+v: %d topics are left, want %d", row, len(h.topics), left)
			}
			for _, p := range patterns {
				e := h.Ended(p, all)
				if most := 6*left + 1; !e.Ended || e.Steps > most {
					t.Errorf("%+v: the end of %s takes %d steps, want at most %d", row, p, e.Steps, most)
					break
				}
			}
			for _, topic := range h.topics {
				if h.own(topic); topic.owner == nil || topic.owner.subject != last {
					t.Fatalf("%+v: %s has another owner", row, topic.Name)
				}
			}
			if len(h.heirs) > 0 {
				t.Errorf("%+v: heirs of %d topics are left", row, len(h.heirs))
			}
		}
	}
}

// The answer of a stream about many topics, and the questions that are asked again, hold the lock for a bounded number of steps at a
// time.
func TestLoadsHoldTheLockForABoundedTime(t *testing.T) {
	for _, n := range []int{1, 100, 10_000} {
		h := New(Config{Classes: []Class{{Match: "st.>", Snapshot: SnapshotStream, Mode: ModeAll, History: 3}}})
		s := h.readers[0]
		s.begin("E", 0)
		raise(t, h, "st.>")
		count := func(what string, most int, op func()) {
			t.Helper()
			h.steps, h.longest = 0, 0
			h.mu.Lock()
			op()
			h.unlock()
			if h.steps > uint64(most) || h.steps == 0 {
				t.Errorf("%d topics: %s takes %d steps, want at most %d", n, what, h.steps, most)
			}
			if h.longest > stepsLocked || h.longest == 0 {
				t.Errorf("%d topics: %s takes %d steps with the lock held, want at most %d", n, what, h.longest, stepsLocked)
			}
		}
		var newest []StreamMessage
		for i := range n {
			newest = append(newest, StreamMessage{Subject: fmt.Sprintf("st.%d", i), Data: []byte("1"), Seq: uint64(i + 1)})
		}
		l := h.interests["st.>"].loads[0]
		count("the answer", n, func() { s.endLoad(l, newest, nil, true) })
		if len(h.topics) != n || h.interests["st.>"].since == unknown {
			t.Errorf("%d of %d topics have begun", len(h.topics), n)
		}
		s.loads = nil
		for _, m := range newest {
			h.topics[m.Subject].since = unknown
		}
		for i := range n {
			raise(t, h, fmt.Sprintf("st.%d.*", i))
		}
		for _, l := range s.loads {
			l.interest.loads = nil
		}
		s.loads = nil
		count("asking again", 3*n+1, s.reload)
		if len(s.loads) != 2*n {
			t.Errorf("%d questions about %d topics and as many patterns", len(s.loads), n)
		}
	}
}
