package web

// Sharing is what a page says in the words of whoever shares something, or asks
// for it.
type Sharing struct {
	// By is who that is; "" leaves it out.
	By string
	// Note is plain text, shown with its line breaks; "" leaves it out.
	Note string
}

// shown is the sharing as pages show it, By in a sentence: a name cannot turn the
// letters of the page around it.
func (s Sharing) shown(l Language) Sharing {
	if s.By != "" {
		s.By = l.Say("Shared by {0}", visible(s.By))
	}
	return s
}

// asked is the same of somebody who asks for files.
func (s Sharing) asked(l Language) Sharing {
	if s.By != "" {
		s.By = l.Say("Requested by {0}", visible(s.By))
	}
	return s
}
