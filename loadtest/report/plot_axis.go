package report

import (
	"math"

	"gonum.org/v1/plot"
)

// maxTicks is how many labels an axis has at most.
const maxTicks = 6

// An axis says what its values are.
type axis struct {
	label func(float64) string
	unit  func(high float64) float64 // of which the steps between ticks are round multiples; nil for 1
	log   bool                       // logarithmic if the values span more than logSpan
	nines bool                       // x is log10 of 1/(1-p): ticks at 50 %, 90 %, 99 % ...
	clock bool                       // seconds and minutes
}

// ticks returns ticks at round values.
func (a axis) ticks(low, high float64) []plot.Tick {
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
	var ticks []plot.Tick
	for i := 0; i <= 2*maxTicks && float64(i)*step <= high; i++ {
		if v := float64(i) * step; v >= low {
			ticks = append(ticks, plot.Tick{Value: v, Label: a.label(v)})
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
func (a axis) logTicks(low, high float64) []plot.Tick {
	decades := math.Log10(high / low)
	every := int(math.Ceil(decades / maxTicks))
	var ticks []plot.Tick
	for e := int(math.Round(math.Log10(low))); math.Pow10(e) <= high; e++ {
		for _, m := range []float64{1, 2, 5} {
			v := m * math.Pow10(e)
			if v > high || m > 1 && every > 1 {
				break
			}
			t := plot.Tick{Value: v}
			if m == 1 && (e-int(math.Round(math.Log10(low))))%every == 0 || decades < 2.5 {
				t.Label = a.label(v)
			}
			ticks = append(ticks, t)
		}
	}
	return ticks
}

// nineTicks returns the percentiles 50, 90, 99, 99.9 ... up to high, the log10 of 1/(1-p); those get labels that have
// room for them.
func nineTicks(high float64) []plot.Tick {
	ticks := []plot.Tick{{Value: math.Log10(2), Label: "50 %"}}
	label, end := "90", 0.0
	for n := 1.0; n <= high; n++ {
		t := plot.Tick{Value: n}
		width := float64(len(label)+2) * fontSize * 0.56 / (plotWidth - 60) * high
		if n-width/2 > end {
			t.Label, end = label+" %", n+width/2
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

// binaryUnit returns the unit of high bytes.
func binaryUnit(high float64) float64 {
	unit := 1.0
	for i := 1; i < len(byteUnits) && high/unit >= 1024; i++ {
		unit *= 1024
	}
	return unit
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
