package broadcast

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"tickcast/broadcast/topics"
	"tickcast/broadcast/wire"
)

// scriptedUpstream notes its calls, with the time since its start.
type scriptedUpstream struct {
	silentUpstream
	began time.Time
	hub   *Shards
	slow  atomic.Bool // the test calls Hub.Ended

	mu     sync.Mutex
	calls  []string
	refuse map[string]int // how often still
}

func (u *scriptedUpstream) note(call string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.calls = append(u.calls, fmt.Sprintf("%v %s", time.Since(u.began), call))
}

func (u *scriptedUpstream) Subscribe(name string) error {
	u.mu.Lock()
	refused := u.refuse[name] > 0
	u.refuse[name]--
	u.mu.Unlock()
	if refused {
		u.note("refuse " + name)
		return errors.New("refused")
	}
	u.note("sub " + name)
	return nil
}

func (u *scriptedUpstream) refuseNext(name string, times int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.refuse[name] = times
}

func (u *scriptedUpstream) Unsubscribe(name string) error {
	u.note("unsub " + name)
	if !u.slow.Load() {
		for u.hub.Ended(name, nil).Again {
		}
	}
	return nil
}

// upstreamTest runs f in a bubble with a hub of two shards, each with clients 0 and 1, and a linger of 5 seconds.
func upstreamTest(t *testing.T, f func(t *testing.T, h *Shards, up *scriptedUpstream)) {
	synctest.Test(t, func(t *testing.T) {
		h := New(Config{Config: topics.Config{Shards: 2, Linger: 5 * time.Second}, Subscribe: []string{">"}})
		up := &scriptedUpstream{began: time.Now(), hub: h, refuse: make(map[string]int)}
		for i := range 2 {
			newRecorder(h.Shard(i))
			for slot := range uint32(2) {
				h.Shard(i).Join(slot, wire.CodecJSON, 0)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			h.Run(ctx, up)
		}()
		synctest.Wait()
		f(t, h, up)
		for i := range 2 {
			drainAll(h.Shard(i))
		}
		checkShards(t, h)
		cancel()
		<-done
	})
}

// called compares the calls since the last look.
func (u *scriptedUpstream) called(t *testing.T, want ...string) {
	t.Helper()
	synctest.Wait()
	u.mu.Lock()
	defer u.mu.Unlock()
	if !slices.Equal(u.calls, want) {
		t.Errorf("upstream was asked for %q, want %q", u.calls, want)
	}
	u.calls = nil
}

func sub(h *Shards, shard int, slot uint32, name string) {
	h.Shard(shard).Subscribe(slot, []string{name}, "", "")
}

func unsub(h *Shards, shard int, slot uint32, name string) {
	h.Shard(shard).Apply(slot, fmt.Appendf(nil, `{"op":"unsub","topics":[%q]}`, name))
}

func TestInterestLingers(t *testing.T) {
	upstreamTest(t, func(t *testing.T, h *Shards, up *scriptedUpstream) {
		sub(h, 0, 0, "px.A")
		sub(h, 0, 1, "px.A")
		sub(h, 1, 0, "px.A")
		up.called(t, "0s sub px.A")
		time.Sleep(time.Second)
		unsub(h, 0, 0, "px.A")
		unsub(h, 1, 0, "px.A")
		time.Sleep(9 * time.Second)
		up.called(t) // one is left
		unsub(h, 0, 1, "px.A")
		time.Sleep(5*time.Second - 1)
		up.called(t)
		if h.Stats().Interests != 1 {
			t.Error("a lingering interest is not counted")
		}
		time.Sleep(time.Nanosecond)
		up.called(t, "15s unsub px.A")
		if st := h.Stats(); st.Interests != 0 || st.Topics != 0 {
			t.Errorf("%d interests and %d topics are left", st.Interests, st.Topics)
		}
	})
}

func TestInterestComesBackWithinTheLinger(t *testing.T) {
	upstreamTest(t, func(t *testing.T, h *Shards, up *scriptedUpstream) {
		sub(h, 0, 0, "px.A")
		up.called(t, "0s sub px.A")
		unsub(h, 0, 0, "px.A")
		time.Sleep(4 * time.Second)
		h.Deliver("px.A", []byte("1"), "px.A") // without a subscriber, but the newest
		sub(h, 1, 0, "px.A")
		out := h.Shard(1).out.(*recorder)
		if got := out.takeShort(t, 0); len(got) != 2 || got[1] != "px.A 1=1 snap" {
			t.Errorf("got %v, want the message of the linger as the snapshot", got)
		}
		time.Sleep(10 * time.Second)
		up.called(t)
		unsub(h, 1, 0, "px.A") // at 14s: a linger of its own
		time.Sleep(time.Second)
		sub(h, 1, 0, "px.A")
		unsub(h, 1, 0, "px.A") // at 15s: and another
		time.Sleep(4500 * time.Millisecond)
		up.called(t)
		time.Sleep(500 * time.Millisecond)
		up.called(t, "20s unsub px.A")
		sub(h, 1, 0, "px.A")
		up.called(t, "20s sub px.A")
	})
}

// Clients that come and go before upstream was asked leave no interest behind.
func TestInterestShorterThanAsking(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := New(openConfig()) // linger 0
		newRecorder(h.Shard(0))
		h.Shard(0).Join(0, wire.CodecJSON, 0)
		time.Sleep(time.Nanosecond) // the hub's clock is not zero, as it never is
		for _, name := range []string{"px.A", "px.*"} {
			sub(h, 0, 0, name)
			unsub(h, 0, 0, name)
		}
		up := &scriptedUpstream{began: time.Now(), refuse: make(map[string]int)}
		go h.Run(t.Context(), up)
		synctest.Wait()
		time.Sleep(time.Millisecond)
		up.called(t)
		if st := h.Stats(); st.Interests != 0 || st.Topics != 0 {
			t.Errorf("%d interests and %d topics are left", st.Interests, st.Topics)
		}
	})
}

