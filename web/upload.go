package web

import (
	_ "embed"
	"slices"
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
	// SHA256 is set when the link takes only uploads with a checksum, and their
	// SHA-256 will do. The page sends it.
	SHA256 bool
	// Passcode is set when a program has to give one.
	Passcode bool
	// Sharing is what whoever asks for the files says.
	Sharing Sharing
	// Until is when the link ends, and Open how long that is from now, by which
	// the page tells that it is soon, whatever the reader's clock says; 0 leaves
	// that out.
	Until time.Time
	Open  time.Duration
}

//go:embed upload.html
var uploadHTML string

//go:embed upload.css
var uploadCSS string

//go:embed hash.js
var hashJS string

//go:embed send.js
var sendJS string

//go:embed row.js
var rowJS string

//go:embed limits.js
var limitsJS string

//go:embed remember.js
var rememberJS string

//go:embed upload.js
var uploadJS string

//go:embed total.js
var totalJS string

//go:embed receipt.js
var receiptJS string

//go:embed gather.js
var gatherJS string

var uploadPage = newPage(source{html: uploadHTML, style: uploadCSS, scripts: []string{
	hashJS, sendJS, rowJS, limitsJS, rememberJS, uploadJS, totalJS, receiptJS, gatherJS,
}})

// uploadView is the page as the template has it.
type uploadView struct {
	*frame
	UploadPage
	Heading         string
	Readable, Exact string
	Accept, Taken   string
	Camera          bool
	Seconds         int64
	Until           moment
}

// Upload renders the page. Its script speaks tus with the page's own address,
// or PUT where tus is not offered, and takes what stands there as "ticket" in
// the query along. Without script the page says how a program uploads.
func Upload(look Look, p UploadPage) Document {
	f := uploadPage.open(look)
	if takes := p.Checksum == ""; takes {
		f.policy.connects, f.policy.workers = true, true
	} else {
		f.Script = ""
	}
	l := f.Look.Language
	p.Sharing = p.Sharing.asked(l)
	v := uploadView{
		frame: &f, UploadPage: p, Heading: l.Say("Upload a file"), Accept: strings.Join(p.Types, ","), Taken: taken(l, p.Types),
		Camera: pictures(p.Types), Seconds: int64(p.Open.Seconds()), Until: l.moment(p.Until),
	}
	if p.Many {
		v.Heading = l.Say("Upload files")
	}
	if p.MaxBytes > 0 {
		v.Readable, v.Exact = l.size(p.MaxBytes)
	}
	return f.document(v)
}

// taken writes media types for people, those that have a name among them by that.
func taken(l Language, types []string) string {
	names := map[string]string{
		"image/*": l.Say("images"), "video/*": l.Say("videos"), "audio/*": l.Say("audio"), "text/*": l.Say("text files"), "application/pdf": "PDF",
	}
	var words []string
	for _, t := range types {
		if name := names[t]; name != "" {
			t = name
		} else if kind, all := strings.CutSuffix(t, "/*"); all {
			t = l.Say("any {0}", kind)
		}
		words = append(words, t)
	}
	return strings.Join(words, l.Say(", "))
}

// pictures reports whether what a camera takes is among the types.
func pictures(types []string) bool {
	return len(types) == 0 || slices.Contains(types, "image/*") || slices.Contains(types, "image/jpeg")
}
