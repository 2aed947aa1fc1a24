package broadcast

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tickcast/broadcast/topics"
	"tickcast/broadcast/wire"
)

// Messages that come while others are written leave together: each client gets those that it was not sent yet, in order.
func TestCoalescing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // without it a busy machine may be late, and conflate
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
	})
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
		out.takeShort(t, 0)
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
		if got := out.takeShort(t, 0); !slices.Equal(got, []string{"px.A 1=1", "px.B 2=2"}) || h.Stats().Coalesced != 2 {
			t.Errorf("got %v", got)
		}
		h.Publish("px.A", []byte("3"))
		s.Drain(wholeDay)
		s.Apply(0, []byte(`{"op":"ping"}`)) // an answer does not overtake it
		if got := out.takeShort(t, 0); !slices.Equal(got, []string{"px.A 3=3", "ack"}) {
			t.Errorf("got %v", got)
		}
	})
}

// A message whose subscribers are all behind is finished once it is in their backlogs.
func TestObservedWithoutAWrite(t *testing.T) {
	observed := 0
	h := New(Config{Config: topics.Config{ObserveFanout: func(float64) { observed++ }}, Subscribe: []string{">"}})
	s := h.Shard(0)
	r := newRecorder(s)
	s.Join(0, wire.CodecJSON, 0)
	s.Subscribe(0, []string{"x"}, "", "")
	r.room[0] = 0
	for n := 1; n <= 3; n++ {
		h.Publish("x", []byte("1"))
		s.Drain(time.Second)
		if observed != n {
			t.Fatalf("%d messages are over, %d were observed", n, observed)
		}
	}
}

// Config.ConflateAfter moves the age from which on a batch conflates.
func TestConflateAfter(t *testing.T) {
	for after, want := range map[time.Duration]int{0: 1, time.Second: 2} {
		synctest.Test(t, func(t *testing.T) {
			h, s, out := hubOf(Config{ConflateAfter: after, FlushInterval: time.Millisecond})
			s.Subscribe(0, []string{"px.A"}, "", "")
			drainAll(s)
			time.Sleep(time.Second)
			drainAll(s)
			out.takeShort(t, 0)
			h.Publish("px.A", []byte("1"))
			s.Drain(time.Second)
			h.Publish("px.A", []byte("2"))
			time.Sleep(conflateAfter + 2*time.Millisecond)
			drainAll(s)
			if got := out.takeShort(t, 0); len(got) != want || got[want-1] != "px.A 2=2" {
				t.Errorf("after %v: %v", after, got)
			}
		})
	}
}

// A loop that is behind for long writes the newest value of a topic of ModeLast alone, and every message of a lossless one.
func TestLateBatchConflates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const subscribers = 300
		h, s, out := hubOf(Config{}, topics.Class{Match: "ord.>", Mode: topics.ModeAll})
		for slot := range uint32(subscribers) {
			if slot >= 4 { // hubOf's
				s.Join(slot, wire.CodecJSON, 0)
			}
			s.Subscribe(slot, []string{"px.A", "px.B", "ord.x"}, "", "")
			drainAll(s)
			out.takeShort(t, slot)
		}
		publish := func() {
			for _, topic := range []string{"px.A", "ord.x", "px.B"} {
				h.Publish(topic, []byte("1"))
			}
		}
		publish()
		for range 3 {
			if !s.Drain(0) {
				t.Fatal("all is written at once")
			}
		}
		time.Sleep(conflateAfter + time.Millisecond)
		publish()
		publish()
		out.room[subscribers-1] = 1 // of the last write its socket takes two messages
		drainAll(s)
		conflated := 0
		for slot := range uint32(subscribers) {
			got := out.takeShort(t, slot)
			late := []string{"ord.x 2=1", "ord.x 5=1", "px.A 7=1", "ord.x 8=1", "px.B 9=1"}
			switch {
			case slices.Equal(got, late):
				conflated++
			case slot == subscribers-1:
				if len(got) == 0 || len(got) >= len(late) || !slices.Equal(got, late[:len(got)]) {
					t.Errorf("the client whose socket is full got %v", got)
				}
			case len(got) < len(late) || !slices.Equal(got[len(got)-2:], late[len(late)-2:]) || !slices.Contains(got, "ord.x 5=1"):
				t.Errorf("client %d got %v", slot, got)
			}
		}
		if conflated < subscribers/2 || h.Stats().Conflated < uint64(4*conflated) {
			t.Errorf("%d clients got the newest alone, and %d updates are counted", conflated, h.Stats().Conflated)
		}
	})
}

// A large message keeps no subscriber of another one waiting, and it is not kept waiting by them either.
func TestLargeMessagesWaitForOthers(t *testing.T) {
	large := `"` + strings.Repeat("x", 2*bundleBytes) + `"`
	for _, subscribers := range []uint32{1, 100, 10_000} {
		h, s, out := hubOf(Config{ConflateAfter: time.Hour})
		order := &orderOutlet{recorder: out}
		s.out = order
		for slot := uint32(4); slot < 4+2*subscribers; slot += 2 {
			s.Join(slot, wire.CodecJSON, 0)
			s.Join(slot+1, wire.CodecJSON, 0)
			s.Subscribe(slot, []string{"large"}, "", "")
			s.Subscribe(slot+1, []string{"px.A"}, "", "")
		}
		drainAll(s)
		order.slots = nil
		h.Publish("large", []byte(large))
		h.Publish("px.A", []byte("1"))
		drainAll(s)
		if n := len(order.slots); n != 2*int(subscribers) {
			t.Fatalf("%d writes to %d subscribers", n, 2*subscribers)
		}
		heavy, light, alone := 0, 0, 0
		for _, slot := range order.slots {
			switch {
			case slot%2 == 1:
				light++
			case light == int(subscribers):
				alone++
			default:
				heavy++
			}
		}
		if most := int(subscribers) / lightAtOnce; heavy > most || heavy < most-1 || heavy+alone != int(subscribers) {
			t.Errorf("%d subscribers: %d large messages before the end of %d others, want %d", subscribers, heavy, light, most)
		}
		checkShards(t, h)
	}
}

// A client of both kinds of message gets them in the order in which they came.
func TestLargeMessagesKeepTheOrderOfAClient(t *testing.T) {
	large := `"` + strings.Repeat("x", 2*bundleBytes) + `"`
	h, s, out := hubOf(Config{ConflateAfter: time.Hour}, topics.Class{Match: ">", Mode: topics.ModeAll})
	for slot := range uint32(3) {
		s.Subscribe(slot, []string{"large", "px.A"}, "", "")
	}
	drainAll(s)
	for slot := range uint32(3) {
		out.takeTold(t, slot)
	}
	for _, payload := range []string{"1", large, "2", "3", large, large, "4"} {
		topic := "px.A"
		if payload == large {
			topic = "large"
		}
		h.Publish(topic, []byte(payload))
	}
	drainAll(s)
	for slot := range uint32(3) {
		got := out.takeTold(t, slot)
		for i, m := range got {
			if m.S != uint64(i+1) {
				t.Errorf("slot %d: message %d has sequence %d", slot, i, m.S)
			}
		}
		if len(got) != 7 {
			t.Errorf("slot %d got %d messages", slot, len(got))
		}
	}
	checkShards(t, h)
}
