package broadcast

import (
	"encoding/json"
	"fmt"
	"runtime"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
)

// Three loops, each with its own goroutine, and a burst through several overlapping subscriptions: every subject arrives
// whole and in order at each of them.
func TestBurstArrivesInOrder(t *testing.T) {
	const messages, topics, shards = 20_000, 7, 3
	ns := startNATS(t, &server.Options{Port: -1})
	cfg := openConfig()
	cfg.Shards, cfg.MailboxMessages = shards, messages
	h := NewHub(cfg)
	var loops []*testLoop
	for i := range shards {
		loops = append(loops, startLoop(t, h.Shard(i)))
	}
	// Overlapping interests bring each message several times; half of the room must hold them all, else they are conflated.
	n, _ := runUpstream(t, h, NATSConfig{URLs: []string{ns.ClientURL()}, PendingMessages: 8 * messages})
	loops[0].join(0, "px.*")
	loops[1].join(0, "px.>", "px.3", "px.*")
	for i := range topics {
		loops[2].join(0, fmt.Sprintf("px.%d", i))
		loops[2].do(func() { loops[2].shard.Leave(0) })
		loops[2].join(1+uint32(i), fmt.Sprintf("px.%d", i))
	}
	for range topics + 2 {
		ns.await(t, "SUB")
	}
	n.flush(t)

	nc := publisher(t, ns.ClientURL())
	for i := range messages {
		if err := nc.Publish(fmt.Sprintf("px.%d", i%topics), fmt.Append(nil, i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := nc.FlushTimeout(patience); err != nil {
		t.Fatal(err)
	}
	check := func(l *testLoop, slot uint32, want func(next int) int, first, last int) {
		t.Helper()
		next := first
		for _, m := range l.awaitData(t, slot, fmt.Sprintf("px.%d", last%topics), fmt.Sprint(last)) {
			if m.T == "" {
				continue
			}
			if string(m.D) != fmt.Sprint(next) {
				t.Fatalf("slot %d got %s, want %d", slot, m.short(), next)
			}
			next = want(next)
		}
	}
	all := func(i int) int { return i + 1 }
	check(loops[0], 0, all, 0, messages-1)
	check(loops[1], 0, all, 0, messages-1)
	for i := range topics {
		last := (messages-1-i)/topics*topics + i
		check(loops[2], 1+uint32(i), func(i int) int { return i + topics }, i, last)
	}
	if st := h.Stats(); st.Conflated != 0 || st.UpstreamDropped != 0 || st.MailboxOverflows != 0 {
		t.Errorf("stats: %+v", st)
	}
	for _, l := range loops { // the others hold still
		l.do(func() { checkShard(t, l.shard) })
	}
}

func TestManyTopicsTakeNoGoroutines(t *testing.T) {
	const topics = 5000
	ns := startNATS(t, &server.Options{Port: -1})
	cfg := openConfig()
	cfg.MaxTopicsPerConnection = topics
	h := NewHub(cfg)
	l := startLoop(t, h.Shard(0))
	n, _ := runUpstream(t, h, NATSConfig{URLs: []string{ns.ClientURL()}})
	l.join(0, "px.first")
	ns.await(t, "SUB px.first")
	n.flush(t)
	before := runtime.NumGoroutine()
	var names []string
	for i := range topics - 1 {
		names = append(names, fmt.Sprintf("px.%d", i))
	}
	command, err := json.Marshal(Command{Op: "sub", Topics: names})
	if err != nil {
		t.Fatal(err)
	}
	l.do(func() { l.shard.Apply(0, command) })
	for range names {
		ns.await(t, "SUB")
	}
	n.flush(t)
	if after := runtime.NumGoroutine(); after > before+10 {
		t.Errorf("%d goroutines became %d with %d topics", before, after, topics)
	}
	if st := h.Stats(); st.Interests != topics || st.Subscriptions != topics {
		t.Errorf("stats: %+v", st)
	}
	send(t, publisher(t, ns.ClientURL()), "px.4998", "1")
	l.awaitData(t, 0, "px.4998", "1")
}

// A hub that is too slow loses messages at the NATS client: they are counted, and the connection stays.
func TestSlowConsumerIsCounted(t *testing.T) {
	ns := startNATS(t, &server.Options{Port: -1})
	h := NewHub(openConfig())
	l := startLoop(t, h.Shard(0))
	n, _ := runUpstream(t, h, NATSConfig{URLs: []string{ns.ClientURL()}, PendingMessages: 10})
	l.join(0, "px.A", "px.B")
	ns.await(t, "SUB px.A")
	ns.await(t, "SUB px.B")
	n.flush(t)
	h.mu.Lock() // the hub is busy
	nc := publisher(t, ns.ClientURL())
	for range 100 {
		send(t, nc, "px.A", "1")
	}
	n.flush(t) // all have reached the NATS client
	h.mu.Unlock()
	dropped := h.Stats().UpstreamDropped
	if dropped < 80 || dropped > 90 {
		t.Errorf("%d messages are counted as dropped, want 100 less those that waited", dropped)
	}
	for range 2 { // the one that was under way, and the newest of those that waited
		l.awaitData(t, 0, "px.A", "1")
	}
	send(t, nc, "px.B", "2") // there is room again
	l.awaitData(t, 0, "px.B", "2")
	if st := h.Stats(); st.UpstreamMessages+st.Conflated+dropped != 101 || st.Conflated == 0 {
		t.Errorf("%d of 101 messages handed on, %d conflated, %d dropped", st.UpstreamMessages, st.Conflated, dropped)
	}
	if err := n.unsubscribe(h.feeds["px.A"]); err != nil {
		t.Error(err)
	}
	n.conns[0].nc.Close() // what is closed does not count backwards
	if got := h.Stats().UpstreamDropped; got != dropped {
		t.Errorf("%d dropped messages became %d", dropped, got)
	}
}
