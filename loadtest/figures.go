package loadtest

import (
	"cmp"
	"slices"

	"github.com/HdrHistogram/hdrhistogram-go"

	"tickcast/loadtest/fleet"
)

func inMillis(us int64) float64 { return float64(us) / 1000 }

// distribution returns a histogram's figures, with its percentiles if they are for a plot.
func distribution(h *hdrhistogram.Histogram, plot bool) Distribution {
	d := Distribution{Count: h.TotalCount()}
	if d.Count == 0 {
		return d
	}
	d.Mean, d.Min, d.Max = h.Mean()/1000, inMillis(h.Min()), inMillis(h.Max())
	d.P50, d.P90 = inMillis(h.ValueAtPercentile(50)), inMillis(h.ValueAtPercentile(90))
	d.P99, d.P999 = inMillis(h.ValueAtPercentile(99)), inMillis(h.ValueAtPercentile(99.9))
	if plot {
		for _, b := range h.CumulativeDistribution() {
			d.Percentiles = append(d.Percentiles, Percentile{b.Quantile, inMillis(b.ValueAt)})
		}
	}
	return d
}

// faultCounts returns faults, the most frequent first.
func faultCounts(faults map[fleet.Fault]int) []FaultCount {
	var all []FaultCount
	for f, n := range faults {
		all = append(all, FaultCount{f.String(), n})
	}
	slices.SortFunc(all, func(a, b FaultCount) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Fault, b.Fault))
	})
	return all
}

// deliveries returns the deliveries of a sample by their fate. Owed deliveries may still come while the run goes on, and are
// missing at its end.
func deliveries(s *fleet.Sample, end bool) Deliveries {
	d := s.Deliveries
	behind := uint64(0)
	if end {
		behind = uint64(max(0, s.Behind))
	}
	return Deliveries{
		Expected: d.Received + d.Missing + d.Conflated + behind, Received: d.Received, Missing: d.Missing + behind,
		Doubled: d.Doubled, OutOfOrder: d.OutOfOrder, Corrupted: s.Corrupted, Misrouted: s.Misrouted, Late: s.Late,
		Conflated: d.Conflated, Unknown: s.Unknown, Messages: s.Totals.Messages, Bytes: s.Totals.Bytes,
	}
}
