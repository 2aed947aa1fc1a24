package jetstream

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"tickcast/broadcast/natstest"
)

// A sinkRecorder is a Sink that records all calls.
type sinkRecorder struct {
	changed chan struct{} // something was added since the last look

	mu          sync.Mutex
	began       bool
	after, last uint64 // the arguments of Ready
	msgs        []Message
	gaps        [][2]uint64
	ok          bool
}

func newSinkRecorder() *sinkRecorder { return &sinkRecorder{changed: make(chan struct{}, 1)} }

func (r *sinkRecorder) note(add func()) {
	r.mu.Lock()
	add()
	r.mu.Unlock()
	select {
	case r.changed <- struct{}{}:
	default:
	}
}

func (r *sinkRecorder) Ready(after, last uint64) {
	r.note(func() { r.began, r.after, r.last = true, after, last })
}
func (r *sinkRecorder) Message(m Message) { r.note(func() { r.msgs = append(r.msgs, m) }) }
func (r *sinkRecorder) Gap(after, before uint64) {
	r.note(func() { r.gaps = append(r.gaps, [2]uint64{after, before}) })
}
func (r *sinkRecorder) Current(ok bool) { r.note(func() { r.ok = ok }) }

// texts returns "subject seq data" for each message.
func texts(msgs []Message) (all []string) {
	for _, m := range msgs {
		all = append(all, fmt.Sprintf("%s %d %s", m.Subject, m.Seq, m.Data))
	}
	return all
}

// await waits until done reports true. done is called with the lock held.
func (r *sinkRecorder) await(t *testing.T, event string, done func() bool) {
	t.Helper()
	timeout := time.NewTimer(natstest.Patience)
	defer timeout.Stop()
	for {
		r.mu.Lock()
		ok := done()
		r.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-r.changed:
		case <-timeout.C:
			t.Fatalf("waited too long for %s", event)
		}
	}
}

// follow starts Follow until the test ends, and waits until messages arrive. The channel receives the result of Follow.
func follow(t *testing.T, s *Stream, filter string, start Start) (*sinkRecorder, <-chan error) {
	t.Helper()
	r := newSinkRecorder()
	ctx, cancel := context.WithCancel(t.Context())
	result, done := make(chan error, 1), make(chan struct{})
	go func() {
		defer close(done)
		result <- s.Follow(ctx, filter, start, r)
	}()
	t.Cleanup(func() { cancel(); <-done })
	r.await(t, "the consumer", func() bool { return r.ok })
	return r, result
}

// startJetStream starts one server with a stream and returns a connection.
func startJetStream(t *testing.T, config jetstream.StreamConfig) (*nats.Conn, jetstream.JetStream) {
	t.Helper()
	ns := natstest.Start(t, &server.Options{Port: -1, JetStream: true, StoreDir: t.TempDir()})
	nc := natstest.Connect(t, ns.ClientURL())
	return nc, natstest.CreateStream(t, nc, config)
}

func mustOpen(t *testing.T, nc *nats.Conn, subject string) *Stream {
	t.Helper()
	s, err := Open(t.Context(), nc, Source{Pattern: subject}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return s
}
