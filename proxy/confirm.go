package proxy

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"s3gate/tokens"
	"s3gate/web"
)

var (
	// errConfirm is a download that a person must start on the page.
	errConfirm = errors.New("a person has to confirm the download")
	// errAhead is a download that nobody has asked for yet.
	errAhead = errors.New("limited link fetched in advance")
)

const (
	// ticketParam is the query parameter that carries a ticket.
	ticketParam = "ticket"
	// ticketLife is how long a ticket is good for a download's start. After
	// that the resume window of the token is added.
	ticketLife = 2 * time.Minute
	// lookLife is that of a ticket for a folder with a passcode, in which
	// somebody looks around before a download.
	lookLife = 15 * time.Minute
	// uploadLife is that of a ticket for uploads with a passcode, which carry it
	// to their end.
	uploadLife = 24 * time.Hour
	// challengeLife is how long a page may stay open.
	challengeLife = time.Hour
)

// wary reports whether the request is one that may be answered by the page, or
// brings something to be checked, so that the token is looked at before a use
// is taken: none is held while a passcode is compared. All others pay for one
// question to Redis only, and hand the use back if it turns out that they
// needed more.
func (x *exchange) wary() bool {
	return givenPasscode(x.r) != "" ||
		x.takesPage() || x.r.Method == http.MethodGet && speculative(x.r)
}

// look asks what the token permits and clears the request, without taking a
// use. It reports whether it has answered, with the page.
func (x *exchange) look(ctx context.Context, op tokens.Operation) (answered bool, err error) {
	use, err := x.h.Tokens.Look(ctx, x.token, x.wants(op))
	x.use = use
	var spent *tokens.SpentError
	if errors.As(err, &spent) && x.r.Method == http.MethodHead {
		err = nil // something is left to ask for, and this is how to find out what
	}
	// A use that somebody else has begun may come back: redeeming waits for it.
	busy := errors.Is(err, tokens.ErrInUse) && x.r.Method != http.MethodHead
	if err != nil && !busy {
		return false, err
	}
	cause := x.clear(ctx)
	switch q := questionOf(cause); {
	case q == nil || !x.takesPage():
		return false, cause
	case busy:
		return false, err
	default:
		return true, x.ask(ctx, q)
	}
}

// clear checks what besides the token itself a request must have: the right
// network, the passcode, and that a person confirmed. What was cleared once
// stays so.
func (x *exchange) clear(ctx context.Context) error {
	g := x.grant()
	switch {
	case x.cleared:
		return nil
	case !g.Admits(x.client):
		return errNetwork // before it can try passcodes
	case x.hasTicket():
	case !g.Passcode.IsZero():
		if err := x.checkPasscode(ctx); err != nil {
			return err
		}
	}
	if err := x.confirmed(); err != nil {
		return err
	}
	x.cleared = true
	return nil
}

// confirmed returns why a request may not have the object before a person has
// confirmed it, if so. A passcode is as good as the button, since who knows it
// is a person or was told by one; always means always.
func (x *exchange) confirmed() error {
	g := x.grant()
	switch {
	case x.r.Method != http.MethodGet || g.Operation != tokens.Get || x.hasTicket() || x.lists():
	case g.Confirm == tokens.ConfirmAlways:
		return errConfirm
	case !g.Limited():
		if hasNote(g) && g.Passcode.IsZero() && x.takesPage() {
			return errConfirm
		}
	case g.Confirm == tokens.ConfirmNever || !g.Passcode.IsZero():
		if speculative(x.r) {
			return errAhead
		}
	case x.takesPage() || speculative(x.r):
		return errConfirm
	}
	return nil
}

// asks reports whether there are requests that a grant answers by the page,
// whose form is then taken.
func asks(g *tokens.Grant) bool {
	if g.Operation == tokens.Put {
		return !g.Passcode.IsZero()
	}
	return g.Operation == tokens.Get && (!g.Passcode.IsZero() || g.Confirm == tokens.ConfirmAlways ||
		g.Confirm != tokens.ConfirmNever && g.Limited() || hasNote(g))
}

