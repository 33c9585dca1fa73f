package proxy

import (
	"maps"
	"os"
	"slices"
	"testing"

	"s3gate/tokens"
	"s3gate/web"
)

// What a person may read of a problem is in every language.
func TestProblemsAreTranslated(t *testing.T) {
	var texts []string
	for _, c := range causes {
		texts = append(texts, c.message)
	}
	for _, p := range storageCodes {
		texts = append(texts, p.message)
	}
	for _, e := range []*tusError{errTusVersion, errPatchType, errOffsetForm, errOffset, errBroken, errBeyond, errComplete,
		errUploadLength, errUploadDefer, errUploadConcat, errPairs, errChecksum, errChecksumForm, errChecksumLength} {
		texts = append(texts, e.message)
	}
	for _, err := range []error{&methodError{}, &rangeError{}, &tokens.SpentError{}, &tooLargeError{size: -1}, &tooLargeError{size: 1},
		&missingError{}, &typeError{sniffed: true}, &typeError{}, &tokens.TriesError{}, errWrongPasscode, os.ErrInvalid} {
		p := problemOf(err)
		texts = append(texts, p.message)
		if q := questionOf(err); q != nil && q.problem != "" {
			texts = append(texts, q.problem)
		}
	}
	texts = slices.AppendSeq(texts, maps.Values(headings))
	for _, language := range web.Languages()[1:] {
		for _, text := range texts {
			if !language.Has(text) {
				t.Errorf("%s: no translation of %q", language.Tag(), text)
			}
		}
	}
}
