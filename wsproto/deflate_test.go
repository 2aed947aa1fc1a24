package wsproto

import (
	"bytes"
	stdflate "compress/flate"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
)

// tick returns a typical message of a feed.
func tick(i int) []byte {
	return fmt.Appendf(nil, `{"t":"px.SYM%03d","s":%d,"d":{"b":%d.%02d,"a":%d.%02d,"v":%d}}`, i%300, 918273+i, 180+i%7, i*37%100, 181+i%7, i*53%100, i*i%9973)
}

// samples returns payloads of several kinds and sizes.
func samples() [][]byte {
	r := rand.New(rand.NewPCG(1, 2))
	random := make([]byte, 70<<10)
	for i := range random {
		random[i] = byte(r.Uint32())
	}
	var ticks []byte
	for i := range 2000 {
		ticks = append(ticks, tick(i)...)
	}
	far := append(append(bytes.Clone(random[:300]), random[1000:34000]...), random[:300]...)
	return [][]byte{
		{}, []byte("x"), []byte("Hello"), bytes.Repeat([]byte("a"), 1000), tick(1), tick(1), ticks[:4000], random[:126], random[:40000], ticks,
		far, bytes.Repeat([]byte("a"), 100_000), random, tick(2), []byte(strings.Repeat("消息从服务器推送到一百万个客户端连接", 99)),
	}
}

// Each message is the same after compression and decompression, at each window and level, with and without context, by this
// package's decoder and by compress/flate. No reference reaches beyond the agreed window.
func TestDeflateRoundTrip(t *testing.T) {
	for bits := uint8(MinWindowBits); bits <= MaxWindowBits; bits++ {
		for _, level := range []int{1, 5, 9} {
			if bits < MaxWindowBits && level > 1 {
				continue // the library has a single level for these
			}
			for _, takeover := range []bool{false, true} {
				t.Run(fmt.Sprintf("bits %d/level %d/takeover %v", bits, level, takeover), func(t *testing.T) {
					t.Parallel()
					roundTrip(t, NewDeflater(level), bits, takeover, samples())
				})
			}
		}
	}
}

func roundTrip(t *testing.T, deflater *Deflater, bits uint8, takeover bool, messages [][]byte) {
	t.Helper()
	agreed := Deflate{ServerWindowBits: bits, ClientWindowBits: bits, ServerTakeover: takeover, ClientTakeover: takeover}
	server := Config{MaxMessage: 1 << 20, Deflate: agreed, Inflater: new(Inflater)}
	client := server
	client.Client, client.Inflater = true, new(Inflater)
	var in, out Decoder
	var fromServer, fromClient *Window
	if takeover {
		fromServer, fromClient = new(Window), new(Window)
	}
	var history []byte // window of the receiver
	for i, payload := range messages {
		before := bytes.Clone(payload)
		frame := deflater.AppendFrame([]byte("dst"), OpBinary, payload, bits, fromServer)[3:]
		if len(frame) > len(payload)+maxHeader {
			t.Fatalf("message %d: a frame of %d bytes for %d", i, len(frame), len(payload))
		}
		h, n, err := ParseHeader(frame)
		if err != nil || n == 0 || !h.Fin || h.Op != OpBinary || h.Masked {
			t.Fatal(h, n, err)
		}
		if h.RSV == compressedRSV {
			got, far, err := referenceInflate(append(bytes.Clone(frame[n:]), deflateTail...), history)
			if err != nil || !bytes.Equal(got, payload) {
				t.Fatalf("message %d: %d bytes became %d, %v", i, len(payload), len(got), err)
			}
			if far > 1<<bits {
				t.Fatalf("message %d: a reference of %d bytes, window of %d", i, far, 1<<bits)
			}
			std, err := io.ReadAll(stdflate.NewReaderDict(bytes.NewReader(append(bytes.Clone(frame[n:]), deflateTail...)), history))
			if err != nil || !bytes.Equal(std, payload) {
				t.Fatalf("message %d: compress/flate: %d bytes became %d, %v", i, len(payload), len(std), err)
			}
			// No block has BFINAL, so the stream continues and needs no padding.
			open := stdflate.NewReaderDict(bytes.NewReader(append(bytes.Clone(frame[n:]), deflateTail[:4]...)), history)
			if _, err := io.ReadAll(open); err != io.ErrUnexpectedEOF {
				t.Fatalf("message %d ends the stream: %v", i, err)
			}
			if takeover {
				history = append(history, payload...)
				history = history[max(0, len(history)-1<<bits):]
			}
		} else if h.RSV != 0 || !bytes.Equal(frame[n:], payload) {
			t.Fatalf("message %d: %+v", i, h)
		}
		if takeover && !bytes.Equal(fromServer.b, history) {
			t.Fatalf("message %d: the window is not the end of the messages", i)
		}
		expectMessage(t, &out, &client, frame, payload)
		masked := deflater.AppendMaskedFrame(nil, OpBinary, [4]byte{1, 2, 3, 4}, payload, bits, fromClient)
		expectMessage(t, &in, &server, masked, payload)
		if !bytes.Equal(payload, before) {
			t.Fatalf("message %d was changed", i)
		}
		if in.WindowBytes() > 1<<bits || out.WindowBytes() > 1<<bits || fromServer != nil && fromServer.Bytes() > 1<<bits {
			t.Fatalf("windows of %d and %d bytes", in.WindowBytes(), out.WindowBytes())
		}
		if !takeover && (in.p != nil || out.p != nil) {
			t.Fatal("a decoder without context keeps state")
		}
	}
}

