package broadcast

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"tickcast/broadcast/topics"
	"tickcast/broadcast/wire"
	"tickcast/broadcast/wire/wiretest"
)

// crowd returns a hub with n subscribers of px.A in shard 0.
func crowd(n int) (*Shards, *Shard, *recorder) {
	h := New(openConfig())
	s := h.Shard(0)
	out := newRecorder(s)
	for slot := range uint32(n) {
		s.Join(slot, wire.CodecJSON, 0)
		s.Subscribe(slot, []string{"px.A"}, "", "")
	}
	drainAll(s)
	clear(out.got)
	return h, s, out
}

func TestFanoutInSlices(t *testing.T) {
	const subscribers = 1000
	h, s, out := crowd(subscribers)
	h.Publish("px.A", []byte("1"))
	slices, before := 0, 0
	for more := true; more; slices++ {
		more = s.Drain(0)
		if n := len(out.got) - before; n > lookAtClock {
			t.Fatalf("a slice without any time delivered %d times, want at most %d", n, lookAtClock)
		}
		before = len(out.got)
	}
	if slices < subscribers/lookAtClock {
		t.Errorf("%d slices", slices)
	}
	for slot := range uint32(subscribers) {
		if got := out.takeShort(t, slot); len(got) != 1 || got[0] != "px.A 1=1" {
			t.Fatalf("slot %d got %v", slot, got)
		}
	}
	if n := h.Stats().Deliveries; n != subscribers {
		t.Errorf("%d deliveries are counted", n)
	}
}

// A slice of many messages with few subscribers each ends in time too.
func TestDrainKeepsItsBudget(t *testing.T) {
	const cost, budget = 10 * time.Microsecond, 2 * time.Millisecond
	for _, c := range []struct{ topics, subscribers int }{{2000, 1}, {500, 4}, {1, 2000}} {
		t.Run(fmt.Sprintf("%d topics of %d", c.topics, c.subscribers), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := New(Config{Subscribe: []string{">"}, MaxTopicsPerConnection: c.topics})
				s := h.Shard(0)
				out := &slowOutlet{recorder: newRecorder(s)}
				for slot := range uint32(c.subscribers) {
					s.Join(slot, wire.CodecJSON, 0)
					for i := range c.topics {
						s.Subscribe(slot, []string{fmt.Sprintf("px.%d", i)}, "", "")
					}
				}
				s.out = out
				for i := range c.topics {
					h.Publish(fmt.Sprintf("px.%d", i), []byte("1"))
				}
				out.cost = cost
				for more := true; more; {
					began := time.Now()
					more = s.Drain(budget)
					if took := time.Since(began); took > budget+lookAtClock*cost {
						t.Fatalf("a slice took %v, want at most %v and %d deliveries", took, budget, lookAtClock)
					}
				}
				if out.writes != c.topics*c.subscribers {
					t.Errorf("%d deliveries, want %d", out.writes, c.topics*c.subscribers)
				}
			})
		})
	}
}

// slowOutlet takes its time for each write.
type slowOutlet struct {
	*recorder
	cost   time.Duration
	writes int
}

func (o *slowOutlet) Write(_ uint32, frames []byte, _ int) (int, bool) {
	o.writes += len(wiretest.SplitFrames(frames))
	time.Sleep(o.cost) // of the bubble's clock
	return len(frames), true
}

func TestFanoutStartRotates(t *testing.T) {
	const subscribers, messages = 100, 400
	h, s, out := crowd(subscribers)
	var last [subscribers]int
	order := &orderOutlet{recorder: out}
	s.out = order
	for range messages {
		order.slots = order.slots[:0]
		h.Publish("px.A", []byte("1"))
		drainAll(s)
		if len(order.slots) != subscribers {
			t.Fatalf("%d of %d got the message", len(order.slots), subscribers)
		}
		last[order.slots[subscribers-1]]++
	}
	if most := slices.Max(last[:]); most > messages/10 {
		t.Errorf("one subscriber was the last of %d fan-outs out of %d", most, messages)
	}
}

// orderOutlet keeps the order in which slots were written to.
type orderOutlet struct {
	*recorder
	slots []uint32
}

func (o *orderOutlet) Write(slot uint32, frames []byte, _ int) (int, bool) {
	o.slots = append(o.slots, slot)
	return len(frames), true
}

// nullOutlet takes all frames.
type nullOutlet struct{ *recorder }

func (nullOutlet) Write(_ uint32, frames []byte, _ int) (int, bool) { return len(frames), true }

func TestNothingIsAllocatedPerDelivery(t *testing.T) {
	allocs := func(subscribers int) float64 {
		h, s, out := crowd(subscribers)
		for slot := range uint32(subscribers) { // a second filter, so that both lists are walked
			s.Subscribe(slot, []string{"px.*"}, "", "")
		}
		s.out = nullOutlet{out}
		return testing.AllocsPerRun(50, func() {
			h.Publish("px.A", []byte(`{"b":1}`))
			drainAll(s)
		})
	}
	if one, thousand := allocs(1), allocs(1000); thousand > one {
		t.Errorf("%v allocations for a message to 1 subscriber, %v to 1,000", one, thousand)
	}
}

