package main

import (
	"testing"
	"time"
)

// Memory is given back when the account has fallen far and falls no more, once for each fall.
func TestEbb(t *testing.T) {
	const mb, after = 1 << 20, 3 * time.Second
	var e ebb
	now := time.Now()
	for i, step := range []struct {
		mb  int64
		due bool
	}{
		{10, false}, {100, false}, {60, false}, {30, false}, {20, false}, {20, false}, {20, false}, {20, true}, {20, false}, {20, false},
		{20, false}, {20, false}, {14, false}, {14, false}, {14, false}, {14, false}, // too little
		{200, false}, {170, false}, {170, false}, {170, false}, {170, false}, // not a fourth
		{100, false}, {100, false}, {100, false}, {100, true},
	} {
		if due := e.due(step.mb*mb, now, after); due != step.due {
			t.Errorf("step %d, %d MB: due is %v", i, step.mb, due)
		}
		now = now.Add(time.Second)
	}
}
