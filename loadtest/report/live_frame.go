package report

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"tickcast/loadtest"
)

// A style is the look of a part of a line on a terminal with colours; "" is the usual one.
type style string

// The styles.
const (
	bold  style = "\x1b[1m"
	dim   style = "\x1b[2m"
	red   style = "\x1b[31m"
	green style = "\x1b[32m"
)

// narrow replaces all characters but ASCII's printable ones, because others may be two columns wide.
func narrow(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s)
}

// A span is a part of a line in one style.
type span struct {
	text  string
	style style
}

// maxBar is the width in characters of the widest progress bar.
const maxBar = 40

// frame returns the lines of a live view, for a terminal of the given width. They may be longer.
func frame(p *loadtest.Progress, width int) [][]span {
	lines := [][]span{
		progress(p, width),
		labelled("connections", fmt.Sprintf("%s of %s open", count(p.Open), count(p.Wanted)), count(p.Opened)+" connects/s",
			count(p.Subscribed)+" subscribed"),
		labelled("deliveries", count(p.Deliveries)+"/s", count(p.Behind)+" outstanding", count(p.Received)+" received",
			count(p.Published)+" published/s"),
		labelled("latency", "p50 "+orNone(p.P50), "p99 "+orNone(p.P99), "p99.9 "+orNone(p.P999)),
	}
	if d := &p.Latency; d.Count > 0 {
		lines = append(lines, labelled("  so far", "p50 "+millis(d.P50), "p99 "+millis(d.P99), "p99.9 "+millis(d.P999),
			"max "+millis(d.Max)))
	}
	if p.ServerRSS > 0 || p.ServerCPU > 0 {
		lines = append(lines, labelled("server", "RSS "+size(float64(p.ServerRSS)), "CPU "+digits(p.ServerCPU)+" cores"))
	}
	lines = append(lines, labelled("load tester", "CPU "+digits(p.ClientCPU)+" cores", "loop lag "+millis(p.LoopLag)))
	if e := errorsOf(p); len(e) > 0 {
		texts := make([]string, len(e))
		for i, f := range e {
			texts[i] = narrow(f.Text)
		}
		l := labelled("errors", texts...)
		l[1].style = red
		lines = append(lines, l)
	}
	return lines
}

// labelled returns a line of texts under a label.
func labelled(label string, texts ...string) []span {
	return []span{{pad(label, titleWidth, true), dim}, {strings.Join(texts, "   "), ""}}
}

// progress returns the line with the phase, the share of open connections, and the time.
func progress(p *loadtest.Progress, width int) []span {
	share := 0.0
	if p.Wanted > 0 {
		share = min(1, max(0, float64(p.Open)/float64(p.Wanted)))
	}
	times := " " + pad(percent(share), 7, false) + "   " + seconds(p.At)
	if p.Until > 0 {
		times += ", " + seconds(p.Until) + " left"
	}
	bar := min(maxBar, max(0, width-titleWidth-utf8.RuneCountInString(times)))
	full := int(share * float64(bar))
	return []span{
		{pad(narrow(p.Phase), titleWidth, true), bold},
		{strings.Repeat("█", full), green},
		{strings.Repeat("░", bar-full), dim},
		{times, ""},
	}
}

// orNone returns a latency, or a dash without a measurement.
func orNone(ms float64) string {
	if ms > 0 {
		return millis(ms)
	}
	return none
}

// errorsOf returns the errors so far.
func errorsOf(p *loadtest.Progress) (facts []fact) {
	for _, f := range []fact{tally("failed", p.Failed), tally("lost", p.Lost)} {
		if f.Bad {
			facts = append(facts, f)
		}
	}
	return append(append(facts, troubleFacts(&p.Troubles, false)...), faultFacts(p.Faults)...)
}

// plainLine returns p as one line for a log: the time, the phase, then key=value.
func plainLine(p *loadtest.Progress) string {
	b := fmt.Appendf(nil, "tickload: %ss %s open=%d/%d subscribed=%d connects=%d published=%d deliveries=%d outstanding=%d",
		decimal(p.At, 0), narrow(p.Phase), p.Open, p.Wanted, p.Subscribed, p.Opened, p.Published, p.Deliveries, p.Behind)
	if p.P50 > 0 || p.P999 > 0 {
		b = fmt.Appendf(b, " p50_ms=%s p99_ms=%s p99.9_ms=%s", decimal(p.P50, 3), decimal(p.P99, 3), decimal(p.P999, 3))
	}
	if p.ServerRSS > 0 || p.ServerCPU > 0 {
		b = fmt.Appendf(b, " server_rss=%d server_cpu=%s", p.ServerRSS, decimal(p.ServerCPU, 2))
	}
	b = fmt.Appendf(b, " client_cpu=%s loop_lag_ms=%s", decimal(p.ClientCPU, 2), decimal(p.LoopLag, 3))
	if e := errorsOf(p); len(e) > 0 {
		texts := make([]string, len(e))
		for i, f := range e {
			texts[i] = f.Text
		}
		b = fmt.Appendf(b, " errors=%q", narrow(strings.Join(texts, ", ")))
	}
	return string(b)
}

// decimal returns v with so many places, and "-" if it is not a number.
func decimal(v float64, places int) string {
	if !finite(v) {
		return "-"
	}
	return strconv.FormatFloat(v, 'f', places, 64)
}
