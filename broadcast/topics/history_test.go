package topics

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestHistoryIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := New(Config{
			HistoryBytes: 3 * (keptCost + 100),
			Classes:      []Class{{Match: "a.>", History: 100}, {Match: "b.>", History: 100, HistoryTTL: time.Minute}},
		})
		raise(t, h, "a.A")
		raise(t, h, "b.A")
		for range 50 {
			h.Publish("a.A", []byte("1"))
		}
		if a := h.topics["a.A"]; len(a.history) > 5 || h.Stats().HistoryBytes > int64(h.cfg.HistoryBytes) || a.since != a.history[0].m.Seq-1 {
			t.Errorf("%d messages of %d bytes are kept, all since %d", len(a.history), h.Stats().HistoryBytes, a.since)
		}
		h.Publish("b.A", []byte("1"))
		first := h.topics["b.A"].seq
		time.Sleep(time.Hour)
		h.Publish("b.A", []byte("2"))
		if b := h.topics["b.A"]; len(b.history) != 1 {
			t.Errorf("%d messages are kept", len(b.history))
		} else if _, whole := h.Missed(b, Position{first - 1, h.genOf(b.Class)}, b.seq); whole {
			t.Error("a message that is too old is said to be there")
		}
		h.Lower(0, "a.A") // the end of a topic is that of its history
		h.Lower(0, "b.A")
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { h.Run(ctx, new(listUpstream)); close(done) }()
		time.Sleep(time.Millisecond)
		cancel()
		<-done
		if h.history.bytes != 0 || h.history.order.Len() != 0 {
			t.Errorf("%d bytes of %d messages are left", h.history.bytes, h.history.order.Len())
		}
	})
}

// A map that was large once and is small now is copied, once, and loses no entry.
func TestMapsShrink(t *testing.T) {
	m, peak := make(map[int]int), Peak(0)
	for i := range shrinkFrom {
		m[i] = i
	}
	copies := 0
	for i := range shrinkFrom - 10 {
		before := fmt.Sprintf("%p", m)
		if m = Delete(m, i, &peak); fmt.Sprintf("%p", m) != before {
			copies++
		}
	}
	for i := shrinkFrom - 10; i < shrinkFrom; i++ {
		if m[i] != i {
			t.Errorf("%d is lost", i)
		}
	}
	if len(m) != 10 || copies != 1 {
		t.Errorf("%d entries, %d copies", len(m), copies)
	}
}

// Lists of several topics one behind the other become one in the order of sequences; messages with the same stay in their order.
func TestMergeSorts(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 1000 {
		var list []*Message
		for range random.IntN(9) {
			seq := uint64(random.IntN(10))
			for range random.IntN(6) {
				list = append(list, &Message{Seq: seq})
				seq += uint64(random.IntN(3))
			}
		}
		want := slices.Clone(list)
		slices.SortStableFunc(want, func(x, y *Message) int { return cmp.Compare(x.Seq, y.Seq) })
		if got := Merge(list); !slices.Equal(got, want) {
			t.Fatalf("%d messages are not in order", len(list))
		}
	}
}
