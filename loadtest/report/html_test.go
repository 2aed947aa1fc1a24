package report

import (
	"encoding/xml"
	"io"
	"math"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"tickcast/loadtest"
)

// html returns r's page. It has been parsed: its elements are closed, and no element runs a script or loads a file.
func html(t *testing.T, r *loadtest.Report) string {
	t.Helper()
	var b strings.Builder
	if err := WriteHTML(&b, r); err != nil {
		t.Fatal(err)
	}
	s := b.String()
	d := xml.NewDecoder(strings.NewReader(s))
	d.Entity = xml.HTMLEntity
	for {
		token, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatalf("page is not well-formed: %v", err)
		}
		e, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		if slices.Contains([]string{"script", "link", "img", "image", "iframe", "object", "embed", "a", "use", "foreignObject"}, e.Name.Local) {
			t.Errorf("element %s", e.Name.Local)
		}
		for _, a := range e.Attr {
			if n := a.Name.Local; n == "src" || n == "href" || strings.HasPrefix(n, "on") || strings.Contains(a.Value, "url(") {
				t.Errorf("attribute %s=%q of %s", n, a.Value, e.Name.Local)
			}
		}
	}
	requireNone(t, s, "NaN", "Inf", "ZgotmplZ", "<no value>", "@import", "url(")
	return s
}

// svgs returns the pictures of a page, each parsed as strict XML.
func svgs(t *testing.T, page string) []string {
	t.Helper()
	all := regexp.MustCompile(`(?s)<svg .*?</svg>`).FindAllString(page, -1)
	for _, s := range all {
		if err := xml.Unmarshal([]byte(s), new(struct{})); err != nil {
			t.Errorf("%v in %.300s", err, s)
		}
		requireAll(t, s, `viewBox="0 0 430 `)
		requireNone(t, s, "Liberation") // colours and font are the style sheet's
		if c := regexp.MustCompile(`:#[0-9A-F]+`).FindString(s); c != "" {
			t.Errorf("colour %s in %.300s", c, s)
		}
	}
	return all
}

