package broadcast

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tickcast/broadcast/topics"
	"tickcast/broadcast/wire"
)

// starred returns n different patterns that all match "a.a.a....x", with 14 tokens before the last.
func starred(n int) (list []string) {
	for k := range n {
		b := []byte(strings.Repeat("a.", 14))
		for bit := range 14 {
			if k>>bit&1 == 1 {
				b[2*bit] = '*'
			}
		}
		list = append(list, string(b)+">")
	}
	return list
}

// numberedUnder returns n topics under all of starred.
func numberedUnder(n int) (list []string) {
	for i := range n {
		list = append(list, fmt.Sprintf("%s%d", strings.Repeat("a.", 14), i))
	}
	return list
}

// costShard returns a shard without limits of topics.
func costShard(t *testing.T) (*Shards, *Shard, *recorder) {
	t.Helper()
	cfg := openConfig()
	cfg.MaxTopicsPerConnection, cfg.MaxWildcards, cfg.NewTopicsPerSecond, cfg.CommandSteps = 1<<20, 1<<20, 1<<20, 64
	cfg.MaxMatches, cfg.MatchesPerSecond = 1<<30, 1<<30
	h := New(cfg)
	s := h.Shard(0)
	return h, s, newRecorder(s)
}

// The steps of each operation are in proportion to the own subscriptions. The topics of a pattern count where it begins or ends in
// the shard, and where a client is owed their snapshots. A client that is behind has a step more for each debt and pattern.
func TestStepsAreInProportion(t *testing.T) {
	countsSteps(t)
	for _, row := range []struct{ patterns, topics int }{
		{0, 1}, {0, 100}, {0, 10_000}, {1, 0}, {100, 0}, {10_000, 0}, {1, 1}, {1, 100}, {1, 10_000}, {100, 1}, {100, 100}, {10_000, 1},
	} {
		h, s, out := costShard(t)
		for slot := range uint32(3) {
			s.Join(slot, wire.CodecJSON, 0)
		}
		names := append(starred(row.patterns), numberedUnder(row.topics)...)
		own, pairs := len(names), row.patterns*row.topics
		search := own/searchAStep + 1 // of all own subscriptions, once for a command
		unsub := fmt.Appendf(nil, `{"op":"unsub","topics":["%s"]}`, strings.Join(names, `","`))
		count := func(what string, most int, free bool, op func()) {
			t.Helper()
			before, made := s.filters.steps, s.filters.made
			op()
			drainAll(s)
			if n := int(s.filters.steps - before); n > most || n == 0 {
				t.Errorf("%+v: %s takes %d steps, want at most %d", row, what, n, most)
			}
			if free && s.filters.made != made {
				t.Errorf("%+v: %s is charged as work with %d pairs", row, what, s.filters.made-made)
			}
		}
		count("sub", 3*own+2*pairs, pairs == 0, func() { s.Subscribe(0, names, "", "") })
		count("list", own, true, func() { s.Apply(0, []byte(`{"op":"list"}`)) })
		count("sub of held names", 2*own+pairs, pairs == 0, func() { s.Subscribe(1, names, "", "") })
		count("sub of own names", own+search, true, func() { s.Subscribe(1, names, "", "") })
		count("unsub of held names", own+search, true, func() { s.Apply(1, unsub) })
		s.Subscribe(2, names, "", "")
		drainAll(s)
		count("leave of held names", own, true, func() { s.Leave(2) })
		count("unsub of the last", 2*own+pairs+search, pairs == 0, func() { s.Apply(0, unsub) })
		if len(s.filters.names) > 0 || s.filters.matches > 0 {
			t.Errorf("%+v: %d filters and %d pairs are left", row, len(s.filters.names), s.filters.matches)
		}
		s.Subscribe(0, names, "", "")
		drainAll(s)
		count("leave of the last", 2*own+pairs, pairs == 0, func() { s.Leave(0) })
		s.Subscribe(1, names, "", "")
		drainAll(s)
		out.room[1] = 0
		debts := min(row.topics, 1000)
		for _, name := range numberedUnder(debts) {
			h.Publish(name, []byte("1"))
		}
		drainAll(s)
		count("unsub behind", 3*own+pairs+search+debts*(row.patterns+1), pairs == 0, func() { s.Apply(1, unsub) })
		if s.Leave(1); own <= 100 {
			checkShards(t, h)
		}
	}
}

