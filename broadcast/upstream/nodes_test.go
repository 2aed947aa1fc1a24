package upstream

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	"tickcast/broadcast"
	"tickcast/broadcast/natstest"
	"tickcast/broadcast/topics"
)

// orders is a class of lossless topics behind a stream.
var orders = topics.Class{Match: "ord.>", Mode: topics.ModeAll, Snapshot: topics.SnapshotStream, History: 5000}

// A testNode is a hub of one shard with a NATS cluster behind it, as a server is.
type testNode struct {
	hub  *broadcast.Shards
	nats *NATS
	loop *testLoop
	next uint32 // slot
	stop func()
}

func startNode(t *testing.T, urls []string, classes ...topics.Class) *testNode {
	t.Helper()
	h := broadcast.New(broadcast.Config{Config: topics.Config{Classes: classes}, Subscribe: []string{">"}, QueueBytes: 1 << 20})
	n, err := Connect(h.Hub, Config{URLs: urls, ReconnectWait: 20 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = n.Run(ctx)
	}()
	node := &testNode{hub: h, nats: n, loop: startLoop(t, h.Shard(0)), stop: func() { cancel(); <-done }}
	t.Cleanup(node.stop)
	return node
}

// A reader is a client that wants every message under a pattern, and comes back with its cursor.
type reader struct {
	t       *testing.T
	pattern string
	node    *testNode
	slot    uint32
	epoch   string
	seq     uint64
	got     []string
	last    map[string]uint64 // by topic
}

// open subscribes the reader at a node. A reader with a cursor must recover.
func (r *reader) open(node *testNode) {
	r.t.Helper()
	r.node, r.slot = node, node.next
	node.next++
	node.loop.join(r.slot)
	command := fmt.Sprintf(`{"op":"sub","id":1,"topics":[%q]}`, r.pattern)
	if r.epoch != "" {
		command = fmt.Sprintf(`{"op":"sub","id":1,"topics":[%q],"after":"%s:%d"}`, r.pattern, r.epoch, r.seq)
	}
	node.loop.do(func() { node.loop.shard.Apply(r.slot, []byte(command)) })
	told := node.loop.awaitOp(r.t, r.slot, "ack")
	var acked []struct {
		Cursor    string
		Recovered *bool
	}
	if err := json.Unmarshal(told[len(told)-1].Topics, &acked); err != nil || len(acked) != 1 {
		r.t.Fatalf("answered %s: %v", told[len(told)-1].Topics, err)
	}
	epoch, seq, _ := strings.Cut(acked[0].Cursor, ":")
	if r.epoch != "" && (epoch != r.epoch || acked[0].Recovered == nil || !*acked[0].Recovered) {
		r.t.Fatalf("came back after %s:%d and was answered %s", r.epoch, r.seq, told[len(told)-1].Topics)
	}
	if r.epoch == "" {
		r.seq, _ = strconv.ParseUint(seq, 10, 64)
	}
	r.epoch = epoch
}

// read takes messages until one was published after now, or until the text last.
func (r *reader) read(last string) {
	r.t.Helper()
	for _, m := range r.node.loop.await(r.t, r.slot, "message "+last, func(m told) bool { return m.Op == "" && string(m.D) == last }) {
		switch {
		case m.Op == "gap" || m.Op == "close":
			r.t.Fatalf("was told %s %s", m.Op, m.Msg)
		case m.Op != "" || m.K == "snap":
			continue
		case m.S <= r.seq:
			r.t.Fatalf("sequence %d of %s came after %d", m.S, m.T, r.seq)
		case m.P != 0 && r.last[m.T] != 0 && m.P != r.last[m.T]:
			r.t.Fatalf("%s %d says that %d was before it, which was %d", m.T, m.S, m.P, r.last[m.T])
		}
		r.seq, r.last[m.T] = m.S, m.S
		r.got = append(r.got, string(m.D))
	}
}

// Lossless subscribers of two nodes get every message once and in order, although the test kills the leader of the stream,
// the NATS server of their node, and their node.
func TestLosslessThroughKills(t *testing.T) {
	c := natstest.StartCluster(t)
	natstest.CreateStream(t, c.Connect(0), jetstream.StreamConfig{Name: "O", Subjects: []string{"ord.>"}, Replicas: 3, AllowDirect: true})
	urls := c.URLs()
	a, b := startNode(t, urls, orders), startNode(t, urls, orders)
	all := &reader{t: t, pattern: "ord.*", last: make(map[string]uint64)}
	one := &reader{t: t, pattern: "ord.3", last: make(map[string]uint64)}
	all.open(a)
	one.open(b)
	store := newStorer(t, c)
	first := store.store(50)
	all.read(first)

	killed := c.Leader("O")
	c.Kill(killed)
	all.read(store.store(50))
	again := func() {
		c.Start(killed)
		c.AwaitMeta()
		c.AwaitCurrent("O")
	}
	again()
	killed = c.Connected(a.nats.conns[0].current())
	c.Kill(killed)
	all.read(store.store(50))
	again()

	// The node dies; its client goes on at the other one, and then at one that was not there when the messages were published.
	a.stop()
	store.store(50)
	all.open(b)
	all.read(store.store(20))
	store.store(30)
	all.open(startNode(t, urls, orders))
	last := store.store(7)
	all.read(last)

	for i, got := range all.got {
		if got != strconv.Itoa(i) {
			t.Fatalf("message %d is %s", i, got)
		}
	}
	if len(all.got) != store.n {
		t.Errorf("%d of %d messages came", len(all.got), store.n)
	}
	want := store.n - 1
	for want%7 != 3 {
		want--
	}
	one.read(strconv.Itoa(want))
	for i, got := range one.got {
		if got != strconv.Itoa(3+7*i) {
			t.Fatalf("message %d of ord.3 is %s", i, got)
		}
	}
}

// A storer stores "ord.0 0", "ord.1 1", ... up to ord.6 and around.
type storer struct {
	t  *testing.T
	c  *natstest.Cluster
	js jetstream.JetStream
	n  int
}

func newStorer(t *testing.T, c *natstest.Cluster) *storer {
	js, err := jetstream.New(c.Connect(0))
	if err != nil {
		t.Fatal(err)
	}
	return &storer{t: t, c: c, js: js}
}

// store stores n messages and returns the last one's text. It tries each until the stream has taken it.
func (s *storer) store(n int) string {
	s.t.Helper()
	for range n {
		text := strconv.Itoa(s.n)
		s.c.Await("a message to be stored", func() bool {
			ctx, cancel := context.WithTimeout(s.t.Context(), time.Second)
			defer cancel()
			_, err := s.js.Publish(ctx, "ord."+strconv.Itoa(s.n%7), []byte(text), jetstream.WithMsgID(text))
			return err == nil
		})
		s.n++
	}
	return strconv.Itoa(s.n - 1)
}

// With one server: snapshots come from the stream, for a topic and for a pattern, and so do messages from before this process.
func TestStreamTopics(t *testing.T) {
	ns := natstest.Start(t, &server.Options{Port: -1, JetStream: true, StoreDir: t.TempDir()})
	nc := natstest.Connect(t, ns.ClientURL())
	js := natstest.CreateStream(t, nc, jetstream.StreamConfig{Name: "O", Subjects: []string{"ord.>"}, AllowDirect: true})
	natstest.Store(t, js, "ord.A 1", "ord.B 2", "ord.A 3", "ord.A 4")
	node := startNode(t, []string{ns.ClientURL()}, orders)
	l := node.loop
	say := func(slot uint32, command string) []told {
		l.do(func() { l.shard.Apply(slot, []byte(command)) })
		return l.awaitOp(t, slot, "ack")
	}
	for slot := range uint32(5) {
		l.join(slot)
		l.awaitOp(t, slot, "hello")
	}
	say(0, `{"op":"sub","topics":["ord.A"]}`)
	if got := l.awaitData(t, 0, "ord.A", "4"); len(got) != 1 || got[0].S != 4 || got[0].K != "snap" {
		t.Errorf("got %v", got)
	}
	epoch := epochOf(node.hub, "ord.A")
	say(1, `{"op":"sub","topics":["ord.A"],"after":"`+epoch+`:1"}`)
	if got := l.awaitData(t, 1, "ord.A", "4"); len(got) != 2 || got[0].S != 3 || got[1].P != 3 {
		t.Errorf("got %v", got)
	}
	say(2, `{"op":"sub","topics":["ord.>"],"after":"`+epoch+`:1"}`)
	if got := l.awaitData(t, 2, "ord.A", "4"); len(got) != 3 || got[0].S != 2 || got[1].S != 3 {
		t.Errorf("got %v", got)
	}
	say(3, `{"op":"sub","topics":["ord.>"]}`)
	l.awaitData(t, 3, "ord.A", "4")
	say(4, `{"op":"sub","topics":["ord.C"]}`) // a topic without a message
	natstest.Store(t, js, "ord.C 5", "ord.A 6")
	for slot, topic := range map[uint32]string{0: "ord.A", 1: "ord.A", 2: "ord.A", 3: "ord.A"} {
		l.awaitData(t, slot, topic, "6")
	}
	if got := l.awaitData(t, 4, "ord.C", "5"); len(got) != 1 || got[0].S != 5 {
		t.Errorf("got %v", got)
	}
	// A client that unsubscribes during a request to the stream is no subscriber afterwards.
	l.join(5)
	l.do(func() {
		l.shard.Apply(5, []byte(`{"op":"sub","id":1,"topics":["ord.D","ord.E"]}`))
		l.shard.Apply(5, []byte(`{"op":"unsub","id":2,"topics":["ord.D"]}`))
	})
	l.awaitOp(t, 5, "ack")
	l.awaitOp(t, 5, "ack")
	got := say(5, `{"op":"list"}`)
	if list := string(got[len(got)-1].Topics); strings.Contains(list, "ord.D") || !strings.Contains(list, "ord.E") {
		t.Errorf("it holds %s", list)
	}
}
