package subject

import "strings"

// Covers reports whether pattern outer matches every subject that pattern inner matches. Both are valid. A name without
// wildcards covers itself.
func Covers(outer, inner string) bool {
	for {
		o, outerTail, outerMore := strings.Cut(outer, ".")
		i, innerTail, innerMore := strings.Cut(inner, ".")
		switch {
		case o == ">":
			return true
		case i == ">":
			return false
		case o != "*" && o != i:
			return false
		case !outerMore || !innerMore:
			return outerMore == innerMore
		}
		outer, inner = outerTail, innerTail
	}
}

// CoveredBy reports whether one of patterns covers name.
func CoveredBy(patterns []string, name string) bool {
	for _, p := range patterns {
		if Covers(p, name) {
			return true
		}
	}
	return false
}

// Overlap reports whether both patterns match some common subject.
func Overlap(a, b string) bool {
	for {
		x, aTail, aMore := strings.Cut(a, ".")
		y, bTail, bMore := strings.Cut(b, ".")
		switch {
		case x == ">" || y == ">":
			return true
		case x != y && x != "*" && y != "*":
			return false
		case !aMore || !bMore:
			return aMore == bMore
		}
		a, b = aTail, bTail
	}
}
