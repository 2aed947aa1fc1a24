package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"tickcast/broadcast"
	"tickcast/broadcast/topics"
	"tickcast/broadcast/wire"
	"tickcast/eventloop"
	"tickcast/wsproto"
)

// runsAlone reports whether t has a process to itself, whose heap nothing else changes. If not, it runs t in one.
func runsAlone(t *testing.T) bool {
	t.Helper()
	const alone = "TEST_ALONE"
	if os.Getenv(alone) != "" {
		return true
	}
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.timeout=5m")
	cmd.Env = append(os.Environ(), alone+"=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return false
}

// heapInUse returns the bytes of the live heap once it stands still.
func heapInUse() (bytes int64) {
	still := 0
	for end := time.Now().Add(patience); still < 3 && time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC() // for the pools that the first one emptied
		runtime.ReadMemStats(&m)
		now := int64(m.HeapAlloc)
		if still++; max(now-bytes, bytes-now) > 16<<10 {
			still = 0
		}
		bytes = now
	}
	return bytes
}

// A sinkOutlet takes everything; or, of a slot that is full, one frame and no more.
type sinkOutlet struct{ full map[uint32]bool }

func (o *sinkOutlet) Write(slot uint32, frames []byte, _ int) (taken int, ok bool) {
	return len(frames), !o.full[slot]
}

func (o *sinkOutlet) Close(uint32, wsproto.StatusCode, string) { panic("closed") }

// The account of memory by owner is the heap that the owners take, within 15 %.
func TestAccountIsTheHeap(t *testing.T) {
	if underRace {
		t.Skip("one goroutine; with the race detector the heap is another one")
	}
	if !runsAlone(t) {
		return
	}
	const slots = 1000
	names := func(n int, form string) (list []string) {
		for i := range n {
			list = append(list, fmt.Sprintf(form, i))
		}
		return list
	}
	subscribe := func(s *broadcast.Shard, slot uint32, list []string) {
		s.Subscribe(slot, list, "", "")
		for s.Drain(1e9) {
		}
	}
	payload := func(size int) []byte { return []byte(`"` + strings.Repeat("x", size-2) + `"`) }
	for _, row := range []struct {
		name string
		fill func(h *broadcast.Shards, s *broadcast.Shard, out *sinkOutlet)
	}{
		{"topics", func(h *broadcast.Shards, s *broadcast.Shard, _ *sinkOutlet) {
			subscribe(s, 0, names(100_000, "px.topic.%d"))
		}},
		{"topics that linger", func(h *broadcast.Shards, s *broadcast.Shard, _ *sinkOutlet) {
			subscribe(s, 0, names(100_000, "px.topic.%d"))
			s.Leave(0)
			for s.Drain(1e9) {
			}
			s.Join(0, wire.CodecJSON, 0)
		}},
		{"topics of long names", func(h *broadcast.Shards, s *broadcast.Shard, _ *sinkOutlet) {
			subscribe(s, 0, names(20_000, strings.Repeat("n", 200)+".%d"))
		}},
		{"topics of long last tokens", func(h *broadcast.Shards, s *broadcast.Shard, _ *sinkOutlet) {
			subscribe(s, 0, names(20_000, "px."+strings.Repeat("n", 200)+"%d"))
		}},
		{"topics under a pattern", func(h *broadcast.Shards, s *broadcast.Shard, _ *sinkOutlet) {
			subscribe(s, 0, []string{"px.>"})
			for _, name := range names(50_000, "px.topic.%d") {
				h.Publish(name, payload(20))
				s.Drain(1e9)
			}
		}},
		{"pairs", func(h *broadcast.Shards, s *broadcast.Shard, _ *sinkOutlet) {
			var patterns []string
			for k := range 256 {
				b := []byte("a.a.a.a.a.a.a.a.")
				for bit := range 8 {
					if k>>bit&1 == 1 {
						b[2*bit] = '*'
					}
				}
				patterns = append(patterns, string(b)+">")
			}
			subscribe(s, 0, patterns)
			subscribe(s, 0, names(2000, "a.a.a.a.a.a.a.a.%d"))
		}},
		{"subscriptions", func(h *broadcast.Shards, s *broadcast.Shard, _ *sinkOutlet) {
			list := names(1000, "px.topic.%d")
			for slot := range uint32(slots) {
				subscribe(s, slot, list)
			}
		}},
		{"newest", func(h *broadcast.Shards, s *broadcast.Shard, _ *sinkOutlet) {
			list := names(10_000, "px.topic.%d")
			subscribe(s, 0, list)
			for _, name := range list {
				h.Publish(name, payload(2000))
			}
			for s.Drain(1e9) {
			}
		}},
		{"small histories", func(h *broadcast.Shards, s *broadcast.Shard, _ *sinkOutlet) {
			list := names(100, "ord.%d")
			subscribe(s, 0, list)
			for range 1000 {
				for _, name := range list {
					h.Publish(name, payload(100))
				}
				for s.Drain(1e9) {
				}
			}
		}},
		{"queues of one message each", func(h *broadcast.Shards, s *broadcast.Shard, out *sinkOutlet) {
			for slot := range uint32(slots) {
				list := names(1, fmt.Sprintf("all.%d.%%d", slot))
				subscribe(s, slot, list)
				out.full[slot] = true
			}
			for n := range 101 {
				for slot := range slots {
					h.Publish(fmt.Sprintf("all.%d.0", slot), payload(100+n%7))
				}
				for s.Drain(1e9) {
				}
			}
		}},
		{"queues of the same messages", func(h *broadcast.Shards, s *broadcast.Shard, out *sinkOutlet) {
			for slot := range uint32(slots) {
				subscribe(s, slot, []string{"all.0"})
				out.full[slot] = true
			}
			for range 201 {
				h.Publish("all.0", payload(200))
				for s.Drain(1e9) {
				}
			}
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			h := broadcast.New(broadcast.Config{
				Config: topics.Config{Classes: []topics.Class{
					{Match: "ord.>", Mode: topics.ModeAll, History: 1000}, {Match: "all.>", Mode: topics.ModeAll, Snapshot: topics.SnapshotNone},
				}},
				Subscribe: []string{">"}, MaxTopicsPerConnection: 1 << 20, MaxWildcards: 1 << 20, NewTopicsPerSecond: 1 << 20,
				MaxMatches: 1 << 30, MatchesPerSecond: 1 << 30, QueueBytes: 1 << 30,
			})
			s, out := h.Shard(0), &sinkOutlet{full: make(map[uint32]bool)}
			s.Attach(out, func() {})
			for slot := range uint32(slots) {
				s.Join(slot, wire.CodecJSON, 0)
			}
			before, st := heapInUse(), h.Stats()
			earlier := memoryOwners(&eventloop.Stats{}, &st)
			row.fill(h, s, out)
			grown, st := heapInUse()-before, h.Stats()
			told := int64(0)
			owners := memoryOwners(&eventloop.Stats{}, &st)
			delete(owners, "upstream") // there is none
			for owner, n := range owners {
				told += n - earlier[owner]
			}
			part := float64(told) / float64(grown)
			t.Logf("the account tells of %d bytes, the heap has grown by %d: %.2f", told, grown, part)
			if part < 1/1.15 || part > 1.15 {
				t.Errorf("the account tells of %d bytes, the heap has grown by %d: %.2f", told, grown, part)
			}
			runtime.KeepAlive(h)
		})
	}
}

