package fleet

import (
	"math"
	"testing"
	"time"
)

// A quantile is the recorded duration, to the histogram's precision.
func TestQuantileIsExact(t *testing.T) {
	for shift := range 30 {
		for _, d := range []int64{-1, 0, 1, 1 << shift / 3} {
			us := min(max(1, 1<<shift+d), highestLatency)
			h := NewHistogram()
			record(h, us*1000+999)
			c := drainCounts(h)
			got := int64(c.Quantile(1) / time.Microsecond)
			if got < us || got-us > us/1000 {
				t.Errorf("%d us are %d", us, got)
			}
			if n := h.TotalCount(); n != 0 || c.Count() != 1 || c.Longest() > us {
				t.Fatalf("%d us: %d left, counts %v", us, n, c)
			}
		}
	}
	h := NewHistogram()
	if record(h, math.MaxInt64); countsOf(h).Quantile(1) < 10*time.Minute {
		t.Errorf("the longest is %v", countsOf(h).Quantile(1))
	}
}

func TestCounts(t *testing.T) {
	h := NewHistogram()
	if c := countsOf(h); c.Count() != 0 || c.Quantile(0.5) != 0 {
		t.Errorf("empty: %v", c)
	}
	record(h, -5)
	before := countsOf(h)
	if before.Count() != 1 || before.Quantile(1) != time.Microsecond {
		t.Errorf("a negative duration: %v", before)
	}
	for us := range int64(1000) {
		record(h, (us+1)*1000)
	}
	c := countsOf(h).Since(before)
	if n := c.Count(); n != 1000 {
		t.Errorf("%d durations", n)
	}
	for q, want := range map[float64]time.Duration{
		0: time.Microsecond, 0.5: 500 * time.Microsecond, 0.99: 990 * time.Microsecond, 1: time.Millisecond,
	} {
		if got := c.Quantile(q); got < want || got > want+want/1000 {
			t.Errorf("quantile %v: %v, want %v", q, got, want)
		}
	}
}
