package report

import (
	"strings"

	"tickcast/loadtest"
)

// A section is rows of facts, or a table.
type section struct {
	Title string
	Rows  []row
	Table *table
}

// A row is facts under one label.
type row struct {
	Label string
	Facts []fact
}

// A fact is a few words with a figure. Bad marks a fact that speaks against the run.
type fact struct {
	Text string
	Bad  bool
}

// plain returns a row of facts, all of them good.
func plain(label string, texts ...string) row {
	r := row{Label: label}
	for _, t := range texts {
		r.Facts = append(r.Facts, fact{Text: t})
	}
	return r
}

// tally returns "name n", which is bad unless n is zero.
func tally[T ~int | ~int64 | ~uint32 | ~uint64](name string, n T) fact {
	return fact{name + " " + count(n), n != 0}
}

// distribution returns the percentiles of d, false without a measurement.
func distribution(label string, d *loadtest.Distribution) (row, bool) {
	return plain(label, "p50 "+millis(d.P50), "p90 "+millis(d.P90), "p99 "+millis(d.P99), "p99.9 "+millis(d.P999),
		"max "+millis(d.Max)), d.Count > 0
}

// faultFacts returns the faults with their counts.
func faultFacts(faults []loadtest.FaultCount) (facts []fact) {
	for _, f := range faults {
		facts = append(facts, fact{printable(f.Fault) + " " + count(f.Count), f.Count != 0})
	}
	return facts
}

// printables returns the strings without control characters of a terminal.
func printables(s []string) []string {
	p := make([]string, len(s))
	for i := range s {
		p[i] = printable(s[i])
	}
	return p
}

// some returns the first n of names, joined, and the number of the others.
func some(names []string, n int) string {
	s := strings.Join(printables(names[:min(n, len(names))]), ", ")
	if len(names) > n {
		s += " and " + count(len(names)-n) + " more"
	}
	return s
}

// A table is lines of cells under headings.
type table struct {
	Columns []column
	Lines   []line
	More    int // number of omitted lines
}

// A column is a heading. Left is for columns of text.
type column struct {
	Name string
	Left bool
}

// A line has a cell for each column. Bad marks a line with trouble.
type line struct {
	Cells []string
	Bad   bool
}
