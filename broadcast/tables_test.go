package broadcast

import (
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"tickcast/broadcast/topics"
	"tickcast/broadcast/wire"
	"tickcast/wsproto"
)

// An audience is a shape of the clients' subscriptions.
type audience struct {
	name    string
	clients uint32
	topics  func(slot uint32) []string
}

// numbered returns topics of a name and the numbers of a run of n that begins with first.
func numbered(name string, first, n uint32) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = name + strconv.Itoa(int(first)+i)
	}
	return list
}

var audiences = []audience{
	{"one-topic", 1_000_000, func(uint32) []string { return []string{"px.A"} }},
	{"own-topic", 1_000_000, func(slot uint32) []string { return numbered("px.T", slot, 1) }},
	{"hundred-topics", 20_000, func(slot uint32) []string { return numbered("px.T", slot%200, 100) }},
}

// BenchmarkTables measures the memory of one shard and the hub for subscriptions alone, without connections, and the time of
// one client's Leave among so many: it must not grow with the number of subscribers of the same topic.
func BenchmarkTables(b *testing.B) {
	defer CheckOwners(CheckOwners(false)) // it takes longer than all the rest
	for _, c := range audiences {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				c.measure(b)
			}
		})
	}
}

func (c *audience) measure(b *testing.B) {
	before := heapInUse()
	s := New(Config{Config: topics.Config{Shards: 2}, Subscribe: []string{">"}}).Shard(0)
	s.Attach(deafOutlet{}, func() {})
	for slot := range c.clients {
		s.Join(slot, wire.CodecJSON, 0)
		s.Subscribe(slot, c.topics(slot), "", "")
	}
	held, joined := s.filters.held, s.joined
	bytes := heapInUse() - before
	leaving := c.clients / 2 // the others stay, so that no client leaves an empty table
	begun := time.Now()
	for i := range leaving {
		s.Leave(2 * i)
	}
	each := time.Since(begun) / time.Duration(leaving)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(bytes)/float64(held), "B/subscription")
	b.ReportMetric(float64(bytes)/float64(joined), "B/client")
	b.ReportMetric(float64(each.Nanoseconds()), "ns/leave")
	runtime.KeepAlive(s)
}

// The tables of topics that came and went are small again, whether all have gone or one with a high id stays for a while.
func TestTablesOfGoneTopicsAreSmall(t *testing.T) {
	for _, stays := range []bool{false, true} {
		h, s, _ := costShard(t)
		names := numberedUnder(2 * shrinkFrom)
		s.Join(0, wire.CodecJSON, 0)
		s.Join(1, wire.CodecJSON, 0)
		s.Subscribe(0, names, "", "")
		drainAll(s)
		if n := len(s.filters.byID); n < len(names) {
			t.Fatalf("the table has %d places", n)
		}
		if stays {
			s.Subscribe(1, names[len(names)-1:], "", "")
		}
		s.Leave(0)
		drainAll(s)
		if stays {
			checkShards(t, h)
			s.Leave(1)
			drainAll(s)
		}
		if f := &s.filters; cap(f.byID) >= shrinkFrom || cap(f.list) >= shrinkFrom || f.namesPeak >= shrinkFrom || len(f.names) > 0 {
			t.Errorf("one stays: %v: %d places of topics, %d of filters and %d names of %d are left", stays, cap(f.byID), cap(f.list), f.namesPeak, len(f.names))
		}
		checkShards(t, h)
	}
}

// A command of many topics that waits for its place in the stream of messages takes little beside their list, and leaves nothing.
func TestWaitingCommandsAreSmall(t *testing.T) {
	const clients, named = 100, 1024
	cfg := openConfig()
	cfg.NewTopicsPerSecond, cfg.CommandSteps = 1<<20, named
	cfg.Classes = []topics.Class{{Match: ">", Mode: topics.ModeAll}}
	h := New(cfg)
	s := h.Shard(0)
	s.Attach(deafOutlet{}, func() {})
	for slot := range uint32(clients + 1) {
		s.Join(slot, wire.CodecJSON, 0)
	}
	names := numberedUnder(named)
	s.Subscribe(clients, names, "", "") // the tables have their size
	drainAll(s)
	text := fmt.Appendf(nil, `{"op":"sub","topics":["%s"]}`, strings.Join(names, `","`))
	h.Publish(names[0], []byte("1")) // all others come behind it
	before := heapInUse()
	for slot := range uint32(clients) {
		s.Apply(slot, text)
	}
	if len(s.parked.waiting) != clients {
		t.Fatalf("%d commands wait", len(s.parked.waiting))
	}
	const each = 16 + 8 + 1 + 7 // bytes: a name, its pinned filter, its tier, and room for the rest of the command
	if got := (heapInUse() - before) / clients; got > named*each {
		t.Errorf("a command of %d topics takes %d bytes while it waits", named, got)
	}
	drainAll(s)
	for slot := range uint32(clients) {
		if n := s.subs.At(slot).n; n != named {
			t.Fatalf("client %d has %d topics", slot, n)
		}
		s.Leave(slot)
	}
	drainAll(s)
	checkShards(t, h)
}

// heapInUse returns the bytes of the live objects of the heap.
func heapInUse() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // the second frees the objects of a sync.Pool
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// A deafOutlet takes all frames and keeps none.
type deafOutlet struct{}

func (deafOutlet) Write(_ uint32, frames []byte, _ int) (int, bool) { return len(frames), true }
func (deafOutlet) Close(uint32, wsproto.StatusCode, string)         {}
