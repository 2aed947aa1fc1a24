package broadcast

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"tickcast/broadcast/topics"
	"tickcast/broadcast/wire"
)

// wholeDay is a budget that no drain uses up.
const wholeDay = 24 * time.Hour

func TestMain(m *testing.M) {
	CheckOwners(true)
	os.Exit(m.Run())
}

// openConfig permits all subscriptions.
func openConfig() Config { return Config{Subscribe: []string{">"}, Node: "test"} }

// patience is the longest wait for an event: far longer than it takes.
const patience = 60 * time.Second

// epochOf returns the first half of the cursors of topics without a stream.
func epochOf(h interface {
	Cursor(c *topics.Class, at topics.Position) string
	ClassOver(pattern string) *topics.Class
}) string {
	epoch, _, _ := strings.Cut(h.Cursor(h.ClassOver("nosuchtopic"), topics.Position{}), ":")
	return epoch
}

// silentUpstream agrees to all requests.
type silentUpstream struct{ topics.Upstream }

func (silentUpstream) Subscribe(string) error                  { return nil }
func (silentUpstream) Unsubscribe(string) error                { return nil }
func (silentUpstream) Publish(string, []byte) error            { return nil }
func (silentUpstream) Store(string, []byte, func(error)) error { return topics.ErrAway }
func (silentUpstream) Counts() topics.UpstreamCounts           { return topics.UpstreamCounts{} }

// startRun runs the hub over an upstream. stop ends that.
func startRun(h *Shards, up topics.Upstream) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { h.Run(ctx, up); close(done) }()
	return func() { cancel(); <-done }
}

// checkShards fails unless the tables of all shards and of their hub fit together.
func checkShards(t testing.TB, h *Shards) {
	t.Helper()
	if err := h.Check(); err != nil {
		t.Fatal(err)
	}
}

// unsubscribe takes name from the subscriber in slot, and the debts with it.
func unsubscribe(s *Shard, slot uint32, name string) {
	sub := s.subs.At(slot)
	s.removeName(slot, sub, name)
	s.dropDebts(sub)
}

// drainAll makes s deliver all posted messages.
func drainAll(s *Shard) {
	for s.Drain(wholeDay) {
	}
}

func TestOwnerCheckPanicsOnForeignGoroutine(t *testing.T) {
	calls := map[string]func(*Shard){
		"Join":       func(s *Shard) { s.Join(1, wire.CodecJSON, 0) },
		"Leave":      func(s *Shard) { s.Leave(0) },
		"Subscribed": func(s *Shard) { s.Subscribed(0) },
		"Apply":      func(s *Shard) { s.Apply(0, []byte(`{"op":"ping"}`)) },
		"Subscribe":  func(s *Shard) { s.Subscribe(0, []string{"px.A"}, "", "") },
		"Writable":   func(s *Shard) { s.Writable(0) },
		"Drain":      func(s *Shard) { s.Drain(wholeDay) },
	}
	for name, call := range calls {
		t.Run(name, func(t *testing.T) {
			s := New(openConfig()).Shard(0)
			newRecorder(s)
			s.Join(0, wire.CodecJSON, 0)
			call(s) // the owner may
			panicked := make(chan any)
			go func() {
				defer func() { panicked <- recover() }()
				call(s)
			}()
			if r := <-panicked; r == nil {
				t.Errorf("%s was called by another goroutine and did not panic", name)
			}
		})
	}
	t.Run("Wake and Stats are for everyone", func(t *testing.T) {
		h := New(openConfig())
		newRecorder(h.Shard(0))
		h.Shard(0).Join(0, wire.CodecJSON, 0)
		done := make(chan any)
		go func() {
			defer func() { done <- recover() }()
			h.Shard(0).Wake()
			h.Stats()
			h.Publish("px.A", []byte("1"))
		}()
		if r := <-done; r != nil {
			t.Errorf("panic: %v", r)
		}
	})
}

// underRace tells that the race detector is on.
var underRace bool

// countsSteps skips a long test of one goroutine that counts steps: with the race detector it counts the same.
func countsSteps(t *testing.T) {
	if underRace {
		t.Skip("one goroutine")
	}
}
