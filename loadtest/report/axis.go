package report

import "math"

// A figure's measures in points. The page scales it: up a little on a desktop, down a little on a phone.
const (
	plotWidth   = 430
	panelHeight = 140 // of each of several panels, without the labels of the x axis
	soloHeight  = 180
	panelGap    = 12
	fontSize    = 11
	tickLength  = 4
	headroom    = 4 // above a panel
)

// maxTicks bounds the labels of an axis.
const maxTicks = 6

// A tick is a mark on an axis. Without a label it is a small one.
type tick struct {
	value float64
	label string
}

// length returns the length of the tick outside of its axis.
func (t tick) length() float64 {
	if t.label == "" {
		return tickLength / 2
	}
	return tickLength
}

// An axis describes its values and their labels.
type axis struct {
	label func(float64) string
	unit  func(high float64) float64 // unit whose round multiples are the steps between ticks; nil for 1
	log   bool                       // logarithmic if the values span more than logSpan
	nines bool                       // x is log10 of 1/(1-p): ticks at 50 %, 90 %, 99 % ...
	clock bool                       // seconds and minutes
}

// ticks returns ticks at round values.
func (a axis) ticks(low, high float64) []tick {
	if a.nines {
		return nineTicks(high)
	}
	unit := 1.0
	if a.unit != nil {
		unit = a.unit(high)
	}
	step := roundStep(high/unit) * unit
	if a.clock {
		step = clockStep(high)
	}
	var ticks []tick
	for i := 0; i <= 2*maxTicks && float64(i)*step <= high; i++ {
		if v := float64(i) * step; v >= low {
			ticks = append(ticks, tick{value: v, label: a.label(v)})
		}
	}
	return ticks
}

// roundStep returns the least of 1, 2 and 5 times a power of ten that needs no more than maxTicks to reach high.
func roundStep(high float64) float64 {
	least := high / maxTicks
	power := math.Pow(10, math.Floor(math.Log10(least)))
	for _, m := range []float64{1, 2, 5} {
		if m*power >= least {
			return m * power
		}
	}
	return 10 * power
}

// clockStep returns the same for seconds.
func clockStep(high float64) float64 {
	for _, s := range []float64{1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800} {
		if s*maxTicks >= high {
			return s
		}
	}
	return roundStep(high/3600) * 3600
}

// logTicks returns ticks at the powers of ten, and at twice and five times them if there are few.
func (a axis) logTicks(low, high float64) []tick {
	decades := math.Log10(high / low)
	every := int(math.Ceil(decades / maxTicks))
	var ticks []tick
	for e := int(math.Round(math.Log10(low))); math.Pow10(e) <= high; e++ {
		for _, m := range []float64{1, 2, 5} {
			v := m * math.Pow10(e)
			if v > high || m > 1 && every > 1 {
				break
			}
			t := tick{value: v}
			if m == 1 && (e-int(math.Round(math.Log10(low))))%every == 0 || decades < 2.5 {
				t.label = a.label(v)
			}
			ticks = append(ticks, t)
		}
	}
	return ticks
}

// nineTicks returns the percentiles 50, 90, 99, 99.9 ... up to high, the log10 of 1/(1-p). A tick has a label if there is
// room for it.
func nineTicks(high float64) []tick {
	ticks := []tick{{value: math.Log10(2), label: "50 %"}}
	label, end := "90", 0.0
	for n := 1.0; n <= high; n++ {
		t := tick{value: n}
		width := float64(len(label)+2) * fontSize * 0.56 / (plotWidth - 60) * high
		if n-width/2 > end {
			t.label, end = label+" %", n+width/2
		}
		ticks = append(ticks, t)
		switch label += "9"; label {
		case "909":
			label = "99"
		case "999":
			label = "99.9"
		}
	}
	return ticks
}

// short returns a count for a tick: "250 k".
func short(v float64) string {
	switch {
	case v >= 1e9:
		return figureShort(v/1e9) + " G"
	case v >= 1e6:
		return figureShort(v/1e6) + " M"
	case v >= 1e3:
		return figureShort(v/1e3) + " k"
	}
	return figureShort(v)
}
