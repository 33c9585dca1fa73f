package web

import (
	"html/template"
	"strings"
)

// Look is what all pages have in common for one reader: the language, and who
// stands behind the link. The zero value is plain and English.
type Look struct {
	// Language is what the page is written in.
	Language Language
	// Contact is whom to ask; "" leaves that out.
	Contact string
	// Brand is whose pages they are.
	Brand Brand
}

// Brand is what tells the pages of one house from those of another. The zero
// value is nobody's.
type Brand struct {
	// Name stands at the head of each page, and in its title; "" for none.
	Name string
	// Logo stands beside it: an image as a data: URI, which the caller has
	// checked; "" for none. It is decoration, since the name says what it says.
	Logo string
	// Colour is that of buttons and links, as #rrggbb. Where it is too pale or too
	// dark to be read, a shade of it that can be read stands for it. "" is the
	// colour that pages have by themselves, and so is what is no colour.
	Colour string
}

// Image is the logo for a template, which would not let a data: URI be; what is
// none, it leaves out.
func (b Brand) Image() template.URL {
	if !strings.HasPrefix(b.Logo, "data:image/") {
		return ""
	}
	return template.URL(b.Logo)
}

// style is what the colour of a brand changes.
func (b Brand) style() template.CSS {
	accent, ok := parseColour(b.Colour)
	if !ok {
		return ""
	}
	light, dark := accent.readable(lightSurface), accent.readable(darkSurface)
	return template.CSS(":root { --main: " + light.String() + "; --on-main: " + lightText.String() + " }\n" +
		"@media (prefers-color-scheme: dark) { :root { --main: " + dark.String() + "; --on-main: " + darkText.String() + " } }\n")
}
