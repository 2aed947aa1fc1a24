package broadcast

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"tickcast/broadcast/topics"
	"tickcast/broadcast/wire"
)

// topicsOf returns the topics of an ack.
func topicsOf(t *testing.T, m told) (list []string) {
	t.Helper()
	var topics []wire.AckTopic
	if err := json.Unmarshal(m.Topics, &topics); err != nil || m.Op != "ack" {
		t.Fatalf("%+v is no ack of topics: %v", m, err)
	}
	for _, a := range topics {
		list = append(list, a.Topic)
	}
	return list
}

// A command that names many topics takes a bounded number of steps at a time, whether it is one of the first client or not. Its
// answer names all topics in their order.
func TestManyTopicsAreSubscribedInShares(t *testing.T) {
	for _, row := range []struct{ patterns, topics int }{{0, 1}, {0, 100}, {0, 10_000}, {1, 0}, {100, 0}, {10_000, 0}} {
		h, s, out := costShard(t)
		names := append(starred(row.patterns), numberedUnder(row.topics)...)
		for slot := range uint32(2) { // the names are new to the first client only
			s.Join(slot, wire.CodecJSON, 0)
			out.takeTold(t, slot)
			most, shares, before := uint64(0), 1, s.filters.steps
			s.Subscribe(slot, names, "", "")
			for ; s.Busy(slot); shares++ {
				if most = max(most, s.filters.steps-before); len(out.got[slot]) > 0 && len(names) < 100 {
					t.Errorf("%+v: an early answer", row)
				}
				before = s.filters.steps
				s.Drain(wholeDay)
			}
			if most = max(most, s.filters.steps-before); most > uint64(s.cfg.CommandSteps)+2 { // a name takes up to three
				t.Errorf("%+v: %d steps in one share of client %d", row, most, slot)
			}
			if want := (len(names) + s.cfg.CommandSteps - 1) / s.cfg.CommandSteps; shares < want {
				t.Errorf("%+v: %d shares, want %d at least", row, shares, want)
			}
			var answered []string
			for i, m := range out.takeTold(t, slot) {
				if m.Op != "ack" || len(m.Errors) > 0 {
					t.Fatalf("%+v: message %d is %+v", row, i, m)
				}
				answered = append(answered, topicsOf(t, m)...)
			}
			if !slices.Equal(answered, names) {
				t.Errorf("%+v: %d topics are answered, or not in their order", row, len(answered))
			}
			if sub := s.subs.At(slot); sub.backlog != nil || s.filters.indexes != nil {
				t.Errorf("%+v: something is left of the command", row)
			}
			if len(names) <= 100 {
				checkShards(t, h)
			}
		}
	}
}

// A pattern takes a bounded number of steps at a time, however many topics it matches, and whether it is new to the shard or not: so do
// its snapshots, and its end.
func TestPatternIsSubscribedInShares(t *testing.T) {
	for _, topics := range []int{0, 1, 100, 10_000} {
		h, s, out := costShard(t)
		s.Join(0, wire.CodecJSON, 0)
		s.Subscribe(0, numberedUnder(topics), "", "") // else the hub has none
		drainAll(s)
		for _, name := range numberedUnder(topics) {
			h.Publish(name, []byte("1"))
		}
		drainAll(s)
		pattern := starred(2)[1]
		for slot := range uint32(2) {
			s.Join(slot+1, wire.CodecJSON, 0)
			out.takeTold(t, slot+1)
			shares, most := stepsOf(s, func() { s.Subscribe(slot+1, []string{pattern}, "", "") })
			if most > s.cfg.CommandSteps+1 || shares < topics/s.cfg.CommandSteps {
				t.Errorf("%d topics: %d steps in one of %d shares", topics, most, shares)
			}
			got := out.takeTold(t, slot+1)
			if len(got) != topics+1 || got[0].Op != "ack" || s.Busy(slot+1) {
				t.Fatalf("%d topics: %d messages have come", topics, len(got))
			}
			for _, m := range got[1:] {
				if m.K != "snap" {
					t.Fatalf("%d topics: %+v is no snapshot", topics, m)
				}
			}
		}
		checkAfter := topics <= 100
		for slot := range uint32(2) {
			_, most := stepsOf(s, func() { s.Apply(slot+1, fmt.Appendf(nil, `{"op":"unsub","topics":[%q]}`, pattern)) })
			if most > endsAtOnce+endsInline {
				t.Errorf("%d topics: %d steps in one share of the end", topics, most)
			}
			if checkAfter {
				checkShards(t, h)
			}
		}
	}
}

// stepsOf carries out op and the drains behind it. It returns their number and the most steps in one of them.
func stepsOf(s *Shard, op func()) (shares, most int) {
	before := s.filters.steps
	op()
	for more := true; more; shares++ {
		most = max(most, int(s.filters.steps-before))
		before = s.filters.steps
		more = s.Drain(wholeDay)
	}
	return shares, max(most, int(s.filters.steps-before))
}