// hasNote reports whether there is a note that a person is to see before the
// file comes. A listing shows it by itself.
func hasNote(g *tokens.Grant) bool {
	return g.Operation == tokens.Get && g.Message != "" && !g.List && g.Confirm != tokens.ConfirmNever
}

// hasTicket reports whether the request has a ticket for its token. One that
// was tampered with or is over counts as none, and so does one on a request
// that nobody waits for.
func (x *exchange) hasTicket() bool {
	switch k := x.ticket(); k {
	case byCode:
		return true
	case byGesture, byDigits:
		return x.grant().Passcode.IsZero()
	}
	return false
}

// ticket is what the request's ticket was given for, 0 if it has none.
func (x *exchange) ticket() kind {
	if !strings.Contains(x.r.URL.RawQuery, ticketParam+"=") || speculative(x.r) || previews(x.r) {
		return 0
	}
	query, _ := url.ParseQuery(x.r.URL.RawQuery)
	k, ok := x.seal().open(query.Get(ticketParam), time.Now())
	if !ok {
		return 0
	}
	return k
}

// onward returns the request's ticket for the links of a listing, "" if it has
// none or they do without. Only a passcode is asked for in listings; that a
// person wants a file is shown for the file.
func (x *exchange) onward() string {
	if x.grant().Passcode.IsZero() || !x.hasTicket() {
		return ""
	}
	return x.r.URL.Query().Get(ticketParam)
}

func (x *exchange) seal() *seal { return newSeal(x.token, x.grant().Passcode) }

// navigates reports whether a browser opens the link in a window, by what
// browsers say of a request (Fetch Metadata) or, if they are older, accept.
func (x *exchange) navigates() bool {
	h := x.r.Header
	return acceptsPage(x.r) &&
		slices.Contains([]string{"", "navigate"}, h.Get("Sec-Fetch-Mode")) &&
		slices.Contains([]string{"", "document"}, h.Get("Sec-Fetch-Dest"))
}

func acceptsPage(r *http.Request) bool { return strings.Contains(r.Header.Get("Accept"), "text/html") }

// takesPage reports whether the answer may be the page rather than an error.
func (x *exchange) takesPage() bool {
	return x.r.Method == http.MethodGet && (x.navigates() || previews(x.r))
}

// speculative reports whether a browser fetches in advance what somebody may
// open later (Fetch standard, "Sec-Purpose"; older browsers Purpose, X-Moz).
func speculative(r *http.Request) bool {
	for _, name := range []string{"Sec-Purpose", "Purpose", "X-Purpose", "X-Moz"} {
		if v := r.Header.Get(name); strings.Contains(v, "prefetch") || strings.Contains(v, "prerender") || strings.Contains(v, "preview") {
			return true
		}
	}
	return false
}

// previewers are programs that fetch every link that somebody sends, to show
// what it is, and say who they are. Not all of them ask for a page.
var previewers = []string{
	"slackbot", "slack-imgproxy", "whatsapp", "facebookexternalhit", "facebot", "telegrambot", "twitterbot", "discordbot",
	"linkedinbot", "skypeuripreview", "microsoftpreview", "bingpreview", "viber", "googlebot", "google-safety", "mattermost-bot",
	"mastodon/", "redditbot", "applebot", "embedly", "iframely",
}

func previews(r *http.Request) bool {
	agent := strings.ToLower(r.UserAgent())
	return agent != "" && slices.ContainsFunc(previewers, func(name string) bool { return strings.Contains(agent, name) })
}

// question is why the page is shown, and with which words.
type question struct {
	status  int
	problem string
	cause   error
}

