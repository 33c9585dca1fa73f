package web

import (
	_ "embed"
	"time"
)

// ErrorPage says what went wrong.
type ErrorPage struct {
	// Title says in a few words what happened, Message what exactly, and Advice what
	// else there is to know or do, in the language of the page; "" leaves Message or
	// Advice out.
	Title, Message, Advice string
	// Icon is what the page shows of it.
	Icon Icon
	// Again is set when the same request may succeed later: the page then has a
	// button for it. After is how long to wait before; 0 does not say.
	Again bool
	After time.Duration
	// Status is the HTTP status with its text, and Request the ID by which the
	// operator finds the request.
	Status, Request string
}

// Icon is a drawing for a kind of trouble.
type Icon string

// The icons of an [ErrorPage]; "" is that of trouble in general.
const (
	Over    Icon = "over"    // it was there, and is not any more
	Waiting Icon = "waiting" // it is a matter of time
	Barred  Icon = "barred"  // not for whoever asks
	Missing Icon = "missing" // nothing is there
	Changed Icon = "changed" // it is another one
	Storage Icon = "storage" // something behind the gate
)

// icons are the outlines, in a square of 24 by 24.
var icons = map[Icon]string{
	"":      "M12 3.5 22 20.5H2zM12 10v4.5M12 17.5h.01",
	Over:    "M21 12a9 9 0 1 1-18 0 9 9 0 0 1 18 0zM5.7 5.7l12.6 12.6",
	Waiting: "M21 12a9 9 0 1 1-18 0 9 9 0 0 1 18 0zM12 7v5l3.5 2",
	Barred:  lock,
	Missing: "M17 10.5a6.5 6.5 0 1 1-13 0 6.5 6.5 0 0 1 13 0zM15.2 15.2 20.5 20.5M8.5 8.5l4 4M12.5 8.5l-4 4",
	Changed: "M6 3h8l5 5v13H6zM14 3v5h5M9.5 14h6M13 11.5l2.5 2.5L13 16.5",
	Storage: "M20 6c0 1.7-3.6 3-8 3S4 7.7 4 6s3.6-3 8-3 8 1.3 8 3zM4 6v12c0 1.7 3.6 3 8 3s8-1.3 8-3V6M4 12c0 1.7 3.6 3 8 3s8-1.3 8-3",
}

//go:embed error.html
var errorHTML string

//go:embed error.css
var errorCSS string

var errorPage = newPage(source{html: errorHTML, style: errorCSS})

// Error renders the page. It has no script: its button is a link to the page
// itself.
func Error(look Look, p ErrorPage) Document {
	f := errorPage.open(look)
	return f.document(struct {
		*frame
		ErrorPage
		Drawing, Wait string
	}{&f, p, icons[p.Icon], f.Look.Language.away(p.After)})
}
