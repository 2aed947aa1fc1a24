package jetstream

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"tickcast/broadcast/natstest"
)

func TestFollowBeginsAtItsStart(t *testing.T) {
	nc, js := startJetStream(t, jetstream.StreamConfig{Name: "O", Subjects: []string{"ord.>"}})
	natstest.Store(t, js, "ord.a 1", "ord.b 2", "ord.a 3", "ord.c.d 4")
	s := mustOpen(t, nc, "ord.>")
	tests := []struct {
		name, filter string
		at           Start
		after        uint64
		want         []string
	}{
		{"now", "ord.>", Start{}, 4, []string{"ord.a 5 5", "ord.b 6 6"}},
		{"a sequence", "ord.>", Start{From: 3}, 2, []string{"ord.a 3 3", "ord.c.d 4 4", "ord.a 5 5", "ord.b 6 6"}},
		{"the first", "ord.a", Start{From: 1}, 0, []string{"ord.a 1 1", "ord.a 3 3", "ord.a 5 5"}},
		{"the newest", "ord.*", Start{LastPerSubject: true}, 4, []string{"ord.b 2 2", "ord.a 3 3", "ord.a 5 5", "ord.b 6 6"}},
		{"the newest of none", "ord.none", Start{LastPerSubject: true}, 0, nil},
	}
	var recorders []*sinkRecorder
	for _, tt := range tests {
		r, _ := follow(t, s, tt.filter, tt.at)
		recorders = append(recorders, r)
	}
	natstest.Store(t, js, "ord.a 5", "ord.b 6")
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := recorders[i]
			r.await(t, "the messages", func() bool { return len(r.msgs) >= len(tt.want) })
			if got := texts(r.msgs); !slices.Equal(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if len(r.gaps) > 0 || r.last != 4 || tt.name != "the newest of none" && r.after != tt.after {
				t.Errorf("Ready(%d, %d), gaps %v", r.after, r.last, r.gaps)
			}
		})
	}
}

func TestFollowReportsRemovedMessages(t *testing.T) {
	nc, js := startJetStream(t, jetstream.StreamConfig{Name: "O", Subjects: []string{"ord.>"}, MaxMsgs: 3})
	natstest.Store(t, js, "ord.a 1", "ord.a 2", "ord.b 3", "ord.a 4", "ord.a 5") // 3, 4, 5 are left
	s := mustOpen(t, nc, "ord.>")
	tests := []struct {
		filter string
		from   uint64
		gap    [2]uint64
	}{
		{"ord.>", 1, [2]uint64{0, 3}},
		{"ord.>", 3, [2]uint64{}},
		{"ord.a", 2, [2]uint64{1, 6}},
		{"ord.a", 3, [2]uint64{}},
	}
	for _, tt := range tests {
		r, _ := follow(t, s, tt.filter, Start{From: tt.from})
		r.await(t, "the newest", func() bool { return len(r.msgs) > 0 && r.msgs[len(r.msgs)-1].Seq == 5 })
		if got := append(r.gaps, [2]uint64{})[0]; got != tt.gap || len(r.gaps) > 1 {
			t.Errorf("%s from %d: gaps %v, want %v", tt.filter, tt.from, r.gaps, tt.gap)
		}
	}
}

func TestFollowReportsDeletedMessagesInTheMiddle(t *testing.T) {
	nc, js := startJetStream(t, jetstream.StreamConfig{Name: "O", Subjects: []string{"ord.>"}})
	natstest.Store(t, js, "ord.a 1", "ord.a 2", "ord.b 3")
	remove(t, js, "O", 2)
	r, _ := follow(t, mustOpen(t, nc, "ord.>"), "ord.>", Start{From: 1})
	r.await(t, "the newest", func() bool { return len(r.msgs) == 2 })
	if want := [][2]uint64{{1, 3}}; !slices.Equal(r.gaps, want) {
		t.Errorf("gaps %v, want %v", r.gaps, want)
	}
}

