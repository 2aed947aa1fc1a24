package report

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode"
)

// none stands for a figure that is not a number.
const none = "–"

// finite reports whether v can be printed and drawn.
func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

// count returns n with thousands separators.
func count[T ~int | ~int64 | ~uint32 | ~uint64](n T) string {
	s := strconv.FormatUint(uint64(n), 10)
	sign := ""
	if n < 0 {
		s, sign = strconv.FormatUint(-uint64(n), 10), "-"
	}
	return sign + separated(s)
}

// separated puts thousands separators into digits.
func separated(digits string) string {
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// digits returns v with three significant digits, or all digits before the point if they are more.
func digits(v float64) string {
	switch a := math.Abs(v); {
	case !finite(v):
		return none
	case a >= 1e15:
		return strconv.FormatFloat(v, 'g', 3, 64)
	case a >= 99.95:
		return count(int64(math.Round(v)))
	case a >= 9.995:
		return strconv.FormatFloat(v, 'f', 1, 64)
	case v == 0:
		return "0"
	case a < 0.01:
		return strconv.FormatFloat(v, 'g', 2, 64)
	}
	return strconv.FormatFloat(v, 'f', 2, 64)
}

// perSecond returns a rate.
func perSecond(v float64) string { return digits(v) + "/s" }

// byteUnits are powers of 1,024.
var byteUnits = [...]string{"B", "KiB", "MiB", "GiB", "TiB", "PiB"}

// size returns an amount of bytes.
func size(b float64) string {
	if !finite(b) {
		return none
	}
	unit := 0
	for ; math.Abs(b) >= 1023.5 && unit < len(byteUnits)-1; unit++ {
		b /= 1024
	}
	if unit == 0 {
		return strconv.FormatFloat(b, 'f', 0, 64) + " B"
	}
	return digits(b) + " " + byteUnits[unit]
}

// millis returns a duration given in milliseconds, in microseconds to minutes.
func millis(ms float64) string {
	switch {
	case !finite(ms):
		return none
	case ms == 0:
		return "0 ms"
	case math.Abs(ms) < 0.9995:
		return digits(ms*1e3) + " µs"
	case math.Abs(ms) < 999.5:
		return digits(ms) + " ms"
	}
	return seconds(ms / 1e3)
}

// seconds returns a duration given in seconds.
func seconds(s float64) string {
	switch {
	case !finite(s):
		return none
	case math.Abs(s) >= 1e9:
		return digits(s) + " s"
	case math.Abs(s) < 0.9995 && s != 0:
		return millis(s * 1e3)
	case s < 119.5:
		return digits(s) + " s"
	}
	n := int64(math.Round(s))
	if n < 3600 {
		return fmt.Sprintf("%d min %02d s", n/60, n%60)
	}
	return fmt.Sprintf("%d h %02d min", n/3600, n%3600/60)
}

// moment returns a time of a run, given in seconds, in one unit, so that moments compare at a glance.
func moment(s float64) string {
	if !finite(s) {
		return none
	}
	return strconv.FormatFloat(s, 'f', 1, 64) + " s"
}

// percent returns a share, given as 0 to 1. It never rounds up to 100 %.
func percent(share float64) string {
	p := share * 100
	switch {
	case !finite(p):
		return none
	case p < 100 && p > 99.9:
		return strconv.FormatFloat(math.Floor(p*1e4)/1e4, 'f', -1, 64) + " %"
	}
	return digits(p) + " %"
}

// plural returns a count with its noun.
func plural[T ~int | ~int64 | ~uint32 | ~uint64](n T, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return count(n) + " " + many
}

// printable returns s without control characters of a terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, s)
}

// figureShort returns v for a tick, which is round already: without trailing zeros.
func figureShort(v float64) string { return strconv.FormatFloat(v, 'g', 4, 64) }

// millisTick returns milliseconds for a tick.
func millisTick(ms float64) string {
	switch {
	case ms == 0:
		return "0"
	case ms < 1:
		return figureShort(ms*1e3) + " µs"
	case ms < 1e3:
		return figureShort(ms) + " ms"
	}
	return secondsTick(ms / 1e3)
}

// secondsTick returns seconds for a tick.
func secondsTick(s float64) string {
	switch {
	case s == 0:
		return "0"
	case s >= 120 && math.Mod(s, 3600) == 0:
		return figureShort(s/3600) + " h"
	case s >= 120 && math.Mod(s, 60) == 0:
		return figureShort(s/60) + " min"
	}
	return figureShort(s) + " s"
}

// sizeTick returns bytes for a tick.
func sizeTick(b float64) string {
	unit := binaryUnit(b)
	for i, u := range byteUnits {
		if math.Pow(1024, float64(i)) == unit {
			return figureShort(b/unit) + " " + u
		}
	}
	return none
}

// binaryUnit returns the unit of high bytes.
func binaryUnit(high float64) float64 {
	unit := 1.0
	for i := 1; i < len(byteUnits) && high/unit >= 1024; i++ {
		unit *= 1024
	}
	return unit
}