// The messages of a pattern's topics that come while it grows are not lost and do not come twice, whether other clients hold the topics
// or not.
func TestMessagesWhileAPatternGrows(t *testing.T) {
	h, s, out := costShard(t)
	for slot := range uint32(2) {
		s.Join(slot, wire.CodecJSON, 0)
	}
	names, newest := numberedUnder(1000), make(map[string]string)
	for _, name := range names { // no client of the shard holds them
		if _, _, err := h.Raise(0, name); err != nil {
			t.Fatal(err)
		}
		h.Publish(name, []byte("1"))
		newest[name] = "1"
	}
	drainAll(s)
	s.Subscribe(0, names[:1], "", "")
	drainAll(s)
	out.takeTold(t, 1)
	last := make(map[string]told)
	hear := func() {
		for _, m := range out.takeTold(t, 1) {
			if m.Op == "" && (m.S < last[m.T].S || m.S == last[m.T].S && m.K != "snap") {
				t.Errorf("%s comes after %s", m.Short(), last[m.T].Short())
			}
			if m.Op == "" {
				last[m.T] = m
			}
		}
	}
	s.Subscribe(1, []string{starred(1)[0]}, "", "")
	for n := 2; s.Busy(1); n++ {
		for i := range names {
			if (i+n)%7 == 0 {
				newest[names[i]] = fmt.Sprint(n)
				h.Publish(names[i], []byte(newest[names[i]]))
			}
		}
		s.Drain(wholeDay)
		hear()
	}
	drainAll(s)
	hear()
	for _, name := range names {
		if got := string(last[name].D); got != newest[name] {
			t.Errorf("%s was told last, want %s", last[name].Short(), newest[name])
		}
	}
}

// Messages that come between the shares follow the answer, the newest of each topic; those of topics that the client held before
// are not lost. A further command waits for the end.
func TestMessagesBetweenShares(t *testing.T) {
	h, s, out := costShard(t)
	for slot := range uint32(3) {
		s.Join(slot, wire.CodecJSON, 0)
	}
	names := numberedUnder(200)
	s.Subscribe(0, names[:100], "", "")
	s.Subscribe(1, []string{"held"}, "", "")
	h.Publish(names[0], []byte("1"))
	drainAll(s)
	out.takeTold(t, 1)
	s.Subscribe(1, names, "", "")
	s.Subscribe(2, names, "", "")
	h.Publish(names[0], []byte("2"))
	h.Publish(names[1], []byte("3"))
	h.Publish("held", []byte("4"))
	s.Drain(wholeDay)
	if got := out.takeTold(t, 1); !s.Busy(1) || len(got) > 0 {
		t.Fatalf("the client hears %v during its command", got)
	}
	s.Apply(1, []byte(`{"op":"ping","id":7}`))
	got := out.takeTold(t, 1)
	var heard []string
	for _, m := range got {
		heard = append(heard, m.Short())
	}
	want := []string{"ack", "ack", names[0] + " 2=2 snap", names[1] + " 3=3", "held 4=4", "lag 1", "ack"}
	if !slices.Equal(heard, want) || string(got[len(got)-1].ID) != "7" {
		t.Fatalf("got %q, want %q", heard, want)
	}
	drainAll(s)
	if got := out.takeTold(t, 2); len(got) < 3 {
		t.Errorf("the second client got %v", got)
	}
	checkShards(t, h)
}

// A client may leave in the middle of its command, and another one may take its slot.
func TestLeaveBetweenShares(t *testing.T) {
	h, s, out := costShard(t)
	for shares := range 4 {
		s.Join(0, wire.CodecJSON, 0)
		s.Join(1, wire.CodecJSON, 0)
		s.Subscribe(0, numberedUnder(200), "", "")
		s.Subscribe(1, numberedUnder(200), "", "")
		for range shares {
			s.Drain(wholeDay)
		}
		if shares == 1 { // it ends in a write
			out.dead[0] = true
			drainAll(s)
		}
		s.Leave(0)
		s.Join(0, wire.CodecJSON, 0)
		out.takeTold(t, 0)
		s.Subscribe(0, []string{fmt.Sprint("x", shares)}, "", "")
		drainAll(s)
		if got := out.takeTold(t, 0); len(got) != 1 || len(topicsOf(t, got[0])) != 1 {
			t.Errorf("after %d shares the new client got %v", shares, got)
		}
		checkShards(t, h)
		s.Leave(0)
		s.Leave(1)
		drainAll(s)
		if n := len(s.filters.names); n > 0 || len(s.runs.queue) > 0 {
			t.Errorf("after %d shares %d filters are left", shares, n)
		}
	}
}

