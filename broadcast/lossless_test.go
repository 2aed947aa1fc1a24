package broadcast

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"tickcast/broadcast/topics"
	"tickcast/broadcast/wire"
	"tickcast/wsproto"
)

func TestLosslessQueue(t *testing.T) {
	h, s, out := hubOf(Config{QueueBytes: 2000}, topics.Class{Match: "ord.>", Mode: topics.ModeAll})
	s.Subscribe(0, []string{"ord.>"}, "", "")
	s.Subscribe(1, []string{"ord.A"}, "", "")
	out.takeShort(t, 0)
	out.takeShort(t, 1)
	publish := func(n int) {
		for range n {
			h.Publish("ord.A", []byte("1"))
			drainAll(s)
		}
	}
	out.room[0] = 0
	publish(10)
	if got := len(out.takeShort(t, 0)); got != 1 || s.subs.At(0).backlog.bytes == 0 || h.Stats().QueuedBytes == 0 {
		t.Fatalf("%d messages, queued %d bytes", got, h.Stats().QueuedBytes)
	}
	delete(out.room, 0)
	s.Writable(0)
	told := out.takeTold(t, 0)
	for i, m := range told {
		if m.S != uint64(i+2) || m.P != uint64(i+1) {
			t.Errorf("message %d has sequence %d and says %d was before it", i, m.S, m.P)
		}
	}
	if len(told) != 9 || h.Stats().QueuedBytes != 0 || h.Stats().QueuePlaces != 0 {
		t.Errorf("%d messages, %d bytes are still counted as queued", len(told), h.Stats().QueuedBytes)
	}
	out.room[0] = 0
	publish(100)
	got := out.got[0]
	last := got[len(got)-1]
	want := fmt.Sprintf("slow consumer: resume after %s:11", epochOf(h))
	if code, reason := closeOf(t, last); code != wire.StatusSlowConsumer || reason != want {
		t.Errorf("closed with %d %s, want %s", code, reason, want)
	}
	if st := h.Stats(); st.SlowClosed != 1 || st.QueuedBytes != 0 || st.Subscribers != 3 {
		t.Errorf("%+v", st)
	}
	if got := len(out.takeShort(t, 1)); got != 110 {
		t.Errorf("the other one got %d messages", got)
	}
	checkShards(t, h)
}

// A shard that begins with a topic after others have had messages misses none of it, also where the topic is the hub's first.
func TestFirstMessageHasNoGapBeforeIt(t *testing.T) {
	for _, earlier := range []string{"", "ord.A"} {
		cfg := openConfig()
		cfg.Shards = 2
		cfg.Classes = []topics.Class{{Match: "ord.>", Mode: topics.ModeAll}}
		h := New(cfg)
		for i := range 2 {
			h.Shard(i).Join(0, wire.CodecJSON, 0)
		}
		one, two := newRecorder(h.Shard(0)), newRecorder(h.Shard(1))
		if earlier != "" {
			h.Shard(0).Subscribe(0, []string{earlier}, "", "")
			h.Publish(earlier, []byte("0"))
		}
		h.Shard(0).Subscribe(0, []string{"ord.B", "ord.C"}, "", "")
		h.Publish("ord.C", []byte("0"))
		h.Shard(1).Subscribe(0, []string{"ord.B"}, "", "")
		h.Publish("ord.C", []byte("0"))
		drainAll(h.Shard(0))
		drainAll(h.Shard(1))
		one.takeShort(t, 0)
		two.takeShort(t, 0)
		h.Publish("ord.B", []byte("1"))
		drainAll(h.Shard(0))
		drainAll(h.Shard(1))
		for i, out := range []*recorder{one, two} {
			if got := out.takeShort(t, 0); len(got) != 1 || !strings.HasPrefix(got[0], "ord.B ") {
				t.Errorf("%q before: shard %d wrote %q", earlier, i, got)
			}
		}
	}
}

func closeOf(t *testing.T, frame []byte) (wsproto.StatusCode, string) {
	t.Helper()
	h, n, err := wsproto.ParseHeader(frame)
	if err != nil || h.Op != wsproto.OpClose {
		t.Fatalf("%q is no close frame", frame)
	}
	return wsproto.StatusCode(binary.BigEndian.Uint16(frame[n:])), string(frame[n+2:])
}

