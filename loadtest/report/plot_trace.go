package report

import (
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// A trace draws a series as one path, and its points that have no neighbours as squares.
type trace series

// Plot implements plot.Plotter.
func (t trace) Plot(c draw.Canvas, p *plot.Plot) {
	const half = 1.5 // points, of a square
	x, y := p.Transforms(&c)
	var line, squares vg.Path
	at := func(i int) vg.Point { return vg.Point{X: x(t.points[i].x), Y: y(t.points[i].y)} }
	drawn := func(i int) bool {
		return i >= 0 && i < len(t.points) && t.points[i].drawable()
	}
	for i := range t.points {
		switch {
		case !drawn(i):
		case drawn(i - 1):
			line.Line(at(i))
		case drawn(i + 1):
			line.Move(at(i))
		default:
			m := at(i)
			squares.Move(vg.Point{X: m.X - half, Y: m.Y - half})
			squares.Line(vg.Point{X: m.X + half, Y: m.Y - half})
			squares.Line(vg.Point{X: m.X + half, Y: m.Y + half})
			squares.Line(vg.Point{X: m.X - half, Y: m.Y + half})
			squares.Close()
		}
	}
	c.SetLineStyle(draw.LineStyle{Color: seriesColours[t.colour-1], Width: 1.4})
	if len(line) > 0 {
		c.Stroke(line)
	}
	if len(squares) > 0 {
		c.Fill(squares)
	}
}

// A backdrop is what lies behind the lines: the grid, and where phases begin.
type backdrop struct{ phases []phase }

// Plot implements plot.Plotter.
func (b backdrop) Plot(c draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	grid := draw.LineStyle{Color: gridColour, Width: 0.5}
	for _, t := range p.Y.Tick.Marker.Ticks(p.Y.Min, p.Y.Max) {
		if !t.IsMinor() && t.Value > p.Y.Min {
			c.StrokeLine2(grid, c.Min.X, y(t.Value), c.Max.X, y(t.Value))
		}
	}
	style := p.X.Tick.Label
	style.Font = sans(fontSize - 2)
	style.XAlign, style.YAlign = draw.XLeft, draw.YTop
	for _, h := range b.phases {
		left, right := x(min(h.from, p.X.Max)), x(min(h.to, p.X.Max))
		if h.from > 0 {
			line := draw.LineStyle{Color: inkColour, Width: 0.6, Dashes: []vg.Length{3, 3}}
			c.StrokeLine2(line, left, c.Min.Y, left, c.Max.Y)
		}
		if style.Width(h.name)+6 <= right-left {
			c.FillText(style, vg.Point{X: left + 3, Y: c.Max.Y - 1}, h.name)
		}
	}
}