// A refused subscription is tried again after a second or so, also while other interests keep coming and going.
func TestRefusedInterestIsTriedAgain(t *testing.T) {
	upstreamTest(t, func(t *testing.T, h *Shards, up *scriptedUpstream) {
		up.refuseNext("px.A", 2)
		sub(h, 0, 0, "px.A")
		synctest.Wait()
		for i := range 30 { // ten times a second
			sub(h, 1, 0, fmt.Sprintf("q.%d", i))
			time.Sleep(100 * time.Millisecond)
		}
		synctest.Wait()
		up.mu.Lock()
		up.calls = slices.DeleteFunc(up.calls, func(c string) bool { return !strings.HasSuffix(c, "px.A") })
		up.mu.Unlock()
		up.called(t, "0s refuse px.A", "1s refuse px.A", "2s sub px.A")
		up.refuseNext("px.B", 1)
		sub(h, 0, 0, "px.B")
		synctest.Wait()
		unsub(h, 0, 0, "px.B")
		time.Sleep(20 * time.Second)
		up.called(t, "3s refuse px.B")             // it is unwanted by now, and upstream has no subscription to end
		if got := h.Stats().Interests; got != 31 { // px.A and the q.*
			t.Error("a refused interest that nobody wants is left")
		}
	})
}

// deliver delivers a message through the subscription source, and returns the messages that slot 0 of shard 0 is sent.
func deliver(t *testing.T, h *Shards, subject, payload, source string) []string {
	t.Helper()
	h.Deliver(subject, []byte(payload), source)
	drainAll(h.Shard(0))
	return h.Shard(0).out.(*recorder).takeShort(t, 0)
}

