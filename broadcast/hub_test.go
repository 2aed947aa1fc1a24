package broadcast

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"tickcast/broadcast/topics"
	"tickcast/broadcast/wire"
	"time"
)

func TestHubDropsWhatIsNoTopic(t *testing.T) {
	h := New(openConfig())
	s := h.Shard(0)
	out := newRecorder(s)
	s.Join(0, wire.CodecJSON, 0)
	s.Subscribe(0, []string{">", "px.*", "px.>"}, "", "")
	out.takeShort(t, 0)
	// NATS's own traffic, and what a careless publisher gets through: NATS lets wildcards pass, and they match.
	for _, subject := range []string{"", "$SYS.x", "_INBOX.a", "px.*", ">", "px.>", "*"} {
		h.Publish(subject, []byte("1"))
	}
	drainAll(s)
	if got := out.takeShort(t, 0); len(got) != 0 {
		t.Errorf("got %v", got)
	}
	if st := h.Stats(); st.Topics != 0 || st.UpstreamInvalid != 4 || st.UpstreamMessages != 4 {
		t.Errorf("stats: %+v", st)
	}
	h.Publish("px.A", []byte("\"\xff\""))
	h.Publish("px.A", []byte("ok"))
	drainAll(s)
	if got := out.takeShort(t, 0); !slices.Equal(got, []string{`px.A 1="ok"`}) {
		t.Errorf("got %v", got)
	}
	if st := h.Stats(); st.UpstreamInvalid != 5 || st.UpstreamMessages != 6 || st.UpstreamBytes != 9 {
		t.Errorf("stats: %+v", st)
	}
	checkShards(t, h)
}

// A topic that ended and begins again goes on where it was or later: a cursor must not mean two messages.
func TestSequencesNeverGoBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := New(openConfig()) // linger 0
		s := h.Shard(0)
		out := newRecorder(s)
		s.Join(0, wire.CodecJSON, 0)
		go h.Run(t.Context(), silentUpstream{})
		var last uint64
		for round := range 5 {
			s.Subscribe(0, []string{"px.A", "px.B"}, "", "")
			for range 3 {
				h.Publish("px.A", []byte("1"))
				h.Publish("px.B", []byte("1"))
			}
			drainAll(s)
			for _, m := range out.takeTold(t, 0) {
				if m.T == "px.A" {
					if m.S <= last {
						t.Fatalf("round %d: sequence %d after %d", round, m.S, last)
					}
					last = m.S
				}
			}
			s.Apply(0, []byte(`{"op":"unsub","topics":["px.A","px.B"]}`))
			time.Sleep(time.Millisecond)
			synctest.Wait()
			if h.Stats().Topics != 0 {
				t.Fatal("the topics have not ended")
			}
		}
		known, _, err := h.Raise(0, "px.A")
		if err != nil || known.Topic.ID > 1 {
			t.Errorf("ids grew to %d, %v", known.Topic.ID, err)
		}
	})
}

// A shard that does not want a topic any more is not woken for it.
func TestShardsWithoutInterestAreLeftAlone(t *testing.T) {
	cfg := openConfig()
	cfg.Shards = 2
	h := New(cfg)
	for _, filter := range []string{"px.A", "px.*"} {
		for i := range 2 {
			newRecorder(h.Shard(i))
			h.Shard(i).Join(0, wire.CodecJSON, 0)
			h.Shard(i).Subscribe(0, []string{filter}, "", "")
		}
		h.Publish("px.A", []byte("1"))
		if h.Shard(0).mailbox.Len() == 0 || h.Shard(1).mailbox.Len() == 0 {
			t.Errorf("%s: a shard with interest got nothing", filter)
		}
		drainAll(h.Shard(0))
		drainAll(h.Shard(1))
		h.Shard(0).Leave(0)
		h.Publish("px.A", []byte("2"))
		if h.Shard(0).mailbox.Len() != 0 || h.Shard(1).mailbox.Len() == 0 {
			t.Errorf("%s: shard 0 got a message that it does not want, or shard 1 did not get its own", filter)
		}
		h.Shard(1).Leave(0)
	}
}

func TestConfigDefaults(t *testing.T) {
	s := New(Config{}).Shard(0)
	if s == nil {
		t.Fatal("shard 0 is missing")
	}
	if c := s.cfg; c.MaxTopicsPerConnection != 1024 || c.MaxTopics != 1_000_000 || c.MailboxMessages != 16384 {
		t.Errorf("%+v", c)
	}
}

func TestOverflowingMailboxIsCounted(t *testing.T) {
	h := New(Config{Config: topics.Config{MailboxMessages: 10}, Subscribe: []string{">"}})
	s := h.Shard(0)
	out := newRecorder(s)
	s.Join(0, wire.CodecJSON, 0)
	s.Subscribe(0, []string{"px.A"}, "", "")
	out.takeShort(t, 0)
	for i := range 100 {
		h.Publish("px.A", fmt.Appendf(nil, "%d", i))
	}
	drainAll(s)
	if got := out.takeShort(t, 0); len(got) != 10 || got[9] != "px.A 100=99" {
		t.Errorf("got %v, want 9 messages and the newest", got)
	}
	if st := h.Stats(); st.MailboxOverflows != 90 || st.Conflated != 90 || st.Deliveries != 10 {
		t.Errorf("stats: %+v", st)
	}
}
