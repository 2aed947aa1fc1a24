package report

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"io"

	"tickcast/loadtest"
)

//go:embed page.html
var pageText string

var page = template.Must(template.New("page").Parse(pageText))

// A tile is one of the most important figures.
type tile struct {
	Value, Name string
	Bad         bool
}

// WriteHTML writes r as one page without scripts and without references to other files.
func WriteHTML(w io.Writer, r *loadtest.Report) error {
	latency := latencyFigure(&r.Latency)
	var figures []figure
	for _, f := range append([]sketch{latency}, timelineFigures(r.Timeline)...) {
		if drawn, ok := f.draw(); ok {
			figures = append(figures, drawn)
		}
	}
	o := outlineOf(r, true)
	var lists, tables []section
	for _, s := range o.Sections {
		if s.Table == nil {
			lists = append(lists, s)
		} else {
			tables = append(tables, s)
		}
	}
	var b bytes.Buffer // so that the output is a whole page or empty
	err := page.Execute(&b, map[string]any{
		"Outline": o,
		"Tiles":   tiles(r),
		"Lists":   lists,
		"Figures": figures,
		"Tables":  tables,
		"Phases":  phaseCaption(phasesOf(r.Timeline)),
		"Stride":  (len(r.Timeline) + maxPoints - 1) / maxPoints,
	})
	if err == nil {
		_, err = w.Write(b.Bytes())
	}
	if err != nil {
		return fmt.Errorf("report: write HTML: %w", err)
	}
	return nil
}

// tiles returns the figures for the top of the page.
func tiles(r *loadtest.Report) (t []tile) {
	c, d := &r.Connections, &r.Deliveries
	if c.Wanted > 0 {
		t = append(t, tile{count(c.Opened), "connections opened", c.Opened < c.Wanted})
	}
	if c.PerSecond > 0 {
		t = append(t, tile{perSecond(c.PerSecond), "connects", false})
	}
	if d.Expected > 0 {
		t = append(t, tile{count(d.Received), "deliveries", d.Missing > 0},
			tile{count(d.Missing), "missing", d.Missing > 0})
	}
	if r.Latency.Count > 0 {
		t = append(t, tile{millis(r.Latency.P50), "latency p50", false}, tile{millis(r.Latency.P99), "latency p99", false})
	}
	if r.Server.IdlePerConn > 0 {
		t = append(t, tile{size(r.Server.IdlePerConn), "server RSS per connection", false})
	}
	if r.Server.CPUPerDeliver > 0 {
		t = append(t, tile{millis(r.Server.CPUPerDeliver / 1e3), "server CPU per delivery", false})
	}
	return t
}
