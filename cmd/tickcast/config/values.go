package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// A Size is a number of bytes. In text it is a whole number, alone or followed by B, KiB, MiB or GiB. There is no KB, which
// stands for 1,000 bytes or for 1,024.
type Size int64

const (
	kib Size = 1 << 10
	mib Size = 1 << 20
	gib Size = 1 << 30
)

// sizeUnits are the units, the largest first: String uses the first that divides.
var sizeUnits = [...]struct {
	name  string
	bytes Size
}{{"GiB", gib}, {"MiB", mib}, {"KiB", kib}, {"B", 1}}

// parseSize parses a size. The empty string is 0.
func parseSize(s string) (Size, error) {
	if s == "" {
		return 0, nil
	}
	digits := 0
	for digits < len(s) && '0' <= s[digits] && s[digits] <= '9' {
		digits++
	}
	unit := Size(1)
	if name := strings.TrimLeft(s[digits:], " "); name != "" {
		unit = 0
		for _, u := range sizeUnits {
			if u.name == name {
				unit = u.bytes
			}
		}
	}
	if digits == 0 || unit == 0 {
		return 0, fmt.Errorf("%q is not a size: use a whole number of bytes, or of B, KiB, MiB or GiB, such as \"16KiB\"", s)
	}
	n, err := strconv.ParseInt(s[:digits], 10, 64)
	if err != nil || n > math.MaxInt64/int64(unit) {
		return 0, fmt.Errorf("%q is too large for a size", s)
	}
	return Size(n) * unit, nil
}

// String returns s in the largest unit that needs no fraction: 16KiB, 1000B, 0. parseSize reads it back.
func (s Size) String() string {
	if s == 0 {
		return "0"
	}
	for _, u := range sizeUnits {
		if s%u.bytes == 0 {
			return strconv.FormatInt(int64(s/u.bytes), 10) + u.name
		}
	}
	panic("unreachable: every size is a number of bytes")
}

// parseDuration parses a duration: "25s", "1m30s", "500ms". A number needs a unit, except 0.
func parseDuration(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if err == nil {
		return d, nil
	}
	if _, err := strconv.ParseFloat(s, 64); err == nil {
		return 0, fmt.Errorf("%q has no unit: write \"%ss\" for seconds or \"%sms\" for milliseconds", s, s, s)
	}
	return 0, fmt.Errorf("%q is not a duration such as \"25s\", \"500ms\" or \"1m30s\"", s)
}

// formatDuration returns d in the form of parseDuration, without the zeros of [time.Duration.String]: 2m, not 2m0s.
func formatDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = s[:len(s)-len("0s")]
	}
	if strings.HasSuffix(s, "h0m") {
		s = s[:len(s)-len("0m")]
	}
	return s
}
