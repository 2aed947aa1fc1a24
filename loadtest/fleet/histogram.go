package fleet

import (
	"maps"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Range and precision of the histograms, in microseconds.
const (
	lowestLatency    = 1
	highestLatency   = 10 * 60 * 1e6
	latencyPrecision = 3 // significant digits
	coarsePrecision  = 2
)

// NewHistogram returns an empty histogram of latencies, in microseconds, for [Counts.AddTo].
func NewHistogram() *hdrhistogram.Histogram {
	return hdrhistogram.New(lowestLatency, highestLatency, latencyPrecision)
}

// newCoarse returns a histogram that needs a tenth of the memory.
func newCoarse() *hdrhistogram.Histogram {
	return hdrhistogram.New(lowestLatency, highestLatency, coarsePrecision)
}

// record counts a duration in nanoseconds. Durations outside of the histogram's range count as its bounds.
func record(h *hdrhistogram.Histogram, ns int64) {
	h.RecordValue(min(max(ns/1000, lowestLatency), highestLatency))
}

// Counts are the non-empty buckets of a histogram: microseconds and how often they were recorded. Processes and workers
// hand their histograms over in this form.
type Counts map[int64]int64

// countsOf returns the counts of h, nil for an empty histogram.
func countsOf(h *hdrhistogram.Histogram) Counts {
	if h.TotalCount() == 0 {
		return nil
	}
	c := make(Counts)
	for _, bar := range h.Distribution() {
		if bar.Count > 0 {
			c[bar.From] += bar.Count
		}
	}
	return c
}

// drainCounts returns the counts of h and empties h.
func drainCounts(h *hdrhistogram.Histogram) Counts {
	c := countsOf(h)
	h.Reset()
	return c
}

// Longest returns the highest number of microseconds that was recorded.
func (c Counts) Longest() (v int64) {
	for value := range c {
		v = max(v, value)
	}
	return v
}

// AddTo records c in a histogram of [NewHistogram].
func (c Counts) AddTo(h *hdrhistogram.Histogram) {
	for v, n := range c {
		h.RecordValues(min(max(v, lowestLatency), highestLatency), n)
	}
}

// Merge returns the sum of c and o. It may change c.
func (c Counts) Merge(o Counts) Counts {
	if c == nil {
		return maps.Clone(o)
	}
	for v, n := range o {
		c[v] += n
	}
	return c
}

// Since returns the counts that c has beyond an earlier state of the same histogram.
func (c Counts) Since(earlier Counts) Counts {
	d := make(Counts)
	for v, n := range c {
		if n > earlier[v] {
			d[v] = n - earlier[v]
		}
	}
	return d
}

// Count returns the number of durations.
func (c Counts) Count() (n int64) {
	for _, k := range c {
		n += k
	}
	return n
}

// Quantile returns the duration that the share q of all durations does not exceed: 0.5 is the median, 1 the longest. It
// is zero without durations.
func (c Counts) Quantile(q float64) time.Duration {
	h := NewHistogram()
	c.AddTo(h)
	return time.Duration(h.ValueAtQuantile(100*q)) * time.Microsecond
}
