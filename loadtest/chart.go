package loadtest

import (
	"fmt"
	"html/template"
	"math"
	"strings"
)

// chart is a plot in SVG, without a script.
type chart struct {
	Title string
	Unit  string // of the values
	Lines []chartLine
	// Ticks are the labels along the bottom, each with its place from 0 to 1.
	Ticks []chartTick
}

type chartLine struct {
	Name   string
	Class  string // a colour of the page's
	Points []chartPoint
}

// chartPoint is at X from 0 to 1 across, with the value Y.
type chartPoint struct{ X, Y float64 }

type chartTick struct {
	X    float64
	Text string
}

// The chart's size in units of its own; it is drawn as wide as the page.
const (
	chartWidth  = 720
	chartHeight = 240
	chartLeft   = 64
	chartRight  = 12
	chartTop    = 12
	chartBottom = 28
)

// top is a round number that no value exceeds.
func (c *chart) top() float64 {
	most := 0.0
	for _, l := range c.Lines {
		for _, p := range l.Points {
			most = max(most, p.Y)
		}
	}
	if most == 0 {
		return 1
	}
	unit := math.Pow(10, math.Floor(math.Log10(most)))
	for _, factor := range []float64{1, 2, 2.5, 5, 10} {
		if factor*unit >= most {
			return factor * unit
		}
	}
	return most
}

func chartX(x float64) float64 { return chartLeft + x*(chartWidth-chartLeft-chartRight) }

func chartY(y, top float64) float64 {
	return chartTop + (1-y/top)*(chartHeight-chartTop-chartBottom)
}

// SVG draws it. Nothing in it comes from a server.
func (c *chart) SVG() template.HTML {
	var b strings.Builder
	top := c.top()
	fmt.Fprintf(&b, `<svg viewBox="0 0 %d %d" role="img" aria-label=%q>`, chartWidth, chartHeight, template.HTMLEscapeString(c.Title))
	const rows = 4
	for i := range rows + 1 {
		value := top * float64(i) / rows
		y := chartY(value, top)
		fmt.Fprintf(&b, `<line class="grid" x1="%d" x2="%d" y1="%.1f" y2="%.1f"/>`, chartLeft, chartWidth-chartRight, y, y)
		fmt.Fprintf(&b, `<text class="y" x="%d" y="%.1f">%s</text>`, chartLeft-6, y+4, short(value))
	}
	for _, t := range c.Ticks {
		fmt.Fprintf(&b, `<text class="x" x="%.1f" y="%d">%s</text>`, chartX(t.X), chartHeight-8, template.HTMLEscapeString(t.Text))
	}
	for _, l := range c.Lines {
		fmt.Fprintf(&b, `<polyline class="%s" points="`, l.Class)
		for _, p := range l.Points {
			fmt.Fprintf(&b, "%.1f,%.1f ", chartX(p.X), chartY(p.Y, top))
		}
		b.WriteString(`"/>`)
	}
	b.WriteString("</svg>")
	return template.HTML(b.String())
}

// short writes a number in a few characters.
func short(x float64) string {
	switch {
	case x >= 1e6:
		return fmt.Sprintf("%.4gM", x/1e6)
	case x >= 10_000:
		return fmt.Sprintf("%.4gk", x/1e3)
	}
	return fmt.Sprintf("%.3g", x)
}
