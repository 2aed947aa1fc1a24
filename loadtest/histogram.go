package loadtest

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// Each power of two has this many buckets, so a bucket is 1.6 % wide at most.
const (
	bucketBits      = 6
	bucketsPerPower = 1 << bucketBits
	buckets         = (64 - bucketBits) * bucketsPerPower
)

// A histogram counts durations in buckets whose width grows with the duration. It is ready to use as it is; any
// goroutine may add and look.
type histogram struct {
	counts [buckets]atomic.Uint64
}

// add counts a duration in nanoseconds; a negative one, which two clocks may make, counts as none.
func (h *histogram) add(ns int64) { h.counts[bucketOf(max(ns, 0))].Add(1) }

// snapshot returns what has been counted so far.
func (h *histogram) snapshot() Latencies {
	l := make(Latencies)
	for i := range h.counts {
		if n := h.counts[i].Load(); n > 0 {
			l[int64(i)] = n
		}
	}
	return l
}

// bucketOf returns the bucket of a duration: those below bucketsPerPower have one each, and all powers of two from
// there on bucketsPerPower.
func bucketOf(ns int64) int64 {
	if ns < bucketsPerPower {
		return ns
	}
	shift := bits.Len64(uint64(ns)) - 1 - bucketBits
	return int64(shift)<<bucketBits + ns>>shift
}

// bucketEnd returns the longest duration of a bucket.
func bucketEnd(i int64) int64 {
	if i < 2*bucketsPerPower {
		return i
	}
	shift := i>>bucketBits - 1
	return (i-shift<<bucketBits+1)<<shift - 1
}

// Latencies is how often each bucket of a histogram was counted, by the bucket's number.
type Latencies map[int64]uint64

// Since returns what was counted after an earlier snapshot.
func (l Latencies) Since(earlier Latencies) Latencies {
	d := make(Latencies)
	for i, n := range l {
		if n > earlier[i] {
			d[i] = n - earlier[i]
		}
	}
	return d
}

// Count returns how many durations there are.
func (l Latencies) Count() (n uint64) {
	for _, c := range l {
		n += c
	}
	return n
}

// Quantile returns the duration that the share q of all do not exceed, to the upper end of its bucket: 0.5 for the
// median, 1 for the longest. It is zero if there are none.
func (l Latencies) Quantile(q float64) time.Duration {
	rank := max(1, uint64(q*float64(l.Count())+0.5))
	var seen uint64
	for i := range int64(buckets) {
		if seen += l[i]; seen >= rank {
			return time.Duration(bucketEnd(i))
		}
	}
	return 0
}
