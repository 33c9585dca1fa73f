package web

import (
	"cmp"
	_ "embed"
	"slices"
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
	// Sharing is what whoever shares the folder says.
	Sharing Sharing
	// Folders come before Files, both in the order in which they are shown.
	Folders []Link
	Files   []ListedFile
	// Previews shows the images among the files: what a browser shows as one by its
	// ending, up to [MaxPreview]. Each of them is loaded by the file's own link.
	Previews bool
	// First and Next lead to other pages of this folder; "" for none.
	First, Next string
}

// MaxPreview is the size in bytes of the largest image that a listing shows.
const MaxPreview = 8 << 20

// previewed are the endings of images that every browser shows, and which can
// run nothing and load nothing.
var previewed = []string{"png", "jpg", "jpeg", "gif", "webp", "avif"}

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

//go:embed listing.js
var listingJS string

var listingPage = newPage(source{html: listingHTML, style: listingCSS + masks(), scripts: []string{listingJS}})

// listingView is the page as the template has it.
type listingView struct {
	*frame
	ListingPage
	Shared, Heading string
	Total           string
	Drawing         string
	Rows            []row
}

// row is a file; the hour stands apart, since phones do not show it.
type row struct {
	Link
	Kind                  kind
	Preview               bool
	Size, Time, Day, Hour string
}

// Listing renders the page. It has no form, and works without its script.
func Listing(look Look, p ListingPage) Document {
	f := listingPage.open(look)
	f.Wide = true
	shared := f.Look.Language.Say("Shared files")
	p.Sharing = p.Sharing.shown(f.Look.Language)
	v := listingView{
		frame: &f, ListingPage: p, Shared: shared, Heading: cmp.Or(visible(p.Name), shared),
		Total: p.total(f.Look.Language), Drawing: aFolder.Drawing(),
	}
	v.Previews = slices.ContainsFunc(p.Files, func(file ListedFile) bool { return p.Previews && file.shows() })
	f.policy.images = v.Previews
	for _, file := range p.Files {
		r := file.row(f.Look.Language)
		r.Preview = p.Previews && file.shows()
		v.Rows = append(v.Rows, r)
	}
	return f.document(v)
}

// total counts what the page shows.
func (p *ListingPage) total(l Language) string {
	var counts []string
	if n := len(p.Folders); n > 0 {
		counts = append(counts, l.Say("{0} folders", n))
	}
	if n := len(p.Files); n > 0 {
		size := int64(0)
		for _, f := range p.Files {
			size += f.Size
		}
		short, _ := l.size(size)
		counts = append(counts, l.Say("{0} files", n), short)
	}
	total := strings.Join(counts, " · ")
	if p.First != "" || p.Next != "" {
		return l.Say("On this page: {0}", total)
	}
	return total
}

// shows reports whether a listing may show the file as an image.
func (f *ListedFile) shows() bool {
	return f.Size <= MaxPreview && slices.Contains(previewed, ending(f.Name))
}

func (f *ListedFile) row(l Language) row {
	r := row{Link: f.Link, Kind: kindOf(f.Name, "")}
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
