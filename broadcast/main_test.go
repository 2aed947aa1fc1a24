package broadcast

import (
	"os"
	"testing"
	"time"
)

// wholeDay is a budget that no drain uses up.
const wholeDay = 24 * time.Hour

func TestMain(m *testing.M) {
	checkOwner = true
	os.Exit(m.Run())
}

// openConfig lets clients subscribe to everything.
func openConfig() Config { return Config{Subscribe: []string{">"}, Node: "test"} }

// drainAll has s deliver all that is posted.
func drainAll(s *Shard) {
	for s.Drain(wholeDay) {
	}
}

func TestOwnerCheckPanicsOnForeignGoroutine(t *testing.T) {
	calls := map[string]func(*Shard){
		"Join":       func(s *Shard) { s.Join(1, CodecJSON, 0) },
		"Leave":      func(s *Shard) { s.Leave(0) },
		"Subscribed": func(s *Shard) { s.Subscribed(0) },
		"Apply":      func(s *Shard) { s.Apply(0, []byte(`{"op":"ping"}`)) },
		"Subscribe":  func(s *Shard) { s.Subscribe(0, []string{"px.A"}, "", "") },
		"Writable":   func(s *Shard) { s.Writable(0) },
		"Drain":      func(s *Shard) { s.Drain(wholeDay) },
	}
	for name, call := range calls {
		t.Run(name, func(t *testing.T) {
			s := NewHub(openConfig()).Shard(0)
			newRecorder(s)
			s.Join(0, CodecJSON, 0)
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
		h := NewHub(openConfig())
		newRecorder(h.Shard(0))
		h.Shard(0).Join(0, CodecJSON, 0)
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