func TestPageTellsARun(t *testing.T) {
	s := html(t, million())
	requireAll(t, s, ">NOT CLEAN<", "<li>12 deliveries are missing</li>", "97 % of a core: latencies may be its own", "1,000,000 of 1,000,000",
		"16,656/s", `<span class="bad">missing 12</span>`, "p99.9 903 ms", ">371.0 s<", ">999,988<", "714,233", "ticks.calm", "go_goroutines",
		"2.65 KiB idle", "389 B per connection", "opening until 60.0 s, idle until 6 min 00 s",
		"prefers-color-scheme: dark", `name="viewport"`)
	pictures := svgs(t, s)
	if len(pictures) != 7 {
		t.Fatalf("%d pictures", len(pictures))
	}
	requireAll(t, pictures[0], ">50 %<", ">90 %<", ">99 %<", ">99.9 %<", ">99.999 %<", ">1 ms<", ">100 ms<")
	requireAll(t, pictures[1], ">1 M<", ">opening<", ">idle<", ">2 min<", "stroke-dasharray", "var(--c1)", "var(--c2)", "var(--c3)", "var(--ink)",
		"var(--grid)")
	if len(s) > 200_000 {
		t.Errorf("%d bytes", len(s))
	}
	own := s
	for _, u := range []string{"ws://10.0.0.1:8080/ws", "ws://10.0.0.2:8080/ws", "nats://10.0.0.1:4222"} {
		own = strings.ReplaceAll(own, u, "")
	}
	requireNone(t, own, "://")
	if path := os.Getenv("REPORT_PAGE"); path != "" { // to look at it
		if err := os.WriteFile(path, []byte(s), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestPageOfNothing(t *testing.T) {
	s := html(t, &loadtest.Report{})
	requireAll(t, s, "NOT CLEAN", "no reason given")
	requireNone(t, s, "<svg", "<table", "<section", `class="tiles"`, `class="columns"`)
	requireAll(t, html(t, &loadtest.Report{Clean: true}), `class="verdict clean">clean<`)
}

func TestPageEscapes(t *testing.T) {
	s := html(t, hostile())
	svgs(t, s)
	requireNone(t, strings.ToLower(s), "<script", "\x1b", "\u202e")
	if n := strings.Count(s, "&lt;script&gt;alert("); n < 15 {
		t.Errorf("%d escaped attacks", n)
	}
}

func TestPageOfALongRunIsSmall(t *testing.T) {
	r := million()
	r.Timeline = long(2000)
	s := html(t, r)
	if len(s) > 1<<20 {
		t.Errorf("%d bytes", len(s))
	}
	requireAll(t, s, "Each point over time is 4 seconds")
	for _, picture := range svgs(t, s) {
		for _, path := range regexp.MustCompile(`<path d="[^"]*"`).FindAllString(picture, -1) {
			if n := strings.Count(path, "L") + strings.Count(path, "M"); n > maxPoints {
				t.Errorf("path of %d points", n)
			}
		}
	}
}

func TestPlotsWithoutDataAreLeftOut(t *testing.T) {
	r := &loadtest.Report{Timeline: []loadtest.Second{{At: 1, Open: 5}, {At: 2, Open: 5}}}
	s := html(t, r)
	if n := len(svgs(t, s)); n != 1 {
		t.Errorf("%d pictures, want that of connections", n)
	}
	requireAll(t, s, "<h2>Connections</h2>")
	requireNone(t, s, ">connects/s<", ">subscribed<")
}

func TestPlotsOfOddFigures(t *testing.T) {
	for _, v := range []float64{5e-324, 1e-9, 1, 1e18, 1e19, math.MaxFloat64} {
		for _, w := range []float64{0, v, v / 3, v * 1e3, 1} {
			r := &loadtest.Report{Timeline: []loadtest.Second{{At: 0}, {At: 1, P50: v, P99: w, P999: v, LoopLag: w, ServerCPU: v, ClientCPU: w},
				{At: 1, P50: w, P99: v, LoopLag: v, ServerRSS: 1}, {At: v}, {At: -v, Phase: "x", P50: 1}}}
			svgs(t, html(t, r))
		}
	}
}

func TestALonelySecondIsSeen(t *testing.T) {
	r := &loadtest.Report{Timeline: []loadtest.Second{{At: 1}, {At: 2, P50: 7, P99: 8, P999: 9}, {At: 3}}}
	pictures := svgs(t, html(t, r))
	if len(pictures) != 1 || strings.Count(pictures[0], "Z\"") != 3 {
		t.Errorf("want a square for each percentile: %q", pictures)
	}
}

func TestThinningKeepsPeaks(t *testing.T) {
	timeline := make([]loadtest.Second, 6000)
	for i := range timeline {
		timeline[i] = loadtest.Second{At: float64(i), Open: i, Opened: 10}
	}
	timeline[3333].P99, timeline[3333].Opened = 77, 110
	of := func(m merge, f func(*loadtest.Second) float64) (v []float64) {
		for _, p := range timeLine(timeline, m, f) {
			v = append(v, p.y)
		}
		return v
	}
	p99 := of(highest, func(s *loadtest.Second) float64 { return positive(s.P99) })
	if len(p99) != maxPoints || p99[333] != 77 || !math.IsNaN(p99[332]) {
		t.Errorf("%d points, %v around the peak", len(p99), p99[332:335])
	}
	if opened := of(mean, func(s *loadtest.Second) float64 { return float64(s.Opened) }); opened[333] != 20 || opened[0] != 10 {
		t.Errorf("means %v and %v, want 20 and 10", opened[333], opened[0])
	}
	if open := of(last, func(s *loadtest.Second) float64 { return float64(s.Open) }); open[0] != 9 || open[599] != 5999 {
		t.Errorf("last ones %v and %v", open[0], open[599])
	}
}

func TestAxesHaveFewTicks(t *testing.T) {
	for _, a := range []axis{{label: short}, {label: sizeTick, unit: binaryUnit}, {label: secondsTick, clock: true}, {nines: true}} {
		for high := 0.01; high < 1e15; high *= 1.7 {
			if a.nines && high > 19 {
				break
			}
			labels := 0
			for _, k := range a.ticks(0, high) {
				if k.label != "" {
					labels++
				}
				if k.value < 0 || k.value > high && !a.nines {
					t.Errorf("tick %v of an axis to %v", k.value, high)
				}
			}
			if labels < 1 || labels > maxTicks+3 {
				t.Errorf("%d labels for %v", labels, high)
			}
		}
	}
}

func TestPhasesFollowTheTimeline(t *testing.T) {
	got := phasesOf(million().Timeline)
	want := []phase{{"opening", 0, 60}, {"idle", 60, 360}, {"publishing", 360, 391}, {"settling", 391, 401}}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if c := phaseCaption(phasesOf(long(2000))); c != "" {
		t.Errorf("caption of 34 phases: %q", c)
	}
}
