package eventloop

import (
	"context"
	"io"
	"log/slog"
	"os"
	"testing"
	"time"
	"unsafe"

	"github.com/panjf2000/gnet/v2"

	"tickcast/broadcast"
	"tickcast/broadcast/topics"
	"tickcast/broadcast/wire"
)

// A queue is the part of gnet's loop that queues tasks. The test runs them.
type queue struct {
	gnet.EventLoop
	tasks chan gnet.Runnable
}

func (q *queue) Execute(_ context.Context, t gnet.Runnable) error {
	q.tasks <- t
	return nil
}

// bareLoop returns a loop without gnet, which runs on the test's goroutine. Frames to its n subscribers of topic "a" go to
// /dev/null.
func bareLoop(t testing.TB, n int, settings ...setting) (*loop, *queue, *broadcast.Shards) {
	t.Helper()
	cfg := Config{Loops: 1, Slice: time.Hour, QueueBytes: 1 << 10}
	hub := broadcast.Config{Config: topics.Config{Shards: 1}, Subscribe: []string{">"}}
	for _, change := range settings {
		change(&cfg, &hub)
	}
	h := broadcast.New(hub)
	e, err := New(cfg, h)
	if err != nil {
		t.Fatal(err)
	}
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { null.Close() })
	q := &queue{tasks: make(chan gnet.Runnable, 10_000)}
	l := newLoop(e, 0)
	l.el = q
	l.shard.Attach(l, func() { l.post(l.tasks.fanOut) })
	for range n {
		c := l.conns.claim()
		c.loop, c.state, c.transport, c.fd = uint16(l.index), stateOpen, transportWebSocket, int32(null.Fd())
		l.shard.Join(c.slot, wire.CodecJSON, 0)
		l.shard.Subscribe(c.slot, []string{"a"}, "", "")
	}
	return l, q, h
}

// run runs the oldest task, or waits for one: continuations are posted from another goroutine.
func (q *queue) run(t testing.TB) {
	t.Helper()
	select {
	case task := <-q.tasks:
		if err := task.Run(context.Background()); err != nil {
			t.Error(err)
		}
	case <-time.After(patience):
		t.Fatal("no task comes")
	}
}

// While a fan-out is unfinished, every further message wakes the loop. Each of them must not add a continuation: the more there
// are, the longer the loop runs tasks without a look at its sockets.
func TestOneContinuationHoweverManyMessages(t *testing.T) {
	const subscribers, messages = 1000, 100
	_, q, hub := bareLoop(t, subscribers, func(c *Config, _ *broadcast.Config) { c.Slice = 1 }) // 32 writes a slice
	most := 0
	for range messages {
		hub.Publish("a", []byte("1"))
		q.run(t)
		most = max(most, len(q.tasks))
	}
	for st := hub.Stats(); st.Deliveries+st.Conflated < subscribers*messages; st = hub.Stats() { // a loop that is late conflates
		q.run(t)
		most = max(most, len(q.tasks))
	}
	if most > 2 { // the continuation and a wake-up
		t.Errorf("%d tasks were waiting at once", most)
	}
}

// The same for timers: a tick while expired timers are left adds no continuation.
func TestOneContinuationHoweverManyTicks(t *testing.T) {
	const subscribers = 1000
	l, q, _ := bareLoop(t, subscribers, func(c *Config, _ *broadcast.Config) { c.Slice, c.Heartbeat = 1, time.Second })
	l.now = l.engine.tick()
	l.wheel.now = l.now
	for slot := range uint32(subscribers) {
		l.wheel.schedule(l.conns.At(slot), l.now)
	}
	l.engine.started = l.engine.started.Add(-time.Minute)
	for len(q.tasks) > 0 {
		q.run(t)
	}
	l.onTick() // comes a minute late, so it judges no client
	if l.expiring {
		t.Error("clients are judged before what they sent is read")
	}
	l.onTick()
	most, from := 0, l.now // ticks go on
	for l.expiring {
		l.onTick()
		q.run(t)
		most = max(most, len(q.tasks))
	}
	if most > 1 {
		t.Errorf("%d tasks were waiting at once", most)
	}
	for slot := range uint32(subscribers) {
		if c := l.conns.At(slot); c.prev == 0 || c.prev == inBucket|expired || c.sent < from {
			t.Fatalf("client %d was forgotten: %+v", slot, *c)
		}
	}
}

