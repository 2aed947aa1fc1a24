package jetstream

import (
	"log/slog"
	"slices"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"tickcast/broadcast/natstest"
)

// A mirror has no message that its origin had removed before it was copied. The limits of the mirror say nothing about that.
func TestSinceOfAMirrorThatLacksMessages(t *testing.T) {
	nc, js := startJetStream(t, jetstream.StreamConfig{Name: "PX", Subjects: []string{"px.>"}, MaxMsgsPerSubject: 1})
	natstest.Store(t, js, "px.b 1", "px.a 2", "px.a 3", "px.a 4")
	natstest.CreateStream(t, nc, jetstream.StreamConfig{Name: "M", Mirror: &jetstream.StreamSource{Name: "PX"}, AllowDirect: true})
	s, err := Open(t.Context(), nc, Source{Name: "M", Pattern: "px.>"}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	for info, err := s.info(t.Context()); info == nil || info.State.LastSeq < 4; info, err = s.info(t.Context()) { // until it is copied
		if err != nil {
			t.Fatal(err)
		}
	}
	r, _ := follow(t, s, "px.>", Start{From: 1})
	r.await(t, "the newest", func() bool { return len(r.msgs) > 0 && r.msgs[len(r.msgs)-1].Seq == 4 })
	if len(r.gaps) == 0 {
		t.Errorf("got %q without a gap", texts(r.msgs))
	}
	msgs, whole, err := s.Since(t.Context(), "px.a", 1, 0, 10)
	if err != nil || whole || !slices.Equal(texts(msgs), []string{"px.a 4 4"}) {
		t.Errorf("Since = %q, %v, %v; want them not to be whole", texts(msgs), whole, err)
	}
}
