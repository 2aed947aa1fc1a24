package broadcast

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tickcast/wsproto"
)

func TestMapping(t *testing.T) {
	for _, c := range []struct{ match, subject, topic, want string }{
		{"delayed.px.*", "px.$1", "delayed.px.A", "px.A"},
		{"free.>", ">", "free.px.A", "px.A"},
		{"x.*.*", "y.$2.$1", "x.a.b", "y.b.a"},
		{"x.*.>", "y.$1.z.>", "x.a.b.c", "y.a.z.b.c"},
		{"one", "another.one", "one", "another.one"},
		{"delayed.px.*", "px.$1", "delayed.px.*", "px.*"},
		{"free.>", ">", "free.px.>", "px.>"},
	} {
		m := newMapping(c.match, c.subject)
		if got := m.apply(c.topic); got != c.want {
			t.Errorf("%s behind %s: topic %s became %s, want %s", c.subject, c.match, c.topic, got, c.want)
		}
		if strings.ContainsAny(c.topic, "*>") {
			continue
		}
		if got, ok := m.invert(c.want); !ok || got != c.topic {
			t.Errorf("%s behind %s: subject %s is topic %q, %v, want %s", c.subject, c.match, c.want, got, ok, c.topic)
		}
		if got, ok := m.invert("other.subject.of.all.of.them.x"); ok && c.subject != ">" {
			t.Errorf("%s: a foreign subject became %s", c.subject, got)
		}
	}
}

func TestOverlap(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"px.>", "px.A", true}, {"px.>", "px", false}, {"px.*", "*.A", true}, {"px.*", "px.A.B", false},
		{"px.*.B", "px.A.>", true}, {"px", "px", true}, {"px", "py", false}, {">", "a.b", true}, {"*.b", "a.>", true},
	} {
		if overlap(c.a, c.b) != c.want || overlap(c.b, c.a) != c.want {
			t.Errorf("overlap of %s and %s: want %v", c.a, c.b, c.want)
		}
	}
}

// hubOf returns a hub with classes, and its one shard with clients 0 to 3, who have been greeted.
func hubOf(cfg Config, classes ...Class) (*Hub, *Shard, *recorder) {
	cfg.Subscribe, cfg.Classes = []string{">"}, classes
	h := NewHub(cfg)
	s := h.Shard(0)
	out := newRecorder(s)
	for slot := range uint32(4) {
		s.Join(slot, CodecJSON, 0)
	}
	return h, s, out
}

func subscribe(s *Shard, out *recorder, slot uint32, topic, after, rate string) {
	s.Subscribe(slot, []string{topic}, after, rate)
	drainAll(s)
}

func TestFirstClassWins(t *testing.T) {
	h, s, out := hubOf(Config{}, Class{Match: "px.A", Mode: ModeAll}, Class{Match: "px.>", Private: true}, Class{Match: "s.>", Snapshot: SnapshotNone})
	s.Subscribe(0, []string{"px.A", "px.B", "q", "px.>", ">", "s.A"}, "", "")
	if got, _ := payloadOf(out.got[0][0]); !strings.Contains(string(got), `{"t":"px.A","mode":"all"`) ||
		!strings.Contains(string(got), `{"t":"px.B","code":101`) || !strings.Contains(string(got), `{"t":"q","mode":"last"`) {
		t.Errorf("answered %s", got)
	}
	out.take(t, 0)
	for _, topic := range []string{"px.A", "px.B", "q"} {
		h.Publish(topic, []byte("1"))
	}
	drainAll(s)
	if got := out.take(t, 0); len(got) != 2 { // > does not lead to what is private
		t.Errorf("got %v", got)
	}
	h.Publish("s.A", []byte("1"))
	drainAll(s)
	out.take(t, 0)
	subscribe(s, out, 1, "s.A", "", "")
	if got := out.take(t, 1); !slices.Equal(got, []string{"ack"}) {
		t.Errorf("without snapshots: got %v", got)
	}
	checkShard(t, s)
}

