package report

import (
	"math"
	"strings"

	"tickcast/loadtest"
)

// maxPoints bounds the points of a line of a timeline.
const maxPoints = 600

// phasesOf returns the phases of a timeline in their order.
func phasesOf(t []loadtest.Second) (phases []phase) {
	from := 0.0
	for i := range t {
		s := &t[i]
		if !drawable(s.At) {
			continue
		}
		if n := len(phases); n > 0 && phases[n-1].name == printable(s.Phase) {
			phases[n-1].to = s.At
		} else {
			phases = append(phases, phase{printable(s.Phase), from, s.At})
		}
		from = s.At
	}
	return phases
}

// phaseCaption returns "opening until 60.0 s, idle until ...", or "" if there are too many to read.
func phaseCaption(phases []phase) string {
	if len(phases) > 12 {
		return ""
	}
	words := make([]string, len(phases))
	for i, p := range phases {
		words[i] = p.name + " until " + seconds(p.to)
	}
	return strings.Join(words, ", ")
}

// A merge combines the values of adjacent seconds into one. There is at least one value, and all are numbers.
type merge func(values []float64) float64

// The merges for rates, for peaks, and for states.
var (
	mean merge = func(v []float64) (m float64) {
		for _, x := range v {
			m += x / float64(len(v))
		}
		return m
	}
	highest merge = func(v []float64) float64 {
		m := v[0]
		for _, x := range v {
			m = max(m, x)
		}
		return m
	}
	last merge = func(v []float64) float64 { return v[len(v)-1] }
)

// timeLine returns one figure of a timeline as at most maxPoints points. NaN makes a gap.
func timeLine(t []loadtest.Second, m merge, of func(*loadtest.Second) float64) []point {
	stride := (len(t) + maxPoints - 1) / maxPoints
	var points []point
	for ; len(t) > 0; t = t[min(stride, len(t)):] {
		share := t[:min(stride, len(t))]
		p := point{share[len(share)-1].At, math.NaN()}
		var values []float64
		for i := range share {
			if v := of(&share[i]); finite(v) {
				values = append(values, v)
			}
		}
		if len(values) > 0 {
			p.y = m(values)
		}
		points = append(points, p)
	}
	return points
}

// positive returns v, or NaN where v stands for the lack of a measurement.
func positive(v float64) float64 {
	if v > 0 {
		return v
	}
	return math.NaN()
}

// latencyFigure is the distribution of latency.
func latencyFigure(d *loadtest.Distribution) sketch {
	s := series{name: "latency", colour: 1}
	for _, p := range d.Percentiles {
		if !finite(p.Percent) || !finite(p.Millis) || p.Percent < 0 || p.Millis < 0 {
			continue
		}
		// The maximum would be infinitely far to the right. It stands at the place of the last of Count deliveries.
		outside := max(1-p.Percent/100, 1/float64(max(d.Count, 2)))
		s.points = append(s.points, point{-math.Log10(outside), p.Millis})
	}
	return sketch{
		title:   "Latency by percentile",
		caption: plural(d.Count, "delivery", "deliveries") + ", from the intended time of sending",
		panels:  []panel{{series: []series{s}, axis: axis{label: millisTick, log: true}, x: axis{nines: true}}},
	}
}

// timelineFigures are the figures over time.
func timelineFigures(t []loadtest.Second) []sketch {
	phases := phasesOf(t)
	over := func(a axis, s ...series) panel {
		return panel{series: s, axis: a, x: axis{label: secondsTick, clock: true}, phases: phases}
	}
	draw := func(name string, colour int, m merge, of func(*loadtest.Second) float64) series {
		return series{name, colour, timeLine(t, m, of)}
	}
	counts, rates, bytes, cores := axis{label: short}, axis{label: short}, axis{label: sizeTick, unit: binaryUnit}, axis{label: figureShort}
	return []sketch{
		{"Connections", "open ones above, connects a second below", []panel{
			over(counts, draw("open", 1, last, func(s *loadtest.Second) float64 { return float64(s.Open) }),
				draw("subscribed", 2, last, func(s *loadtest.Second) float64 { return float64(s.Subscribed) })),
			over(rates, draw("connects/s", 3, mean, func(s *loadtest.Second) float64 { return float64(s.Opened) })),
		}},
		{"Messages", "deliveries a second above, published ones below", []panel{
			over(rates, draw("deliveries/s", 1, mean, func(s *loadtest.Second) float64 { return float64(s.Deliveries) })),
			over(rates, draw("published/s", 3, mean, func(s *loadtest.Second) float64 { return float64(s.Published) })),
		}},
		{"Latency over time", "of the deliveries in each second", []panel{
			over(axis{label: millisTick, log: true},
				draw("p99.9", 3, highest, func(s *loadtest.Second) float64 { return positive(s.P999) }),
				draw("p99", 2, highest, func(s *loadtest.Second) float64 { return positive(s.P99) }),
				draw("p50", 1, highest, func(s *loadtest.Second) float64 { return positive(s.P50) })),
		}},
		{"Server memory", "resident", []panel{
			over(bytes, draw("RSS", 1, highest, func(s *loadtest.Second) float64 { return float64(s.ServerRSS) })),
		}},
		{"CPU", "in cores", []panel{
			over(cores, draw("load tester", 3, highest, func(s *loadtest.Second) float64 { return s.ClientCPU }),
				draw("server", 1, highest, func(s *loadtest.Second) float64 { return s.ServerCPU })),
		}},
		{"Loop lag of the load tester", "what its figures may be wrong by", []panel{
			over(axis{label: millisTick, log: true},
				draw("loop lag", 3, highest, func(s *loadtest.Second) float64 { return s.LoopLag })),
		}},
	}
}