// questionOf turns an error into what the page asks; nil if it is not for the
// page.
func questionOf(err error) *question {
	var answer *answerError
	switch {
	case errors.Is(err, errConfirm):
		return &question{http.StatusOK, "", err}
	case errors.Is(err, errNoPasscode):
		return &question{http.StatusUnauthorized, "", err}
	case errors.Is(err, errWrongPasscode):
		return &question{http.StatusUnauthorized, "That is not the passcode. Check it and try again.", err}
	case errors.As(err, &answer):
		return &question{http.StatusForbidden, answer.words, err}
	}
	return nil
}

// ask shows the page. It tells of a file with a passcode no more than HEAD
// does: nothing, and nothing in the words of whoever shares it.
func (x *exchange) ask(ctx context.Context, q *question) error {
	g, look := x.grant(), x.appearance()
	page := web.ConfirmPage{
		Until: g.ExpiresAt, Problem: look.Language.Say(q.problem), Breaking: breaking(g),
		Folder: x.lists(), Upload: g.Operation == tokens.Put,
	}
	noted := errors.Is(q.cause, errNoPasscode) && x.ticket() == toNote
	if !g.Passcode.IsZero() && q.status == http.StatusUnauthorized && !noted {
		page.Passcode = true
		challengeAuth(x.w.Header(), true)
	} else {
		file, err := x.describe()
		if err != nil {
			return err
		}
		page.File, page.Sharing = file, sharing(g)
		page.Passcode = !g.Passcode.IsZero() && !noted
	}
	if noted {
		q.status = http.StatusOK
		page.Ticket = x.seal().close(byCode, time.Now().Add(challengeLife))
	} else if !page.Passcode {
		s := x.seal()
		page.Challenge = s.close(challenge, time.Now().Add(challengeLife))
		page.Digits = s.digits(page.Challenge)
	}
	if !page.Upload {
		var err error
		if page.Left, _, err = x.usesLeft(ctx); err != nil {
			return err
		}
	}
	x.sendPage(q.status, web.Confirm(look, page))
	return nil
}

// sharing is what whoever shares a file says.
func sharing(g *tokens.Grant) web.Sharing { return web.Sharing{By: g.SharedBy, Note: g.Message} }

// breaking is what becomes of a download that breaks off.
func breaking(g *tokens.Grant) web.Breaking {
	switch {
	case g.Strict():
		return web.Counts
	case g.Limited():
		return web.Resumes
	}
	return web.BeginsAnew
}

// usesLeft returns how many uses are not charged; false if that is not known, or
// there is no limit.
func (x *exchange) usesLeft(ctx context.Context) (left int64, ok bool, err error) {
	g := x.grant()
	if !g.Limited() || x.h.Status == nil {
		return 0, false, nil
	}
	status, err := x.h.Status(ctx, g.ID)
	return max(0, g.MaxUses-status.Uses), true, err
}

// describe learns from S3 what the page says of the object.
func (x *exchange) describe() (*web.File, error) {
	x.cleared = true // for what the page says, and it is all that is answered
	resp, err := x.fetch(http.MethodHead)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, x.refused(resp)
	}
	f := &web.File{Name: filename(&x.grant().Response, x.object), Size: resp.ContentLength, Type: x.grant().Response.ContentType}
	if f.Type == "" {
		f.Type, _, _ = strings.Cut(resp.Header.Get("Content-Type"), ";")
	}
	return f, nil
}

// sendPage answers with a page.
func (x *exchange) sendPage(status int, page web.Document) {
	x.announce(page)
	x.sendBody(status, web.ContentType, page.HTML)
}

// announce sets the headers that a page needs.
func (x *exchange) announce(page web.Document) {
	h := x.w.Header()
	h.Set("Content-Security-Policy", page.Policy)
	h.Set("Content-Language", page.Language)
}

// language is the one of whoever asks.
func (x *exchange) language() web.Language { return web.Speak(x.r.Header.Get("Accept-Language")) }

// appearance is how pages look to whoever asks.
func (x *exchange) appearance() web.Look {
	look, ok := x.now.Looks[x.grant().Bucket]
	if !ok {
		look = x.now.Look
	}
	look.Language = x.language()
	return look
}