func TestLosslessQueue(t *testing.T) {
	h, s, out := hubOf(Config{QueueBytes: 2000}, Class{Match: "ord.>", Mode: ModeAll})
	s.Subscribe(0, []string{"ord.>"}, "", "")
	s.Subscribe(1, []string{"ord.A"}, "", "")
	out.take(t, 0)
	out.take(t, 1)
	publish := func(n int) {
		for range n {
			h.Publish("ord.A", []byte("1"))
			drainAll(s)
		}
	}
	out.room[0] = 0
	publish(10)
	if got := len(out.take(t, 0)); got != 1 || s.subs.at(0).backlog.bytes == 0 || h.Stats().QueuedBytes == 0 {
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
	if len(told) != 9 || h.Stats().QueuedBytes != 0 {
		t.Errorf("%d messages, %d bytes are still counted as queued", len(told), h.Stats().QueuedBytes)
	}
	out.room[0] = 0
	publish(100)
	got := out.got[0]
	last := got[len(got)-1]
	want := fmt.Sprintf("slow consumer: resume after %s:11", *h.epoch.Load())
	if code, reason := closeOf(t, last); code != StatusSlowConsumer || reason != want {
		t.Errorf("closed with %d %s, want %s", code, reason, want)
	}
	if st := h.Stats(); st.SlowClosed != 1 || st.QueuedBytes != 0 || st.Subscribers != 3 {
		t.Errorf("%+v", st)
	}
	if got := len(out.take(t, 1)); got != 110 {
		t.Errorf("the other one got %d messages", got)
	}
	checkShard(t, s)
}

func closeOf(t *testing.T, frame []byte) (wsproto.StatusCode, string) {
	t.Helper()
	h, n, err := wsproto.ParseHeader(frame)
	if err != nil || h.Op != wsproto.OpClose {
		t.Fatalf("%q is no close frame", frame)
	}
	return wsproto.StatusCode(binary.BigEndian.Uint16(frame[n:])), string(frame[n+2:])
}

// The client that has been behind for the longest time is given up first.
func TestMemoryBudget(t *testing.T) {
	h, s, out := hubOf(Config{QueueBytes: 1 << 20, MemoryBudget: 3000}, Class{Match: "ord.>", Mode: ModeAll})
	for slot := range uint32(3) {
		s.Subscribe(slot, []string{"ord.A"}, "", "")
		out.room[slot] = int(slot) // 2 is behind last
	}
	for range 30 {
		h.Publish("ord.A", []byte("1"))
		drainAll(s)
	}
	st := h.Stats()
	if st.Shed == 0 || st.QueuedBytes > 3000 || s.subs.at(0).flags&flagJoined != 0 || s.subs.at(3).flags&flagJoined == 0 {
		t.Errorf("%d were shed, %d bytes are queued", st.Shed, st.QueuedBytes)
	}
	checkShard(t, s)
}

func TestResumeFromHistory(t *testing.T) {
	for _, mode := range []Mode{ModeLast, ModeAll} {
		h, s, out := hubOf(Config{}, Class{Match: "news.>", Mode: mode, History: 5})
		s.Subscribe(0, []string{"news.>"}, "", "")
		for i := range 8 {
			h.Publish("news."+string(rune('A'+i%2)), fmt.Appendf(nil, "%d", i))
		}
		drainAll(s)
		epoch := *h.epoch.Load()
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
			got := out.take(t, 1)
			if !slices.Equal(got, c.want) {
				t.Errorf("%v: %s after %d: got %v, want %v", mode, c.topic, c.after, got, c.want)
			}
			s.Apply(1, fmt.Appendf(nil, `{"op":"unsub","topics":[%q]}`, c.topic))
		}
		if h.Stats().HistoryBytes == 0 {
			t.Error("history is not counted")
		}
		checkShard(t, s)
	}
}

func TestHistoryIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, s, _ := hubOf(Config{HistoryBytes: 3 * (keptCost + 100)}, Class{Match: "a.>", History: 100}, Class{Match: "b.>", History: 100, HistoryTTL: time.Minute})
		s.Subscribe(0, []string{"a.A", "b.A"}, "", "")
		for range 50 {
			h.Publish("a.A", []byte("1"))
		}
		if a := h.topics["a.A"]; len(a.history) > 5 || h.Stats().HistoryBytes > int64(h.cfg.HistoryBytes) || a.since != a.history[0].m.seq-1 {
			t.Errorf("%d messages of %d bytes are kept, all since %d", len(a.history), h.Stats().HistoryBytes, a.since)
		}
		h.Publish("b.A", []byte("1"))
		first := h.topics["b.A"].seq
		time.Sleep(time.Hour)
		h.Publish("b.A", []byte("2"))
		if b := h.topics["b.A"]; len(b.history) != 1 {
			t.Errorf("%d messages are kept", len(b.history))
		} else if _, whole := h.missed(b, first-1, b.seq); whole {
			t.Error("what is too old is said to be there")
		}
		for _, i := range h.interests { // the end of a topic is that of its history
			h.unwant(i)
			h.expire(lingerer{i, i.until}, silentUpstream{})
		}
		if h.kept.bytes != 0 || h.kept.all.Len() != 0 {
			t.Errorf("%d bytes of %d messages are left", h.kept.bytes, h.kept.all.Len())
		}
	})
}

// A mailbox that overflows loses nothing of a lossless topic with a history, and tells of a gap without one.
func TestLosslessMailbox(t *testing.T) {
	for history, want := range map[int]string{100: "", 0: "gap"} {
		h, s, out := hubOf(Config{MailboxMessages: 4}, Class{Match: "ord.>", Mode: ModeAll, History: history})
		s.Subscribe(0, []string{"ord.A"}, "", "")
		out.take(t, 0)
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

func TestRates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, s, out := hubOf(Config{}, Class{Match: "px.>", Rates: []time.Duration{100 * time.Millisecond, time.Second}}, Class{Match: "ord.>", Mode: ModeAll})
		subscribe(s, out, 0, "px.A", "", "1s")
		subscribe(s, out, 1, "px.>", "", "100ms")
		subscribe(s, out, 2, "px.A", "", "")
		subscribe(s, out, 3, "px.A", "", "7s")
		if got := out.takeTold(t, 3); len(got[0].Errors) != 1 || got[0].Errors[0].Code != CodeNoSuchTier {
			t.Errorf("got %+v", got)
		}
		subscribe(s, out, 3, "ord.A", "", "1s")
		if got := out.takeTold(t, 3); len(got[0].Errors) != 1 || got[0].Errors[0].Code != CodeNoSuchTier {
			t.Errorf("got %+v", got)
		}
		start := time.Now()
		for range 95 { // 1.9 s, once every 20 ms
			h.Publish("px.A", []byte("1"))
			drainAll(s)
			time.Sleep(20 * time.Millisecond)
			drainAll(s)
		}
		time.Sleep(2 * time.Second)
		drainAll(s)
		for slot, want := range map[uint32][2]int{0: {2, 3}, 1: {19, 21}, 2: {95, 95}} {
			got := out.takeTold(t, slot)[1:]
			var last uint64
			for _, m := range got {
				if m.S <= last {
					t.Errorf("slot %d: sequence %d after %d", slot, m.S, last)
				}
				last = m.S
			}
			if len(got) < want[0] || len(got) > want[1] || last != 95 {
				t.Errorf("slot %d got %d messages in %v, want %v; the last is %d", slot, len(got), time.Since(start), want, last)
			}
		}
		checkShard(t, s)
	})
}

