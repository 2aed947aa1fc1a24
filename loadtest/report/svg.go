package report

import (
	"fmt"
	"html/template"
	"math"
	"strconv"
	"strings"
)

// A canvas is the inside of an SVG element. Its unit is the point, its origin the upper left corner. Colours are CSS
// variables of the page.
type canvas struct{ strings.Builder }

// The colours of axes and labels, and of the grid.
const inkColour, gridColour = "var(--ink)", "var(--grid)"

// seriesColour returns the colour of a series, 1 to 3.
func seriesColour(n int) string { return "var(--c" + strconv.Itoa(n) + ")" }

// line draws a straight line. Its attributes besides colour and width may be empty.
func (c *canvas) line(x1, y1, x2, y2 float64, colour string, width float64, attributes string) {
	fmt.Fprintf(c, `<path d="M%s %sL%s %s" stroke="%s" stroke-width="%s"%s/>`,
		coordinate(x1), coordinate(y1), coordinate(x2), coordinate(y2), colour, coordinate(width), attributes)
}

// text writes s with its baseline at y. anchor is the part of s at x: "start", "middle" or "end".
func (c *canvas) text(x, y float64, anchor string, size float64, s string) {
	fmt.Fprintf(c, `<text x="%s" y="%s" text-anchor="%s" font-size="%s" fill="%s">%s</text>`,
		coordinate(x), coordinate(y), anchor, coordinate(size), inkColour, template.HTMLEscapeString(s))
}

// trace draws the points of a series as one path, and each point without a neighbour as a square. at returns the place of
// a point, and false for a gap.
func (c *canvas) trace(n int, colour string, at func(i int) (x, y float64, ok bool)) {
	const half = 1.5 // of a square's side
	var path strings.Builder
	connected := false
	for i := range n {
		x, y, ok := at(i)
		follows := false
		if i+1 < n {
			_, _, follows = at(i + 1)
		}
		switch {
		case !ok:
		case connected:
			path.WriteString("L" + coordinate(x) + " " + coordinate(y))
		case follows:
			path.WriteString("M" + coordinate(x) + " " + coordinate(y))
		default:
			fmt.Fprintf(c, `<path d="M%s %sh3v3h-3Z" fill="%s"/>`, coordinate(x-half), coordinate(y-half), colour)
		}
		connected = ok
	}
	if path.Len() > 0 {
		fmt.Fprintf(c, `<path d="%s" fill="none" stroke="%s" stroke-width="1.4" stroke-linejoin="round"/>`, path.String(), colour)
	}
}

// coordinate returns v with at most two decimals.
func coordinate(v float64) string { return strconv.FormatFloat(math.Round(v*100)/100, 'f', -1, 64) }

// widthOf returns the approximate width of s in Arial and fonts of the same measures.
func widthOf(s string, size float64) (w float64) {
	for _, r := range s {
		switch {
		case strings.ContainsRune(" .,:;|!'ijltfI", r):
			w += 0.28
		case strings.ContainsRune("mwMW%", r):
			w += 0.85
		case r >= 'A' && r <= 'Z':
			w += 0.7
		default:
			w += 0.56
		}
	}
	return w * size
}
