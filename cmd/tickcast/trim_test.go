package main

import (
	"runtime"
	"runtime/debug"
	"testing"
	"time"
)

// Memory is given back when the account has fallen far and falls no more, once for each fall.
func TestEbb(t *testing.T) {
	const mb, after = 1 << 20, 3 * time.Second
	var e ebb
	now := time.Now()
	for i, step := range []struct {
		mb  float64
		due bool
	}{
		{10, false}, {100, false}, {60, false}, {30, false}, {20, false}, {20, false}, {20, false}, {20, true}, {20, false}, {20, false},
		{20, false}, {2, false}, {2, false}, {2, false}, {2, true}, {1.1, false}, {1.1, false}, {1.1, false}, {1.1, false}, // too little
		{200, false}, {170, false}, {170, false}, {170, false}, {170, false}, // not a fourth
		{100, false}, {100, false}, {100, false}, {100, true},
	} {
		if due := e.due(int64(step.mb*mb), now, after); due != step.due {
			t.Errorf("step %d, %v MB: due is %v", i, step.mb, due)
		}
		now = now.Add(time.Second)
	}
}

// A calm server gives garbage back if that is a part of its heap and does not come again at once.
func TestWorthwhile(t *testing.T) {
	const mb, kb = 1 << 20, 1 << 10
	for _, row := range []struct {
		garbage, live uint64
		rate          float64
		want          bool
	}{
		{2 * mb, 6 * mb, 0, true},
		{2 * mb, 6 * mb, 50 * kb, true},
		{2 * mb, 6 * mb, 200 * kb, false},  // it would be there again within 11 s
		{4 * mb, 20 * mb, 150 * kb, false}, // within half a minute
		{mb, 2 * mb, 100 * kb, true},
		{mb / 2, 1 * mb, 0, false},
		{20 * mb, 600 * mb, 0, false}, // a collection of all that is live costs more
		{100 * mb, 600 * mb, mb, true},
	} {
		if got := worthwhile(row.garbage, row.live, row.rate); got != row.want {
			t.Errorf("%d MB of garbage beside %d MB, %.0f B/s: %v", row.garbage/mb, row.live/mb, row.rate, got)
		}
	}
}

// The first look knows no rate.
func TestLeftoverNeedsTwoLooks(t *testing.T) {
	l, now := newLeftover(), time.Now()
	runtime.GC()
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // a collection under way would count the garbage as live
	garbage = make([]byte, 64<<20)
	garbage = nil
	if l.due(now, time.Second) {
		t.Error("due at the first look")
	}
	if l.due(now.Add(time.Second/2), time.Second) {
		t.Error("due before the time")
	}
	if !l.due(now.Add(time.Hour), time.Second) {
		t.Error("64 MB of garbage are kept")
	}
}

var garbage []byte

// Memory is given back when the number of connections, or of ciphers, has settled at a new level; and after a wave, though not for each of
// several.
func TestTrimmer(t *testing.T) {
	const after = 3 * time.Second
	var tr trimmer
	begun := time.Now()
	for _, step := range []struct {
		second int
		n      int64
		due    bool
	}{
		{0, 0, false}, {4, 0, false},
		{5, 10_000, false}, {7, 10_050, false}, {8, 10_000, true}, {20, 10_000, false}, // a ramp
		{50, 20_000, false}, {52, 10_000, false}, {54, 10_000, false}, {55, 10_000, true}, {60, 10_000, false}, // a wave
		{61, 20_000, false}, {62, 10_000, false}, {84, 10_000, false}, {85, 10_000, true}, // the next one
		{90, 500, false}, {93, 500, true},
	} {
		if due := tr.due(step.n, begun.Add(time.Duration(step.second)*time.Second), after); due != step.due {
			t.Errorf("second %d, %d connections: due is %v", step.second, step.n, due)
		}
	}
}
