package broadcast

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"tickcast/broadcast/topics"
	"tickcast/broadcast/wire"
)

func TestResumeFromHistory(t *testing.T) {
	for _, mode := range []topics.Mode{topics.ModeLast, topics.ModeAll} {
		h, s, out := hubOf(Config{}, topics.Class{Match: "news.>", Mode: mode, History: 5})
		s.Subscribe(0, []string{"news.>"}, "", "")
		for i := range 8 {
			h.Publish("news."+string(rune('A'+i%2)), fmt.Appendf(nil, "%d", i))
		}
		drainAll(s)
		epoch := epochOf(h)
		for _, c := range []struct {
			topic string
			after uint64
			want  []string
		}{
			{"news.A", 3, []string{"ack", "news.A 5=4", "news.A 7=6"}},
			{"news.A", 7, []string{"ack"}},
			{"news.A", 8, []string{"ack"}},
			{"news.>", 4, []string{"ack", "news.A 5=4", "news.B 6=5", "news.A 7=6", "news.B 8=7"}},
			{"news.A", 99, []string{"ack", "news.A 7=6 snap"}},
		} {
			out.got[1] = nil
			subscribe(s, out, 1, c.topic, fmt.Sprintf("%s:%d", epoch, c.after), "")
			got := out.takeShort(t, 1)
			if mode == topics.ModeLast && len(c.want) == 1 { // it always gets the newest
				c.want = append(c.want, "news.A 7=6 snap")
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("%v: %s after %d: got %v, want %v", mode, c.topic, c.after, got, c.want)
			}
			s.Apply(1, fmt.Appendf(nil, `{"op":"unsub","topics":[%q]}`, c.topic))
		}
		if h.Stats().HistoryBytes == 0 {
			t.Error("history is not counted")
		}
		checkShards(t, h)
	}
}

// A client that does not read cannot have its history queued again and again.
func TestResumingAgainWhileBehind(t *testing.T) {
	h, s, out := hubOf(Config{QueueBytes: 1 << 20}, topics.Class{Match: "ord.>", Mode: topics.ModeAll, History: 10})
	s.Subscribe(0, []string{"ord.A"}, "", "")
	for range 10 {
		h.Publish("ord.A", []byte("1"))
	}
	drainAll(s)
	after := epochOf(h) + ":0"
	out.room[0] = 2 // the answer, one message, and then no more
	subscribe(s, out, 0, "ord.A", after, "")
	queued := h.Stats().QueuedBytes
	out.takeShort(t, 0)
	out.room[0] = 1 << 20
	for range 5 {
		subscribe(s, out, 0, "ord.A", after, "")
	}
	for _, m := range out.takeTold(t, 0) {
		if len(m.Errors) != 1 || m.Errors[0].Code != wire.CodeTooMany {
			t.Errorf("told %+v", m)
		}
	}
	if got := h.Stats().QueuedBytes; got != queued || queued == 0 {
		t.Errorf("%d bytes are queued, then %d", queued, got)
	}
	s.Apply(0, []byte(`{"op":"unsub","topics":["ord.A"]}`))
	if b := s.subs.At(0).backlog; h.Stats().QueuedBytes != 0 || b.allowed != 0 {
		t.Errorf("%d bytes are still queued, %d allowed", h.Stats().QueuedBytes, b.allowed)
	}
	checkShards(t, h)
}

// A client that comes back within the linger is recovered, although its command waits for a stream that is away.
func TestLingerDoesNotEndWhileACommandWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, s, out := hubOf(Config{Config: topics.Config{Linger: time.Second}},
			topics.Class{Match: "ord.>", Mode: topics.ModeAll, History: 5},
			topics.Class{Match: "js.>", Mode: topics.ModeAll, Snapshot: topics.SnapshotStream, History: 5})
		defer startRun(h, new(streamUpstream))()
		s.Subscribe(0, []string{"ord.A"}, "", "")
		h.Publish("ord.A", []byte("1"))
		drainAll(s)
		s.Leave(0)
		command := fmt.Sprintf(`{"op":"sub","topics":["ord.A","js.A"],"after":{"ord.A":"%s:1"}}`, epochOf(h))
		want(t, "before the stream is given up", resumeAll(t, s, out, 1, command))
		time.Sleep(parkedPatience + time.Second)
		want(t, "behind that", resumeAll(t, s, out, 1, `{"op":"list","n":1}`), "ord.A true", "js.A 108")
		checkShards(t, h)
	})
}
