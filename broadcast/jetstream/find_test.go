package jetstream

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"regexp"
	"slices"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	"tickcast/broadcast/natstest"
)

func TestOpenFindsTheStreamThatHoldsThePattern(t *testing.T) {
	nc, js := startJetStream(t, jetstream.StreamConfig{Name: "PART", Subjects: []string{"ord.new"}})
	natstest.CreateStream(t, nc, jetstream.StreamConfig{Name: "PX", Subjects: []string{"px.>"}})
	for subject, want := range map[string]string{"ord.new": "PART", "px.*.A": "PX", "px.>": "PX"} {
		if s := mustOpen(t, nc, subject); s.name != want {
			t.Errorf("stream of %s is %s, want %s", subject, s.name, want)
		}
	}
	for _, subject := range []string{"ord.>", "ord.old", "x"} {
		if _, err := Open(t.Context(), nc, Source{Pattern: subject}, slog.New(slog.DiscardHandler)); !errors.Is(err, errNoStream) {
			t.Errorf("Open(%s) = %v, want errNoStream", subject, err)
		}
	}
	first := mustOpen(t, nc, "px.>").Epoch()
	if !regexp.MustCompile(`^[A-Za-z0-9]{8}$`).MatchString(first) {
		t.Errorf("epoch is %q", first)
	}
	if other := mustOpen(t, nc, "ord.new").Epoch(); other == first {
		t.Error("two streams have the same epoch")
	}
	if err := js.DeleteStream(t.Context(), "PX"); err != nil {
		t.Fatal(err)
	}
	natstest.CreateStream(t, nc, jetstream.StreamConfig{Name: "PX", Subjects: []string{"px.>"}})
	if again := mustOpen(t, nc, "px.>").Epoch(); again == first {
		t.Error("a stream that was made anew has the same epoch")
	}
}

func TestOpenTakesTheStreamOfAName(t *testing.T) {
	nc, js := startJetStream(t, jetstream.StreamConfig{Name: "PX", Subjects: []string{"px.>"}})
	for _, c := range []jetstream.StreamConfig{
		{Name: "MIRROR", Mirror: &jetstream.StreamSource{Name: "PX"}, AllowDirect: true},
		{Name: "SOURCED", Sources: []*jetstream.StreamSource{{Name: "PX"}}, AllowDirect: true},
		{Name: "PART", Subjects: []string{"ord.new"}},
		{Name: "QUEUE", Subjects: []string{"job.>"}, Retention: jetstream.WorkQueuePolicy},
	} {
		natstest.CreateStream(t, nc, c)
	}
	for _, row := range []struct {
		from Source
		want error
	}{
		{Source{Name: "PX", Pattern: "px.>"}, nil},
		{Source{Name: "MIRROR", Pattern: "px.>"}, nil},
		{Source{Name: "SOURCED", Pattern: "px.>"}, nil},
		{Source{Name: "PART", Pattern: "ord.>"}, errPart},
		{Source{Name: "QUEUE", Pattern: "job.>"}, ErrWorkQueue},
		{Source{Pattern: "job.>"}, ErrWorkQueue},
		{Source{Name: "NONE", Pattern: "px.>"}, errNoStream},
	} {
		s, err := Open(t.Context(), nc, row.from, slog.New(slog.DiscardHandler))
		if !errors.Is(err, row.want) || err == nil && s.name != row.from.Name {
			t.Errorf("%+v: %v, want %v", row.from, err, row.want)
		}
	}
	for _, name := range []string{"MIRROR", "SOURCED"} {
		s, err := Open(t.Context(), nc, Source{Name: name, Pattern: "px.>"}, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		natstest.Store(t, js, "px.A "+name)
		awaitMessage(t, s, name)
	}
}

// awaitMessage follows a stream until it has brought a message with this payload on px.A.
func awaitMessage(t *testing.T, s *Stream, payload string) {
	t.Helper()
	r, _ := follow(t, s, "px.>", Start{From: 1})
	r.await(t, "the message", func() bool {
		return slices.ContainsFunc(r.msgs, func(m Message) bool { return m.Subject == "px.A" && string(m.Data) == payload })
	})
}

// A leaf node has a JetStream of its own. A client of it reaches the streams of the hub's domain by the name of the domain.
func TestOpenInAnotherDomain(t *testing.T) {
	port := natstest.FreePorts(t, 1)[0]
	hub := natstest.Start(t, &server.Options{
		Port: -1, JetStream: true, StoreDir: t.TempDir(), JetStreamDomain: "hub", LeafNode: server.LeafNodeOpts{Host: "127.0.0.1", Port: port},
	})
	natstest.CreateStream(t, natstest.Connect(t, hub.ClientURL()), jetstream.StreamConfig{Name: "PX", Subjects: []string{"px.>"}, AllowDirect: true})
	remote, err := url.Parse(fmt.Sprintf("nats-leaf://127.0.0.1:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	leaf := natstest.Start(t, &server.Options{
		Port: -1, ServerName: "leaf", JetStream: true, StoreDir: t.TempDir(), JetStreamDomain: "leaf",
		LeafNode: server.LeafNodeOpts{Remotes: []*server.RemoteLeafOpts{{URLs: []*url.URL{remote}}}},
	})
	nc := natstest.Connect(t, leaf.ClientURL())
	if _, err := Open(t.Context(), nc, Source{Pattern: "px.>"}, slog.New(slog.DiscardHandler)); !errors.Is(err, errNoStream) {
		t.Errorf("the leaf's own domain: %v, want errNoStream", err)
	}
	for _, name := range []string{"", "PX"} {
		var s *Stream
		for s == nil { // until the leaf is connected
			if s, err = Open(t.Context(), nc, Source{Pattern: "px.>", Name: name, Domain: "hub"}, slog.New(slog.DiscardHandler)); t.Context().Err() != nil {
				t.Fatal(err)
			}
		}
		if err := natstest.Connect(t, hub.ClientURL()).Publish("px.A", []byte("hub"+name)); err != nil {
			t.Fatal(err)
		}
		awaitMessage(t, s, "hub"+name)
		if last, _, _, err := s.Last(t.Context(), "px.>", 10); err != nil || len(last) != 1 {
			t.Errorf("%q: the newest messages are %v, %v", name, last, err)
		}
	}
}
