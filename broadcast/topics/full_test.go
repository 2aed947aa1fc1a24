package topics

import (
	"fmt"
	"testing"
)

// A message for which there was no room for a topic is lost: the first message of the topic, when there is room, has its gap in front.
func TestHoleOfTopicsWithoutRoom(t *testing.T) {
	for _, delay := range []bool{false, true} {
		t.Run(fmt.Sprintf("delay %v", delay), func(t *testing.T) {
			h := New(Config{Classes: []Class{{Match: "ord.>", Mode: ModeAll, History: 10}}})
			if delay {
				h = New(Config{Classes: []Class{{Match: "ord.>", Mode: ModeAll, History: 10, Delay: 1}}})
			}
			raise(t, h, "ord.>")
			before := h.total
			h.SetFull(true)
			h.Publish("ord.A", []byte("1"))
			h.SetFull(false)
			h.Publish("ord.A", []byte("2"))
			h.mature(h.now() + 1e9)
			var kinds []Kind
			for _, m := range h.Mailbox(0).Take(nil).Queue {
				kinds = append(kinds, m.Kind)
				if m.Kind == KindData && (m.Prev != 0 || m.First) {
					t.Errorf("the message knows the one before: %d, %v", m.Prev, m.First)
				}
			}
			if len(kinds) != 2 || kinds[0] != KindGap || kinds[1] != KindData {
				t.Errorf("the mailbox has %v, want a gap and a message", kinds)
			}
			if i := h.interests["ord.>"]; i.since <= before {
				t.Errorf("a cursor of before the loss holds: %d <= %d", i.since, before)
			}
		})
	}
}

func TestHoleOfTopicsOfAStreamWithoutRoom(t *testing.T) {
	h := New(Config{Classes: []Class{{Match: "ord.>", Mode: ModeAll, History: 10, Snapshot: SnapshotStream}}})
	raise(t, h, "ord.>")
	h.Begin(new(listUpstream))
	h.Step()
	s := h.StreamSteps(0)
	s.Opened("EPOCH")
	s.Sink().Placed(10)
	for q := s.Inquire(); q != nil; q = s.Inquire() {
		for more := true; more; {
			more = s.Hear(q, Answer{Upto: 10, Whole: true})
		}
		s.Conclude(q, false)
	}
	h.SetFull(true)
	s.Sink().Message(StreamMessage{Subject: "ord.A", Data: []byte("1"), Seq: 11})
	h.SetFull(false)
	s.Sink().Message(StreamMessage{Subject: "ord.A", Data: []byte("2"), Seq: 12})
	var kinds []Kind
	for _, m := range h.Mailbox(0).Take(nil).Queue {
		kinds = append(kinds, m.Kind)
		if m.Kind == KindData && (m.Prev != 0 || m.First) {
			t.Errorf("the message knows the one before: %d, %v", m.Prev, m.First)
		}
	}
	if len(kinds) != 2 || kinds[0] != KindGap || kinds[1] != KindData {
		t.Errorf("the mailbox has %v, want a gap and a message", kinds)
	}
	if i := h.interests["ord.>"]; i.since < 11 {
		t.Errorf("a cursor of before the loss holds: %d", i.since)
	}
}

// The owner's copy of the first message of a topic is lost in a hole from before the topic was known, and another copy comes.
func TestTopicKnownByACopyIsStaleBehindAHole(t *testing.T) {
	h, up := New(Config{}), new(listUpstream)
	for _, name := range []string{"px.*", "*.A"} {
		raise(t, h, name)
		lookOnce(t, h, up)
	}
	h.Deliver("px.A", []byte("1"), "*.A") // of two connections: its copy by px.* comes, or not
	if h.topics["px.A"].State() != nil {
		t.Error("stale without a hole")
	}
	h.Lose("upstream", true, func(source string) bool { return source == "px.*" })
	h.Deliver("px.B", []byte("1"), "px.*")
	if h.topics["px.A"].State() == nil || h.topics["px.B"].State() != nil {
		t.Errorf("px.A is not stale behind the hole, or px.B is")
	}
	raise(t, h, "*.C")
	lookOnce(t, h, up)
	h.Deliver("px.C", []byte("1"), "*.C")
	if h.topics["px.C"].State() == nil {
		t.Error("px.C is not stale: its copy of before the hole is lost")
	}
	h.Deliver("px.C", []byte("2"), "px.*")
	if h.topics["px.C"].State() != nil {
		t.Error("px.C is stale with its newest message")
	}
}

// Commands that wait for a stream that is not there, and give up, leave nothing behind.
func TestWaitersThatGiveUpAreForgotten(t *testing.T) {
	const n = 10_000
	h := New(Config{Classes: []Class{{Match: "ord.>", Mode: ModeAll, History: 10, Snapshot: SnapshotStream}}})
	raise(t, h, "ord.A")
	raise(t, h, "ord.*")
	last := NewWaiter(0)
	for range n {
		for _, name := range []string{"ord.A", "ord.*"} {
			w := NewWaiter(0)
			for asked := Question(0); ; {
				now := h.Await(name, nil, asked, w)
				if asked |= now; now == 0 {
					break
				}
			}
			h.GiveUp(last) // one always waits
			h.Release(last)
			last = w
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	count := len(h.streams[0].reachings)
	for _, l := range h.streams[0].loads {
		count += len(l.waiters)
	}
	if count > 1000 {
		t.Errorf("%d waiters are kept for one that waits", count)
	}
}
