package broadcast

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"tickcast/broadcast/topics"
	"tickcast/broadcast/wire"
	"tickcast/broadcast/wire/wiretest"
	"tickcast/wsproto"
)

// compressing returns the configuration of a hub that compresses payloads of at least minimum bytes.
func compressing(minimum int) Config {
	cfg := openConfig()
	cfg.Deflater, cfg.MinCompress = wsproto.NewDeflater(1), minimum
	return cfg
}

// quotes returns a payload of at least n bytes as feeds have them: the same words again and again, and digits.
func quotes(n int) []byte {
	b := []byte(`{"quotes":[0`)
	for i := 0; len(b) < n-2; i++ {
		b = fmt.Appendf(b, `,{"bid":%d.%02d,"ask":%d.%02d,"size":%d}`, 180+i%7, i*37%100, 181+i%5, i*53%100, i*i%997)
	}
	return append(b, "]}"...)
}

// inflated decodes a frame as a client without context takeover does. It fails unless that is one whole text message.
func inflated(t testing.TB, frame []byte) string {
	t.Helper()
	var d wsproto.Decoder
	cfg := wsproto.Config{Client: true, MaxMessage: 1 << 20, Inflater: new(wsproto.Inflater),
		Deflate: wsproto.Deflate{ServerWindowBits: 15, ClientWindowBits: 15}}
	m, n, err := d.Next(&cfg, bytes.Clone(frame))
	if err != nil || n != len(frame) || m.Op != wsproto.OpText {
		t.Fatalf("a frame of %d bytes: %v, %d bytes used, %v", len(frame), m.Op, n, err)
	}
	return string(m.Payload)
}

// isCompressed reports whether the frame has the bit RSV1.
func isCompressed(frame []byte) bool { return frame[0]&0x40 != 0 }

// readers subscribes clients with these windows, from slot 0 on, to px.A.
func readers(s *Shard, windows ...uint8) *recorder {
	out := newRecorder(s)
	for slot, bits := range windows {
		s.Join(uint32(slot), wire.CodecJSON, bits)
		s.Subscribe(uint32(slot), []string{"px.A"}, "", "")
		out.got[uint32(slot)] = nil // the answer
	}
	return out
}

func TestCompressedOnceForAll(t *testing.T) {
	cfg := compressing(100)
	cfg.Shards = 2
	h := New(cfg)
	const subscribers = 50
	outs := []*recorder{
		readers(h.Shard(0), slices.Repeat([]uint8{15}, subscribers)...),
		readers(h.Shard(1), slices.Repeat([]uint8{15}, subscribers)...),
	}
	payload := quotes(1000)
	h.Publish("px.A", payload)
	drainAll(h.Shard(0))
	drainAll(h.Shard(1))
	first := outs[0].got[0][0]
	if want := fmt.Sprintf(`{"t":"px.A","s":1,"d":%s}`, payload); inflated(t, first) != want || len(first) > len(want)/2 {
		t.Errorf("%d bytes were made %d that say %s", len(want), len(first), inflated(t, first))
	}
	for _, out := range outs {
		for slot := range uint32(subscribers) {
			if got := out.got[slot]; len(got) != 1 || &got[0][0] != &first[0] {
				t.Fatalf("slot %d got %d frames, want the shared one", slot, len(got))
			}
		}
	}
	if n := h.Stats().SharedCompressed; n != 1 {
		t.Errorf("%d frames were compressed", n)
	}

	var snapshots [][]byte
	for i, s := range h.list {
		s.Join(subscribers, wire.CodecJSON, 15)
		s.Subscribe(subscribers, []string{"px.A"}, "", "")
		got := outs[i].got[subscribers]
		if len(got) != 2 || isCompressed(got[0]) || !isCompressed(got[1]) || !strings.Contains(inflated(t, got[1]), `"k":"snap"`) {
			t.Fatalf("got %q, want a plain answer and a compressed snapshot", got)
		}
		snapshots = append(snapshots, got[1])
	}
	if &snapshots[0][0] != &snapshots[1][0] || h.Stats().SharedCompressed != 2 {
		t.Error("the snapshot was compressed twice")
	}
}

func TestCompressedByWindow(t *testing.T) {
	h := New(compressing(0))
	s := h.Shard(0)
	windows := []uint8{0, 8, 9, 12, 15, 15}
	out := readers(s, windows...)
	publish := func(payload []byte) (frames [][]byte) {
		h.Publish("px.A", payload)
		drainAll(s)
		for slot := range windows {
			frames = append(frames, out.got[uint32(slot)][0])
			out.got[uint32(slot)] = nil
		}
		return frames
	}
	same := func(a, b []byte) bool { return &a[0] == &b[0] }

	frames := publish(quotes(3000))
	plain, err := wiretest.PayloadOf(frames[0])
	if err != nil {
		t.Fatal(err)
	}
	for slot, f := range frames[1:] {
		if !isCompressed(f) || inflated(t, f) != string(plain) {
			t.Errorf("a window of %d bits: %d bytes", windows[slot+1], len(f))
		}
	}
	// A window of 2^12 holds all of 3,000 bytes, as one of 2^15 does.
	if same(frames[1], frames[2]) || same(frames[2], frames[3]) || !same(frames[3], frames[4]) || !same(frames[4], frames[5]) {
		t.Error("frames are shared by the wrong windows")
	}
	if n := h.Stats().SharedCompressed; n != 3 {
		t.Errorf("%d frames were compressed, want one for 8, 9 and the larger windows", n)
	}
	frames = publish(quotes(200))
	if !isCompressed(frames[1]) || !same(frames[1], frames[5]) {
		t.Error("what fits into the smallest window was not compressed for all at once")
	}
}

