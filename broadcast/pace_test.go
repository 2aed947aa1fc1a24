package broadcast

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"tickcast/broadcast/wire"
)

// A connection may name as many new topics at once as it may hold, and then so many a second. Names that others hold are free.
func TestNewTopicsHaveAPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := openConfig()
		cfg.MaxTopicsPerConnection, cfg.NewTopicsPerSecond = 10, 2
		h := New(cfg)
		s := h.Shard(0)
		out := newRecorder(s)
		for slot := range uint32(2) {
			s.Join(slot, wire.CodecJSON, 0)
		}
		s.Subscribe(1, []string{"held"}, "", "")
		out.takeTold(t, 1)
		next := 0
		made := func(tries int) (n int) {
			for range tries {
				next++
				s.Subscribe(0, []string{fmt.Sprintf("t.%d", next), "held"}, "", "")
				s.Apply(0, fmt.Appendf(nil, `{"op":"unsub","topics":["t.%d","held"]}`, next))
				for i, m := range out.takeTold(t, 0) {
					if i%2 == 0 && !slices.ContainsFunc(m.Errors, func(e wire.AckError) bool { return e.Code == wire.CodeTooMany }) {
						n++
					}
				}
			}
			return n
		}
		if n := made(15); n != 10 {
			t.Errorf("%d new topics at once, want 10", n)
		}
		time.Sleep(time.Second)
		if n := made(5); n != 2 {
			t.Errorf("%d new topics in a second, want 2", n)
		}
		s.Leave(0)
		if len(s.pace.debts) != 1 { // of the other connection
			t.Errorf("%d connections are counted", len(s.pace.debts))
		}
		s.Leave(1)
		checkShards(t, h)
	})
}