// A command that needs an order makes its filters in shares. If the client leaves meanwhile, they go.
func TestFiltersOfAnOrderedCommandAreMadeInShares(t *testing.T) {
	countsSteps(t)
	cfg := openConfig()
	cfg.CommandSteps = 64
	cfg.Classes = []topics.Class{{Match: "a.>", Mode: topics.ModeAll, History: 10}}
	h := New(cfg)
	s := h.Shard(0)
	out := newRecorder(s)
	names := numberedUnder(1000)
	for _, leaves := range []bool{true, false} {
		s.Join(0, wire.CodecJSON, 0)
		out.takeTold(t, 0)
		before, made := s.filters.steps, 0
		s.Subscribe(0, names, "", "")
		for ; s.Busy(0) && len(s.filters.names) < 900; s.Drain(wholeDay) {
			if n := s.filters.steps - before; n > 64+1 || len(s.filters.names)-made > 64 {
				t.Errorf("%d steps and %d filters in one share", n, len(s.filters.names)-made)
			}
			before, made = s.filters.steps, len(s.filters.names)
			checkShards(t, h)
		}
		if made < 800 {
			t.Errorf("%d filters were made in shares", made)
		}
		if leaves {
			s.Leave(0)
		}
		drainAll(s)
		if n := len(s.filters.names); leaves != (n == 0) {
			t.Errorf("%d filters in the end", n)
		}
		checkShards(t, h)
	}
	answered := 0
	for _, m := range out.takeTold(t, 0) {
		answered += len(topicsOf(t, m))
	}
	if answered != len(names) || s.Busy(0) {
		t.Errorf("%d topics are answered", answered)
	}
}

// The snapshots of an ordered command of many topics are written in shares, behind the answer and in the order of their sequences, and
// a further command waits for them. A client that says nothing gets them too.
func TestSnapshotsOfAnOrderedCommandAreWrittenInShares(t *testing.T) {
	cfg := openConfig()
	cfg.CommandSteps = 64
	cfg.Classes = []topics.Class{{Match: "a.>", Mode: topics.ModeAll, History: 10}}
	h := New(cfg)
	s := h.Shard(0)
	out := newRecorder(s)
	names := numberedUnder(1000)
	s.Join(0, wire.CodecJSON, 0)
	s.Subscribe(0, names, "", "")
	drainAll(s)
	for _, name := range names {
		h.Publish(name, []byte(`"`+strings.Repeat("x", 200)+`"`))
	}
	drainAll(s)
	for slot, asks := range []bool{false, true} {
		slot := uint32(slot + 1)
		s.Join(slot, wire.CodecJSON, 0)
		out.takeTold(t, slot)
		s.Subscribe(slot, names, "", "")
		if asks {
			s.Apply(slot, []byte(`{"op":"ping","id":7}`))
		}
		var got []told
		for more := true; more; {
			more = s.Drain(wholeDay)
			bytes := 0
			for _, frame := range out.got[slot] {
				bytes += len(frame)
			}
			heard := out.takeTold(t, slot)
			if snaps := len(heard); !asks && snaps > 0 && heard[0].Op == "" && bytes > (writesAtOnce+1)*flushBytes {
				t.Errorf("%d bytes of snapshots in one drain", bytes)
			}
			got = append(got, heard...)
		}
		snaps, last := 0, uint64(0)
		for i, m := range got {
			switch {
			case m.Op != "" && snaps > 0 && snaps < len(names):
				t.Errorf("client %d: message %d is %+v", slot, i, m)
			case m.K == "snap":
				if snaps++; m.S <= last {
					t.Errorf("client %d: %s comes behind %d", slot, m.Short(), last)
				}
				last = m.S
			}
		}
		if pong := string(got[len(got)-1].ID) == "7"; snaps != len(names) || pong != asks || s.Busy(slot) {
			t.Errorf("client %d: %d snapshots, and %+v in the end", slot, snaps, got[len(got)-1])
		}
		checkShards(t, h)
	}
}

// The limit of new topics holds for commands that need an order as well.
func TestOrderedCommandsHaveAPace(t *testing.T) {
	cfg := openConfig()
	cfg.MaxTopicsPerConnection, cfg.NewTopicsPerSecond = 10, 1
	cfg.Classes = []topics.Class{{Match: "a.>", Mode: topics.ModeAll}}
	h := New(cfg)
	s := h.Shard(0)
	out := newRecorder(s)
	s.Join(0, wire.CodecJSON, 0)
	out.takeTold(t, 0)
	for i, want := range []int{0, 5} {
		names := numberedUnder(20)[i*10:][:10-i*5]
		s.Subscribe(0, names, "", "")
		drainAll(s)
		if m := out.takeTold(t, 0)[0]; len(m.Errors) != want || want > 0 && m.Errors[0].Code != wire.CodeTooMany {
			t.Errorf("command %d: %+v", i, m)
		}
		s.Leave(0)
		drainAll(s)
		s.pace.debts[0] = nameDebt{10, h.Now()} // as if the client had stayed
		s.Join(0, wire.CodecJSON, 0)
		out.takeTold(t, 0)
	}
	checkShards(t, h)
}
