package loadtest

import (
	"math"
	"testing"
	"time"
)

// Each duration is in a bucket that ends at most 1.6 % above it, and the one before it ends below it.
func TestBuckets(t *testing.T) {
	for shift := range 63 {
		for _, d := range []int64{-1, 0, 1, 1 << shift / 3} {
			ns := max(0, 1<<shift+d)
			i := bucketOf(ns)
			if i < 0 || i >= buckets {
				t.Fatalf("%d ns in bucket %d of %d", ns, i, buckets)
			}
			if end := bucketEnd(i); end < ns || end-ns > ns/bucketsPerPower {
				t.Errorf("%d ns in bucket %d, which ends at %d", ns, i, end)
			}
			if i > 0 && bucketEnd(i-1) >= ns {
				t.Errorf("%d ns in bucket %d, but the one before ends at %d", ns, i, bucketEnd(i-1))
			}
		}
	}
	if i := bucketOf(math.MaxInt64); i != buckets-1 || bucketEnd(i) != math.MaxInt64 {
		t.Errorf("the longest is in bucket %d, which ends at %d", i, bucketEnd(i))
	}
}

func TestHistogram(t *testing.T) {
	var h histogram
	if l := h.snapshot(); l.Count() != 0 || l.Quantile(0.5) != 0 {
		t.Errorf("empty: %v", l)
	}
	h.add(-5)
	before := h.snapshot()
	if before.Count() != 1 || before.Quantile(1) != 0 {
		t.Errorf("a negative duration: %v", before)
	}
	for us := range int64(1000) {
		h.add((us + 1) * 1000)
	}
	l := h.snapshot().Since(before)
	if n := l.Count(); n != 1000 {
		t.Errorf("%d durations", n)
	}
	for q, want := range map[float64]time.Duration{
		0: time.Microsecond, 0.5: 500 * time.Microsecond, 0.99: 990 * time.Microsecond, 1: time.Millisecond,
	} {
		if got := l.Quantile(q); got < want || got > want+want/bucketsPerPower {
			t.Errorf("quantile %v: %v, want %v", q, got, want)
		}
	}
}
