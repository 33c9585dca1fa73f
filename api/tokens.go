package api

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"s3gate/internal/duration"
	"s3gate/revocation"
	"s3gate/tokens"
)

// defaultLife is the life of a token whose caller does not say.
const defaultLife = time.Hour

// grant turns the request into a grant and, if it gives one, a life.
func (m *MintRequest) grant() (g tokens.Grant, life time.Duration, err error) {
	g = tokens.Grant{
		Operation: m.Operation, Bucket: m.Bucket, Key: m.Key, Prefix: m.Prefix, List: m.List, Subject: m.Subject,
		Labels: m.Labels, Clients: m.Clients, Bandwidth: m.Bandwidth, Response: m.Response, Upload: m.Upload,
		RequestsPerSecond: m.RequestsPerSecond, MaxConcurrent: m.MaxConcurrent, CutAtExpiry: m.CutAtExpiry,
		VersionID: m.VersionID, IfMatch: m.IfMatch, Confirm: m.Confirm, Canary: m.Canary,
		SharedBy: m.SharedBy, Previews: m.Previews,
		Message: strings.ReplaceAll(m.Message, "\r\n", "\n"), // as forms send it
	}
	g.FillDropBox()
	if err := m.resume(&g); err != nil {
		return g, 0, err
	}
	if g.NotBefore, err = parseTime("not_before", m.NotBefore); err != nil {
		return g, 0, err
	}
	if g.ExpiresAt, err = parseTime("expires_at", m.ExpiresAt); err != nil {
		return g, 0, err
	}
	switch {
	case m.MaxUses != nil:
		g.MaxUses = *m.MaxUses
	case m.Operation == tokens.Put:
		g.MaxUses = 1
	}
	// One of many readers must not take the link from all.
	g.SelfRevoke = g.MaxUses == 1
	if m.SelfRevoke != nil {
		g.SelfRevoke = *m.SelfRevoke
	}
	life, err = m.life()
	return g, life, err
}

// resume reads the window in which a use may go on.
func (m *MintRequest) resume(g *tokens.Grant) error {
	if m.ResumeWindow != "" {
		window, err := duration.Parse(m.ResumeWindow)
		if err != nil {
			return &tokens.FieldError{Field: "resume_window", Problem: err.Error()}
		}
		g.ResumeWindow = tokens.Duration(window)
	}
	switch {
	case m.ResumeSlack != nil:
		g.ResumeSlack = *m.ResumeSlack
	case g.ResumeWindow > 0:
		g.ResumeSlack = tokens.DefaultResumeSlack
	}
	return nil
}

const (
	minPasscode = 4
	maxPasscode = 255
)

// checkPasscode says what is wrong with the passcode, if there is one.
func (m *MintRequest) checkPasscode() error {
	if m.Passcode == "" {
		return nil
	}
	if n := len(m.Passcode); n < minPasscode || n > maxPasscode || !utf8.ValidString(m.Passcode) || strings.ContainsFunc(m.Passcode, unicode.IsControl) {
		return &tokens.FieldError{Field: "passcode", Problem: fmt.Sprintf("must be %d to %d bytes of UTF-8 without control characters, got %d bytes", minPasscode, maxPasscode, n)}
	}
	return nil
}

