package admission

import (
	"math/rand/v2"
	"testing"
	"time"
)

// arrivals are patterns of events: the nanoseconds from one to the next.
var arrivals = map[string]func(r *rand.Rand, most int) int64{
	"all at once":        func(*rand.Rand, int) int64 { return 0 },
	"twice the limit":    func(_ *rand.Rand, most int) int64 { return second / int64(2*most) },
	"just the limit":     func(_ *rand.Rand, most int) int64 { return second / int64(most) },
	"random":             func(r *rand.Rand, most int) int64 { return r.Int64N(second / int64(most)) },
	"bursts, then pause": func(r *rand.Rand, most int) int64 { return pause(r, 2*most, 3*second) },
	"a pause below one":  func(r *rand.Rand, most int) int64 { return pause(r, most, second) },
	"around slots":       func(r *rand.Rand, _ int) int64 { return r.Int64N(2)*slot - r.Int64N(2) },
}

// pause returns 0, and once in about n times a pause of up to most.
func pause(r *rand.Rand, n int, most int64) int64 {
	if r.IntN(n+1) > 0 {
		return 0
	}
	return r.Int64N(most)
}

// No second has more events than the limit, wherever it begins: at the start, after a pause or in the middle of a flood.
func TestRateHoldsInAnySecond(t *testing.T) {
	for _, most := range []int{1, 2, 3, 5, 9, 10, 11, 20, 39, 40, 41, 100, 600, 1000, 7919} {
		for name, next := range arrivals {
			r := rand.New(rand.NewPCG(uint64(most), 7))
			rate := NewRate(most)
			var admitted []int64
			now := r.Int64N(10 * second)
			for range 20 * most {
				now += max(next(r, most), 0)
				if rate.Take(now) {
					admitted = append(admitted, now)
				}
			}
			for i, at := range admitted[min(most, len(admitted)):] { // the event most before it
				if at-admitted[i] < second {
					t.Errorf("%d a second, %s: more within %v", most, name, time.Duration(at-admitted[i]))
					break
				}
			}
			if len(admitted) < min(most, 10) {
				t.Errorf("%d a second, %s: only %d admitted", most, name, len(admitted))
			}
		}
	}
}

// A flood takes ten elevenths of the limit, and a short burst passes after a pause.
func TestRateAllows(t *testing.T) {
	for _, row := range []struct{ most, atOnce int }{{1, 1}, {2, 2}, {10, 10}, {20, 10}, {40, 10}, {100, 25}, {600, 150}} {
		rate := NewRate(row.most)
		burst := func(now int64) (n int) {
			for rate.Take(now) {
				n++
			}
			return n
		}
		if n := burst(5 * second); n != row.atOnce {
			t.Errorf("%d a second: %d at once, want %d", row.most, n, row.atOnce)
		}
		if n := burst(5*second + 11*slot); n != row.atOnce {
			t.Errorf("%d a second: %d at once after a pause, want %d", row.most, n, row.atOnce)
		}
		flood := 0
		for at := 20 * second; at < 31*second; at += slot / 4 {
			flood += burst(at)
		}
		if least := 10 * row.most; flood < least {
			t.Errorf("%d a second: %d in 11 s, want %d", row.most, flood, least)
		}
		if n := rate.Within(11 * time.Second); n != int64(10*row.most) {
			t.Errorf("%d a second: %d within 11 s", row.most, n)
		}
	}
	none := NewRate(0)
	for range 100 {
		if !none.Take(0) {
			t.Fatal("a limit without one")
		}
	}
}

// Refused events come back one after the other, at the pace of the limit.
func TestRateLater(t *testing.T) {
	rate := NewRate(10)
	for i := range 20 {
		want := 5*time.Second + time.Duration(i+1)*100*time.Millisecond
		if got := rate.Later(0, 5*time.Second); got != want {
			t.Fatalf("refused event %d after %v, want %v", i, got, want)
		}
	}
	if got := rate.Later(7*second, time.Second); got != 1100*time.Millisecond { // the others have come
		t.Errorf("%v", got)
	}
	for range 10_000 {
		rate.Later(7*second, time.Second)
	}
	if got := rate.Later(7*second, time.Second); got != laterMost {
		t.Errorf("after a flood %v, want %v", got, laterMost)
	}
}