// A million times this size, plus the memory of the shard and of gnet, is the memory of a million idle clients. The allocator's
// size classes do not matter, since conns lie in chunks. A write touches two 64-byte cache lines.
func TestSizeOfConn(t *testing.T) {
	if c := (conn{}); unsafe.Offsetof(c.fd)/16 != unsafe.Offsetof(c.flags)/16 || unsafe.Sizeof(c)%16 != 0 {
		t.Error("the fields of a delivery may be in two cache lines")
	}
	if n := unsafe.Sizeof(conn{}); n > 80 {
		t.Errorf("%d bytes", n)
	}
}

func TestConnsReuseSlots(t *testing.T) {
	var table conns
	first := table.claim()
	for range 3 * broadcast.SlotChunk {
		table.claim()
	}
	if first != table.At(0) {
		t.Error("a conn was moved")
	}
	for _, slot := range []uint32{5, 700, 0} {
		c := table.At(slot)
		c.state, c.flags, c.due = stateOpen, flagBehind, 7
		table.release(c)
		if c.state != stateFree || c.gc != nil {
			t.Errorf("slot %d is not free: %+v", slot, *c)
		}
	}
	for _, slot := range []uint32{0, 700, 5, 3*broadcast.SlotChunk + 1} {
		if c := table.claim(); c.slot != slot || *c != (conn{slot: slot}) || c != table.At(slot) {
			t.Errorf("got %+v, want slot %d", *c, slot)
		}
	}
}

// The hot path does not allocate for a delivery, and hardly for a message.
func TestDeliveryAllocatesNothing(t *testing.T) {
	const subscribers = 1000
	l, q, hub := bareLoop(t, subscribers)
	for len(q.tasks) > 0 {
		q.run(t)
	}
	frame := []byte("\x81\x02{}")
	if n := testing.AllocsPerRun(1000, func() { l.Write(7, frame, 1) }); n != 0 {
		t.Errorf("%v allocations for a Write", n)
	}
	payload := []byte(`{"bid":1.5}`)
	message := func() {
		hub.Publish("a", payload)
		q.run(t)
	}
	if n := testing.AllocsPerRun(100, message); n > 20 {
		t.Errorf("%v allocations for a message to %d subscribers", n, subscribers)
	}
	if n := hub.Stats().Deliveries; n < 100*subscribers {
		t.Errorf("%d deliveries", n)
	}
}

func BenchmarkDelivery(b *testing.B) {
	const subscribers = 1000
	_, q, hub := bareLoop(b, subscribers)
	payload := []byte(`{"bid":1.5}`)
	b.ReportAllocs()
	for range b.N {
		hub.Publish("a", payload)
		for len(q.tasks) > 0 {
			q.run(b)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/subscribers, "ns/delivery")
}

// The owner check can fail.
func TestUseOutsideOfTheLoopPanics(t *testing.T) {
	l, _, _ := bareLoop(t, 1, func(c *Config, _ *broadcast.Config) { c.Log = slog.New(slog.NewTextHandler(io.Discard, nil)) })
	l.owner.Check(foreign)
	panicked := make(chan any)
	go func() {
		defer func() { panicked <- recover() }()
		l.owner.Check(foreign)
	}()
	if <-panicked == nil {
		t.Error("no panic on another goroutine")
	}
}

// A table of connections that was large gives its memory back. The slots that have gone stay readable, and come into use again.
func TestConnsShrink(t *testing.T) {
	const chunk = broadcast.SlotChunk
	var table conns
	for range 10 * chunk {
		table.claim().state = stateOpen
	}
	for slot := range uint32(10 * chunk) {
		if slot%100 != 0 || slot > 2*chunk {
			table.release(table.At(slot))
		}
		if slot < 7*chunk && table.shrink() != 0 {
			t.Fatalf("the table became small at slot %d", slot)
		}
	}
	if made := table.shrink(); made != 2*chunk {
		t.Errorf("%d slots stay", made)
	}
	open := 0
	for slot := range table.made {
		if table.At(slot).state == stateOpen {
			open++
		}
	}
	if table.made != 2*chunk || int(table.made)-len(table.free) != open || open != 11 {
		t.Fatalf("%d slots are left, %d of them free, %d connections", table.made, len(table.free), open)
	}
	if c := table.At(9*chunk + 1); *c != (conn{}) {
		t.Errorf("a slot that has gone has %+v", *c)
	}
	seen := map[uint32]bool{}
	for range 8*chunk - open {
		c := table.claim()
		if *c != (conn{slot: c.slot}) || seen[c.slot] {
			t.Fatalf("slot %d: %+v; given out before: %v", c.slot, *c, seen[c.slot])
		}
		seen[c.slot], c.state = true, stateOpen
	}
	if *table.At(9 * chunk) != (conn{}) || table.shrink() != 0 {
		t.Error("a slot that nobody has is in use, or a full table became small")
	}
}
