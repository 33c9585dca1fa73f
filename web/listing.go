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

//go:embed listing.css
var listingCSS string

var listingPage = newPage(source{html: listingHTML, style: listingCSS})

// listingView is the page as the template has it.
type listingView struct {
	*frame
	ListingPage
	Shared, Heading string
	Rows            []row
}

// row is a file; the hour stands apart, since phones do not show it.
type row struct {
	Link
	Size, Time, Day, Hour string
}

// Listing renders the page. It has no script and no form.
func Listing(look Look, p ListingPage) Document {
	f := listingPage.open(look)
	f.Wide = true
	shared := f.Look.Language.Say("Shared files")
	v := listingView{frame: &f, ListingPage: p, Shared: shared, Heading: cmp.Or(visible(p.Name), shared)}
	for _, file := range p.Files {
		v.Rows = append(v.Rows, file.row(f.Look.Language))
	}
	return f.document(v)
}

func (f *ListedFile) row(l Language) row {
	r := row{Link: f.Link}
	r.Size, _ = l.size(f.Size)
	if t := f.Changed.UTC(); !t.IsZero() {
		r.Time, r.Day, r.Hour = t.Format(time.RFC3339), t.Format(l.Say("2 Jan 2006")), t.Format("15:04")
	}
	return r
}

// Label is the name as it is shown, "" if it has none.
func (l Link) Label() string { return visible(l.Name) }

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
