package main

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
)

// A spread is one figure over some rounds.
type spread struct{ mid, low, high float64 }

// spreadOf returns the median of v, the mean of two middles, and its ends; zeros if it is empty.
func spreadOf(v []float64) spread {
	if len(v) == 0 {
		return spread{}
	}
	v = slices.Sorted(slices.Values(v))
	n := len(v)
	return spread{mid: (v[(n-1)/2] + v[n/2]) / 2, low: v[0], high: v[n-1]}
}

// text returns "12.3 (11.9-13.0)" with that many digits behind the point.
func (s spread) text(digits int) string {
	f := func(x float64) string { return strconv.FormatFloat(x, 'f', digits, 64) }
	return f(s.mid) + " (" + f(s.low) + "-" + f(s.high) + ")"
}

// A result is all rounds of one server.
type result struct {
	peer    peer
	samples []sample
	faults  []string // of rounds without a sample
}

// columns are the table's; all but the first two are of samples.
var columns = []string{"server", "language", "bytes per idle connection", "CPU us per delivery", "ratio to bare",
	"last delivery ms", "upgrades per CPU second", "upgrades per second"}

// of returns one figure's spread.
func (r *result) of(field func(sample) float64) spread {
	var v []float64
	for _, s := range r.samples {
		v = append(v, field(s))
	}
	return spreadOf(v)
}

// row returns a result's cells.
func (r *result) row() []string {
	cells := []string{r.peer.name, r.peer.language}
	if len(r.samples) == 0 {
		return append(cells, slices.Repeat([]string{"-"}, len(columns)-len(cells))...)
	}
	return append(cells,
		r.of(func(s sample) float64 { return s.memory }).text(0),
		r.of(func(s sample) float64 { return s.cpu }).text(2),
		r.of(func(s sample) float64 { return s.ratio }).text(2),
		r.of(func(s sample) float64 { return s.last }).text(1),
		r.of(func(s sample) float64 { return s.perCPU }).text(0),
		r.of(func(s sample) float64 { return s.perSecond }).text(0))
}

// writeTable writes rows below columns, to be read as they are.
func writeTable(w io.Writer, rows [][]string) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range append([][]string{columns}, rows...) {
		fmt.Fprintln(t, strings.Join(row, "\t"))
	}
	return t.Flush()
}

// markdownBegin and markdownEnd enclose the table in Markdown, for copying.
const markdownBegin, markdownEnd = "<!-- peers: begin -->", "<!-- peers: end -->"

// writeMarkdown writes the same as a table in Markdown.
func writeMarkdown(w io.Writer, rows [][]string) error {
	var b strings.Builder
	line := func(cells []string) { fmt.Fprintf(&b, "| %s |\n", strings.Join(cells, " | ")) }
	fmt.Fprintln(&b, markdownBegin)
	line(columns)
	line(append([]string{"---", "---"}, slices.Repeat([]string{"---:"}, len(columns)-2)...))
	for _, row := range rows {
		line(row)
	}
	fmt.Fprintln(&b, markdownEnd)
	_, err := io.WriteString(w, b.String())
	return err
}
