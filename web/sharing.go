package web

// Sharing is what a page says in the words of whoever shares something.
type Sharing struct {
	// By is who that is; "" leaves it out.
	By string
	// Note is plain text, shown with its line breaks; "" leaves it out.
	Note string
}

// shown is the sharing as pages show it: a name cannot turn the letters of the
// page around it.
func (s Sharing) shown() Sharing { return Sharing{By: visible(s.By), Note: s.Note} }
