package topics

import (
	"fmt"
	"testing"

	"tickcast/broadcast/wire"
)

// A topic that is new since a client's cursor, under a pattern that has lost messages before the cursor, has its gap in front. It
// is told once at the same cursor.
func TestTornTopicIsToldToClientsThatComeBack(t *testing.T) {
	h := New(Config{Classes: []Class{{Match: "ord.>", Mode: ModeAll, History: 10}}})
	raise(t, h, "ord.*")
	h.Publish("ord.A", []byte("1"))
	h.Lose("nats was away", true, func(string) bool { return true })
	h.Publish("ord.A", []byte("2"))
	at := h.topics["ord.A"].seq
	h.Publish("ord.B", []byte("2"))
	b := h.topics["ord.B"]
	held := []Held{{h.topics["ord.A"], Position{Seq: at}}, {b, Position{Seq: b.seq}}}
	resume := func(seq, known uint64) (list []*Message, told uint64) {
		t.Helper()
		list, told, whole := h.Resume("ord.*", held, wire.Cursor{Epoch: h.Epoch(), Seq: seq}, known)
		if !whole {
			t.Errorf("a cursor behind the hole is not recovered")
		}
		return list, told
	}
	list, told := resume(at, 0)
	if len(list) != 2 || list[0].Kind != KindGap || list[0].Topic != b || list[1] != b.newest {
		t.Errorf("%d messages are due, not the gap and one behind it", len(list))
	}
	if b.newest.Prev != 0 {
		t.Errorf("the first message has p %d", b.newest.Prev)
	}
	if list, _ := resume(at, told); len(list) != 1 {
		t.Errorf("the gap is told twice: %d messages", len(list))
	}
	if list, _ := resume(b.seq, 0); len(list) != 0 {
		t.Errorf("%d messages are due after the last", len(list))
	}
	if n := h.Stats().Torn; n != 1 {
		t.Errorf("the gaps of %d topics are counted", n)
	}
	for range 10 {
		h.Publish("ord.B", []byte("3"))
	}
	if b.torn || len(h.torn) != 0 || h.Stats().Torn != 0 {
		t.Errorf("the gap of %d topics is kept although no cursor reaches it", len(h.torn))
	}
}

// The gaps in front of topics end with them, and the table of all gaps is small again.
func TestTornTopicsEndWithTheirMemory(t *testing.T) {
	const n = 20_000
	h := New(Config{Classes: []Class{{Match: "ord.>", Mode: ModeAll, History: 10}}})
	raise(t, h, "ord.*")
	h.Lose("nats was away", true, func(string) bool { return true })
	for i := range n {
		h.Publish(fmt.Sprintf("ord.%d", i), []byte("1"))
	}
	if got := h.Stats().Torn; got != n {
		t.Errorf("%d gaps, want %d", got, n)
	}
	h.Lower(0, "ord.*")
	h.reconcile(t.Context(), new(listUpstream), new(reconciler))
	if got := h.Stats().Torn; got != 0 || h.tornPeak >= shrinkFrom {
		t.Errorf("%d gaps are left; the table was not made anew since it held %d", got, h.tornPeak)
	}
}