// The client that has been behind for the longest time is closed first.
func TestMemoryBudget(t *testing.T) {
	h, s, out := hubOf(Config{QueueBytes: 1 << 20, MemoryBudget: 3000}, topics.Class{Match: "ord.>", Mode: topics.ModeAll})
	for slot := range uint32(3) {
		s.Subscribe(slot, []string{"ord.A"}, "", "")
		out.room[slot] = int(slot) // 2 is behind last
	}
	for range 30 {
		h.Publish("ord.A", []byte("1"))
		drainAll(s)
	}
	st := h.Stats()
	if st.Shed == 0 || st.QueuedBytes > 3000 || s.subs.At(0).flags&flagJoined != 0 || s.subs.At(3).flags&flagJoined == 0 {
		t.Errorf("%d were shed, %d bytes are queued", st.Shed, st.QueuedBytes)
	}
	checkShards(t, h)
}

// The budget of all shards ends the client whose replay holds the most, on whatever loop, and not the one that is behind for a
// moment.
func TestMemoryBudgetEndsTheHog(t *testing.T) {
	cfg := Config{Config: topics.Config{Shards: 2}, QueueBytes: 1 << 20, MemoryBudget: 20_000}
	h, s, out := hubOf(cfg, topics.Class{Match: "ord.>", Mode: topics.ModeAll, History: 1000})
	other := h.Shard(1)
	otherOut := newRecorder(other)
	other.Join(0, wire.CodecJSON, 0)
	s.Subscribe(0, []string{"ord.A"}, "", "")
	for range 200 {
		h.Publish("ord.A", []byte("1"))
	}
	drainAll(s)
	otherOut.room[0] = 1
	other.Subscribe(0, []string{"ord.A"}, epochOf(h)+":0", "") // the hog never reads its replay
	out.room[0] = 0
	for range 200 { // the honest client is behind for a moment
		h.Publish("ord.A", []byte("1"))
		drainAll(s)
		drainAll(other)
	}
	if h.Stats().Shed != 1 || other.subs.At(0).joined() || !s.subs.At(0).joined() {
		t.Errorf("%d were shed; the hog is there: %v, the honest client: %v", h.Stats().Shed, other.subs.At(0).joined(), s.subs.At(0).joined())
	}
	checkShards(t, h)
}

// A mailbox that overflows loses no message of a lossless topic with a history, and tells of a gap without one.
func TestLosslessMailbox(t *testing.T) {
	for history, want := range map[int]string{100: "", 0: "gap"} {
		h, s, out := hubOf(Config{Config: topics.Config{MailboxMessages: 4}}, topics.Class{Match: "ord.>", Mode: topics.ModeAll, History: history})
		s.Subscribe(0, []string{"ord.A"}, "", "")
		out.takeShort(t, 0)
		for range 20 {
			h.Publish("ord.A", []byte("1"))
		}
		drainAll(s)
		got := out.takeTold(t, 0)
		if want == "" {
			for i, m := range got {
				if m.S != uint64(i+1) || m.P != uint64(i) {
					t.Errorf("message %d is %+v", i, m)
				}
			}
			if len(got) != 20 {
				t.Errorf("%d messages", len(got))
			}
			continue
		}
		if len(got) != 6 || got[4].Op != "gap" || got[4].T != "ord.A" || got[5].S != 20 || h.Stats().Gaps != 1 {
			t.Errorf("got %+v", got)
		}
	}
}

// A shard has a pattern, so that topics may be new to it, and still gets messages of a lossless topic after its last subscriber has left.
func TestLosslessTopicWithoutSubscribers(t *testing.T) {
	h := New(Config{
		Config:    topics.Config{Classes: []topics.Class{{Match: "a.>", Mode: topics.ModeAll, History: 2}}},
		Subscribe: []string{">"},
	})
	s := h.Shard(0)
	newRecorder(s)
	s.Join(0, wire.CodecJSON, 0)
	s.Subscribe(0, []string{"a.x", "b.*"}, "", "")
	for range 5 {
		h.Publish("a.x", []byte("1"))
	}
	s.Drain(patience)
	for range 3 {
		h.Publish("a.x", []byte("2"))
	}
	unsubscribe(s, 0, "a.x")
	if s.Drain(patience) {
		t.Error("the shard is busy with what nobody wants")
	}
}
