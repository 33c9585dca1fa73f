// Package web holds the pages that people see in a browser.
//
// Every page is one self-contained document: it loads nothing, from nowhere,
// and its Content-Security-Policy lets only its own style and script work, by
// a nonce that is fresh for each answer. What a caller puts into a page is
// text; html/template keeps it text.
//
// The package decides nothing and knows neither links nor requests; it
// imports no other package of this module.
package web

import (
	"bytes"
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
}

// ContentType is the media type of every Document.
const ContentType = "text/html; charset=utf-8"

//go:embed layout.html
var layout string

//go:embed style.css
var style string

// frame is what the layout needs of each page.
type frame struct {
	Nonce   string
	Style   template.CSS
	Script  template.JS // empty for a page without one
	Contact string
	Wide    bool // for a page that is a list and not a card

	forms, connects bool // forms may be sent, and the script may ask, this origin only
}

func newFrame(contact, script string) frame {
	return frame{Nonce: rand.Text(), Style: template.CSS(style), Script: template.JS(script), Contact: contact}
}

// parse builds a page from the layout and the templates "title" and "main".
func parse(page string) *template.Template {
	return template.Must(template.Must(template.New("layout").Parse(layout)).Parse(page))
}

// document executes a page. The templates are fixed and the tests run them
// whole, so it does not fail.
func (f *frame) document(t *template.Template, data any) Document {
	var b bytes.Buffer
	if err := t.Execute(&b, data); err != nil {
		panic(err)
	}
	return Document{b.Bytes(), f.policy()}
}

// policy allows what the page has and nothing else (Content Security Policy
// Level 3). The only image is the empty icon of the layout, which keeps
// browsers from asking the gate for /favicon.ico.
func (f *frame) policy() string {
	p := "default-src 'none'; img-src data:; style-src 'nonce-" + f.Nonce + "'"
	if f.Script != "" {
		p += "; script-src 'nonce-" + f.Nonce + "'"
	}
	if f.connects {
		p += "; connect-src 'self'"
	}
	if f.forms {
		p += "; form-action 'self'"
	} else {
		p += "; form-action 'none'"
	}
	return p + "; base-uri 'none'; frame-ancestors 'none'"
}