func expectMessage(t *testing.T, d *Decoder, cfg *Config, frame, payload []byte) {
	t.Helper()
	m, n, err := d.Next(cfg, frame)
	if err != nil || n != len(frame) || m.Op != OpBinary || !bytes.Equal(m.Payload, payload) || !d.Idle() {
		t.Fatalf("%s of %d bytes, want %d; %d of %d used, %v", m.Op, len(m.Payload), len(payload), n, len(frame), err)
	}
}

// An incompressible message is sent plain, and does not enter the receiver's window.
func TestDeflaterGivesUp(t *testing.T) {
	d, w := NewDeflater(0), new(Window)
	for _, payload := range []string{"", "x", "\x8f\x03\x99"} {
		if got, want := d.AppendFrame(nil, OpText, []byte(payload), 15, w), AppendFrame(nil, OpText, []byte(payload)); !bytes.Equal(got, want) || w.Bytes() != 0 {
			t.Errorf("%q: % x, want % x; window of %d bytes", payload, got, want, w.Bytes())
		}
	}
	for _, bits := range []uint8{0, 4, 16} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("a window of %d bits was made", bits)
				}
			}()
			NewDeflater(10).AppendFrame(nil, OpText, tick(1), bits, nil)
		}()
	}
}

// With context takeover a message that does not get shorter itself makes an equal next one shorter.
func TestDeflaterKeepsIncompressibleMessages(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, c := range []struct {
		level int
		bits  uint8
		size  int
	}{{1, 15, aloneSize + 1}, {6, 15, 1000}, {9, 15, 60}, {1, 9, 200}, {9, 12, 1000}} {
		payload := make([]byte, c.size)
		for i := range payload {
			payload[i] = byte(random.Uint32())
		}
		d, w := NewDeflater(c.level), new(Window)
		first := len(d.AppendFrame(nil, OpBinary, payload, c.bits, w))
		if second := len(d.AppendFrame(nil, OpBinary, payload, c.bits, w)); first > c.size+16 || second > c.size/2 {
			t.Errorf("level %d, window of %d bits: %d bytes became %d, and again %d", c.level, c.bits, c.size, first, second)
		}
	}
}

// Shared frames and a connection's own frames may use one pool in any order: none contains data of another.
func TestDeflaterPool(t *testing.T) {
	d, w := NewDeflater(1), new(Window)
	want := bytes.Clone(d.AppendFrame(nil, OpText, tick(7), 15, nil))
	for range 5 {
		d.AppendFrame(nil, OpText, tick(7), 15, w)
		if got := d.AppendFrame(nil, OpText, tick(7), 15, nil); !bytes.Equal(got, want) {
			t.Fatalf("% x, want % x", got, want)
		}
	}
}

func TestWindow(t *testing.T) {
	var w Window
	var all []byte
	for i := range 400 {
		p := bytes.Repeat([]byte{byte(i)}, i)
		all = append(all, p...)
		w.add(p, 8)
		if want := all[max(0, len(all)-256):]; !bytes.Equal(w.b, want) {
			t.Fatalf("after %d: % x, want % x", i, w.b, want)
		}
		if w.Bytes() > 256 {
			t.Fatalf("%d bytes", w.Bytes())
		}
	}
	var little Window
	if little.add([]byte("abc"), 15); little.Bytes() > minWindow {
		t.Errorf("%d bytes for three", little.Bytes())
	}
}