// Whoever changes the rate misses nothing and gets nothing twice.
func TestChangingTheRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, s, out := hubOf(Config{}, Class{Match: "px.>", Rates: []time.Duration{100 * time.Millisecond, time.Second}})
		subscribe(s, out, 0, "px.A", "", "1s")
		subscribe(s, out, 1, "px.A", "", "1s") // keeps the tier busy
		var last uint64
		rates := []string{"", "100ms", "1s", "100ms", "", "1s"}
		for i := range 200 {
			h.Publish("px.A", []byte("1"))
			if i%3 == 0 {
				drainAll(s)
			}
			if i%5 == 0 {
				subscribe(s, out, 0, "px.A", "", rates[i/5%len(rates)])
			}
			time.Sleep(30 * time.Millisecond)
			drainAll(s)
			for _, m := range out.takeTold(t, 0) {
				if m.Op == "" && (m.S <= last || m.K == "snap") {
					t.Fatalf("round %d: %s after %d", i, m.short(), last)
				}
				last = max(last, m.S)
			}
			checkShard(t, s)
		}
		time.Sleep(3 * time.Second)
		drainAll(s)
		for _, m := range out.takeTold(t, 0) {
			last = max(last, m.S)
		}
		if last != 200 {
			t.Errorf("the last message is %d", last)
		}
	})
}

// Of two filters with different rates the faster one brings a message, and the slower one does not bring it again.
func TestOverlappingRates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, s, out := hubOf(Config{}, Class{Match: "px.>", Rates: []time.Duration{100 * time.Millisecond, time.Second}})
		subscribe(s, out, 0, "px.A", "", "1s")
		subscribe(s, out, 0, "px.*", "", "100ms")
		subscribe(s, out, 1, "px.A", "", "")
		subscribe(s, out, 1, "px.*", "", "1s")
		h.Publish("px.A", []byte("1"))
		drainAll(s)
		for range 30 {
			time.Sleep(100 * time.Millisecond)
			drainAll(s)
		}
		for slot := range uint32(2) {
			if got := out.take(t, slot); !slices.Equal(got, []string{"ack", "ack", "px.A 1=1"}) {
				t.Errorf("slot %d got %v", slot, got)
			}
		}
	})
}

func TestSilentTopicIsStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, s, out := hubOf(Config{}, Class{Match: "px.>", StaleAfter: time.Second})
		done := make(chan struct{})
		stopped := make(chan struct{})
		go func() { h.watchSilence(done); close(stopped) }()
		subscribe(s, out, 0, "px.A", "", "")
		step := func(want ...string) {
			t.Helper()
			synctest.Wait()
			drainAll(s)
			if got := out.take(t, 0); !slices.Equal(got, want) {
				t.Errorf("got %v, want %v", got, want)
			}
		}
		h.Publish("px.A", []byte("1"))
		step("ack", "px.A 1=1")
		time.Sleep(900 * time.Millisecond)
		step()
		time.Sleep(300 * time.Millisecond)
		step("stale")
		subscribe(s, out, 1, "px.A", "", "")
		if got := out.take(t, 1); !slices.Equal(got, []string{"ack", "px.A 1=1 snap", "stale"}) {
			t.Errorf("who comes later got %v", got)
		}
		out.room[0] = 0
		h.Publish("px.A", []byte("2")) // fresh is all that the socket takes
		step("fresh")
		delete(out.room, 0)
		s.Writable(0)
		step("px.A 2=2")
		out.room[0] = 0
		h.Publish("px.A", []byte("3"))
		step("px.A 3=3")
		time.Sleep(2 * time.Second) // stale while the client is behind
		step()
		delete(out.room, 0)
		s.Writable(0)
		step("stale")
		close(done)
		<-stopped
	})
}

func TestDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, s, out := hubOf(Config{DelayBytes: 20 * (delayCost + 1)},
			Class{Match: "delayed.>", Subject: ">", Delay: time.Minute, Always: true})
		ctx, cancel := context.WithCancel(t.Context())
		stopped := make(chan struct{})
		go func() { h.Run(ctx, silentUpstream{}); close(stopped) }()
		subscribe(s, out, 0, "delayed.px.A", "", "")
		subscribe(s, out, 1, "px.A", "", "")
		out.take(t, 0)
		out.take(t, 1)
		for i := range 5 {
			h.Publish("px.A", fmt.Appendf(nil, "%d", i))
			time.Sleep(time.Second)
		}
		drainAll(s)
		if a, b := len(out.take(t, 0)), len(out.take(t, 1)); a != 0 || b != 5 || h.Stats().DelayedBytes == 0 {
			t.Errorf("%d and %d messages", a, b)
		}
		time.Sleep(54*time.Second + 900*time.Millisecond)
		synctest.Wait()
		drainAll(s)
		if got := out.take(t, 0); len(got) != 0 {
			t.Errorf("too early: %v", got)
		}
		time.Sleep(200 * time.Millisecond)
		synctest.Wait()
		drainAll(s)
		if got := out.takeTold(t, 0); len(got) != 1 || got[0].T != "delayed.px.A" || string(got[0].D) != "0" {
			t.Errorf("got %v", got)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		drainAll(s)
		if got := out.take(t, 0); len(got) != 4 || h.Stats().DelayedBytes != 0 {
			t.Errorf("got %v, %d bytes are left", got, h.Stats().DelayedBytes)
		}
		for range 100 { // more than may wait
			h.Publish("px.A", []byte("9"))
		}
		if st := h.Stats(); st.DelayDropped != 80 || st.DelayedBytes > int64(h.cfg.DelayBytes) {
			t.Errorf("%d dropped, %d bytes wait", st.DelayDropped, st.DelayedBytes)
		}
		cancel()
		<-stopped
	})
}

func TestCodecs(t *testing.T) {
	h, s, out := hubOf(Config{}, Class{Match: "bin.>", Payload: PayloadBinary}, Class{Match: "ord.>", Mode: ModeAll}, Class{Match: "text.>", Payload: PayloadText})
	s.Join(1, CodecBin, 0)
	s.Join(2, CodecRaw, 0)
	s.Subscribe(0, []string{"bin.A", ">"}, "", "")
	if got := out.takeTold(t, 0); len(got[0].Errors) != 1 || got[0].Errors[0].Code != CodeCodec {
		t.Errorf("got %+v", got[0])
	}
	s.Subscribe(1, []string{"bin.A", "ord.A", "text.A"}, "", "")
	s.Subscribe(2, []string{"bin.A"}, "", "")
	s.Subscribe(3, []string{"text.A"}, "", "")
	out.take(t, 3)
	out.got[1] = nil
	h.Publish("bin.A", []byte{0xff, 0})
	drainAll(s)
	h.Publish("ord.A", []byte("1"))
	drainAll(s)
	h.Publish("text.A", []byte("1"))
	drainAll(s)
	if got := out.take(t, 0); !slices.Equal(got, []string{"ord.A 2=1", `text.A 3="1"`}) {
		t.Errorf("JSON: got %v", got)
	}
	if got := out.take(t, 3); !slices.Equal(got, []string{`text.A 3="1"`}) {
		t.Errorf("text: got %v", got)
	}
	frames := out.got[1]
	if len(frames) != 3 {
		t.Fatalf("bin: %d frames", len(frames))
	}
	for i, want := range []string{
		"\x82\x1f\x01\x00\x05\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00bin.A\xff\x00",
		"\x82\x1e\x01\x01\x05\x00\x00\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00ord.A1",
		"\x82\x1f\x01\x00\x06\x00\x00\x00\x00\x00\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00text.A1",
	} {
		if string(frames[i]) != want {
			t.Errorf("bin %d: got %q\nwant %q", i, frames[i], want)
		}
	}
	if got := out.got[2]; len(got) != 1 || string(got[0]) != "\x82\x02\xff\x00" {
		t.Errorf("raw: got %q", got)
	}
	s.Join(5, CodecRaw, 0)
	s.Subscribe(5, []string{"text.A"}, "", "")
	if got := out.got[5]; len(got) != 1 || string(got[0]) != "\x81\x011" {
		t.Errorf("raw snapshot: got %q", got)
	}
}

