package report

import (
	"bytes"
	"fmt"
	"html/template"
	"image/color"
	"math"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// A plot's measures in points. The page scales it: up a little on a desktop, down a little on a phone.
const (
	plotWidth   = 430
	panelHeight = 155
	soloHeight  = 200
	panelGap    = 8
	fontSize    = 11
)

// A logarithmic axis is for values of which the largest is more than logSpan times the smallest. It shows no more than
// maxLogSpan; what is less lies on the axis.
const (
	logSpan    = 20
	maxLogSpan = 1e12
)

// maxDrawn is more than any figure of a run can be; what is above is not drawn.
const maxDrawn = 1e18

// A figure is plots above each other that share their x axis.
type figure struct {
	Title   string
	Caption string
	Keys    []key
	SVG     template.HTML
}

// A key is an entry of a figure's legend.
type key struct {
	Colour int // 1 to len(seriesColours)
	Name   string
}

// A sketch is a figure to be drawn.
type sketch struct {
	title, caption string
	panels         []panel
}

// A panel is one plot.
type panel struct {
	series []series
	axis   axis // y
	x      axis
	phases []phase
}

// A series is one line of a plot. Its points rise in x; where y is not a number the line has a gap.
type series struct {
	name   string
	colour int // 1 to len(seriesColours)
	points []point
}

// A point is in the units of a plot's axes.
type point struct{ x, y float64 }

// drawable reports whether p is a point and not a gap.
func (p point) drawable() bool { return drawable(p.x) && drawable(p.y) }

// drawable reports whether an axis from zero can have v on it.
func drawable(v float64) bool { return v >= 0 && v <= maxDrawn }

// Marker colours, which the style sheet's variables replace.
var (
	inkColour     = color.RGBA{0x11, 0x22, 0x33, 0xff}
	gridColour    = color.RGBA{0x11, 0x22, 0x44, 0xff}
	seriesColours = [...]color.RGBA{{0x11, 0x33, 0x11, 0xff}, {0x11, 0x33, 0x22, 0xff}, {0x11, 0x33, 0x33, 0xff}}
)

// colourVariables turns a plot's marker colours into CSS variables, and leaves the font to the style sheet.
var colourVariables = strings.NewReplacer(
	"#112233", "var(--ink)",
	"#112244", "var(--grid)",
	"#113311", "var(--c1)",
	"#113322", "var(--c2)",
	"#113333", "var(--c3)",
	"font-family:Liberation Sans;font-variant:normal;font-weight:normal;font-style:normal;", "",
)

// draw returns f with its legend and picture; false if there is nothing to see.
func (f *sketch) draw() (figure, bool, error) {
	out := figure{Title: f.title, Caption: f.caption}
	var plots [][]*plot.Plot
	for i := range f.panels {
		if p, keys := f.panels[i].plot(); p != nil {
			plots = append(plots, []*plot.Plot{p})
			out.Keys = append(out.Keys, keys...)
		}
	}
	if len(plots) == 0 {
		return figure{}, false, nil
	}
	height := vg.Length(soloHeight)
	if len(plots) > 1 {
		height = vg.Length(len(plots)*panelHeight + (len(plots)-1)*panelGap)
	}
	c := vgsvg.New(plotWidth, height)
	tiles := draw.Tiles{Rows: len(plots), Cols: 1, PadY: panelGap, PadTop: 2, PadBottom: 1, PadLeft: 1, PadRight: 2}
	for i, row := range plot.Align(plots, tiles, draw.New(c)) {
		plots[i][0].Draw(row[0])
	}
	var b bytes.Buffer
	if _, err := c.WriteTo(&b); err != nil {
		return figure{}, false, err
	}
	_, body, ok := strings.Cut(b.String(), "xlink\">\n")
	if !ok {
		return figure{}, false, fmt.Errorf("no SVG element in a plot")
	}
	// Only numbers and this package's own labels are in it, and the labels are escaped.
	out.SVG = template.HTML(fmt.Sprintf(`<svg viewBox="0 0 %d %d" role="img" aria-label="%s">`, plotWidth, int(height),
		template.HTMLEscapeString(f.title)) + colourVariables.Replace(body))
	return out, true, nil
}

// plot returns a panel as gonum/plot has it, or nil if it has no data.
func (p *panel) plot() (*plot.Plot, []key) {
	var keys []key
	low, high, right := math.Inf(1), 0.0, 0.0
	for _, s := range p.series {
		seen := false
		for _, pt := range s.points {
			if drawable(pt.x) {
				right = max(right, pt.x)
			}
			if pt.drawable() && pt.y > 0 {
				low, high, seen = min(low, pt.y), max(high, pt.y), true
			}
		}
		if seen {
			keys = append(keys, key{s.colour, s.name})
		}
	}
	if len(keys) == 0 || right <= 0 {
		return nil, nil
	}
	g := plot.New()
	g.BackgroundColor = nil
	g.X.Min, g.X.Max = 0, right
	g.X.Tick.Marker = plot.ConstantTicks(p.x.ticks(0, right))
	ticks := p.axis.ticks
	g.Y.Min, g.Y.Max = 0, high*1.2 // the names of phases stand above the lines
	if p.axis.log && high/low > logSpan {
		ticks, g.Y.Scale = p.axis.logTicks, logScale{}
		g.Y.Min, g.Y.Max = math.Pow(10, math.Floor(math.Log10(max(low, high/maxLogSpan)))), high*2
	}
	g.Y.Tick.Marker = plot.ConstantTicks(ticks(g.Y.Min, g.Y.Max))
	for _, a := range []*plot.Axis{&g.X, &g.Y} {
		a.Padding = 0
		a.LineStyle.Color = inkColour
		a.Tick.LineStyle.Color = inkColour
		a.Tick.Length = 4
		a.Tick.Label.Color = inkColour
		a.Tick.Label.Font = sans(fontSize)
	}
	g.Add(backdrop{p.phases})
	for _, s := range p.series {
		g.Add(trace(s))
	}
	return g, keys
}

// sans returns the font in which labels are measured. The style sheet sets one of the same widths.
func sans(points vg.Length) font.Font {
	return font.Font{Typeface: "Liberation", Variant: "Sans", Size: points}
}

// A logScale is plot.LogScale but for values below the axis, zero among them: they lie on it.
type logScale struct{}

// Normalize implements plot.Normalizer.
func (logScale) Normalize(low, high, v float64) float64 {
	return math.Log(max(v, low)/low) / math.Log(high/low)
}