// hash puts the passcodes of requests into their grants. It comes last, because
// each takes a while: nobody else is to wait for what is refused anyway.
func (h *Handler) hash(ctx context.Context, all []tokens.Minting, requests []MintRequest) (err error) {
	if !slices.ContainsFunc(requests, func(m MintRequest) bool { return m.Passcode != "" }) {
		return nil
	}
	if err := h.cfg.Tokens.CheckAll(ctx, all); err != nil {
		return err
	}
	for i := range requests {
		if requests[i].Passcode == "" {
			continue
		}
		select {
		case h.hashing <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
		all[i].Grant.Passcode, err = tokens.HashPasscode(requests[i].Passcode)
		<-h.hashing
		if err != nil {
			return err
		}
	}
	return nil
}

func (m *MintRequest) life() (time.Duration, error) {
	switch {
	case m.ExpiresIn != "" && m.ExpiresAt != "":
		return 0, &tokens.FieldError{Field: "expires_in", Problem: "and expires_at exclude each other"}
	case m.ExpiresAt != "":
		return 0, nil
	case m.ExpiresIn == "":
		return defaultLife, nil
	}
	life, err := duration.Parse(m.ExpiresIn)
	if err != nil {
		return 0, &tokens.FieldError{Field: "expires_in", Problem: err.Error()}
	}
	if life < time.Millisecond {
		return 0, &tokens.FieldError{Field: "expires_in", Problem: "must be at least 1ms, got " + clip(m.ExpiresIn)}
	}
	return life, nil
}

func parseTime(field, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil || t.Unix() < 0 {
		return time.Time{}, &tokens.FieldError{Field: field, Problem: "must be a time such as 2030-01-31T12:00:00Z (RFC 3339)"}
	}
	return t, nil
}

// minted is the answer to a mint: the only place where a token appears.
type minted struct {
	Token  string `json:"token"`
	URL    string `json:"url"`
	Method string `json:"method"`
	tokens.Grant
	*uploadParameters
	*notified
	// Durability is what the uses of the token and its revocation are worth.
	Durability revocation.Durability `json:"durability"`
	// Replaces is the token that was revoked for it; nil for none.
	Replaces *replaced `json:"replaces,omitempty"`
}

// uploadParameters make the answer to the mint of a put, with its method and
// URL, what Uppy's getUploadParameters returns (https://uppy.io/docs/aws-s3).
type uploadParameters struct {
	// Fields are those of a form, which a PUT does not have.
	Fields struct{} `json:"fields"`
	// Headers are what the upload has to declare.
	Headers map[string]string `json:"headers"`
	// Expires is how many whole seconds the token lives.
	Expires int64 `json:"expires"`
}

// parametersOf returns nil for a get.
func parametersOf(g *tokens.Grant) *uploadParameters {
	if g.Operation != tokens.Put {
		return nil
	}
	p := &uploadParameters{Headers: map[string]string{}, Expires: int64(g.ExpiresAt.Sub(g.IssuedAt) / time.Second)}
	if types := g.Upload.ContentTypes; len(types) == 1 && !strings.HasSuffix(types[0], "/*") {
		p.Headers["Content-Type"] = types[0]
	}
	return p
}

func (h *Handler) mint(c *call) (int, any, error) {
	var req MintRequest
	if err := decode(c.Body, &req); err != nil {
		return 0, nil, err
	}
	if err := h.spend(c, 1); err != nil {
		return 0, nil, err
	}
	opened, err := h.once(c, "mint", req, func() error { return h.mayMintAgain(c, &req) }, func(token func(int) tokens.Token) ([]sealed, []tokens.Token, error) {
		return h.mintOne(c, &req, token(0))
	})
	if err != nil {
		return 0, nil, err
	}
	id, err := idOf(opened[0])
	return c.created(id), opened[0], err
}

// mintOne mints a token that was chosen, or a fresh one.
func (h *Handler) mintOne(c *call, req *MintRequest, chosen tokens.Token) ([]sealed, []tokens.Token, error) {
	g, life, err := h.prepare(c, req)
	if err != nil {
		return nil, nil, err
	}
	one := []tokens.Minting{{Grant: g, Life: life, Token: chosen}}
	if err := h.hash(c.Context(), one, []MintRequest{*req}); err != nil {
		return nil, nil, blame(cmp.Or(errors.Unwrap(err), err), life)
	}
	token := chosen
	if chosen.IsZero() {
		token, g, err = h.cfg.Tokens.Mint(c.Context(), one[0].Grant, life, h.quotas(&g)...)
	} else {
		one[0].Quotas = h.quotas(&g)
		token, g, err = h.mintChosen(c, one[0])
	}
	if err != nil {
		return nil, nil, blame(err, life)
	}
	h.cfg.Minted(g)
	answer, err := h.seal(token, &g, nil, h.notify(c, &req.Notify, h.link(token, &g), &g))
	return []sealed{answer}, []tokens.Token{token}, err
}

// mintChosen mints a token that may be there already.
func (h *Handler) mintChosen(c *call, m tokens.Minting) (tokens.Token, tokens.Grant, error) {
	done, err := h.cfg.Tokens.MintAll(c.Context(), []tokens.Minting{m})
	if err != nil {
		return tokens.Token{}, tokens.Grant{}, cmp.Or(errors.Unwrap(err), err)
	}
	return done[0].Token, done[0].Grant, done[0].Err
}

// wish is what a request asks for, within what the caller may mint.
func (h *Handler) wish(c *call, req *MintRequest) (*wish, error) {
	g, life, err := req.grant()
	if err != nil {
		return nil, err
	}
	w := &wish{grant: g, life: life, anyLife: req.ExpiresIn == "" && req.ExpiresAt == "", anyUses: req.MaxUses == nil, topic: req.Notify.Topic}
	return w, h.permit(c, w)
}

// mayMintAgain asks for the right to what was minted before.
func (h *Handler) mayMintAgain(c *call, req *MintRequest) error {
	_, err := h.wish(c, req)
	return err
}

// prepare turns a request into a grant that the caller may mint.
func (h *Handler) prepare(c *call, req *MintRequest) (tokens.Grant, time.Duration, error) {
	w, err := h.wish(c, req)
	if err != nil {
		return tokens.Grant{}, 0, err
	}
	g, life := w.grant, w.life
	if g.Bucket != "" && !slices.Contains(h.cfg.Buckets, g.Bucket) {
		return g, 0, &tokens.FieldError{Field: "bucket", Problem: "is not an alias of this gate"}
	}
	if err := checkNotify(&req.Notify, h.cfg.Topics); err != nil {
		return g, 0, err
	}
	if err := req.checkPasscode(); err != nil {
		return g, 0, err
	}
	if g.Canary && h.cfg.Events == nil {
		return g, 0, &tokens.FieldError{Field: "canary", Problem: "is of no use here: this gate keeps no events that would tell who has tried it"}
	}
	g.Issuer, g.IssuedBy = c.caller.Issuer, c.caller.Subject
	return g, life, h.mayMint(&g)
}

// mayMint asks whether a standing rule forbids the grant, and notes how much of
// the log was known: rules that come later cover it.
func (h *Handler) mayMint(g *tokens.Grant) error {
	if err := h.cfg.Member.Lease(); err != nil {
		return err
	}
	at := h.cfg.Member.Position()
	g.RevGen, g.RevSeq = at.Gen, at.Seq
	if h.cfg.Member.Rules().Refuses(g) != nil {
		return errStanding
	}
	return nil
}

// blame lets an error of the store name the field that the caller gave.
func blame(err error, life time.Duration) error {
	var field *tokens.FieldError
	if errors.As(err, &field) && field.Field == "expires_at" && life > 0 {
		return &tokens.FieldError{Field: "expires_in", Problem: field.Problem}
	}
	return err
}

func method(op tokens.Operation) string {
	if op == tokens.Put {
		return http.MethodPut
	}
	return http.MethodGet
}

// link is the public URL of a token. That of a download ends in the file's
// name, so that curl -O and wget do not save under the token, and that of a
// prefix in a slash, after which curl -T puts the file's name.
func (h *Handler) link(t tokens.Token, g *tokens.Grant) string {
	link := h.cfg.PublicURL + "/" + t.Reveal()
	switch {
	case g.Prefix != "":
		return link + "/"
	case g.Operation != tokens.Get:
		return link
	}
	name := g.Response.Filename
	if name == "" {
		name = g.Key[strings.LastIndexByte(g.Key, '/')+1:]
	}
	if strings.Contains(name, "/") || strings.Trim(name, ".") == "" {
		return link // clients would resolve it
	}
	return link + "/" + url.PathEscape(name)
}

func (h *Handler) show(c *call) (int, any, error) {
	id, err := c.tokenID()
	if err != nil {
		return 0, nil, err
	}
	status, err := h.find(c, id, false)
	if err != nil {
		return 0, nil, err
	}
	c.w.Header().Set("ETag", etag(status.Version))
	return http.StatusOK, h.covered(status), nil
}

// shownToken is a token as the API shows it.
type shownToken struct {
	tokens.Status
	// CoveredBy is the ID of a rule that covers the token, which does not work
	// then, whatever its state; absent if this gate knows of none.
	CoveredBy string `json:"covered_by,omitempty"`
	// UsesLeft is how many uses can still begin; absent without a limit. Those
	// in use may come back.
	UsesLeft *int64 `json:"uses_left,omitempty"`
}

func (h *Handler) covered(st tokens.Status) shownToken {
	shown := shownToken{Status: st}
	if r := h.cfg.Member.Rules().Covers(&st.Grant); r != nil {
		shown.CoveredBy = r.ID
	}
	if st.Limited() {
		left := max(0, st.MaxUses-st.Uses-st.InUse)
		shown.UsesLeft = &left
	}
	return shown
}

func (c *call) tokenID() (tokens.ID, error) {
	id, err := tokens.ParseID(c.PathValue("id"))
	if err != nil {
		return "", errIdent
	}
	return id, nil
}

// page is the answer to GET /v1/tokens.
type page struct {
	Tokens []shownToken `json:"tokens"`
	// Next is the cursor of the next page; absent on the last.
	Next string `json:"next,omitempty"`
}

const maxPage = 1000

func (h *Handler) list(c *call) (int, any, error) {
	q, err := listQuery(c.query)
	if err != nil {
		return 0, nil, err
	}
	if !c.caller.SeesAll() {
		q.Match = func(g *tokens.Grant) bool { return c.caller.Sees(origin(g)) }
	}
	found, err := h.cfg.Tokens.List(c.Context(), q)
	if err != nil {
		return 0, nil, blameCursor(err)
	}
	shown := make([]shownToken, len(found.Tokens))
	for i := range found.Tokens {
		shown[i] = h.covered(found.Tokens[i])
	}
	return http.StatusOK, page{shown, found.Next}, nil
}

// blameCursor lets the error of a cursor name the parameter.
func blameCursor(err error) error {
	if !errors.Is(err, tokens.ErrCursor) {
		return err
	}
	return &tokens.FieldError{Field: "cursor", Problem: "is not one that a page has given", Allowed: "next of a page"}
}

// listQuery reads the parameters of a list. An empty filter is an error, since
// somebody's variable was not set, and to show everything is not what they
// meant.
func listQuery(values url.Values) (tokens.Query, error) {
	q := tokens.Query{
		Subject: values.Get("subject"), Issuer: values.Get("issuer"), IssuedBy: values.Get("issued_by"),
		Bucket: values.Get("bucket"), Prefix: values.Get("prefix"),
		State: tokens.State(values.Get("state")), Cursor: values.Get("cursor"),
	}
	for _, name := range []string{"subject", "issuer", "issued_by", "bucket", "prefix", "state", "label", "expires_from", "expires_before"} {
		if slices.Contains(values[name], "") {
			return q, &tokens.FieldError{Field: name, Problem: "must not be empty; leave it out to see all"}
		}
	}
	states := []tokens.State{"", tokens.Active, tokens.Pending, tokens.Used, tokens.Expired, tokens.Revoked}
	if !slices.Contains(states, q.State) {
		return q, &tokens.FieldError{Field: "state", Problem: "must be active, pending, used, expired or revoked"}
	}
	var err error
	if q.ExpiresFrom, err = parseTime("expires_from", values.Get("expires_from")); err != nil {
		return q, err
	}
	if q.ExpiresBefore, err = parseTime("expires_before", values.Get("expires_before")); err != nil {
		return q, err
	}
	if q.Labels, err = readLabels(values["label"]); err != nil {
		return q, err
	}
	q.Limit, err = readLimit(values)
	return q, err
}

const labelForm = "name=value, each name once"

// readLabels reads name=value from each text; the value may hold more of =.
func readLabels(texts []string) (map[string]string, error) {
	labels := map[string]string{}
	for _, text := range texts {
		name, value, ok := strings.Cut(text, "=")
		if !ok || name == "" {
			return nil, &tokens.FieldError{Field: "label", Problem: "must be name=value", Allowed: labelForm}
		}
		if _, twice := labels[name]; twice {
			return nil, &tokens.FieldError{Field: "label", Problem: "names " + clip(name) + " twice", Allowed: labelForm}
		}
		labels[name] = value
	}
	return labels, nil
}

// readLimit reads how many a page may hold; 0 if that is not given.
func readLimit(values url.Values) (int, error) {
	if !values.Has("limit") {
		return 0, nil
	}
	n, err := strconv.Atoi(values.Get("limit"))
	if err != nil || n < 1 || n > maxPage {
		return 0, &tokens.FieldError{Field: "limit", Problem: "must be a number from 1 to " + strconv.Itoa(maxPage)}
	}
	return n, nil
}

const maxReason = 255

func (h *Handler) revoke(c *call) (int, any, error) {
	id, err := c.tokenID()
	if err != nil {
		return 0, nil, err
	}
	reason, err := c.reason()
	if err != nil {
		return 0, nil, err
	}
	if !c.caller.RevokesAll() {
		if _, err := h.find(c, id, true); err != nil {
			return 0, nil, err
		}
	}
	receipt, err := h.cfg.Revoker.Revoke(c.Context(), revocation.Rule{Token: id, Author: c.caller.Subject, Reason: reason})
	return http.StatusOK, receipt, err
}

// reason reads the parameter of that name.
func (c *call) reason() (string, error) {
	reason := c.query.Get("reason")
	return reason, checkReason(reason)
}

func checkReason(reason string) error {
	if len(reason) > maxReason {
		return &tokens.FieldError{Field: "reason", Problem: "is longer than " + strconv.Itoa(maxReason) + " bytes"}
	}
	if !utf8.ValidString(reason) || strings.ContainsFunc(reason, unicode.IsControl) {
		return &tokens.FieldError{Field: "reason", Problem: "must be UTF-8 without control characters"}
	}
	return nil
}