// newestOf returns the newest message of a topic in the first shard.
func newestOf(h *Shards, topic string) *topics.Message {
	return h.Shard(0).filters.find(filterName{topic, 0}).topic.newest
}

func TestCompressedOnlyIfItPays(t *testing.T) {
	payload := quotes(300)
	whole := len(fmt.Sprintf(`{"t":"px.A","s":1,"d":%s}`, payload))
	for _, c := range []struct {
		name       string
		minimum    int
		payload    []byte
		tried, got bool
	}{
		{"as long as the shortest", whole, payload, true, true},
		{"shorter", whole + 1, payload, false, false},
		{"it makes it longer", 0, []byte("1"), true, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := New(compressing(c.minimum))
			out := readers(h.Shard(0), 15, 15)
			h.Publish("px.A", c.payload)
			drainAll(h.Shard(0))
			m := newestOf(h, "px.A")
			tried := m.Compressed(wire.CodecJSON, wire.FormUpdate, wsproto.MaxWindowBits).Load()
			if got := isCompressed(out.got[1][0]); got != c.got || (tried != nil) != c.tried {
				t.Errorf("compressed: %v, want %v; tried: %v, want %v", got, c.got, tried != nil, c.tried)
			}
			if c.tried && !c.got && &(*tried)[0] != &m.Frame()[0] {
				t.Error("the plain frame is not kept as the one to use")
			}
		})
	}
}

func TestNothingIsCompressedForNobody(t *testing.T) {
	h := New(compressing(0))
	out := readers(h.Shard(0), 0, 0)
	h.Publish("px.A", quotes(300))
	drainAll(h.Shard(0))
	for bits := uint8(wsproto.MinWindowBits); bits <= wsproto.MaxWindowBits; bits++ {
		if newestOf(h, "px.A").Compressed(wire.CodecJSON, wire.FormUpdate, bits).Load() != nil || isCompressed(out.got[0][0]) {
			t.Error("compressed though nobody reads it")
		}
	}

	h = New(openConfig()) // a hub without a Deflater
	out = readers(h.Shard(0), 15)
	h.Publish("px.A", quotes(300))
	drainAll(h.Shard(0))
	if isCompressed(out.got[0][0]) {
		t.Error("compressed without a Deflater")
	}
}

// The backlog of a client is compressed. Messages about the client itself stay plain.
func TestBacklogIsCompressed(t *testing.T) {
	h := New(compressing(100))
	s := h.Shard(0)
	out := readers(s, 15)
	out.room[0] = 0
	for range 3 { // its socket takes the first and no more
		h.Publish("px.A", quotes(1000))
		drainAll(s)
	}
	delete(out.room, 0)
	out.got[0] = nil
	if !s.Writable(0) {
		t.Fatal("the client is still behind")
	}
	got := out.got[0]
	if len(got) != 2 || !isCompressed(got[0]) || !strings.HasPrefix(inflated(t, got[0]), `{"t":"px.A","s":3,"d":`) {
		t.Fatalf("got %q, want the newest message compressed, and lag", got)
	}
	if lag, err := wiretest.PayloadOf(got[1]); err != nil || !bytes.HasPrefix(lag, []byte(`{"op":"lag"`)) {
		t.Errorf("got %q, %v", lag, err)
	}
}

// The loops build the same frames at the same time.
func TestCompressedByManyLoops(t *testing.T) {
	cfg := compressing(0)
	cfg.Shards = 4
	h := New(cfg)
	const messages = 50
	var ready, done sync.WaitGroup
	start := make(chan struct{})
	for i := range cfg.Shards {
		ready.Add(1)
		done.Go(func() {
			s := h.Shard(i)
			out := readers(s, 8, 15)
			ready.Done()
			<-start
			drainAll(s)
			for slot := range uint32(2) {
				for n, f := range out.got[slot] {
					if !isCompressed(f) || !strings.HasPrefix(inflated(t, f), fmt.Sprintf(`{"t":"px.A","s":%d,`, n+1)) {
						t.Errorf("loop %d, slot %d: message %d is wrong", i, slot, n)
						return
					}
				}
				if n := len(out.got[slot]); n != messages {
					t.Errorf("loop %d, slot %d: %d messages", i, slot, n)
				}
			}
		})
	}
	ready.Wait()
	for range messages {
		h.Publish("px.A", quotes(1000))
	}
	close(start)
	done.Wait()
}

func TestNothingIsAllocatedPerCompressedDelivery(t *testing.T) {
	payload := quotes(1000)
	allocs := func(subscribers int) float64 {
		h := New(compressing(0))
		s := h.Shard(0)
		s.out = nullOutlet{readers(s, slices.Repeat([]uint8{15}, subscribers)...)}
		return testing.AllocsPerRun(50, func() {
			h.Publish("px.A", payload)
			drainAll(s)
		})
	}
	if one, thousand := allocs(1), allocs(1000); thousand > one+10 { // now and then a compressor leaves its pool
		t.Errorf("%v allocations for a message to 1 subscriber, %v to 1,000", one, thousand)
	}
}

// BenchmarkFanout measures one message of 1 KB to 1,000 subscribers, without the sockets' part, and the cost that compression adds.
func BenchmarkFanout(b *testing.B) {
	const subscribers = 1000
	payload := quotes(1000)
	for _, c := range []struct {
		name string
		bits uint8
	}{{"plain", 0}, {"compressed", 15}} {
		b.Run(c.name, func(b *testing.B) {
			h := New(compressing(256))
			s := h.Shard(0)
			s.out = nullOutlet{readers(s, slices.Repeat([]uint8{c.bits}, subscribers)...)}
			b.ReportAllocs()
			for range b.N {
				h.Publish("px.A", payload)
				drainAll(s)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/subscribers, "ns/delivery")
		})
	}
}
