package web

import (
	"fmt"
	"math"
	"strconv"
)

// colour is one of sRGB, each part from 0 to 1.
type colour struct{ red, green, blue float64 }

// The colours of style.css that an accent has to be told from: the surface that
// contrasts less with it, and the text on it.
var (
	lightSurface, lightText = mustParse("#f4f5f7"), mustParse("#ffffff")
	darkSurface, darkText   = mustParse("#1a2027"), mustParse("#0c1620")
)

// minContrast is what text needs (WCAG 2.2, 1.4.3).
const minContrast = 4.5

func parseColour(text string) (colour, bool) {
	if len(text) != 7 || text[0] != '#' {
		return colour{}, false
	}
	n, err := strconv.ParseUint(text[1:], 16, 24)
	if err != nil {
		return colour{}, false
	}
	part := func(shift int) float64 { return float64(n>>shift&0xff) / 255 }
	return colour{part(16), part(8), part(0)}, true
}

func mustParse(text string) colour {
	c, ok := parseColour(text)
	if !ok {
		panic(text + " is no colour")
	}
	return c
}

func (c colour) String() string {
	part := func(v float64) int { return int(math.Round(v * 255)) }
	return fmt.Sprintf("#%02x%02x%02x", part(c.red), part(c.green), part(c.blue))
}

// readable returns the colour, or the nearest shade of it (of the same hue and
// saturation in HSL, in steps of a hundredth of lightness) that can be read on a
// surface: a darker one on a light surface, a lighter one on a dark surface.
func (c colour) readable(surface colour) colour {
	hue, saturation, lightness := c.hsl()
	step := 0.01
	if surface.luminance() > 0.5 {
		step = -step
	}
	shade := c
	for shade.contrast(surface) < minContrast && lightness >= 0 && lightness <= 1 {
		lightness += step
		shade = mustParse(fromHSL(hue, saturation, min(1, max(0, lightness))).String()) // as a browser rounds it
	}
	return shade
}

// luminance is the relative luminance (WCAG 2.2).
func (c colour) luminance() float64 {
	linear := func(v float64) float64 {
		if v <= 0.04045 {
			return v / 12.92
		}
		return math.Pow((v+0.055)/1.055, 2.4)
	}
	return 0.2126*linear(c.red) + 0.7152*linear(c.green) + 0.0722*linear(c.blue)
}

// contrast is the contrast ratio (WCAG 2.2), from 1 to 21.
func (c colour) contrast(other colour) float64 {
	a, b := c.luminance(), other.luminance()
	return (max(a, b) + 0.05) / (min(a, b) + 0.05)
}

// hsl is hue in sixths of the circle, saturation and lightness (CSS Color 4).
func (c colour) hsl() (hue, saturation, lightness float64) {
	most, least := max(c.red, c.green, c.blue), min(c.red, c.green, c.blue)
	lightness = (most + least) / 2
	span := most - least
	if span == 0 {
		return 0, 0, lightness
	}
	saturation = span / (1 - math.Abs(2*lightness-1))
	switch most {
	case c.red:
		hue = math.Mod((c.green-c.blue)/span+6, 6)
	case c.green:
		hue = (c.blue-c.red)/span + 2
	default:
		hue = (c.red-c.green)/span + 4
	}
	return hue, saturation, lightness
}

func fromHSL(hue, saturation, lightness float64) colour {
	chroma := (1 - math.Abs(2*lightness-1)) * saturation
	part := func(offset float64) float64 {
		at := math.Mod(hue+offset, 6)
		return lightness - chroma/2 + chroma*min(1, max(0, math.Abs(at-3)-1))
	}
	return colour{part(0), part(4), part(2)}
}
