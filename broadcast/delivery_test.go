package broadcast

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tickcast/broadcast/topics"
	"tickcast/broadcast/wire"
)

// everything is a hole of all feeds.
func everything(string) bool { return true }

// resumeAll sends a sub of slot and returns the answers and messages, in short; topics are told with recovered.
func resumeAll(t *testing.T, s *Shard, out *recorder, slot uint32, command string) (got []string) {
	t.Helper()
	out.got[slot] = nil
	s.Apply(slot, []byte(command))
	synctest.Wait()
	drainAll(s)
	for _, m := range out.takeTold(t, slot) {
		if m.Op != "ack" {
			got = append(got, m.Short())
			continue
		}
		var acked []struct {
			T         string
			Recovered *bool
		}
		_ = json.Unmarshal(m.Topics, &acked)
		for _, a := range acked {
			if a.Recovered != nil {
				got = append(got, fmt.Sprint(a.T, " ", *a.Recovered))
			}
		}
		for _, e := range m.Errors {
			got = append(got, fmt.Sprint(e.Topic, " ", e.Code))
		}
	}
	return got
}

func want(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: got %q, want %q", what, got, want)
	}
}

// A hole stands where messages were lost, with and without a delay; cursors from before do not reach across it, those from after
// do, and the epoch stays.
func TestHoleStandsWhereMessagesWereLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, s, out := hubOf(Config{},
			topics.Class{Match: "late.>", Subject: "px.>", Mode: topics.ModeAll, History: 10, Delay: time.Second},
			topics.Class{Match: "px.>", Mode: topics.ModeAll, History: 10})
		defer startRun(h, silentUpstream{})()
		s.Subscribe(0, []string{"late.*"}, "", "")
		s.Subscribe(1, []string{"px.*"}, "", "")
		out.takeShort(t, 0)
		out.takeShort(t, 1)
		synctest.Wait()
		epoch := epochOf(h)
		h.Publish("px.A", []byte("1"))
		h.Lose("upstream", true, everything)
		h.Publish("px.A", []byte("2"))
		h.Publish("px.B", []byte("3")) // not known before
		drainAll(s)
		want(t, "before it is due", out.takeShort(t, 0))
		want(t, "at once", out.takeShort(t, 1), "px.A 1=1", "gap", "px.A 3=2", "gap", "px.B 4=3")
		time.Sleep(2 * time.Second)
		synctest.Wait()
		drainAll(s)
		told := out.takeTold(t, 0)
		var short []string
		for _, m := range told {
			short = append(short, m.Short())
		}
		want(t, "when it is due", short, "late.A 5=1", "gap", "gap", "late.A 7=2", "late.B 8=3")
		if told[3].P != 0 {
			t.Errorf("the message behind the hole says that %d was before it", told[2].P)
		}
		for _, c := range []struct {
			after uint64
			want  []string
		}{
			{1, []string{"px.* false", "px.A 3=2 snap", "px.B 4=3 snap"}},
			{2, []string{"px.* true", "gap", "px.A 3=2", "px.B 4=3"}}, // px.B may have lost messages before the cursor
			{3, []string{"px.* true", "gap", "px.B 4=3"}},
		} {
			command := fmt.Sprintf(`{"op":"sub","topics":["px.*"],"after":"%s:%d"}`, epoch, c.after)
			want(t, command, resumeAll(t, s, out, 2, command), c.want...)
			s.Apply(2, []byte(`{"op":"unsub","topics":["px.*"]}`))
		}
	})
}

// Topics that are new since the cursor of a pattern are a part of what it recovers.
func TestPatternRecoversNewTopics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, s, out := hubOf(Config{}, topics.Class{Match: "l.>", Mode: topics.ModeAll, History: 10})
		s.Subscribe(0, []string{"l.*"}, "", "")
		h.Publish("l.A", []byte("1"))
		h.Publish("l.B", []byte("2"))
		h.Publish("l.C", []byte("3"))
		drainAll(s)
		got := resumeAll(t, s, out, 1, `{"op":"sub","topics":["l.*"],"after":"`+epochOf(h)+`:1"}`)
		want(t, "two are new", got, "l.* true", "l.B 2=2", "l.C 3=3")
	})
}