// The same for connections that have subscribed.
func TestAccountOfConnectionsIsTheHeap(t *testing.T) {
	if !runsAlone(t) {
		return
	}
	const conns = 3000
	h := broadcast.New(broadcast.Config{Subscribe: []string{">"}})
	e, err := eventloop.New(eventloop.Config{
		Listen: []string{"127.0.0.1:0"}, StreamPath: "/stream", Subprotocols: wire.Subprotocols(), Loops: 1, Backlog: 1024, Slice: time.Millisecond,
		MaxHeaderSize: 8 << 10, MaxMessageSize: 16 << 10, QueueBytes: 128 << 10, HandshakeTimeout: time.Minute, CloseTimeout: time.Second,
	}, h)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx, 0) }()
	defer func() { cancel(); <-done }()
	<-e.Ready()
	_, port, _ := net.SplitHostPort(e.Addrs()[0])
	n, _ := strconv.Atoi(port)
	request := wsproto.AppendRequest(nil, wsproto.ClientRequest{Host: "test", Path: "/stream?topics=a", Key: "dGhlIHNhbXBsZSBub25jZQ=="})
	fds := make([]int, 0, conns+1)
	defer func() {
		for _, fd := range fds {
			_ = syscall.Close(fd)
		}
	}()
	open := func() { // a bare descriptor, which takes no heap
		fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
		if err == nil {
			fds = append(fds, fd)
			err = syscall.Connect(fd, &syscall.SockaddrInet4{Port: n, Addr: [4]byte{127, 0, 0, 1}})
		}
		if err == nil {
			_, err = syscall.Write(fd, request)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	subscribed := func(n int64) {
		for end := time.Now().Add(patience); h.Stats().Subscriptions < n; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%d clients have subscribed", h.Stats().Subscriptions)
			}
		}
	}
	open()
	subscribed(1)
	told := func() (sum int64) {
		es, hs := e.Stats(), h.Stats()
		for _, n := range memoryOwners(&es, &hs) {
			sum += n
		}
		return sum
	}
	before, earlier := heapInUse(), told()
	for range conns {
		open()
	}
	subscribed(conns + 1)
	grown, sum := heapInUse()-before, told()-earlier
	if part := float64(sum) / float64(grown); part < 1/1.15 || part > 1.15 {
		t.Errorf("the account tells of %d bytes a connection, the heap has grown by %d: %.2f", sum/conns, grown/conns, part)
	}
}