// A decompression bomb is refused at the first byte beyond the limit: its cost depends on the limit, not on the bomb.
func TestBomb(t *testing.T) {
	w, _ := stdflate.NewWriter(nil, 9)
	var small bytes.Buffer
	w.Reset(&small)
	zeros := make([]byte, 1<<20)
	for range 100 {
		_, _ = w.Write(zeros)
	}
	_ = w.Flush()
	frame := AppendHeader(nil, Header{Fin: true, RSV: compressedRSV, Op: OpBinary, Masked: true, Length: int64(small.Len() - 4)})
	frame = append(frame, small.Bytes()[:small.Len()-4]...)
	cfg := Config{MaxMessage: 128 << 10, Deflate: Deflate{15, 15, true, true, false, false}, Inflater: new(Inflater)}
	var d Decoder
	if _, _, err := d.Next(&cfg, frame); err != ErrMessageTooBig {
		t.Fatal(err)
	}
	if got := cap(cfg.Inflater.out); got > 128<<10+1 {
		t.Errorf("a buffer of %d bytes for messages of %d", got, cfg.MaxMessage)
	}
	if left := cfg.Inflater.src.Len(); left < small.Len()*99/100 {
		t.Errorf("%d of %d bytes were read", small.Len()-left, small.Len())
	}
	// The Inflater still works, and has released the large buffers.
	frame = AppendHeader(nil, Header{Fin: true, RSV: compressedRSV, Op: OpBinary, Masked: true, Length: 7})
	frame = append(frame, 0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00)
	if m, _, err := new(Decoder).Next(&cfg, frame); err != nil || string(m.Payload) != "Hello" {
		t.Fatalf("%q, %v", m.Payload, err)
	}
	if cap(cfg.Inflater.out) > keepBuffer || cap(cfg.Inflater.in) > keepBuffer {
		t.Errorf("buffers of %d and %d bytes are kept", cap(cfg.Inflater.out), cap(cfg.Inflater.in))
	}
}

// A message is inflated without allocations once the Inflater has its buffers. It leaves no state.
func TestInflateNoAllocations(t *testing.T) {
	payload := bytes.Repeat(tick(1), 4)
	frame := NewDeflater(1).AppendMaskedFrame(nil, OpText, [4]byte{}, payload, 15, nil)
	cfg := Config{Deflate: Deflate{ServerWindowBits: 15, ClientWindowBits: 15}, Inflater: new(Inflater)}
	in := make([]byte, len(frame))
	var d Decoder
	if allocs := testing.AllocsPerRun(200, func() {
		copy(in, frame)
		if m, _, err := d.Next(&cfg, in); err != nil || len(m.Payload) != len(payload) || d.p != nil {
			t.Fatal(err)
		}
	}); allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}

// FuzzDeflate checks two rules. Compressed data inflates to its source, here and in compress/flate, with no reference beyond
// the window. Any bytes as compressed data give the same result as in compress/flate.
func FuzzDeflate(f *testing.F) {
	for _, v := range readVectors(f) {
		if v.cfg.deflates() && len(v.in) < 1000 {
			f.Add(v.in, uint8(9), uint8(8), true, uint16(300))
			f.Add(v.in[min(6, len(v.in)):], uint8(4), uint8(15), false, uint16(3000))
		}
	}
	f.Add(bytes.Repeat(tick(3), 50), uint8(200), uint8(10), true, uint16(60000))
	deflaters := []*Deflater{NewDeflater(1), NewDeflater(6), NewDeflater(9)}
	f.Fuzz(func(t *testing.T, in []byte, cut, bits uint8, takeover bool, most uint16) {
		var messages [][]byte
		for rest, i := in, 0; len(rest) > 0 && i < 20; i++ {
			n := min(len(rest), int(cut)*(1+i)+1)
			messages = append(messages, rest[:n], rest[:n/2])
			rest = rest[n:]
		}
		roundTrip(t, deflaters[int(most)%3], 8+bits%8, takeover, messages)

		var dict []byte
		w := new(Window)
		if takeover {
			dict = in[len(in)/2:]
			w.add(dict, 15)
		}
		got, err := new(Inflater).inflate(in, false, int64(most), w, 15)
		want, wantErr := stdInflate(in, dict, int(most))
		if err != wantErr || err == nil && !bytes.Equal(got, want) {
			t.Fatalf("% x: %d bytes, %v; compress/flate: %d bytes, %v", in, len(got), err, len(want), wantErr)
		}
	})
}

// stdInflate does the work of Inflater.inflate with the standard library.
func stdInflate(payload, dict []byte, most int) (out []byte, err error) {
	src := bytes.NewReader(append(bytes.Clone(payload), deflateTail...))
	for finals := finalBlocks + len(payload)/finalEvery; finals >= 0; finals-- {
		history := append(bytes.Clone(dict), out...)
		r := stdflate.NewReaderDict(src, history[max(0, len(history)-1<<15):])
		more, err := io.ReadAll(io.LimitReader(r, int64(most-len(out)+1)))
		if out = append(out, more...); len(out) > most {
			return nil, ErrMessageTooBig
		}
		if err != nil {
			return nil, ErrCompressedData
		}
		if src.Len() == 0 {
			return out, nil
		}
	}
	return nil, ErrCompressedData
}
