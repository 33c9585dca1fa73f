package web

import (
	_ "embed"
)

// ErrorPage says what went wrong.
type ErrorPage struct {
	// Title says in a few words what happened, and Message what to do.
	Title, Message string
	// Status is the HTTP status with its text, and Request the ID by which the
	// operator finds the request.
	Status, Request string
	// Contact is whom to ask; "" leaves that out.
	Contact string
}

//go:embed error.html
var errorHTML string

var errorTemplate = parse(errorHTML)

// Error renders the page.
func Error(p ErrorPage) Document {
	f := newFrame(p.Contact, "")
	return f.document(errorTemplate, struct {
		frame
		Title, Message, Status, Request string
	}{f, p.Title, p.Message, p.Status, p.Request})
}
