package web

import _ "embed"

// ErrorPage says what went wrong.
type ErrorPage struct {
	// Title says in a few words what happened, and Message what to do, in the
	// language of the page.
	Title, Message string
	// Status is the HTTP status with its text, and Request the ID by which the
	// operator finds the request.
	Status, Request string
}

//go:embed error.html
var errorHTML string

var errorPage = newPage(source{html: errorHTML})

// Error renders the page.
func Error(look Look, p ErrorPage) Document {
	f := errorPage.open(look)
	return f.document(struct {
		*frame
		ErrorPage
	}{&f, p})
}
