package proxy

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"

	"s3gate/tokens"
	"s3gate/web"
)

// maxForm is the size in bytes of what the page's form may send.
const maxForm = 4 << 10

// formType is how it sends that.
const formType = "application/x-www-form-urlencoded"

// What is wrong with a form.
var (
	errForm     = errors.New("unreadable form")
	errFormSize = errors.New("form too large")
	// errAnswering is a network that has typed too many wrong digits.
	errAnswering = errors.New("too many wrong digits from this network")
)

// answerError is an answer to the page that does not show a person; words are
// for the page.
type answerError struct{ words string }

func (e *answerError) Error() string { return "no confirmation: " + e.words }

// submit answers a POST: the page's form. What is right is exchanged for a
// ticket, with which the browser comes back for the download; nothing is
// taken before that.
func (x *exchange) submit() error {
	ctx := x.r.Context()
	if err := x.lookForForm(ctx); err != nil {
		return err
	}
	if !asks(x.grant()) {
		return &methodError{allow: x.allowed()}
	}
	if !x.grant().Admits(x.client) {
		return errNetwork
	}
	form, err := x.readForm()
	if err != nil {
		return err
	}
	proof, err := x.prove(ctx, form)
	if q := questionOf(err); q != nil && acceptsPage(x.r) {
		x.err = err
		return x.ask(ctx, q)
	}
	if err != nil {
		return err
	}
	if proof == byCode && form.Get("ticket") == "" && hasNote(x.grant()) && acceptsPage(x.r) {
		proof = toNote
	}
	life := ticketLife
	switch {
	case x.grant().Operation == tokens.Put:
		life = uploadLife
	case x.lists():
		life = lookLife
	}
	life += time.Duration(x.grant().ResumeWindow)
	// A reference that is only a query keeps the path, however it was spelled
	// and whatever a proxy in front made of it.
	x.w.Header().Set("Location", "?"+ticketParam+"="+x.seal().close(proof, time.Now().Add(life)))
	x.writeHeader(http.StatusSeeOther)
	return nil
}

// lookForForm asks what the token permits, for whoever fills in the form of a
// page. That of an upload may be had while every use is taken, since an upload
// that was interrupted holds one.
func (x *exchange) lookForForm(ctx context.Context) error {
	use, err := x.h.Tokens.Look(ctx, x.token, x.wants(tokens.Get))
	x.use = use
	if !errors.Is(err, tokens.ErrOperation) || !asks(x.grant()) {
		return err
	}
	x.use, err = x.h.Tokens.Look(ctx, x.token, x.wants(tokens.Put))
	if errors.Is(err, tokens.ErrInUse) {
		return nil
	}
	return err
}

// readForm reads the form within the bounds of size and time.
func (x *exchange) readForm() (url.Values, error) {
	media, _, err := mime.ParseMediaType(x.r.Header.Get("Content-Type"))
	if err != nil || media != formType {
		return nil, &typeError{allowed: []string{formType}}
	}
	x.hurry()
	body, err := io.ReadAll(http.MaxBytesReader(x.w, x.r.Body, maxForm))
	x.in = int64(len(body))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return nil, errFormSize
	case err != nil:
		return nil, fmt.Errorf("%w: %w", errForm, err)
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, errForm // the cause would quote what was typed
	}
	return form, nil
}

// prove returns what the form proves. Where there is a passcode it alone
// counts: who knows it need not show to be a person.
func (x *exchange) prove(ctx context.Context, form url.Values) (kind, error) {
	if !x.grant().Passcode.IsZero() {
		if k, ok := x.seal().open(form.Get("ticket"), time.Now()); ok && k == byCode {
			return byCode, nil // it was given before the note was shown
		}
		text := form.Get("passcode")
		if text == "" {
			return 0, errNoPasscode
		}
		return byCode, x.h.Passcodes.check(ctx, x.grant(), text)
	}
	s, text := x.seal(), form.Get("challenge")
	if k, ok := s.open(text, time.Now()); !ok || k != challenge {
		return 0, &answerError{"This page was open for too long. Please try again."}
	}
	if gesture := form.Get("gesture"); gesture != "" && same(gesture, web.Gesture(text)) {
		return byGesture, nil
	}
	digits := strings.ReplaceAll(form.Get("digits"), " ", "")
	if digits == "" {
		return 0, &answerError{"The download was not started by hand. Press the button yourself, or type the digits below."}
	}
	if x.h.Answers.exhausted(x.client) {
		return 0, errAnswering
	}
	if !same(digits, s.digits(text)) {
		x.h.Answers.missed(x.client)
		return 0, &answerError{"Those were not the digits. Please type the new ones."}
	}
	return byDigits, nil
}

// same compares in constant time.
func same(got, want string) bool { return subtle.ConstantTimeCompare([]byte(got), []byte(want)) == 1 }