// A shard whose loop is late leaves the removal of filters to its drains, a bounded number of steps each.
func TestLateRemovalIsSliced(t *testing.T) {
	countsSteps(t)
	h, s, _ := costShard(t)
	s.Join(0, wire.CodecJSON, 0)
	s.Join(1, wire.CodecJSON, 0)
	names := append(starred(10), numberedUnder(1000)...)
	s.Subscribe(0, names, "", "")
	drainAll(s)
	s.SetLate(true)
	s.filters.steps = 0
	s.Leave(0)
	if n := len(s.filters.names); s.filters.steps > uint64(len(names)) || n != len(names) {
		t.Errorf("%d steps at once, %d filters are left of %d", s.filters.steps, n, len(names))
	}
	checkShards(t, h)
	s.Subscribe(1, names[:20], "", "") // comes back to filters that were to go
	s.SetLate(false)
	for before := s.filters.steps; s.Drain(1e9); before = s.filters.steps {
		if n := s.filters.steps - before; n > endsAtOnce {
			t.Errorf("%d steps in one drain", n)
		}
		checkShards(t, h)
	}
	if n := len(s.filters.names); n != 20 || len(s.filters.ending) > 0 {
		t.Errorf("%d filters are left, %d are ending", n, len(s.filters.ending))
	}
	checkShards(t, h)
}

// Commands that wait for a stream go on one at a time once it has answered, and a few at a time if it does not: the loop looks at its
// sockets in between.
func TestParkedCommandsGoOnSomeAtATime(t *testing.T) {
	for _, answers := range []bool{true, false} {
		for _, clients := range []uint32{1, 100, 10_000} {
			synctest.Test(t, func(t *testing.T) {
				h, s, out := hubOf(Config{}, topics.Class{Match: "st.>", Snapshot: topics.SnapshotStream})
				h.Begin(new(silentUpstream))
				for slot := 4; slot < 4+int(clients); slot++ {
					s.Join(uint32(slot), wire.CodecJSON, 0)
					s.Apply(uint32(slot), []byte(`{"op":"sub","topics":["st.a"]}`))
				}
				if n := len(s.parked.waiting); n != int(clients) {
					t.Fatalf("%d commands wait", n)
				}
				most := lateAtOnce
				if answers {
					most = 1
					h.Step()
					stream := h.StreamSteps(0)
					stream.Opened("E")
					stream.Sink().Placed(0)
					q := stream.Inquire()
					stream.Hear(q, topics.Answer{Msgs: []topics.StreamMessage{{Subject: "st.a", Data: []byte("1"), Seq: 1}}, Upto: 1, Whole: true})
					stream.Sink().Message(topics.StreamMessage{Subject: "st.a", Data: []byte("1"), Seq: 1})
					if !stream.Conclude(q, false) {
						t.Fatal("the question is not over")
					}
				} else {
					time.Sleep(parkedPatience)
				}
				for drains := 0; len(s.parked.waiting) > 0; drains++ {
					before := len(s.parked.waiting)
					s.LookAtClock()
					more := s.Drain(0)
					if n := before - len(s.parked.waiting); n > most || !more && len(s.parked.waiting) > 0 || drains > int(clients)+4 {
						t.Fatalf("%d commands go on in one drain, want at most %d; %d wait; %v", n, most, len(s.parked.waiting), more)
					}
				}
				drainAll(s)
				for slot := 4; slot < 4+int(clients); slot++ {
					if got := out.takeTold(t, uint32(slot)); len(got) == 0 || got[0].Op != "ack" {
						t.Fatalf("slot %d was told %v", slot, got)
					}
				}
			})
		}
	}
}
