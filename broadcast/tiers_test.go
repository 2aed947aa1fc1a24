package broadcast

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"tickcast/broadcast/topics"
	"tickcast/broadcast/wire"
)

func TestRates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, s, out := hubOf(Config{}, topics.Class{Match: "px.>", Rates: []time.Duration{100 * time.Millisecond, time.Second}}, topics.Class{Match: "ord.>", Mode: topics.ModeAll})
		subscribe(s, out, 0, "px.A", "", "1s")
		subscribe(s, out, 1, "px.>", "", "100ms")
		subscribe(s, out, 2, "px.A", "", "")
		subscribe(s, out, 3, "px.A", "", "7s")
		if got := out.takeTold(t, 3); len(got[0].Errors) != 1 || got[0].Errors[0].Code != wire.CodeNoSuchTier {
			t.Errorf("got %+v", got)
		}
		subscribe(s, out, 3, "ord.A", "", "1s")
		if got := out.takeTold(t, 3); len(got[0].Errors) != 1 || got[0].Errors[0].Code != wire.CodeNoSuchTier {
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
		checkShards(t, h)
	})
}

// A client that changes its rate misses no message and gets none twice.
func TestChangingTheRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, s, out := hubOf(Config{}, topics.Class{Match: "px.>", Rates: []time.Duration{100 * time.Millisecond, time.Second}})
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
					t.Fatalf("round %d: %s after %d", i, m.Short(), last)
				}
				last = max(last, m.S)
			}
			checkShards(t, h)
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

// With two filters of different rates the faster one brings a message, and the slower one does not bring it again.
func TestOverlappingRates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, s, out := hubOf(Config{}, topics.Class{Match: "px.>", Rates: []time.Duration{100 * time.Millisecond, time.Second}})
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
			if got := out.takeShort(t, slot); !slices.Equal(got, []string{"ack", "ack", "px.A 1=1"}) {
				t.Errorf("slot %d got %v", slot, got)
			}
		}
	})
}

// The alarm for a turn before the end of a batch does not cancel the alarm for that end.
func TestBatchEndsAfterATurn(t *testing.T) {
	const rate, flush = 20 * time.Millisecond, 60 * time.Millisecond
	h := New(Config{
		Config:    topics.Config{Classes: []topics.Class{{Match: "r.>", Rates: []time.Duration{rate}}}},
		Subscribe: []string{">"}, FlushInterval: flush,
	})
	s := h.Shard(0)
	r := newRecorder(s)
	s.Drain(time.Second)
	wakes := make(chan bool, 16)
	s.Attach(r, func() { wakes <- true })
	s.Join(0, wire.CodecJSON, 0)
	s.Subscribe(0, []string{"r.A"}, "", rate.String())
	s.Subscribe(0, []string{"x"}, "", "")
	r.takeShort(t, 0)
	h.Publish("r.A", []byte("1"))
	h.Publish("x", []byte("2"))
	for deadline := time.After(patience); len(r.got[0]) < 2; {
		select {
		case <-wakes:
			s.Drain(time.Second)
		case <-deadline:
			t.Fatalf("after %v and more only %q is written", flush, r.takeShort(t, 0))
		}
	}
}
