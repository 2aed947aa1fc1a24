package topics

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"unsafe"
)

// A listUpstream notes the subscriptions that it is asked for.
type listUpstream struct{ calls []string }

func (u *listUpstream) Subscribe(subject string) error {
	u.calls = append(u.calls, "sub "+subject)
	return nil
}

func (u *listUpstream) Unsubscribe(subject string) error {
	u.calls = append(u.calls, "unsub "+subject)
	return nil
}

func (u *listUpstream) OpenStream(context.Context, StreamSource) (Stream, error) {
	return nil, errors.New("no stream")
}
func (u *listUpstream) Publish(string, []byte) error            { return nil }
func (u *listUpstream) Store(string, []byte, func(error)) error { return nil }
func (u *listUpstream) Counts() UpstreamCounts                  { return UpstreamCounts{} }

// raise makes shard 0 want name.
func raise(t *testing.T, h *Hub, name string) {
	t.Helper()
	if _, _, err := h.Raise(0, name); err != nil {
		t.Fatal(err)
	}
}

// lookOnce does one round of reconcile, in which no linger is over.
func lookOnce(t *testing.T, h *Hub, up Upstream) {
	changed, _ := h.takeChanged()
	for _, f := range changed {
		h.settle(t.Context(), f, up)
	}
}

func TestConfigDefaults(t *testing.T) {
	h := New(Config{})
	c := h.Config()
	if c.Shards != 1 || c.MaxTopics != 1_000_000 || c.MaxTopicLength != 255 ||
		c.MailboxMessages != 16384 || c.MailboxBytes != 16<<20 || c.Log == nil {
		t.Errorf("%+v", c)
	}
	if a, b := *h.epoch.Load(), *New(Config{}).epoch.Load(); a == b || len(a) != 8 {
		t.Errorf("epochs %q and %q: want two of 8 characters", a, b)
	}
}

// There may be a million topics: their size is a size class of the allocator.
func TestTopicSize(t *testing.T) {
	if size := unsafe.Sizeof(Topic{}); size > 208 {
		t.Errorf("a topic takes %d bytes", size)
	}
}

// A topic that was wanted too shortly for a look of reconcile is asked for when it is wanted again.
func TestInterestTooShortToBeSeen(t *testing.T) {
	h, up := New(Config{Linger: 5e9}), new(listUpstream)
	raise(t, h, "px.A")
	h.Lower(0, "px.A")
	lookOnce(t, h, up)
	raise(t, h, "px.A") // within the linger
	lookOnce(t, h, up)
	if len(up.calls) != 1 || up.calls[0] != "sub px.A" {
		t.Errorf("upstream was asked for %q", up.calls)
	}
}

// The topics that a pattern alone has kept end with it, with or without a message.
func TestTopicsEndWithTheirPattern(t *testing.T) {
	h, up := New(Config{}), new(listUpstream)
	raise(t, h, "px.>")
	lookOnce(t, h, up)
	for i := range 100 {
		name := fmt.Sprintf("px.%d", i)
		switch i % 3 {
		case 0: // one that was published
			h.Publish(name, []byte("1"))
		case 1: // one whose own subscriber left before anything came
			raise(t, h, name)
			h.Lower(0, name)
		case 2: // one of which only a copy came that does not count
			h.Deliver(name, []byte("1"), "elsewhere")
		}
	}
	raise(t, h, "px.0") // this one is held
	h.Lower(0, "px.>")
	_, idle := h.takeChanged()
	for _, l := range idle {
		h.expire(l)
	}
	h.removeLeft()
	if len(h.topics) != 1 || h.topics["px.0"] == nil {
		t.Errorf("%d topics are left, want px.0 alone", len(h.topics))
	}
	if err := h.Check(func(_ int, name string) bool { return name == "px.0" }); err != nil {
		t.Error(err)
	}
}

// A core NATS message under a wide pattern is no message of the stream behind a class.
func TestStreamsAreNotDeliveredTwice(t *testing.T) {
	h := New(Config{Classes: []Class{{Match: "o.*", Subject: "orders.$1", Snapshot: SnapshotStream}}})
	raise(t, h, "o.A")
	raise(t, h, ">")
	h.Deliver("orders.A", []byte("1"), ">")
	if got := h.topics["o.A"]; got.newest != nil {
		t.Errorf("o.A has message %d, which is none of its stream", got.newest.Seq)
	}
}

// A list with free places gives them out again, each once, and is short again when its last places are free.
func TestPlacesOfAList(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var list []*int
	var free, used []uint32
	for round := range 20 {
		most := []int{10, 50_000}[round%2]
		slices.Sort(used)
		for len(used) != most {
			if len(used) < most {
				var i uint32
				if i, free = TakePlace(list, free); int(i) < len(list) {
					if list[i] != nil {
						t.Fatalf("place %d is given out twice", i)
					}
					list[i] = new(int)
				} else {
					list = append(list, new(int))
				}
				used = append(used, i)
				continue
			}
			n := len(used) - 1
			if round%4 == 0 { // else the last place first
				k := r.IntN(n + 1)
				used[k], used[n] = used[n], used[k]
			}
			list, free = FreePlace(list, free, used[n])
			used = used[:n]
		}
		taken := 0
		for _, p := range list {
			if p != nil {
				taken++
			}
		}
		if taken != len(used) || most == 10 && round%4 != 0 && cap(list)+len(free) > 2*shrinkFrom {
			t.Errorf("round %d: %d places are taken, want %d; room for %d, %d free", round, taken, len(used), cap(list), len(free))
		}
	}
}