// One command brings every topic back from where it was. A topic of mode last always brings its newest value.
func TestEachTopicHasItsCursor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, s, out := hubOf(Config{}, topics.Class{Match: "l.>", Mode: topics.ModeAll, History: 10})
		s.Subscribe(0, []string{"l.*", "k"}, "", "")
		for i, topic := range []string{"l.A", "l.B", "k", "l.A", "l.B"} {
			h.Publish(topic, fmt.Append(nil, i))
		}
		drainAll(s)
		epoch := epochOf(h)
		got := resumeAll(t, s, out, 1, strings.ReplaceAll(
			`{"op":"sub","topics":["l.A","l.B","l.C","k"],"after":{"l.A":"E:1","l.B":"E:5","k":"E:5","other":"E:9"}}`, "E:", epoch+":"))
		want(t, "an object", got, "l.A true", "l.B true", "k true", "l.A 4=3", "k 3=2 snap")
		got = resumeAll(t, s, out, 2, `{"op":"sub","topics":["l.A"],"after":{"l.A":"nonsense"}}`)
		want(t, "no cursor", got, "err")
	})
}

// A cursor beyond the place of this shard waits for it: nothing at or before a cursor is sent.
func TestCursorWaitsForTheShard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, s, out := hubOf(Config{}, topics.Class{Match: "l.>", Mode: topics.ModeAll, History: 10})
		s.Subscribe(0, []string{"l.A"}, "", "")
		for i := range 5 {
			h.Publish("l.A", fmt.Append(nil, i))
		}
		out.got[1] = nil
		s.Subscribe(1, []string{"l.A"}, epochOf(h)+":3", "")
		if len(out.got[1]) > 0 {
			t.Error("it was answered before the shard had come so far")
		}
		h.Publish("l.A", []byte("5"))
		drainAll(s)
		want(t, "then", out.takeShort(t, 1), "ack", "l.A 4=3", "l.A 5=4", "l.A 6=5")
		checkShards(t, h)
		s.Subscribe(2, []string{"l.A", "l.B"}, "", "")
		h.Publish("l.A", []byte("6"))
		s.Subscribe(3, []string{"l.A"}, "", "") // waits, and leaves
		s.Leave(3)
		drainAll(s)
		checkShards(t, h)
	})
}

// A cursor of a stream waits for the consumer, for a bounded time.
func TestCursorWaitsForTheNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, s, out := hubOf(Config{}, topics.Class{Match: "s.>", Mode: topics.ModeAll, Snapshot: topics.SnapshotStream, History: 10})
		up := new(streamUpstream)
		stream := up.make()
		defer startRun(h, up)()
		resumeAll(t, s, out, 0, `{"op":"sub","topics":["s.A"]}`)
		for i := range 5 {
			stream.publish("s.A", fmt.Sprint(i))
		}
		command := `{"op":"sub","topics":["s.A"],"after":"STREAM1:4"}`
		want(t, "the consumer is behind", resumeAll(t, s, out, 1, command))
		stream.steps <- func(to topics.StreamSink) error { stream.deliver(to, 5); return nil }
		synctest.Wait()
		drainAll(s)
		want(t, "it has come so far", out.takeShort(t, 1), "ack", "s.A 5=4")
		want(t, "beyond the end", resumeAll(t, s, out, 2, strings.Replace(command, ":4", ":9", 1)))
		time.Sleep(parkedPatience)
		synctest.Wait()
		drainAll(s)
		want(t, "then", out.takeShort(t, 2), "ack", "s.A 5=4 snap")
	})
}

// Each topic has its answer within a bound, whatever its stream does.
func TestStreamThatIsNotThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, s, out := hubOf(Config{MaxTopicsPerConnection: 300}, topics.Class{Match: "s.>", Mode: topics.ModeAll, Snapshot: topics.SnapshotStream})
		up := new(streamUpstream)
		defer startRun(h, up)()
		want(t, "at once", resumeAll(t, s, out, 0, `{"op":"sub","topics":["s.A","px.A","s.*"]}`))
		for i := range 200 { // more commands than mostParked
			resumeAll(t, s, out, 1, fmt.Sprintf(`{"op":"sub","topics":["s.%d"]}`, i))
		}
		time.Sleep(parkedPatience)
		drainAll(s)
		told := out.takeTold(t, 0)
		if len(told) != 1 || len(told[0].Errors) != 2 || told[0].Errors[0].Code != wire.CodeNotAvailable ||
			!strings.Contains(told[0].Errors[0].Msg, "no stream") || !strings.Contains(string(told[0].Topics), "px.A") {
			t.Errorf("answered %+v", told)
		}
		if got := out.takeShort(t, 1); len(got) != 200 || slices.Contains(got, "err") {
			t.Errorf("%d answers: %v", len(got), got)
		}
		// It was there and is away: the topic is stale until it is back.
		stream := up.make()
		time.Sleep(2 * time.Second) // its reader looks for it every second
		want(t, "a stream without messages", resumeAll(t, s, out, 3, `{"op":"sub","topics":["s.A"]}`))
		up.mu.Lock()
		up.stream = nil
		up.mu.Unlock()
		stream.steps <- func(topics.StreamSink) error { return fmt.Errorf("gone") }
		synctest.Wait()
		want(t, "away", resumeAll(t, s, out, 2, `{"op":"sub","topics":["s.B"]}`))
		time.Sleep(parkedPatience)
		drainAll(s)
		want(t, "then", out.takeShort(t, 2), "ack", "stale")
		up.mu.Lock()
		up.stream = stream
		up.mu.Unlock()
		time.Sleep(2 * time.Second)
		drainAll(s)
		want(t, "back", out.takeShort(t, 2), "fresh")
		checkShards(t, h)
	})
}

