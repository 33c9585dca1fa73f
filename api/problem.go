package api

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"s3gate/auth"
	"s3gate/events"
	"s3gate/revocation"
	"s3gate/tokens"
)

var (
	errForbidden = errors.New("caller is not an admin")
	errNoRight   = errors.New("no rule gives the caller the right")
	errNoRoute   = errors.New("no such route")
	errMethod    = errors.New("method not allowed")
	errTooLarge  = errors.New("request body too large")
	errStanding  = errors.New("a standing revocation forbids the grant")
	errIdent     = errors.New("malformed token ID")
	// ErrDraining is for Config.Ready of a gate that is shutting down.
	ErrDraining = errors.New("gate is shutting down")
)

// Problem is the body of every error (RFC 9457).
type Problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail,omitempty"`
	// Field is the JSON name of the field that is wrong, with dots for nested
	// fields, or the query parameter; it is "body" or "query" for the whole of
	// those. Pointer is the place in the body as a JSON pointer (RFC 6901).
	Field   string `json:"field,omitempty"`
	Pointer string `json:"pointer,omitempty"`
	// Rule is the ID of a revocation rule that was not shown to hold, or not to
	// hold any more, and Outcome says what is known of it.
	Rule      string           `json:"rule,omitempty"`
	Outcome   revocation.Stage `json:"outcome,omitempty"`
	RequestID string           `json:"request_id"`
}

// causes is the table from errors to answers; the first that matches wins.
var causes = []struct {
	err    error
	status int
	detail string
}{
	{auth.ErrUnauthenticated, http.StatusUnauthorized, "A valid bearer JWT is required."},
	{errForbidden, http.StatusForbidden, `The bearer JWT lacks the claim "s3gate": "admin".`},
	{auth.ErrUnavailable, http.StatusServiceUnavailable, "The keys of the bearer JWT's issuer cannot be had at the moment. Nothing was done; ask again."},
	{errNoRight, http.StatusForbidden, `No rule for the bearer JWT permits this. "s3gate auth explain" says what its rules permit.`},
	{errNoRoute, http.StatusNotFound, "There is no such route."},
	{errMethod, http.StatusMethodNotAllowed, "This route does not take that method."},
	{errIdent, http.StatusNotFound, "There is no such token. A token's ID looks like tok_ and 26 characters."},
	{tokens.ErrUnknown, http.StatusNotFound, "There is no such token."},
	{tokens.ErrCursor, http.StatusBadRequest, "The cursor is not one that a page has given."},
	{revocation.ErrRule, http.StatusBadRequest, "The rule cannot be read."},
	{revocation.ErrNoRule, http.StatusNotFound, "There is no such revocation."},
	{revocation.ErrNoTransfer, http.StatusNotFound, "No such transfer runs, on any gate. It may have ended."},
	{errStanding, http.StatusForbidden, "A standing revocation forbids such tokens. Lift it first."},
	{events.ErrNoDead, http.StatusNotFound, "There is no such dead delivery, or its webhook is not configured any more."},
	{events.ErrFollowers, http.StatusServiceUnavailable, "As many follow the events of this gate as may. Ask again, or another gate."},
	{events.ErrStream, http.StatusServiceUnavailable, "Redis cannot be reached. Ask again."},
	{events.ErrClosed, http.StatusServiceUnavailable, "This gate is shutting down."},
	{tokens.ErrUnproven, http.StatusServiceUnavailable, "Redis cannot be reached, or cannot prove what it was told. What was asked may or may not have been done; ask again."},
	{ErrDraining, http.StatusServiceUnavailable, "This gate is shutting down."},
}

// stages says how far a revocation or a lift came that is not proven.
var stages = map[revocation.Stage]string{
	revocation.NotMade:   "Redis cannot be reached, or cannot prove what it was told. Nothing was changed; ask again.",
	revocation.MaybeMade: "Redis cannot be reached, or cannot prove what it was told. This may or may not have been done; ask again.",
	revocation.Made:      "This was done, and holds on every gate that has heard of it. It could not be shown that all have; ask again.",
}

// fail answers with the problem that err is.
func (h *Handler) fail(w http.ResponseWriter, r *http.Request, err error) {
	p := Problem{Type: "about:blank", Status: http.StatusInternalServerError, Detail: "Something went wrong here."}
	var field *tokens.FieldError
	if errors.As(err, &field) {
		p.Status, p.Detail, p.Field = http.StatusBadRequest, field.Error(), field.Field
		if errors.Is(err, errNoRight) {
			p.Status = http.StatusForbidden
		}
		if field.Field != bodyField && r.URL.RawQuery == "" {
			p.Pointer = pointer(field.Field)
		}
	} else if errors.Is(err, errTooLarge) {
		p.Status = http.StatusRequestEntityTooLarge
		p.Detail = "The request body is larger than " + strconv.FormatInt(h.cfg.MaxBody, 10) + " bytes."
	} else {
		for _, c := range causes {
			if errors.Is(err, c.err) {
				p.Status, p.Detail = c.status, c.detail
				break
			}
		}
	}
	var unproven *revocation.UnprovenError
	if errors.As(err, &unproven) {
		p.Rule, p.Outcome, p.Detail = unproven.Rule, unproven.Stage, stages[unproven.Stage]
	}
	p.RequestID = w.Header().Get("X-Request-Id")
	switch {
	case p.Status == http.StatusUnauthorized:
		w.Header().Set("WWW-Authenticate", `Bearer realm="s3gate"`)
		h.cfg.Logger.Info("api caller refused", "request", p.RequestID, "err", err)
	case p.Status >= 500:
		h.cfg.Logger.Warn("api error", "request", p.RequestID, "err", err)
	}
	if p.Status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "1")
	}
	p.Title = http.StatusText(p.Status)
	writeJSON(w, p.Status, "application/problem+json", p)
}

// pointer turns a field's name into a JSON pointer. What follows "labels." is
// one name, whatever it holds.
func pointer(field string) string {
	names := strings.Split(field, ".")
	if label, ok := strings.CutPrefix(field, "labels."); ok {
		names = []string{"labels", label}
	}
	var p strings.Builder
	for _, name := range names {
		p.WriteString("/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(name))
	}
	return p.String()
}

func writeJSON(w http.ResponseWriter, status int, contentType string, body any) {
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(body) // the client may be gone
}
