// Package web holds the pages that people see in a browser.
//
// Every page is one self-contained document: it loads nothing from elsewhere,
// and its Content-Security-Policy lets only its own style and script work, by
// a nonce that is fresh for each answer. What a caller puts into a page is
// text; html/template keeps it text. Every page speaks each [Language].
//
// The package decides nothing and knows neither links nor requests; it
// imports no other package of this module.
package web

import (
	"bytes"
	"cmp"
	"crypto/rand"
	_ "embed"
	"html/template"
)

// Document is a page that is ready to be sent.
type Document struct {
	// HTML is the page, in UTF-8.
	HTML []byte
	// Policy is the Content-Security-Policy to send with it, without which its
	// style and script do nothing.
	Policy string
	// Language is the page's Content-Language.
	Language string
}

// ContentType is the media type of every Document.
const ContentType = "text/html; charset=utf-8"

//go:embed layout.html
var layout string

//go:embed style.css
var style string

// source is what a kind of page is made of.
type source struct {
	html    string   // the templates "title" and "main"; {{t "text" arguments}} says a text
	layout  string   // instead of that of all pages, and of html
	style   string   // besides that of all pages
	scripts []string // none for a page without
}

// page is a kind of page, in each language.
type page map[Language]translated

// translated is a page in one language.
type translated struct {
	template *template.Template
	style    template.CSS
	script   template.JS
}

func newPage(s source) page {
	p := page{}
	for _, l := range Languages() {
		t := template.New("layout").Funcs(template.FuncMap{"t": l.Say})
		p[l] = translated{
			template.Must(template.Must(t.Parse(cmp.Or(s.layout, layout))).Parse(s.html)),
			template.CSS(style + s.style),
			newScript(l, s.scripts...),
		}
	}
	return p
}

// frame is what the layout needs of each page.
type frame struct {
	Look   Look
	Nonce  string
	Style  template.CSS
	Script template.JS // empty for a page without one
	Wide   bool        // for a page that is a list and not a card

	policy  policy
	written translated
}

// open begins a page for a reader.
func (p page) open(look Look) frame {
	look.Language = Language{look.Language.orEnglish()}
	written := p[look.Language]
	return frame{Look: look, Nonce: rand.Text(), Style: written.style + look.Brand.style(), Script: written.script, written: written}
}

// Lang is the language of the page.
func (f *frame) Lang() string { return f.Look.Language.Tag() }

// document finishes the page with what its template shows. The templates are
// fixed and the tests run them whole, so it does not fail.
func (f *frame) document(data any) Document {
	var b bytes.Buffer
	if err := f.written.template.Execute(&b, data); err != nil {
		panic(err)
	}
	return Document{b.Bytes(), f.policy.header(f.Nonce, f.Script != ""), f.Lang()}
}

// policy is what a page may do besides showing itself.
type policy struct {
	forms    bool // forms may be sent to this origin
	connects bool // the script may ask this origin
	images   bool // images may come from this origin
	workers  bool // the script may start workers of what it has itself
}

// header allows what the page has and nothing else (Content Security Policy
// Level 3). The images that all pages have stand in them: the logo, icons, and
// the empty one of the layout, which keeps browsers from asking the gate for
// /favicon.ico.
func (p policy) header(nonce string, script bool) string {
	h := "default-src 'none'; img-src data:"
	if p.images {
		h += " 'self'"
	}
	h += "; style-src 'nonce-" + nonce + "'"
	if script {
		h += "; script-src 'nonce-" + nonce + "'"
	}
	if p.connects {
		h += "; connect-src 'self'"
	}
	if p.workers {
		h += "; worker-src blob:"
	}
	if p.forms {
		h += "; form-action 'self'"
	} else {
		h += "; form-action 'none'"
	}
	return h + "; base-uri 'none'; frame-ancestors 'none'"
}
