package report

import "tickcast/loadtest"

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

// outlineOf returns r's outline. all keeps the rows that a summary leaves out.
func outlineOf(r *loadtest.Report, all bool) *outline {
	o := &outline{
		Verdict:  "clean",
		Clean:    r.Clean,
		Reasons:  printables(r.Reasons),
		Warnings: printables(r.Warnings),
		Command:  printable(r.Command),
		When:     when(r),
		Machine:  hostFacts(r),
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
		ages(&r.Ages),
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

// when returns the date and the duration of the run.
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

// hostFacts returns the machine of the load tester, as far as it is known.
func hostFacts(r *loadtest.Report) (w []string) {
	m := &r.Machine
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
