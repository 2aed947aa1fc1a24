package report

import (
	"strings"

	"tickcast/loadtest"
)

// An outline is a report in words, for text and page alike.
type outline struct {
	Verdict  string // "clean" or "NOT CLEAN"
	Clean    bool
	Reasons  []string
	Warnings []string
	Command  string
	When     []string
	Machine  []string
	Sections []section
}

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

// A fact is a few words with a figure. Bad says that the run would be better without it.
type fact struct {
	Text string
	Bad  bool
}

// plain returns facts of which none is bad.
func plain(label string, texts ...string) row {
	r := row{Label: label}
	for _, t := range texts {
		r.Facts = append(r.Facts, fact{Text: t})
	}
	return r
}

// tally returns "what n", which is bad unless n is zero.
func tally[T ~int | ~int64 | ~uint32 | ~uint64](what string, n T) fact {
	return fact{what + " " + count(n), n != 0}
}

// outlineOf returns r's outline. all keeps the rows that a summary leaves out.
func outlineOf(r *loadtest.Report, all bool) *outline {
	o := &outline{
		Verdict:  "clean",
		Clean:    r.Clean,
		Reasons:  printables(r.Reasons),
		Warnings: printables(r.Warnings),
		Command:  printable(r.Command),
		When:     when(r),
		Machine:  machine(&r.Machine),
	}
	if !r.Clean {
		o.Verdict = "NOT CLEAN"
		if len(o.Reasons) == 0 {
			o.Reasons = []string{"no reason given"}
		}
	}
	for _, s := range []section{
		connections(&r.Connections),
		deliveries(&r.Deliveries),
		latency(&r.Latency),
		broadcasts(r.Broadcasts, all),
		topics(r.Topics, all),
		troubles(r.Troubles, all),
		cohorts(r.Cohorts),
		publisher(&r.Publisher),
		server(&r.Server, r.Seconds),
		metrics(r.Server.Metrics, all),
		kernel(&r.Kernel),
		loadTester(&r.Client),
	} {
		if len(s.Rows) > 0 || s.Table != nil {
			o.Sections = append(o.Sections, s)
		}
	}
	return o
}

// when returns when the run was, and how long it took.
func when(r *loadtest.Report) (w []string) {
	if !r.Begun.IsZero() {
		w = append(w, r.Begun.UTC().Format("2006-01-02 15:04:05 UTC"))
	}
	if r.Seconds > 0 {
		w = append(w, "took "+seconds(r.Seconds))
	}
	if m := &r.Machine; m.Revision != "" {
		w = append(w, "revision "+printable(m.Revision[:min(len(m.Revision), 12)]))
	}
	return w
}

// machine returns where the load tester ran, as far as it is known.
func machine(m *loadtest.Machine) (w []string) {
	if m.CPU != "" {
		w = append(w, printable(m.CPU))
	}
	if m.Cores > 0 {
		w = append(w, plural(m.Cores, "core", "cores"))
	}
	if m.Memory > 0 {
		w = append(w, size(float64(m.Memory)))
	}
	for _, s := range []string{m.Kernel, m.Go} {
		if s != "" {
			w = append(w, printable(s))
		}
	}
	if m.Descriptors > 0 {
		w = append(w, count(m.Descriptors)+" descriptors allowed")
	}
	return w
}

// distribution returns the percentiles of d; false if nothing was measured.
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

// printables returns the strings without what could steer a terminal.
func printables(s []string) []string {
	p := make([]string, len(s))
	for i := range s {
		p[i] = printable(s[i])
	}
	return p
}

// some returns the first n of names, joined, and how many there are beside them.
func some(names []string, n int) string {
	s := strings.Join(printables(names[:min(n, len(names))]), ", ")
	if len(names) > n {
		s += " and " + count(len(names)-n) + " more"
	}
	return s
}
