package web

// Look is what all pages have in common for one reader: the language, and who
// stands behind the link. The zero value is plain and English.
type Look struct {
	// Language is what the page is written in.
	Language Language
	// Contact is whom to ask; "" leaves that out.
	Contact string
}
