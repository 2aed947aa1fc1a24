package wsproto

import (
	"bytes"
	"fmt"
	"runtime"
	"testing"
)

// feed returns n bytes of ticks.
func feed(n int) (out []byte) {
	for i := 0; len(out) < n; i++ {
		out = append(out, tick(i)...)
	}
	return out[:n]
}

func BenchmarkDeflate(b *testing.B) {
	for _, row := range []struct {
		name  string
		level int
		bits  uint8
		kept  bool
	}{
		{"shared/level1/window15", 1, 15, false},
		{"shared/level6/window15", 6, 15, false},
		{"shared/level9/window15", 9, 15, false},
		{"shared/window10", 1, 10, false},
		{"takeover/level1/window15", 1, 15, true},
		{"takeover/window10", 1, 10, true},
	} {
		for _, size := range []int{128, 1 << 10, 16 << 10} {
			b.Run(fmt.Sprintf("%s/%d", row.name, size), func(b *testing.B) {
				d, stream := NewDeflater(row.level), feed(4<<20)
				var w *Window
				if row.kept {
					w = new(Window)
				}
				var dst []byte
				in, out := 0, 0
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for b.Loop() {
					from := in % (len(stream) - size)
					dst = d.AppendFrame(dst[:0], OpText, stream[from:from+size], row.bits, w)
					in, out = in+size, out+len(dst)
				}
				b.ReportMetric(float64(out)/float64(in), "out/in")
			})
		}
	}
}

func BenchmarkInflate(b *testing.B) {
	for _, takeover := range []bool{false, true} {
		for _, size := range []int{128, 1 << 10, 16 << 10} {
			b.Run(fmt.Sprintf("takeover=%v/%d", takeover, size), func(b *testing.B) {
				frame := NewDeflater(1).AppendMaskedFrame(nil, OpText, [4]byte{1, 2, 3, 4}, feed(size), 15, nil)
				cfg := Config{Deflate: Deflate{ServerWindowBits: 15, ClientWindowBits: 15, ClientTakeover: takeover}, Inflater: new(Inflater)}
				in := make([]byte, len(frame))
				var d Decoder
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for b.Loop() {
					copy(in, frame)
					if m, _, err := d.Next(&cfg, in); err != nil || len(m.Payload) != size {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// BenchmarkInflateWorst measures the most expensive input that was found: blocks that contain only the tables of their
// codes, and streams that end at once.
func BenchmarkInflateWorst(b *testing.B) {
	for _, row := range []struct {
		name  string
		block []byte
	}{
		{"empty stored blocks", []byte{0, 0, 0, 0xff, 0xff}},
		{"ends of the stream", []byte{3, 0}},
		{"tables of codes", emptyDynamicBlocks()},
	} {
		for _, size := range []int{16 << 10, 1 << 20} {
			b.Run(fmt.Sprintf("%s/%d", row.name, size), func(b *testing.B) {
				payload := bytes.Repeat(row.block, size/len(row.block))
				f, w := new(Inflater), new(Window)
				w.add(feed(1<<15), 15)
				b.SetBytes(int64(len(payload)))
				for b.Loop() {
					_, _ = f.inflate(payload, false, 16<<20, w, 15)
				}
			})
		}
	}
}

// emptyDynamicBlocks returns whole bytes of blocks with the shortest description of dynamic codes: one code, for the end
// of the block, which follows at once.
func emptyDynamicBlocks() (out []byte) {
	n := 0
	put := func(v, bits int) {
		for i := range bits {
			if n%8 == 0 {
				out = append(out, 0)
			}
			out[n/8] |= byte(v>>i&1) << (n % 8)
			n++
		}
	}
	for range 8 {
		put(0, 1)           // not final
		put(2, 2)           // dynamic codes
		put(0, 5)           // 257 literals and lengths
		put(0, 5)           // 1 distance
		put(14, 4)          // 18 lengths of lengths: up to the one of 1
		for i := range 18 { // 16 17 18 0 8 7 9 6 10 5 11 4 12 3 13 2 14 1
			put(map[int]int{2: 1, 17: 1}[i], 3) // 18: one bit, and 1: one bit
		}
		put(1, 1) // 18: zeros,
		put(127, 7)
		put(1, 1) // and again: 256 in all
		put(107, 7)
		put(0, 1) // 1: the end of the block has a code of one bit
		put(0, 1) // 1: so has the single distance
		put(0, 1) // the end of the block
	}
	return out
}

// BenchmarkDeflateMemory measures the memory for compression: of a loop's Inflater, of each compressor that is borrowed at
// the same time, and of each connection with context takeover. Without takeover a connection holds no memory for it.
func BenchmarkDeflateMemory(b *testing.B) {
	var keep []any
	heap := func(n int, make func() any) float64 {
		var before, after runtime.MemStats
		for range 3 { // a pool releases its content after two
			runtime.GC()
		}
		runtime.ReadMemStats(&before)
		for range n {
			keep = append(keep, make())
		}
		for range 3 {
			runtime.GC()
		}
		runtime.ReadMemStats(&after)
		runtime.KeepAlive(keep)
		keep = nil
		return max(0, float64(int64(after.HeapAlloc)-int64(before.HeapAlloc))/float64(n))
	}
	payload := feed(128)
	for b.Loop() {
		b.ReportMetric(heap(20, func() any {
			f := new(Inflater)
			_, _ = f.inflate([]byte{0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00}, true, 1000, nil, 15)
			return f
		}), "B/inflater")
		for _, bits := range []uint8{8, 10, 15} {
			b.ReportMetric(heap(10, func() any {
				c := NewDeflater(1).borrowCompressor(bits)
				c.compress(payload, nil)
				return c
			}), fmt.Sprintf("B/compressor%d", bits))
			cfg := Config{Deflate: Deflate{ServerWindowBits: bits, ClientWindowBits: bits, ClientTakeover: true}, Inflater: new(Inflater)}
			long := NewDeflater(1).AppendMaskedFrame(nil, OpText, [4]byte{}, feed(16<<10), bits, nil)
			b.ReportMetric(heap(100, func() any {
				d := new(Decoder)
				for range 3 {
					if _, _, err := d.Next(&cfg, bytes.Clone(long)); err != nil {
						b.Fatal(err)
					}
				}
				return d
			}), fmt.Sprintf("B/window%d", bits))
		}
		plain := Config{Deflate: Deflate{ServerWindowBits: 15, ClientWindowBits: 15}, Inflater: new(Inflater)}
		frame := NewDeflater(1).AppendMaskedFrame(nil, OpText, [4]byte{}, feed(1<<10), 15, nil)
		b.ReportMetric(heap(1000, func() any {
			d := new(Decoder)
			if _, _, err := d.Next(&plain, bytes.Clone(frame)); err != nil {
				b.Fatal(err)
			}
			return d
		}), "B/decoder")
	}
}
