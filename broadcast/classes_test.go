package broadcast

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tickcast/broadcast/topics"
	"tickcast/broadcast/wire"
	"tickcast/broadcast/wire/wiretest"
)

// hubOf returns a hub with classes, and its one shard with clients 0 to 3, which were greeted.
func hubOf(cfg Config, classes ...topics.Class) (*Shards, *Shard, *recorder) {
	cfg.Subscribe, cfg.Classes = []string{">"}, classes
	h := New(cfg)
	s := h.Shard(0)
	out := newRecorder(s)
	for slot := range uint32(4) {
		s.Join(slot, wire.CodecJSON, 0)
	}
	return h, s, out
}

func subscribe(s *Shard, out *recorder, slot uint32, topic, after, rate string) {
	s.Subscribe(slot, []string{topic}, after, rate)
	drainAll(s)
}

func TestFirstClassWins(t *testing.T) {
	h, s, out := hubOf(Config{}, topics.Class{Match: "px.A", Mode: topics.ModeAll}, topics.Class{Match: "px.>", Private: true}, topics.Class{Match: "s.>", Snapshot: topics.SnapshotNone})
	s.Subscribe(0, []string{"px.A", "px.B", "q", "px.>", ">", "s.A"}, "", "")
	if got, _ := wiretest.PayloadOf(out.got[0][0]); !strings.Contains(string(got), `{"t":"px.A","mode":"all"`) ||
		!strings.Contains(string(got), `{"t":"px.B","code":101`) || !strings.Contains(string(got), `{"t":"q","mode":"last"`) {
		t.Errorf("answered %s", got)
	}
	out.takeShort(t, 0)
	for _, topic := range []string{"px.A", "px.B", "q"} {
		h.Publish(topic, []byte("1"))
	}
	drainAll(s)
	if got := out.takeShort(t, 0); len(got) != 2 { // > does not lead to private topics
		t.Errorf("got %v", got)
	}
	h.Publish("s.A", []byte("1"))
	drainAll(s)
	out.takeShort(t, 0)
	subscribe(s, out, 1, "s.A", "", "")
	if got := out.takeShort(t, 1); !slices.Equal(got, []string{"ack"}) {
		t.Errorf("without snapshots: got %v", got)
	}
	checkShards(t, h)
}

func TestSilentTopicIsStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, s, out := hubOf(Config{}, topics.Class{Match: "px.>", StaleAfter: time.Second})
		defer startRun(h, silentUpstream{})()
		subscribe(s, out, 0, "px.A", "", "")
		step := func(want ...string) {
			t.Helper()
			synctest.Wait()
			drainAll(s)
			if got := out.takeShort(t, 0); !slices.Equal(got, want) {
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
		if got := out.takeShort(t, 1); !slices.Equal(got, []string{"ack", "px.A 1=1 snap", "stale"}) {
			t.Errorf("who comes later got %v", got)
		}
		out.room[0] = 0
		h.Publish("px.A", []byte("2")) // the socket takes fresh and no more
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
	})
}

func TestDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		delayed := topics.Class{Match: "delayed.>", Subject: ">", Delay: time.Minute, Always: true}
		one, _, _ := hubOf(Config{}, delayed)
		one.Publish("px.A", []byte("1"))
		cost := int(one.Stats().DelayedBytes) // of a message of one byte
		h, s, out := hubOf(Config{Config: topics.Config{DelayBytes: 20 * cost}}, delayed)
		defer startRun(h, silentUpstream{})()
		subscribe(s, out, 0, "delayed.px.A", "", "")
		subscribe(s, out, 1, "px.A", "", "")
		out.takeShort(t, 0)
		out.takeShort(t, 1)
		for i := range 5 {
			h.Publish("px.A", fmt.Appendf(nil, "%d", i))
			time.Sleep(time.Second)
		}
		drainAll(s)
		if a, b := len(out.takeShort(t, 0)), len(out.takeShort(t, 1)); a != 0 || b != 5 || h.Stats().DelayedBytes == 0 {
			t.Errorf("%d and %d messages", a, b)
		}
		time.Sleep(54*time.Second + 900*time.Millisecond)
		synctest.Wait()
		drainAll(s)
		if got := out.takeShort(t, 0); len(got) != 0 {
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
		if got := out.takeShort(t, 0); len(got) != 4 || h.Stats().DelayedBytes != 0 {
			t.Errorf("got %v, %d bytes are left", got, h.Stats().DelayedBytes)
		}
		for range 100 { // more than may wait
			h.Publish("px.A", []byte("9"))
		}
		if st := h.Stats(); st.DelayDropped != 80 || st.DelayedBytes > int64(22*cost) { // with the hole and the topic's name in it
			t.Errorf("%d dropped, %d bytes wait", st.DelayDropped, st.DelayedBytes)
		}
	})
}

// Messages that wait for their delay end with their topic: those behind them may be missing when somebody wants it again.
func TestDelayEndsWithItsTopic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, s, out := hubOf(Config{}, topics.Class{Match: "px.>", Mode: topics.ModeAll, Delay: time.Minute})
		defer startRun(h, silentUpstream{})()
		subscribe(s, out, 0, "px.A", "", "")
		h.Publish("px.A", []byte("1"))
		unsub(h, 0, 0, "px.A")
		drainAll(s)
		synctest.Wait()
		h.Publish("px.A", []byte("2")) // nobody wants it
		subscribe(s, out, 0, "px.A", "", "")
		out.takeShort(t, 0)
		h.Publish("px.A", []byte("3"))
		time.Sleep(61 * time.Second)
		synctest.Wait()
		drainAll(s)
		if got := out.takeTold(t, 0); len(got) != 1 || string(got[0].D) != "3" {
			t.Errorf("got %v", got)
		}
		if n := h.Stats().DelayedBytes; n != 0 {
			t.Errorf("%d bytes are left", n)
		}
	})
}

func TestCodecs(t *testing.T) {
	h, s, out := hubOf(Config{}, topics.Class{Match: "bin.>", Payload: wire.PayloadBinary}, topics.Class{Match: "ord.>", Mode: topics.ModeAll}, topics.Class{Match: "text.>", Payload: wire.PayloadText})
	s.Join(1, wire.CodecBin, 0)
	s.Join(2, wire.CodecRaw, 0)
	s.Subscribe(0, []string{"bin.A", ">"}, "", "")
	if got := out.takeTold(t, 0); len(got[0].Errors) != 1 || got[0].Errors[0].Code != wire.CodeCodec {
		t.Errorf("got %+v", got[0])
	}
	s.Subscribe(1, []string{"bin.A", "ord.A", "text.A"}, "", "")
	s.Subscribe(2, []string{"bin.A"}, "", "")
	s.Subscribe(3, []string{"text.A"}, "", "")
	out.takeShort(t, 3)
	out.got[1] = nil
	h.Publish("bin.A", []byte{0xff, 0})
	drainAll(s)
	h.Publish("ord.A", []byte("1"))
	drainAll(s)
	h.Publish("text.A", []byte("1"))
	drainAll(s)
	if got := out.takeShort(t, 0); !slices.Equal(got, []string{"ord.A 2=1", `text.A 3="1"`}) {
		t.Errorf("JSON: got %v", got)
	}
	if got := out.takeShort(t, 3); !slices.Equal(got, []string{`text.A 3="1"`}) {
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
	s.Join(5, wire.CodecRaw, 0)
	s.Subscribe(5, []string{"text.A"}, "", "")
	if got := out.got[5]; len(got) != 1 || string(got[0]) != "\x81\x011" {
		t.Errorf("raw snapshot: got %q", got)
	}
}
