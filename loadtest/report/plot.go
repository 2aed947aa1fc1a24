package report

import (
	"fmt"
	"html/template"
	"math"
)

// A logarithmic axis is for values whose largest is more than logSpan times the smallest. It shows at most maxLogSpan;
// smaller values lie on the axis.
const (
	logSpan    = 20
	maxLogSpan = 1e12
)

// maxDrawn is larger than any possible figure of a run. Larger values are not drawn.
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
	Colour int // 1 to 3
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
	colour int // 1 to 3
	points []point
}

// A point is in the units of a plot's axes.
type point struct{ x, y float64 }

// drawable reports whether p is a point and not a gap.
func (p point) drawable() bool { return drawable(p.x) && drawable(p.y) }

// drawable reports whether v can be drawn on an axis from zero.
func drawable(v float64) bool { return v >= 0 && v <= maxDrawn }

// draw returns f with its legend and picture, or false if it has no data.
func (f *sketch) draw() (figure, bool) {
	out := figure{Title: f.title, Caption: f.caption}
	var plots []*plot
	right := 0.0
	for i := range f.panels {
		if p, keys := newPlot(&f.panels[i]); p != nil {
			plots = append(plots, p)
			out.Keys = append(out.Keys, keys...)
			right = max(right, p.x.high)
		}
	}
	if len(plots) == 0 {
		return figure{}, false
	}
	height := float64(soloHeight)
	if len(plots) > 1 {
		height = panelHeight
	}
	bottom := plots[len(plots)-1]
	xTicks := bottom.panel.x.ticks(0, right)
	area := box{left: 1, right: plotWidth - 2}
	for _, p := range plots {
		p.x.high = right
		for _, t := range p.yTicks {
			area.left = max(area.left, widthOf(t.label, fontSize)+tickLength+4)
		}
	}
	if t := xTicks[len(xTicks)-1]; bottom.x.share(t.value) > 0.93 {
		area.right -= widthOf(t.label, fontSize) / 2
	}
	var c canvas
	for i, p := range plots {
		area.top = headroom + float64(i)*(height+panelGap)
		area.bottom = area.top + height - headroom
		p.area = area
		p.draw(&c, xTicks, i == 0)
	}
	bottom.drawLabels(&c, xTicks)
	total := area.bottom + tickLength + 3 + fontSize
	// It contains only numbers and this package's own labels, and the labels are escaped.
	out.SVG = template.HTML(fmt.Sprintf(`<svg viewBox="0 0 %d %d" role="img" aria-label="%s">%s</svg>`, plotWidth, int(total),
		template.HTMLEscapeString(f.title), c.String()))
	return out, true
}

// A box is a rectangle on a canvas.
type box struct{ left, right, top, bottom float64 }

// A scale maps the values of an axis, low to high, to 0 to 1.
type scale struct {
	low, high float64
	log       bool
}

// share returns the place of v on the axis. Values outside of it lie at its ends.
func (s scale) share(v float64) float64 {
	v = min(max(v, s.low), s.high)
	if s.log {
		return math.Log(v/s.low) / math.Log(s.high/s.low)
	}
	return (v - s.low) / (s.high - s.low)
}

// A plot is a panel with its scales.
type plot struct {
	panel  *panel
	x, y   scale
	yTicks []tick
	area   box // inside the axes
}

// newPlot returns the plot of a panel and its part of the legend, or nil if the panel has no data.
func newPlot(p *panel) (*plot, []key) {
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
	out := &plot{panel: p, x: scale{high: right}, y: scale{high: high * 1.2}} // the names of phases stand above the lines
	if p.axis.log && high/low > logSpan {
		out.y = scale{math.Pow(10, math.Floor(math.Log10(max(low, high/maxLogSpan)))), high * 2, true}
		out.yTicks = p.axis.logTicks(out.y.low, out.y.high)
	} else {
		out.yTicks = p.axis.ticks(0, out.y.high)
	}
	return out, keys
}

// place returns the place of a value pair on the canvas.
func (p *plot) place(x, y float64) (float64, float64) {
	return p.area.left + p.x.share(x)*(p.area.right-p.area.left), p.area.bottom - p.y.share(y)*(p.area.bottom-p.area.top)
}

// draw draws the grid, the phases, the series and the axes, in this order from back to front.
func (p *plot) draw(c *canvas, xTicks []tick, named bool) {
	a := p.area
	for _, t := range p.yTicks {
		if _, y := p.place(0, t.value); t.label != "" {
			if t.value > p.y.low {
				c.line(a.left, y, a.right, y, gridColour, 0.5, "")
			}
			c.text(a.left-tickLength-2, y+fontSize*0.36, "end", fontSize, t.label)
		}
	}
	for _, h := range p.panel.phases {
		left, _ := p.place(h.from, 0)
		right, _ := p.place(h.to, 0)
		if h.from > 0 {
			c.line(left, a.top, left, a.bottom, inkColour, 0.6, ` stroke-dasharray="3 3"`)
		}
		if named && widthOf(h.name, fontSize-2)+6 <= right-left {
			c.text(left+3, a.top+fontSize-2, "start", fontSize-2, h.name)
		}
	}
	for _, s := range p.panel.series {
		c.trace(len(s.points), seriesColour(s.colour), func(i int) (x, y float64, ok bool) {
			x, y = p.place(s.points[i].x, s.points[i].y)
			return x, y, s.points[i].drawable()
		})
	}
	c.line(a.left, a.top, a.left, a.bottom, inkColour, 0.5, "")
	c.line(a.left, a.bottom, a.right, a.bottom, inkColour, 0.5, "")
	for _, t := range p.yTicks {
		_, y := p.place(0, t.value)
		c.line(a.left-t.length(), y, a.left, y, inkColour, 0.5, "")
	}
	for _, t := range xTicks {
		x, _ := p.place(t.value, 0)
		c.line(x, a.bottom, x, a.bottom+t.length(), inkColour, 0.5, "")
	}
}

// drawLabels draws the labels of the x axis.
func (p *plot) drawLabels(c *canvas, ticks []tick) {
	for _, t := range ticks {
		if x, _ := p.place(t.value, 0); t.label != "" {
			c.text(x, p.area.bottom+tickLength+fontSize, "middle", fontSize, t.label)
		}
	}
}

// A phase is a part of a run, in seconds since its begin.
type phase struct {
	name     string
	from, to float64
}