// Overlapping subscriptions bring copies: only those of the one that NATS was asked for first count, until its end.
func TestOneCopyCounts(t *testing.T) {
	upstreamTest(t, func(t *testing.T, h *Shards, up *scriptedUpstream) {
		out := h.Shard(0).out.(*recorder)
		sub(h, 0, 0, "px.*")
		synctest.Wait()
		sub(h, 0, 0, "px.A")
		sub(h, 0, 0, ">")
		synctest.Wait()
		out.takeShort(t, 0)
		for _, source := range []string{"px.A", "px.*", ">"} {
			if got := deliver(t, h, "px.A", "1", source); len(got) == 1 != (source == "px.*") {
				t.Errorf("copy through %s: got %v", source, got)
			}
		}
		if got := deliver(t, h, "q", "1", ">"); len(got) != 1 {
			t.Errorf("got %v of a topic that only > matches", got)
		}
		// Its linger keeps px.* the owner; then it is the next one's turn.
		unsub(h, 0, 0, "px.*")
		out.takeShort(t, 0)
		if got := deliver(t, h, "px.A", "2", "px.*"); len(got) != 1 {
			t.Errorf("got %v through the lingering owner", got)
		}
		// The end has its place among the messages: none is lost there, and none comes twice.
		up.slow.Store(true)
		time.Sleep(6 * time.Second)
		for _, source := range []string{"px.A", "px.*"} {
			if got := deliver(t, h, "px.A", "3", source); len(got) == 1 != (source == "px.*") {
				t.Errorf("copy through %s before the end: got %v", source, got)
			}
		}
		if e := h.Ended("px.*", nil); !e.Ended || e.Again || e.Handover != 0 {
			t.Error("it goes on")
		}
		if got := deliver(t, h, "px.A", "3", "px.*"); len(got) != 0 {
			t.Errorf("got %v through a subscription that has ended", got)
		}
		if got := deliver(t, h, "px.A", "4", "px.A"); len(got) != 1 {
			t.Errorf("got %v through the next owner", got)
		}
		// Asked for again, the old owner comes after the new one.
		sub(h, 0, 0, "px.*")
		synctest.Wait()
		out.takeShort(t, 0)
		for _, source := range []string{"px.*", "px.A"} {
			if got := deliver(t, h, "px.A", "5", source); len(got) == 1 != (source == "px.A") {
				t.Errorf("copy through %s: got %v", source, got)
			}
		}
	})
}

// A subscription that NATS refused at first must not keep those from counting that work.
func TestRefusedInterestDoesNotOwn(t *testing.T) {
	upstreamTest(t, func(t *testing.T, h *Shards, up *scriptedUpstream) {
		up.refuseNext("px.*", 1)
		sub(h, 0, 0, "px.*")
		synctest.Wait()
		sub(h, 0, 0, "px.A")
		synctest.Wait()
		h.Shard(0).out.(*recorder).takeShort(t, 0)
		if got := deliver(t, h, "px.A", "1", "px.A"); len(got) != 1 {
			t.Errorf("got %v while px.* is refused", got)
		}
		time.Sleep(2 * time.Second) // px.* is asked for again; until NATS has seen that, copies come through px.A alone
		up.called(t, "0s refuse px.*", "0s sub px.A", "1s sub px.*")
		if got := deliver(t, h, "px.A", "2", "px.A"); len(got) != 1 {
			t.Errorf("got %v through px.A", got)
		}
		if got := deliver(t, h, "px.A", "2", "px.*"); len(got) != 0 {
			t.Errorf("got %v through px.*", got)
		}
	})
}

// Nothing keeps a topic whose interest has ended, with its linger.
func TestEndedTopicsAreLetGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := openConfig()
		cfg.Linger = time.Second
		h := New(cfg)
		s := h.Shard(0)
		newRecorder(s)
		defer startRun(h, silentUpstream{})()
		s.Join(0, wire.CodecJSON, 0)
		s.Subscribe(0, numberedUnder(100), "", "")
		drainAll(s)
		var kept []weak.Pointer[topics.Topic]
		for _, st := range s.filters.byID {
			kept = append(kept, weak.Make(st.topic))
		}
		s.Leave(0)
		drainAll(s)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		runtime.GC()
		for _, p := range kept {
			if p.Value() != nil {
				t.Fatal("a topic is kept")
			}
		}
		if len(kept) != 100 || h.Stats().Topics != 0 {
			t.Errorf("there were %d topics, %d are left", len(kept), h.Stats().Topics)
		}
	})
}