// At 10,000 messages a second the serial number comes around after five days.
func TestFanoutSerialComesAround(t *testing.T) {
	h, s, out := crowd(3)
	s.fanout.serial = 0 // the next fan-out stamps 1
	h.Publish("px.A", []byte("1"))
	drainAll(s)
	s.fanout.serial = ^uint32(0)
	for _, payload := range []string{"2", "3"} { // the first stamps 1 again
		h.Publish("px.A", []byte(payload))
		drainAll(s)
	}
	for slot := range uint32(3) {
		if got := out.takeShort(t, slot); len(got) != 3 {
			t.Errorf("slot %d got %v, want 3 messages", slot, got)
		}
	}
}

func TestObserveFanoutOncePerMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var observed []float64
		h := New(Config{
			Config:    topics.Config{Shards: 3, ObserveFanout: func(s float64) { observed = append(observed, s) }},
			Subscribe: []string{">"},
		})
		for i := range 2 { // the third has no subscriber
			newRecorder(h.Shard(i))
			h.Shard(i).Join(0, wire.CodecJSON, 0)
			h.Shard(i).Subscribe(0, []string{"px.A"}, "", "")
		}
		h.Publish("px.A", []byte("1"))
		drainAll(h.Shard(0))
		if len(observed) != 0 {
			t.Fatal("observed before the last shard was through")
		}
		time.Sleep(1500 * time.Millisecond)
		drainAll(h.Shard(1))
		if !slices.Equal(observed, []float64{1.5}) {
			t.Errorf("observed %v seconds, want 1.5 once", observed)
		}
	})
}

// Many posts wake the loop once, and not at all while a drain is due or under way: it will see them. Two queued drains would
// each queue another one.
func TestWakesOnce(t *testing.T) {
	h, s, out := crowd(100)
	out.wakes.Store(0)
	for range 10 {
		h.Publish("px.A", []byte("1"))
	}
	if out.wakes.Load() != 1 {
		t.Errorf("10 posts woke %d times", out.wakes.Load())
	}
	for more, n := true, 0; more; n++ {
		if more = s.Drain(0); more && n < 20 {
			h.Publish("px.A", []byte("1"))
			h.SetStale(!h.Stale())
		}
	}
	if out.wakes.Load() != 1 {
		t.Errorf("posts during a drain woke %d times", out.wakes.Load()-1)
	}
	h.Publish("px.A", []byte("2"))
	if out.wakes.Load() != 2 {
		t.Errorf("a post after the last drain woke %d times, want 1", out.wakes.Load()-1)
	}
}

// A post that comes while a drain is about to end is seen by it, or wakes again.
func TestNoPostIsForgotten(t *testing.T) {
	const posts = 30_000
	h := New(openConfig())
	s := h.Shard(0)
	delivered, wakes, done := make(chan struct{}, 1), make(chan struct{}, 2), make(chan struct{})
	go func() {
		defer close(done)
		s.Attach(signalOutlet{delivered: delivered}, func() { wakes <- struct{}{} })
		s.Join(0, wire.CodecJSON, 0)
		s.Subscribe(0, []string{"px.A"}, "", "")
		for range wakes {
			drainAll(s)
		}
	}()
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	for i := range posts + 1 { // first comes the answer to sub
		select {
		case <-delivered:
		case <-timeout.C:
			t.Fatalf("post %d of %d was forgotten", i, posts)
		}
		if i < posts {
			h.Publish("px.A", []byte("1")) // while the drain that delivered the last one comes to its end
		}
	}
	close(wakes)
	<-done
}

// signalOutlet signals each frame.
type signalOutlet struct {
	*recorder
	delivered chan struct{}
}

func (o signalOutlet) Write(_ uint32, frames []byte, _ int) (int, bool) {
	for range wiretest.SplitFrames(frames) {
		o.delivered <- struct{}{}
	}
	return len(frames), true
}

// Messages that are posted before the shard is attached are delivered after it.
func TestPostsBeforeAttach(t *testing.T) {
	h := New(openConfig())
	h.SetStale(true)
	s := h.Shard(0)
	s.Wake()
	out := newRecorder(s)
	if out.wakes.Load() != 1 {
		t.Fatalf("attaching woke %d times, want 1", out.wakes.Load())
	}
	s.Wake()
	if out.wakes.Load() != 1 {
		t.Error("woken twice for one drain")
	}
}

func TestPlacesGiveRoomBack(t *testing.T) {
	const subscribers = 10_000
	h, s, _ := crowd(subscribers)
	f := s.filters.find(filterName{"px.A", 0})
	for slot := range uint32(subscribers - 1) {
		s.Leave(slot)
	}
	if len(f.places) != 1 || cap(f.places) >= 64 {
		t.Errorf("a filter with %d subscriber has room for %d", len(f.places), cap(f.places))
	}
	checkShards(t, h)
}