// Messages that come while others are written leave together, for each client those that it has not been sent, in order.
func TestCoalescing(t *testing.T) {
	const subscribers = 300
	h, s, out := crowd(subscribers)
	writes := &countingOutlet{recorder: out}
	s.out = writes
	for range 3 {
		h.Publish("px.A", []byte("1"))
	}
	for n := 0; s.Drain(0); n++ {
		if n < 5 {
			h.Publish("px.A", []byte("2"))
		}
	}
	for slot := range uint32(subscribers) {
		got := out.takeTold(t, slot)
		for i, m := range got {
			if m.S != uint64(i+1) {
				t.Fatalf("slot %d: message %d has sequence %d", slot, i, m.S)
			}
		}
		if len(got) != 8 {
			t.Fatalf("slot %d got %d messages", slot, len(got))
		}
	}
	if writes.n > 3*subscribers {
		t.Errorf("%d writes for 8 messages to %d subscribers", writes.n, subscribers)
	}
	if c := h.Stats().Coalesced; c < 7*subscribers {
		t.Errorf("%d are counted as coalesced", c)
	}
}

type countingOutlet struct {
	*recorder
	n int
}

func (o *countingOutlet) Write(slot uint32, frames []byte, count int) (int, bool) {
	o.n++
	return o.recorder.Write(slot, frames, count)
}

func TestFlushInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, s, out := hubOf(Config{FlushInterval: 10 * time.Millisecond})
		s.Subscribe(0, []string{"px.A", "px.B"}, "", "")
		drainAll(s)
		out.take(t, 0)
		out.wakes.Store(0)
		h.Publish("px.A", []byte("1"))
		if s.Drain(wholeDay); len(out.got[0]) != 0 {
			t.Error("written at once")
		}
		time.Sleep(5 * time.Millisecond)
		h.Publish("px.B", []byte("2"))
		if s.Drain(wholeDay); len(out.got[0]) != 0 || out.wakes.Load() != 2 {
			t.Errorf("%d frames, %d wakes", len(out.got[0]), out.wakes.Load())
		}
		time.Sleep(5 * time.Millisecond)
		synctest.Wait()
		if out.wakes.Load() != 3 {
			t.Errorf("%d wakes", out.wakes.Load())
		}
		drainAll(s)
		if got := out.take(t, 0); !slices.Equal(got, []string{"px.A 1=1", "px.B 2=2"}) || h.Stats().Coalesced != 2 {
			t.Errorf("got %v", got)
		}
		h.Publish("px.A", []byte("3"))
		s.Drain(wholeDay)
		s.Apply(0, []byte(`{"op":"ping"}`)) // an answer does not overtake it
		if got := out.take(t, 0); !slices.Equal(got, []string{"px.A 3=3", "ack"}) {
			t.Errorf("got %v", got)
		}
	})
}

// A client that does not read cannot have its history queued again and again.
func TestResumingAgainWhileBehind(t *testing.T) {
	h, s, out := hubOf(Config{QueueBytes: 1 << 20}, Class{Match: "ord.>", Mode: ModeAll, History: 10})
	s.Subscribe(0, []string{"ord.A"}, "", "")
	for range 10 {
		h.Publish("ord.A", []byte("1"))
	}
	drainAll(s)
	after := *h.epoch.Load() + ":0"
	out.room[0] = 2 // the answer, one message, and then no more
	subscribe(s, out, 0, "ord.A", after, "")
	queued := h.Stats().QueuedBytes
	out.take(t, 0)
	out.room[0] = 1 << 20
	for range 5 {
		subscribe(s, out, 0, "ord.A", after, "")
	}
	for _, m := range out.takeTold(t, 0) {
		if len(m.Errors) != 1 || m.Errors[0].Code != CodeTooMany {
			t.Errorf("told %+v", m)
		}
	}
	if got := h.Stats().QueuedBytes; got != queued || queued == 0 {
		t.Errorf("%d bytes are queued, then %d", queued, got)
	}
	s.Apply(0, []byte(`{"op":"unsub","topics":["ord.A"]}`))
	if b := s.subs.at(0).backlog; h.Stats().QueuedBytes != 0 || b.allowed != 0 {
		t.Errorf("%d bytes are still queued, %d allowed", h.Stats().QueuedBytes, b.allowed)
	}
	checkShard(t, s)
}
