package broadcast

import (
	"testing"

	"tickcast/broadcast/topics"
	"tickcast/broadcast/wire"
)

// Without memory new topics are refused, and memory kept for future clients goes before the client whose queue weighs the most.
func TestRelief(t *testing.T) {
	h, s, out := hubOf(Config{QueueBytes: 1 << 20}, topics.Class{Match: "ord.>", Mode: topics.ModeAll, History: 1000})
	s.Subscribe(0, []string{"ord.A", "b"}, "", "")
	s.Subscribe(1, []string{"ord.A"}, "", "")
	out.room[0] = 0
	for range 50 {
		h.Publish("ord.A", []byte("1"))
		h.Publish("b", []byte("1"))
	}
	drainAll(s)
	h.SetFull(true)
	out.takeTold(t, 1)
	s.Subscribe(1, []string{"new", "b"}, "", "")
	if got := out.takeTold(t, 1)[0]; len(got.Errors) != 1 || got.Errors[0].Topic != "new" || got.Errors[0].Code != wire.CodeLimit {
		t.Errorf("got %+v", got)
	}
	h.SetFull(false)
	h.Relieve()
	drainAll(s)
	if st := h.Stats(); st.HistoryBytes+st.NewestBytes != 0 || st.Shed != 1 || s.subs.At(0).joined() || !s.subs.At(1).joined() {
		t.Errorf("%+v", st)
	}
	checkShards(t, h)
}
