package broadcast

import (
	"testing"

	"tickcast/broadcast/topics"
	"tickcast/broadcast/wire"
)

// A message of ModeLast that the mailbox put in place of an older one comes before entries with lower sequences: no place counts it
// before these.
func TestPlaceDoesNotRunAheadOfAConflatedMailbox(t *testing.T) {
	cfg := openConfig()
	cfg.ConflateAbove = 1
	cfg.Classes = []topics.Class{{Match: "ord.>", Mode: topics.ModeAll, History: 100}}
	cfg.Epoch = func() string { return "e" }
	h := New(cfg)
	s := h.Shard(0)
	newRecorder(s)
	for slot := range uint32(2) {
		s.Join(slot, wire.CodecJSON, 0)
		s.Subscribe(slot, []string{"ord.A", "px.A"}, "", "")
	}
	drainAll(s)
	for range 3 { // px.A stands first, with the sequence of its last
		h.Publish("px.A", []byte("1"))
		h.Publish("ord.A", []byte("2"))
	}
	s.inbox.collect(s.mailbox)
	var got []uint64
	for s.inbox.queued() {
		m := s.inbox.next()
		s.places.note(m, &s.inbox)
		got = append(got, m.Seq, s.places.at(0, &s.inbox).Seq)
		if s.inbox.queued() && m.Topic.Class.Mode == topics.ModeLast && s.places.at(0, &s.inbox).Seq >= m.Seq {
			t.Errorf("after %d the place is %d", m.Seq, s.places.at(0, &s.inbox).Seq)
		}
		if f := s.filters.find(filterName{"px.A", 0}); m.Topic.Name == "px.A" { // a client that subscribes now
			f.topic.Seq = m.Seq
			if s.places.begin(f, &s.inbox); s.inbox.queued() && s.places.at(0, &s.inbox).Seq >= m.Seq {
				t.Errorf("a new client at %d begins at %d", m.Seq, s.places.at(0, &s.inbox).Seq)
			}
		}
	}
	if last := s.places.at(0, &s.inbox).Seq; last != 6 || got[0] != 5 {
		t.Errorf("the place is %d in the end: %v", last, got)
	}
}
