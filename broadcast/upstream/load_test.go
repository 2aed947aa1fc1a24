package upstream

import (
	"encoding/json"
	"fmt"
	"runtime"
	"sync"
	"testing"

	"github.com/nats-io/nats-server/v2/server"

	"tickcast/broadcast"
	"tickcast/broadcast/natstest"
	"tickcast/broadcast/topics"
	"tickcast/broadcast/wire"
)

// Three loops, each with its own goroutine, and a burst through several overlapping subscriptions. Every subject arrives
// complete and in order at each subscription.
func TestBurstArrivesInOrder(t *testing.T) {
	const messages, subjects, shards = 20_000, 7, 3
	ns := natstest.Start(t, &server.Options{Port: -1})
	cfg := openConfig()
	cfg.Shards, cfg.MailboxMessages = shards, messages
	cfg.Classes = []topics.Class{{Match: ">", Mode: topics.ModeAll}}
	h := broadcast.New(cfg)
	var loops []*testLoop
	for i := range shards {
		loops = append(loops, startLoop(t, h.Shard(i)))
	}
	n, _ := runUpstream(t, h, Config{URLs: []string{ns.ClientURL()}})
	awaitConnected(t, h)
	loops[0].join(0, "px.*")
	loops[1].join(0, "px.>", "px.3", "px.*")
	for i := range subjects {
		loops[2].join(0, fmt.Sprintf("px.%d", i))
		loops[2].do(func() { loops[2].shard.Leave(0) })
		loops[2].join(1+uint32(i), fmt.Sprintf("px.%d", i))
	}
	for range subjects + 2 {
		ns.Await(t, "SUB")
	}
	n.flush(t)

	nc := natstest.Connect(t, ns.ClientURL())
	for i := range messages {
		if err := nc.Publish(fmt.Sprintf("px.%d", i%subjects), fmt.Append(nil, i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := nc.FlushTimeout(patience); err != nil {
		t.Fatal(err)
	}
	check := func(l *testLoop, slot uint32, want func(next int) int, first, last int) {
		t.Helper()
		next := first
		for _, m := range l.awaitData(t, slot, fmt.Sprintf("px.%d", last%subjects), fmt.Sprint(last)) {
			if m.T == "" {
				continue
			}
			if string(m.D) != fmt.Sprint(next) {
				t.Fatalf("slot %d got %s, want %d", slot, m.Short(), next)
			}
			next = want(next)
		}
	}
	all := func(i int) int { return i + 1 }
	check(loops[0], 0, all, 0, messages-1)
	check(loops[1], 0, all, 0, messages-1)
	for i := range subjects {
		last := (messages-1-i)/subjects*subjects + i
		check(loops[2], 1+uint32(i), func(i int) int { return i + subjects }, i, last)
	}
	if st := h.Stats(); st.Conflated != 0 || st.UpstreamDropped != 0 || st.MailboxOverflows != 0 {
		t.Errorf("stats: %+v", st)
	}
	for _, l := range loops { // the others hold still
		l.do(func() {
			if err := l.shard.Check(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestManyTopicsTakeNoGoroutines(t *testing.T) {
	const subjects = 5000
	ns := natstest.Start(t, &server.Options{Port: -1})
	cfg := openConfig()
	cfg.MaxTopicsPerConnection = subjects
	h := broadcast.New(cfg)
	l := startLoop(t, h.Shard(0))
	n, _ := runUpstream(t, h, Config{URLs: []string{ns.ClientURL()}})
	l.join(0, "px.first")
	ns.Await(t, "SUB px.first")
	n.flush(t)
	before := runtime.NumGoroutine()
	var names []string
	for i := range subjects - 1 {
		names = append(names, fmt.Sprintf("px.%d", i))
	}
	command, err := json.Marshal(wire.Command{Op: "sub", Topics: names})
	if err != nil {
		t.Fatal(err)
	}
	l.do(func() { l.shard.Apply(0, command) })
	for range names {
		ns.Await(t, "SUB")
	}
	n.flush(t)
	if after := runtime.NumGoroutine(); after > before+10 {
		t.Errorf("%d goroutines became %d with %d topics", before, after, subjects)
	}
	if st := h.Stats(); st.Interests != subjects || st.Subscriptions != subjects {
		t.Errorf("stats: %+v", st)
	}
	send(t, natstest.Connect(t, ns.ClientURL()), "px.4998", "1")
	l.awaitData(t, 0, "px.4998", "1")
}

// A hub that stands still loses no message in nats.go, however small the channel is: the NATS server waits. Older messages
// of conflated topics are replaced. Every message of a lossless topic arrives.
func TestSlowHubLosesNothing(t *testing.T) {
	const messages = 30_000
	ns := natstest.Start(t, &server.Options{Port: -1})
	cfg := openConfig()
	cfg.MailboxMessages, cfg.MailboxBytes, cfg.QueueBytes = 4*messages, 64<<20, 64<<20
	cfg.Classes = []topics.Class{{Match: "ord.>", Mode: topics.ModeAll, History: 100}}
	h := broadcast.New(cfg)
	l := startLoop(t, h.Shard(0))
	n, _ := runUpstream(t, h, Config{URLs: []string{ns.ClientURL()}, PendingMessages: 2000})
	awaitConnected(t, h)
	l.join(0, "ord.A", "px.A")
	ns.Await(t, "SUB ord.A")
	ns.Await(t, "SUB px.A")
	n.flush(t)
	nc := natstest.Connect(t, ns.ClientURL())
	publish := func(from, upto int) {
		for i := from; i < upto; i++ {
			for _, topic := range []string{"ord.A", "px.A"} {
				if err := nc.Publish(topic, fmt.Append(nil, i)); err != nil {
					t.Error(err)
				}
			}
		}
		if err := nc.FlushTimeout(patience); err != nil {
			t.Error(err)
		}
	}
	publish(0, 1)
	l.awaitData(t, 0, "ord.A", "0") // a topic is there to be busy with
	release := busy(h)
	publish(1, messages)
	release()
	next := 1
	for _, m := range l.awaitData(t, 0, "ord.A", fmt.Sprint(messages-1)) {
		switch {
		case m.Op == "gap" || m.Op == "stale":
			t.Fatalf("told %+v", m)
		case m.T != "ord.A":
		case string(m.D) != fmt.Sprint(next):
			t.Fatalf("%s came, want %d", m.Short(), next)
		default:
			next++
		}
	}
	if st := h.Stats(); st.UpstreamDropped != 0 || st.Gaps != 0 || st.Conflated == 0 || st.UpstreamReconnects != 0 {
		t.Errorf("stats: %+v", st)
	}
}

// busy keeps the lock of a hub, which has an interest, until release is called.
func busy(h *broadcast.Shards) (release func()) {
	held, free, once := make(chan struct{}), make(chan struct{}), sync.Once{}
	go func() {
		_ = h.Hub.Check(func(int, string) bool {
			once.Do(func() { close(held) })
			<-free
			return true
		})
	}()
	<-held
	return func() { close(free) }
}
