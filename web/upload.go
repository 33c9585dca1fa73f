package web

import (
	_ "embed"
	"html/template"
	"strings"
	"time"
)

// UploadPage takes files from a person.
type UploadPage struct {
	// Link tells the link from others in what the browser remembers of uploads
	// that were interrupted. It must not be the token.
	Link string
	// Many is set when the link takes several files, each under its own name.
	Many bool
	// Limited is set when Left says how many files the link still takes.
	Limited bool
	Left    int64
	// MaxBytes is the size of the largest file that the link takes; 0 leaves
	// that out.
	MaxBytes int64
	// Types are the media types that it takes, such as "image/*"; empty means
	// any.
	Types []string
	// Checksum is the header without which the link takes no upload, and which
	// the page cannot make: it then says how a program uploads. "" for none.
	Checksum string
	// Passcode is set when a program has to give one.
	Passcode bool
	// Until is when the link ends.
	Until time.Time
	// Contact is whom to ask; "" leaves that out.
	Contact string
}

//go:embed upload.html
var uploadHTML string

//go:embed upload.js
var uploadJS string

var uploadTemplate = parse(uploadHTML)

// uploadView is the page as the template has it.
type uploadView struct {
	frame
	UploadPage
	Contact          string // both of the above have one
	Heading          string
	Readable, Exact  string
	Accept, Taken    string
	Until, UntilText string
}

// Upload renders the page. Its script speaks tus with the page's own address,
// or PUT where tus is not offered, and takes what stands there as "ticket" in
// the query along. Without script the page says how a program uploads.
func Upload(p UploadPage) Document {
	f := newFrame(p.Contact, "")
	if p.Checksum == "" {
		f.Script, f.connects = template.JS(uploadJS), true
	}
	until := p.Until.UTC()
	v := uploadView{
		frame: f, UploadPage: p, Contact: p.Contact, Heading: "Upload a file",
		Accept: strings.Join(p.Types, ","), Taken: taken(p.Types),
		Until: until.Format(time.RFC3339), UntilText: until.Format("2 January 2006, 15:04 UTC"),
	}
	if p.Many {
		v.Heading = "Upload files"
	}
	if p.MaxBytes > 0 {
		v.Readable, v.Exact = readable(p.MaxBytes)
	}
	return f.document(uploadTemplate, v)
}

// taken writes media types for people.
func taken(types []string) string {
	var words []string
	for _, t := range types {
		if kind, all := strings.CutSuffix(t, "/*"); all {
			t = "any " + kind
		}
		words = append(words, t)
	}
	return strings.Join(words, ", ")
}
