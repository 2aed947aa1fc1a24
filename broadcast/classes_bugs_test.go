package broadcast

import (
	"slices"
	"testing"
	"time"
)

// A shard has a pattern, so that topics may be new to it, and still gets a lossless topic that nobody of it wants any more.
func TestLosslessTopicWithoutSubscribers(t *testing.T) {
	h := NewHub(Config{Subscribe: []string{">"}, Classes: []Class{{Match: "a.>", Mode: ModeAll, History: 2}}})
	s := h.Shard(0)
	newRecorder(s)
	s.Join(0, CodecJSON, 0)
	s.Subscribe(0, []string{"a.x", "b.*"}, "", "")
	for range 5 {
		h.Publish("a.x", []byte("1"))
	}
	s.Drain(time.Second)
	for range 3 {
		h.Publish("a.x", []byte("2"))
	}
	s.unsubscribe(0, s.subs.at(0), "a.x")
	if s.Drain(50 * time.Millisecond) {
		t.Error("the shard is busy with what nobody wants")
	}
}

// The alarm of a turn that comes before the end of a batch does not make the shard forget that end.
func TestBatchEndsAfterATurn(t *testing.T) {
	const rate, flush = 20 * time.Millisecond, 60 * time.Millisecond
	h := NewHub(Config{Subscribe: []string{">"}, FlushInterval: flush, Classes: []Class{{Match: "r.>", Rates: []time.Duration{rate}}}})
	s := h.Shard(0)
	r := newRecorder(s)
	s.Drain(time.Second)
	wakes := make(chan bool, 16)
	s.Attach(r, func() { wakes <- true })
	s.Join(0, CodecJSON, 0)
	s.Subscribe(0, []string{"r.A"}, "", rate.String())
	s.Subscribe(0, []string{"x"}, "", "")
	r.take(t, 0)
	h.Publish("r.A", []byte("1"))
	h.Publish("x", []byte("2"))
	for deadline := time.After(10 * time.Second); len(r.got[0]) < 2; {
		select {
		case <-wakes:
			s.Drain(time.Second)
		case <-deadline:
			t.Fatalf("after %v and more only %q is written", flush, r.take(t, 0))
		}
	}
}

// A message whose subscribers are all behind is done when it has been noted for them.
func TestObservedWithoutAWrite(t *testing.T) {
	observed := 0
	h := NewHub(Config{Subscribe: []string{">"}, ObserveFanout: func(float64) { observed++ }})
	s := h.Shard(0)
	r := newRecorder(s)
	s.Join(0, CodecJSON, 0)
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

// What a full mailbox keeps of a topic that began anew is nothing of the sequences before.
func TestMailboxKeepsRestart(t *testing.T) {
	topic := &topic{name: "x", class: &class{}}
	old := &Message{topic: topic, seq: 900}
	restart, gap := &Message{topic: topic, kind: kindRestart}, &Message{topic: topic, kind: kindGap}
	first := &Message{topic: topic, seq: 1}
	b := mailbox{}
	for _, m := range []*Message{old, restart, gap} {
		b.post(m)
	}
	if got, _ := b.take(nil); !slices.Equal(got, []*Message{restart}) {
		t.Errorf("%d messages are left, want the restart", len(got))
	}
	for _, m := range []*Message{old, restart, first} {
		b.post(m)
	}
	if got, _ := b.take(nil); !slices.Equal(got, []*Message{restart, first}) {
		t.Errorf("%d messages are left, want the restart and the first one after it", len(got))
	}
}

// A client that is never quite up to date does not let its set of marks grow.
func TestDirtySetOfAFewStaysSmall(t *testing.T) {
	var d dirtySet
	for i := range uint32(10_000) {
		d.mark(i%5, dirtUpdate)
		if d.len() > 3 {
			d.pop(2)
		}
	}
	if len(d.list) > 100 {
		t.Errorf("the list of %d marks has %d places", d.len(), len(d.list))
	}
}
