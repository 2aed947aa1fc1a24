package client

import "testing"

// A subscription that is not recovered for another's sake keeps its place, whatever comes until the next request, and is told its loss
// if that does not help.
func TestApartKeepsItsPlace(t *testing.T) {
	var lost []Lost
	q := &queue{options: &Options{OnLost: func(l Lost) { lost = append(lost, l) }}}
	s := newSubscriptions(q)
	h := new(Subscription)
	s.add("a", h, 0, position{"E", 10})
	s.add("b", h, 0, position{"E", 5})
	expect := func(after string) {
		t.Helper()
		if form, _ := s.form(); form.Get("after") != after {
			t.Errorf("after %s, want %s", form.Get("after"), after)
		}
	}
	answer := func(recoveredA bool) {
		s.acked(0, Ack{Topics: []AckTopic{{Topic: "a", Mode: "all", Cursor: "E:50", Recovered: recoveredA}, {Topic: "b", Mode: "all", Cursor: "E:50", Recovered: true}}})
	}
	expect("E:5")
	answer(true)
	s.behind("E:20,~E:3")
	answer(false)
	s.deliver(Message{Topic: "a", Seq: 55, Prev: 50}, true)
	s.behind("E:60")
	s.reset()
	if len(q.items) > 0 {
		t.Errorf("%d messages and losses are told", len(q.items))
	}
	expect("E:20") // of a; b is further
	answer(false)
	for _, it := range q.items {
		it.call()
	}
	if len(lost) != 1 || lost[0] != (Lost{"a", "E:10", "not recovered"}) {
		t.Errorf("%+v", lost)
	}
}

// A message that comes once more reaches only the subscriptions that have missed it, and is no sign of a loss.
func TestMessagesThatComeOnceMore(t *testing.T) {
	q := &queue{options: &Options{}}
	s := newSubscriptions(q)
	one, all := new(Subscription), new(Subscription)
	s.add("a", one, 0, position{"E", 10})
	s.add("*", all, 0, position{"E", 5})
	s.form()
	s.acked(0, Ack{Topics: []AckTopic{{Topic: "a", Cursor: "E:50", Recovered: true}, {Topic: "*", Cursor: "E:50", Recovered: true}}})
	for _, m := range []Message{{Topic: "a", Seq: 7, Prev: 3}, {Topic: "a", Seq: 10, Prev: 7}, {Topic: "a", Seq: 12, Prev: 10}} {
		s.deliver(m, true)
	}
	counts := make(map[*Subscription]int)
	for _, it := range q.items {
		counts[it.to]++
	}
	if counts[one] != 1 || counts[all] != 3 || q.err != nil {
		t.Errorf("%d and %d messages, %v", counts[one], counts[all], q.err)
	}
	if form, _ := s.form(); form.Get("after") != "E:12" {
		t.Error(form)
	}
	s.gap("a", "the stream is new")
	s.deliver(Message{Topic: "a", Seq: 2}, true)
	if last := q.items[len(q.items)-1]; last.m.Seq != 2 {
		t.Errorf("%+v", last)
	}
}