// A topic that is stale for a reason of its own is told so again when upstream is back, until its next message.
func TestStaleOutlivesAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, s, out := hubOf(Config{}, topics.Class{Match: "k.>", StaleAfter: time.Second})
		defer startRun(h, silentUpstream{})()
		s.Subscribe(0, []string{"k.A", "px.A"}, "", "")
		h.Publish("k.A", []byte("1"))
		h.Publish("px.A", []byte("2"))
		drainAll(s)
		out.takeShort(t, 0)
		time.Sleep(2 * time.Second) // k.A is silent
		h.SetStale(true)
		synctest.Wait()
		drainAll(s)
		want(t, "away", out.takeShort(t, 0), "stale", "stale")
		h.Lose("upstream", true, everything)
		h.SetStale(false)
		synctest.Wait()
		drainAll(s)
		told := out.takeTold(t, 0)
		believes := map[string]string{}
		for _, m := range told {
			for _, topic := range []string{"k.A", "px.A"} {
				if names := string(m.Topics); names == `[">"]` || strings.Contains(names, topic) {
					believes[topic] = m.Op
				}
			}
		}
		if believes["k.A"] != "stale" || believes["px.A"] != "stale" {
			t.Errorf("believes %v", believes)
		}
		h.Publish("k.A", []byte("3"))
		h.Publish("px.A", []byte("4"))
		drainAll(s)
		want(t, "heard", out.takeShort(t, 0), "fresh", "k.A 4=3", "fresh", "px.A 5=4")
	})
}

// The order over lossless topics holds when a mailbox overflows, and with a history nothing is lost.
func TestOverflowKeepsTheOrderOverTopics(t *testing.T) {
	h, s, out := hubOf(Config{Config: topics.Config{MailboxMessages: 4}, QueueBytes: 1 << 20}, topics.Class{Match: "l.>", Mode: topics.ModeAll, History: 1000})
	s.Subscribe(0, []string{"l.*"}, "", "")
	out.takeShort(t, 0)
	for i := range 500 {
		h.Publish(fmt.Sprintf("l.%d", i*i%7), []byte("1"))
	}
	drainAll(s)
	told := out.takeTold(t, 0)
	for i, m := range told {
		if m.S != uint64(i+1) {
			t.Fatalf("message %d is %s", i, m.Short())
		}
	}
	if len(told) != 500 {
		t.Errorf("%d messages", len(told))
	}
}

// A shard that is slow has one update of each topic of mode last waiting, beyond a short burst.
func TestQuotesDoNotQueue(t *testing.T) {
	const quotes, burst = 30, 10
	h, s, out := hubOf(Config{Config: topics.Config{ConflateAbove: burst}})
	s.Subscribe(0, []string{"px.*"}, "", "")
	out.takeShort(t, 0)
	for round := range 100 {
		for i := range quotes {
			h.Publish(fmt.Sprintf("px.%d", i), fmt.Append(nil, round))
		}
		if n := s.mailbox.Len(); n > quotes+burst {
			t.Fatalf("%d messages of %d topics wait", n, quotes)
		}
		if round%10 == 9 { // it takes a few
			s.fanout.steps = lookAtClock - 4
			s.Drain(0)
		}
	}
	drainAll(s)
	newest := make(map[string]string)
	for _, m := range out.takeTold(t, 0) {
		newest[m.T] = string(m.D)
	}
	for topic, d := range newest {
		if d != "99" {
			t.Errorf("%s is %s", topic, d)
		}
	}
	if st := h.Stats(); len(newest) != quotes || st.Conflated == 0 || st.Conflated+st.Deliveries != 100*quotes {
		t.Errorf("%d topics, %d conflated, %d delivered of %d", len(newest), st.Conflated, st.Deliveries, 100*quotes)
	}
}
