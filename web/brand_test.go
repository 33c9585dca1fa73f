package web_test

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"s3gate/web"
)

// accents are the colours of buttons and of the text on them, light and dark.
var accents = regexp.MustCompile(`--main: (#\w{6}); --on-main: (#\w{6}) }`)

// luminance and contrast are those of WCAG 2.2.
func luminance(t interface{ Fatal(...any) }, colour string) float64 {
	n, err := strconv.ParseUint(strings.TrimPrefix(colour, "#"), 16, 24)
	if err != nil {
		t.Fatal(err)
	}
	part := func(shift int) float64 {
		v := float64(n>>shift&0xff) / 255
		if v <= 0.04045 {
			return v / 12.92
		}
		return math.Pow((v+0.055)/1.055, 2.4)
	}
	return 0.2126*part(16) + 0.7152*part(8) + 0.0722*part(0)
}

func contrast(t interface{ Fatal(...any) }, a, b string) float64 {
	x, y := luminance(t, a), luminance(t, b)
	return (max(x, y) + 0.05) / (min(x, y) + 0.05)
}

// Whatever colour a brand has, what is written in it and on it can be read.
func TestBrandCanBeRead(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		colour := fmt.Sprintf("#%06x", rapid.IntRange(0, 1<<24-1).Draw(t, "colour"))
		page := string(web.Error(web.Look{Brand: web.Brand{Colour: colour}}, web.ErrorPage{}).HTML)
		found := accents.FindAllStringSubmatch(page, -1)
		if len(found) != 2 {
			t.Fatalf("%s: %q", colour, found)
		}
		for i, surfaces := range [][]string{{"#f4f5f7", "#ffffff"}, {"#101418", "#1a2027"}} {
			accent, on := found[i][1], found[i][2]
			for _, other := range append(surfaces, on) {
				if ratio := contrast(t, accent, other); ratio < 4.5 {
					t.Fatalf("%s becomes %s, which on %s has a contrast of %.2f", colour, accent, other, ratio)
				}
			}
		}
	})
}

// A colour that can be read stays as it is, another one keeps its hue, and what is
// none changes nothing.
func TestBrandKeepsItsColour(t *testing.T) {
	for colour, want := range map[string][]string{
		"#7a2ea0": {"#7a2ea0", "#b16ad4"}, "#000000": {"#000000", "#878787"}, "#FFFFFF": {"#707070", "#ffffff"}, "#ffe000": {"#7f7000", "#ffe000"},
		"": nil, "red": nil, "#12345": nil, "#1234567": nil, "#12345g": nil, "#+12345": nil, "}</style>": nil,
	} {
		page := string(web.Error(web.Look{Brand: web.Brand{Colour: colour}}, web.ErrorPage{}).HTML)
		found := accents.FindAllStringSubmatch(page, -1)
		if len(found) != len(want) || len(want) == 2 && (found[0][1] != want[0] || found[1][1] != want[1]) {
			t.Errorf("%q: %q, want %q", colour, found, want)
		}
	}
}

// With the largest logo and the longest note a page stays light.
func TestBrandedPagesAreLight(t *testing.T) {
	look := web.Look{Contact: "files@example.com", Brand: web.Brand{
		Name: strings.Repeat("ü", 100), Logo: "data:image/png;base64," + strings.Repeat("A", 16<<10*4/3+4), Colour: "#7a2ea0",
	}}
	sharing := web.Sharing{By: strings.Repeat("ü", 100), Note: strings.Repeat("日", 1000)}
	files := make([]web.ListedFile, 20)
	for _, language := range web.Languages() {
		look.Language = language
		for name, doc := range map[string]web.Document{
			"confirm": web.Confirm(look, web.ConfirmPage{File: &web.File{Name: strings.Repeat("n", 255)}, Sharing: sharing}),
			"listing": web.Listing(look, web.ListingPage{Sharing: sharing, Files: files}),
			"error":   web.Error(look, web.ErrorPage{}),
		} {
			if n := len(doc.HTML); n > 60<<10 {
				t.Errorf("%s, %s: %d bytes", language.Tag(), name, n)
			}
		}
	}
}

// Name and logo stand at the head of the page, once, and a logo that is none is
// left out.
func TestBrandAtTheHead(t *testing.T) {
	head := func(b web.Brand) string {
		page := string(web.Upload(web.Look{Brand: b}, web.UploadPage{}).HTML)
		_, page, _ = strings.Cut(page, "<body>")
		page, _, _ = strings.Cut(page, "<main>")
		return strings.TrimSpace(page)
	}
	const logo = "data:image/png;base64,iVBORw0KGgo="
	for want, b := range map[string]web.Brand{
		"": {Colour: "#123456"},
		"<header class=\"brand\"><bdi>A &amp; B</bdi></header>":                                    {Name: "A & B", Logo: "javascript:alert(1)"},
		"<header class=\"brand\"><img src=\"" + logo + "\" alt=\"\"><bdi>A &amp; B</bdi></header>": {Name: "A & B", Logo: logo},
	} {
		if got := head(b); got != want {
			t.Errorf("%+v:\n%s\nwant\n%s", b, got, want)
		}
	}
	if page := string(web.Error(web.Look{Brand: web.Brand{Name: "<b>"}}, web.ErrorPage{Title: "T"}).HTML); !strings.Contains(page, "<title>T · &lt;b&gt;</title>") {
		t.Errorf("the title:\n%s", page)
	}
}
