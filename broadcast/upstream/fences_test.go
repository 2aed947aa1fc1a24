package upstream

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"tickcast/broadcast/topics"
)

// A lookClock calls look whenever the hub asks for the time: once for each message.
type lookClock struct {
	topics.Clock
	look func()
}

func (c lookClock) Now() int64 {
	c.look()
	return 0
}

// Messages do not wait for many ends of subscriptions that are due together.
func TestMessagesComeBetweenEnds(t *testing.T) {
	const ends, messages = 1000, 10
	var c *conn
	var left []int // ends that were still due, by message
	all, done := make(chan struct{}), make(chan struct{})
	hub := topics.New(topics.Config{Clock: lookClock{look: func() {
		c.mu.Lock()
		left = append(left, len(c.fences))
		c.mu.Unlock()
		if len(left) == messages+1 {
			close(all)
		}
	}}})
	cfg := Config{Log: slog.New(slog.DiscardHandler)}
	cfg.setDefaults()
	c = newConn(hub, cfg)
	c.mine = func(string) bool { return true }
	for i := range ends {
		c.addFence(fence{subject: fmt.Sprintf("a.%d", i)})
	}
	c.mark(mark{kind: markVerdict, fence: ends})
	for range messages {
		c.messages <- &nats.Msg{Subject: "b", Sub: &nats.Subscription{Subject: "b"}}
	}
	c.addFence(fence{subject: "last"})
	c.mark(mark{kind: markVerdict, refused: []refusal{{subject: "last"}}, fence: ends + 1}) // all ends go before it
	c.messages <- &nats.Msg{Subject: "b", Sub: &nats.Subscription{Subject: "b"}}
	ctx, cancel := context.WithCancel(t.Context())
	go func() { c.receive(ctx); close(done) }()
	select {
	case <-all:
	case <-time.After(patience):
	}
	cancel()
	<-done
	if len(left) != messages+1 {
		t.Fatalf("%d messages have come", len(left))
	}
	if first := left[0]; first < ends-2*fencesAtOnce {
		t.Errorf("%d ends went before the first message", ends-first)
	}
	if last := left[messages]; last != 0 {
		t.Errorf("%d ends were left behind a refusal", last)
	}
}

// Lines that NATS has not answered are counted, since clients that come and go make many.
func TestLinesWithoutAnAnswerAreCounted(t *testing.T) {
	g := new(guard)
	n := &NATS{conns: []*conn{{guard: g}}}
	for i := range 10 {
		g.asked.note(verbSub, fmt.Appendf(nil, "a.%d %d", i, i))
	}
	g.asked.note(verbPing, nil)
	if got := n.Counts().Asked; got != 11 {
		t.Errorf("%d lines", got)
	}
	g.asked.pong(time.Time{})
	if got := n.Counts().Asked; got != 0 {
		t.Errorf("%d lines after the answer", got)
	}
}

// The figures of a connection do not cost all its subscriptions, where nats.go cannot have dropped messages.
func TestCountsDoNotLookAtSubscriptions(t *testing.T) {
	c := &conn{guard: new(guard), dropped: 3, subscriptions: map[string]*nats.Subscription{"a": nil}} // a look would panic
	if got := c.drops(); got != 3 {
		t.Errorf("%d messages", got)
	}
}
