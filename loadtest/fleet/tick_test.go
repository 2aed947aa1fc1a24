package fleet

import (
	"bytes"
	"math"
	"math/rand/v2"
	"testing"
)

// wrap puts a tick into a message as Tickcast sends it.
func wrap(tick []byte) []byte {
	return append(append([]byte(`{"t":"px.A","s":17,"d":`), tick...), '}')
}

func TestTickRoundTrip(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	ticks := []tick{{}, {math.MaxUint32, math.MaxUint32, math.MaxUint32, math.MaxUint64, math.MaxInt64}}
	for range 5 {
		ticks = append(ticks, tick{rng.Uint32(), rng.Uint32(), rng.Uint32(), rng.Uint64(), rng.Int64()})
	}
	for _, want := range ticks {
		shortest := len(appendTick(nil, want, 0))
		if shortest > 128 {
			t.Errorf("%+v has %d bytes", want, shortest)
		}
		for size := range 400 {
			b := appendTick([]byte("x"), want, size)[1:]
			if len(b) != max(size, shortest) {
				t.Fatalf("%d bytes for size %d", len(b), size)
			}
			for _, message := range [][]byte{b, wrap(b)} {
				if got, _, found, whole := parseTick(message); !found || !whole || got != want {
					t.Fatalf("%s: %+v, found %v, whole %v", message, got, found, whole)
				}
			}
		}
	}
}

// A change of any byte of a tick is found. The bytes around the tick do not matter.
func TestTickCorrupted(t *testing.T) {
	want := tick{run: 2718281828, topic: 17, seq: 12, number: 345, at: 1764333444555}
	inner := appendTick(nil, want, 128)
	message := wrap(inner)
	start := bytes.Index(message, inner)
	for i := range message {
		for change := 1; change < 256; change++ {
			message[i] ^= byte(change)
			got, _, found, whole := parseTick(message)
			if inside := i >= start && i < start+len(inner); inside && found && whole || !inside && (!whole || got != want) {
				t.Fatalf("byte %d: %s: %+v, found %v, whole %v", i, message, got, found, whole)
			}
			message[i] ^= byte(change)
		}
	}
	for n := range inner {
		if _, _, _, whole := parseTick(inner[:n]); whole {
			t.Errorf("whole with %d of %d bytes", n, len(inner))
		}
	}
}

// A tick that is whole is the same when it is written again.
func FuzzParseTick(f *testing.F) {
	f.Add(wrap(appendTick(nil, tick{run: 1, topic: 2, seq: 3, number: 4, at: 5}, 128)))
	f.Add(appendTick(nil, tick{}, 0))
	f.Add([]byte(`{"load":`))
	f.Add([]byte(`{"load":1,"k":2,"n":3,"m":4,"at":5,"pad":"","crc":"0000000"}`))
	f.Add([]byte(`{"load":99999999999,"k":2`))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, _, found, whole := parseTick(b)
		if whole && !found || !found && got != (tick{}) {
			t.Fatalf("%+v, found %v, whole %v", got, found, whole)
		}
		if !whole {
			return
		}
		if again, _, _, whole := parseTick(appendTick(nil, got, 0)); !whole || again != got {
			t.Errorf("%+v becomes %+v", got, again)
		}
	})
}
