package broadcast

import (
	"fmt"
	"slices"
	"testing"
)

func TestHubDropsWhatIsNoTopic(t *testing.T) {
	h := NewHub(openConfig())
	s := h.Shard(0)
	out := newRecorder(s)
	s.Join(0, CodecJSON, 0)
	s.Subscribe(0, []string{">", "px.*", "px.>"}, "", "")
	out.take(t, 0)
	// NATS's own traffic, and what a careless publisher gets through: NATS lets wildcards pass, and they match.
	for _, subject := range []string{"", "$SYS.x", "_INBOX.a", "px.*", ">", "px.>", "*"} {
		h.Publish(subject, []byte("1"))
	}
	drainAll(s)
	if got := out.take(t, 0); len(got) != 0 {
		t.Errorf("got %v", got)
	}
	if st := h.Stats(); st.Topics != 0 || st.UpstreamInvalid != 4 || st.UpstreamMessages != 4 {
		t.Errorf("stats: %+v", st)
	}
	h.Publish("px.A", []byte("\"\xff\""))
	h.Publish("px.A", []byte("ok"))
	drainAll(s)
	if got := out.take(t, 0); !slices.Equal(got, []string{`px.A 1="ok"`}) {
		t.Errorf("got %v", got)
	}
	if st := h.Stats(); st.UpstreamInvalid != 5 || st.UpstreamMessages != 6 || st.UpstreamBytes != 9 {
		t.Errorf("stats: %+v", st)
	}
	checkShard(t, s)
}

// A topic that ended and begins again goes on where it was or later: a cursor must not mean two messages.
func TestSequencesNeverGoBack(t *testing.T) {
	h := NewHub(openConfig())
	s := h.Shard(0)
	out := newRecorder(s)
	s.Join(0, CodecJSON, 0)
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
		for _, i := range h.interests {
			h.expire(lingerer{i, i.until}, silentUpstream{})
		}
		if len(h.topics) != 0 {
			t.Fatal("the topics have not ended")
		}
	}
	if h.ids != 2 {
		t.Errorf("ids grew to %d", h.ids)
	}
}

// What a pattern alone has kept ends with it, whether or not anything came.
func TestTopicsEndWithTheirPattern(t *testing.T) {
	h := NewHub(openConfig())
	s := h.Shard(0)
	newRecorder(s)
	s.Join(0, CodecJSON, 0)
	s.Join(1, CodecJSON, 0)
	s.Subscribe(0, []string{"px.>"}, "", "")
	for i := range 100 {
		name := fmt.Sprintf("px.%d", i)
		switch i % 3 {
		case 0: // one that was published
			h.Publish(name, []byte("1"))
		case 1: // one whose own subscriber left before anything came
			s.Subscribe(1, []string{name}, "", "")
			s.Apply(1, fmt.Appendf(nil, `{"op":"unsub","topics":[%q]}`, name))
		case 2: // one of which only a copy came that does not count
			h.feeds["px.>"].asked = true
			h.refeed(h.feeds["px.>"])
			h.publish(name, []byte("1"), "elsewhere")
		}
	}
	drainAll(s)
	s.Subscribe(1, []string{"px.0"}, "", "") // this one is held
	s.Leave(0)
	for _, i := range h.interests {
		if i.wanted == 0 {
			h.expire(lingerer{i, i.until}, silentUpstream{})
		}
	}
	if len(h.topics) != 1 || h.topics["px.0"] == nil {
		t.Errorf("%d topics are left, want px.0 alone", len(h.topics))
	}
	checkShard(t, s)
}

// A shard that does not want a topic any more is not woken for it.
func TestShardsWithoutInterestAreLeftAlone(t *testing.T) {
	cfg := openConfig()
	cfg.Shards = 2
	h := NewHub(cfg)
	for _, filter := range []string{"px.A", "px.*"} {
		for i := range 2 {
			newRecorder(h.Shard(i))
			h.Shard(i).Join(0, CodecJSON, 0)
			h.Shard(i).Subscribe(0, []string{filter}, "", "")
		}
		h.Publish("px.A", []byte("1"))
		if h.Shard(0).mailbox.empty() || h.Shard(1).mailbox.empty() {
			t.Errorf("%s: a shard with interest got nothing", filter)
		}
		drainAll(h.Shard(0))
		drainAll(h.Shard(1))
		h.Shard(0).Leave(0)
		h.Publish("px.A", []byte("2"))
		if !h.Shard(0).mailbox.empty() || h.Shard(1).mailbox.empty() {
			t.Errorf("%s: shard 0 got a message that it does not want, or shard 1 did not get its own", filter)
		}
		h.Shard(1).Leave(0)
	}
}

func TestConfigDefaults(t *testing.T) {
	h := NewHub(Config{})
	c := h.cfg
	if c.Shards != 1 || c.MaxTopics != 1_000_000 || c.MaxTopicsPerConnection != 1024 || c.MaxTopicLength != 255 ||
		c.MailboxMessages != 16384 || c.MailboxBytes != 16<<20 || c.Log == nil {
		t.Errorf("%+v", c)
	}
	if a, b := *h.epoch.Load(), *NewHub(Config{}).epoch.Load(); a == b || len(a) != 8 {
		t.Errorf("epochs %q and %q: want two of 8 characters", a, b)
	}
	if h.Shard(0) == nil || h.Shard(0).hub != h {
		t.Error("shard 0 is missing")
	}
}

func TestOverflowingMailboxIsCounted(t *testing.T) {
	h := NewHub(Config{Subscribe: []string{">"}, MailboxMessages: 10})
	s := h.Shard(0)
	out := newRecorder(s)
	s.Join(0, CodecJSON, 0)
	s.Subscribe(0, []string{"px.A"}, "", "")
	out.take(t, 0)
	for i := range 100 {
		h.Publish("px.A", fmt.Appendf(nil, "%d", i))
	}
	drainAll(s)
	if got := out.take(t, 0); len(got) != 11 || got[10] != "px.A 100=99" {
		t.Errorf("got %v, want 10 messages and the newest", got)
	}
	if st := h.Stats(); st.MailboxOverflows != 90 || st.Conflated != 89 || st.Deliveries != 11 {
		t.Errorf("stats: %+v", st)
	}
}
