package broadcast

import (
	"testing"
	"time"
	"unsafe"

	"tickcast/broadcast/topics"
	"tickcast/broadcast/wire"
)

// There may be a million subscribers: three pointers' worth of links and nine bytes of counters and flags take 40 bytes each
// with Go's 8-byte alignment. A field more costs 8 MB a million.
func TestSubscriberSize(t *testing.T) {
	if size := unsafe.Sizeof(subscriber{}); size > 40 {
		t.Errorf("a subscriber takes %d bytes, want at most 40", size)
	}
	if size := unsafe.Sizeof(entry{}) + unsafe.Sizeof(place{}); size != 16 {
		t.Errorf("a subscription takes %d bytes, want 16", size)
	}
	// A chunk that is not a size class of the allocator wastes the rest of its span.
	if size := unsafe.Sizeof([SlotChunk]subscriber{}); size != 20480 {
		t.Errorf("a chunk takes %d bytes, want 20480, a size class", size)
	}
}

// Lists of subscriptions have little unused room, after any history.
func TestSubscriptionsTakeLittleRoom(t *testing.T) {
	const topics, most = 100, 100 + 100/8 + 8 // the allocator rounds up: that is room as well
	all := numbered("px.T", 0, topics)
	commands := map[string][][]string{"one command": {all}, "many commands": nil}
	for _, name := range all {
		commands["many commands"] = append(commands["many commands"], []string{name})
	}
	for name, list := range commands {
		t.Run(name, func(t *testing.T) {
			h := New(openConfig())
			s := h.Shard(0)
			newRecorder(s)
			s.Join(0, wire.CodecJSON, 0)
			for _, names := range list {
				s.Subscribe(0, names, "", "")
			}
			drainAll(s)
			sub := s.subs.At(0)
			if sub.n != topics || cap(*sub.more) > most {
				t.Errorf("%d topics have room for %d", sub.n, cap(*sub.more))
			}
			checkShards(t, h)
			for _, name := range all[10:] {
				unsubscribe(s, 0, name)
			}
			if sub.n != 10 || cap(*sub.more) > 20 {
				t.Errorf("%d topics have room for %d", sub.n, cap(*sub.more))
			}
			checkShards(t, h)
			for _, name := range all[1:10] {
				unsubscribe(s, 0, name)
			}
			if sub.more != nil {
				t.Error("one topic has a list")
			}
		})
	}
}

// The room that was reserved for refused topics of a command is given back.
func TestRefusedTopicsTakeNoRoom(t *testing.T) {
	h := New(Config{Subscribe: []string{"px.>"}})
	s := h.Shard(0)
	newRecorder(s)
	s.Join(0, wire.CodecJSON, 0)
	s.Subscribe(0, append(numbered("q.T", 0, 500), "px.A"), "", "")
	drainAll(s)
	if sub := s.subs.At(0); sub.n != 1 || sub.more != nil {
		t.Errorf("%d topic, and a list: %v", sub.n, sub.more != nil)
	}
	s.Join(1, wire.CodecJSON, 0)
	s.Subscribe(1, append(numbered("q.T", 0, 500), "px.A", "px.B", "px.C"), "", "")
	drainAll(s)
	if sub := s.subs.At(1); sub.n != 3 || cap(*sub.more) > 16 {
		t.Errorf("%d topics have room for %d", sub.n, cap(*sub.more))
	}
	checkShards(t, h)
}

// A client that subscribes to a pattern and ends its topic, or changes its rate, in the middle of a notice is told it once.
func TestNoticeFindsAClientThatMoves(t *testing.T) {
	rate := []time.Duration{time.Second}
	for _, c := range []struct {
		class       topics.Class
		want, moves string
	}{
		{topics.Class{Match: "px.>", Mode: topics.ModeAll}, "gap", `{"op":"sub","topics":["px.*"]}`},
		{topics.Class{Match: "px.>"}, "stale", `{"op":"sub","topics":["px.*"]}`},
		{topics.Class{Match: "px.>", Rates: rate}, "stale", `{"op":"sub","topics":["px.A"],"rate":"1s"}`},
	} {
		h, s, out := hubOf(Config{}, c.class)
		s.Subscribe(0, []string{"px.A"}, "", "")
		drainAll(s)
		out.takeShort(t, 0)
		h.Lose("upstream", true, everything)
		for range 10 {
			if s.LookAtClock(); s.fanout.underWay() {
				break
			}
			s.Drain(0)
		}
		if !s.fanout.underWay() {
			t.Fatal("no notice is under way")
		}
		s.Apply(0, []byte(c.moves))
		if c.class.Rates == nil {
			s.Apply(0, []byte(`{"op":"unsub","topics":["px.A"]}`))
		}
		drainAll(s)
		told := 0
		for _, m := range out.takeTold(t, 0) {
			if m.Op == c.want {
				told++
			}
		}
		if told != 1 {
			t.Errorf("%s after %s: told %d times", c.want, c.moves, told)
		}
		checkShards(t, h)
	}
}
