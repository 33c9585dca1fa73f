package web

import (
	"cmp"
	_ "embed"
	"strings"
	"time"
	"unicode"
)

// ListingPage shows what is in a shared folder, or in one below it.
type ListingPage struct {
	// Above are the folders on the way here, that which is shared first. Its
	// name is not told.
	Above []Link
	// Name is the folder's own; "" for the one that is shared.
	Name string
	// Folders come before Files, both in the order in which they are shown.
	Folders []Link
	Files   []ListedFile
	// First and Next lead to other pages of this folder; "" for none.
	First, Next string
	// Contact is whom to ask; "" leaves that out.
	Contact string
}

// Link is a name and where it leads, relative to the page. A folder's name
// ends in a slash.
type Link struct{ Name, Href string }

// ListedFile is a file of a listing.
type ListedFile struct {
	Link
	// Size is in bytes.
	Size int64
	// Changed is when the file was stored; zero leaves that out.
	Changed time.Time
}

//go:embed listing.html
var listingHTML string

var listingTemplate = parse(listingHTML)

// listingView is the page as the template has it.
type listingView struct {
	frame
	ListingPage
	Contact         string // both of the above have one
	Shared, Heading string
	Rows            []row
}

// row is a file; the hour stands apart, since phones do not show it.
type row struct {
	Link
	Size, Time, Day, Hour string
}

// Listing renders the page. It has no script and no form.
func Listing(p ListingPage) Document {
	f := newFrame(p.Contact, "")
	f.Wide = true
	v := listingView{frame: f, ListingPage: p, Contact: p.Contact, Shared: sharedFolder, Heading: cmp.Or(visible(p.Name), sharedFolder)}
	for _, file := range p.Files {
		v.Rows = append(v.Rows, file.row())
	}
	return f.document(listingTemplate, v)
}

// sharedFolder stands for the name of the folder that is shared.
const sharedFolder = "Shared files"

func (f *ListedFile) row() row {
	r := row{Link: f.Link}
	r.Size, _ = readable(f.Size)
	if t := f.Changed.UTC(); !t.IsZero() {
		r.Time, r.Day, r.Hour = t.Format(time.RFC3339), t.Format("2 Jan 2006"), t.Format("15:04")
	}
	return r
}

// Label is the name as it is shown: one that is empty could not be clicked.
func (l Link) Label() string { return cmp.Or(visible(l.Name), "(no name)") }

// visible shows what turns the order of letters around, or has no shape, as
// what it is: in "x\u202egpj.exe" it would make the ending look like another.
func visible(name string) string {
	return strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Bidi_Control, r) || unicode.IsControl(r) {
			return unicode.ReplacementChar
		}
		return r
	}, name)
}
