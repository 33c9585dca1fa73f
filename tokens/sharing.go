package tokens

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The lengths of what a grant says to whoever opens its link, in characters.
const (
	// MaxSharedBy is that of the longest SharedBy.
	MaxSharedBy = 100
	// MaxMessage is that of the longest Message.
	MaxMessage = 1000
)

// validateSharing checks what the pages say of a link.
func (g *Grant) validateSharing() error {
	if err := validateWords("shared_by", g.SharedBy, MaxSharedBy, ""); err != nil {
		return err
	}
	if err := validateWords("message", g.Message, MaxMessage, "\n\t"); err != nil {
		return err
	}
	switch {
	case g.Previews && !g.List:
		return fieldErrorf("previews", "is for a prefix with list only")
	case g.Previews && g.Limited():
		return fieldErrorf("previews", "needs max_uses 0, since each preview would be a use; got %d", g.MaxUses)
	}
	return nil
}

// validateWords allows UTF-8 of so many characters, whose control characters are
// among those that are allowed.
func validateWords(field, text string, most int, controls string) error {
	if n := utf8.RuneCountInString(text); n > most {
		return limitErrorf(fmt.Sprintf("at most %d characters", most), field, "has %d characters, at most %d are allowed", n, most)
	}
	if !utf8.ValidString(text) {
		return fieldErrorf(field, "is not valid UTF-8")
	}
	for _, r := range text {
		if unicode.IsControl(r) && !strings.ContainsRune(controls, r) {
			return fieldErrorf(field, "contains the control character %U", r)
		}
	}
	return nil
}