func remove(t *testing.T, js jetstream.JetStream, name string, seq uint64) {
	t.Helper()
	s, err := js.Stream(t.Context(), name)
	if err == nil {
		err = s.DeleteMsg(t.Context(), seq)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// The newest message was deleted: the stream's last sequence is larger than the reader's, but there is no message to read.
func TestFollowPassesDeletedMessagesAtTheEnd(t *testing.T) {
	nc, js := startJetStream(t, jetstream.StreamConfig{Name: "O", Subjects: []string{"ord.>"}})
	natstest.Store(t, js, "ord.a 1", "ord.a 2")
	remove(t, js, "O", 2)
	r := newSinkRecorder()
	reader := &reader{stream: mustOpen(t, nc, "ord.>"), to: r, filter: "ord.>", whole: true, last: 1, placed: true}
	idle := uint64(1)
	for range 2 {
		if err := reader.checkIdle(t.Context(), &idle); err != nil {
			t.Fatal(err)
		}
	}
	if want := [][2]uint64{{1, 3}}; reader.last != 2 || !slices.Equal(r.gaps, want) {
		t.Errorf("read up to %d, gaps %v", reader.last, r.gaps)
	}
	natstest.Store(t, js, "ord.a 3")
	err := reader.checkIdle(t.Context(), &idle)
	if err = errors.Join(err, reader.checkIdle(t.Context(), &idle)); !errors.Is(err, errSilent) {
		t.Errorf("a message that was not delivered: %v", err)
	}
}

func TestFollowGoesOnWhenItsConsumerIsDeleted(t *testing.T) {
	nc, js := startJetStream(t, jetstream.StreamConfig{Name: "O", Subjects: []string{"ord.>"}})
	s := mustOpen(t, nc, "ord.>")
	r, _ := follow(t, s, "ord.*", Start{})
	natstest.Store(t, js, "ord.a 1", "ord.b 2")
	r.await(t, "the first", func() bool { return len(r.msgs) == 2 })
	stored, err := js.Stream(t.Context(), "O")
	if err != nil {
		t.Fatal(err)
	}
	for name := range stored.ConsumerNames(t.Context()).Name() {
		if err := stored.DeleteConsumer(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	natstest.Store(t, js, "ord.a 3")
	r.await(t, "the next", func() bool { return len(r.msgs) == 3 })
	if want := []string{"ord.a 1 1", "ord.b 2 2", "ord.a 3 3"}; !slices.Equal(texts(r.msgs), want) || len(r.gaps) > 0 {
		t.Errorf("got %q, gaps %v", texts(r.msgs), r.gaps)
	}
}

// A reader that begins again among the newest messages of each subject delivers each once. It reports a gap where it may have
// skipped messages.
func TestFollowGoesOnAmongTheNewest(t *testing.T) {
	nc, js := startJetStream(t, jetstream.StreamConfig{Name: "O", Subjects: []string{"ord.>"}})
	natstest.Store(t, js, "ord.a 1", "ord.b 2", "ord.c 3", "ord.d 4", "ord.c 5", "ord.c 6")
	r := newSinkRecorder()
	reader := &reader{stream: mustOpen(t, nc, "ord.>"), to: r, filter: "ord.>", newest: true, ready: true,
		last: 2, newestEnd: 4} // interrupted after 1 and 2, when 4 was the newest
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); _ = reader.readConsumer(ctx) }() // ends with ctx
	r.await(t, "the others", func() bool { return len(r.msgs) >= 2 })
	natstest.Store(t, js, "ord.a 7")
	r.await(t, "a new one", func() bool { return len(r.msgs) >= 3 })
	cancel()
	<-done
	if want := []string{"ord.d 4 4", "ord.c 6 6", "ord.a 7 7"}; !slices.Equal(texts(r.msgs), want) {
		t.Errorf("got %q, want %q", texts(r.msgs), want)
	}
	if want := [][2]uint64{{4, 7}}; !slices.Equal(r.gaps, want) || reader.newest {
		t.Errorf("gaps %v, want %v", r.gaps, want)
	}
}

func TestFollowReadsOnWithoutAConsumer(t *testing.T) {
	nc, js := startJetStream(t, jetstream.StreamConfig{Name: "O", Subjects: []string{"ord.>"}, AllowDirect: true})
	natstest.Store(t, js, "ord.a 1", "ord.a 2", "ord.b 3", "ord.a 4")
	remove(t, js, "O", 3)
	r := newSinkRecorder()
	reader := &reader{stream: mustOpen(t, nc, "ord.>"), to: r, filter: "ord.>", whole: true, last: 1, placed: true}
	for range 2 {
		if reader.readDirect(t.Context()) {
			t.Error("readDirect reports more messages")
		}
	}
	if want := []string{"ord.a 2 2", "ord.a 4 4"}; !slices.Equal(texts(r.msgs), want) || reader.last != 4 {
		t.Errorf("got %q, want %q", texts(r.msgs), want)
	}
	if want := [][2]uint64{{2, 4}}; !slices.Equal(r.gaps, want) {
		t.Errorf("gaps %v, want %v", r.gaps, want)
	}
}

func TestFollowEndsWhenTheStreamIsAnotherOne(t *testing.T) {
	for _, again := range []bool{false, true} {
		config := jetstream.StreamConfig{Name: "O", Subjects: []string{"ord.>"}}
		nc, js := startJetStream(t, config)
		r, result := follow(t, mustOpen(t, nc, "ord.>"), "ord.>", Start{})
		if err := js.DeleteStream(t.Context(), "O"); err != nil {
			t.Fatal(err)
		}
		want := errNoStream
		if again {
			natstest.CreateStream(t, nc, config)
			want = errChanged
		}
		select {
		case err := <-result:
			if !errors.Is(err, want) {
				t.Errorf("Follow = %v, want %v", err, want)
			}
		case <-time.After(natstest.Patience):
			t.Fatal("Follow goes on")
		}
		r.await(t, "not current", func() bool { return !r.ok })
	}
}

// A stream that does not listen to the subject any more looks silent.
func TestFollowEndsWhenTheStreamHoldsThePatternNoMore(t *testing.T) {
	config := jetstream.StreamConfig{Name: "O", Subjects: []string{"ord.>", "x"}}
	nc, js := startJetStream(t, config)
	r, result := follow(t, mustOpen(t, nc, "ord.>"), "ord.>", Start{})
	config.Subjects = []string{"x"}
	if _, err := js.UpdateStream(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-result:
		if !errors.Is(err, errPart) {
			t.Errorf("Follow = %v, want %v", err, errPart)
		}
	case <-time.After(natstest.Patience):
		t.Fatal("Follow goes on")
	}
	r.await(t, "not current", func() bool { return !r.ok })
}

// A stream that has lost its newest messages gives out their sequences again.
func TestFollowEndsWhenTheLastMessageIsAnotherOne(t *testing.T) {
	nc, js := startJetStream(t, jetstream.StreamConfig{Name: "O", Subjects: []string{"ord.>"}})
	natstest.Store(t, js, "ord.a 1", "ord.a 2", "ord.a 3")
	s := mustOpen(t, nc, "ord.>")
	second, err := s.get(t.Context(), getRequest{Seq: 2})
	if err != nil {
		t.Fatal(err)
	}
	for _, other := range []time.Duration{0, 1} {
		r := newSinkRecorder()
		reader := &reader{stream: s, to: r, filter: "ord.>", ready: true, placed: true, last: 2, lastAt: second.Time.Add(other)}
		ctx, cancel := context.WithCancel(t.Context())
		result := make(chan error, 1)
		go func() { result <- reader.readConsumer(ctx) }()
		if other == 0 {
			r.await(t, "the next", func() bool { return len(r.msgs) == 1 })
			cancel()
		}
		if err := <-result; errors.Is(err, ErrRewound) != (other > 0) {
			t.Errorf("another time by %d ns: %v", other, err)
		}
		cancel()
	}
}
