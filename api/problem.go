package api

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"

	"s3gate/auth"
	"s3gate/events"
	"s3gate/guard/leakwatch"
	"s3gate/guard/rounds"
	"s3gate/revocation"
	"s3gate/tokens"
)

var (
	errForbidden  = errors.New("caller is not an admin")
	errNoRight    = errors.New("no rule gives the caller the right")
	errNoRoute    = errors.New("no such route")
	errNoStream   = errors.New("no stream of events")
	errNoWebhooks = errors.New("no webhooks")
	errNoLeaks    = errors.New("no leak watch")
	errMethod     = errors.New("method not allowed")
	errStanding   = errors.New("a standing revocation forbids the grant")
	errIdent      = errors.New("malformed token ID")
	errNoMatch    = errors.New("change without If-Match")
	errChanged    = errors.New("token was changed while it was reissued")
	errAllInUse   = errors.New("all that is left of the token is in use")
	errDoubt      = errors.New("a rule may have covered the token by a label that it has lost")
	errCovered    = errors.New("a rule covers the token")
	// ErrDraining is for Config.Ready of a gate that is shutting down.
	ErrDraining = errors.New("gate is shutting down")
)

// tooLargeError is a body of more bytes than the limit.
type tooLargeError struct{ limit int64 }

func (e *tooLargeError) Error() string { return "request body too large" }

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
	// Given is what it had, shortened, and Allowed what it may have, in words;
	// for an unknown name the nearest that there is.
	Given   string `json:"given,omitempty"`
	Allowed string `json:"allowed,omitempty"`
	// Limit is the name of the setting below api.limits that refused the request;
	// Allowed is its value then.
	Limit string `json:"limit,omitempty"`
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
	{errNoStream, http.StatusNotFound, "This gate keeps no events: events.stream.max_len is 0."},
	{errNoWebhooks, http.StatusNotFound, "This gate has no webhooks."},
	{errNoGuard, http.StatusNotFound, "This gate verifies no buckets."},
	{errNoAudit, http.StatusNotFound, "This gate looks at no buckets."},
	{errStore, http.StatusServiceUnavailable, "The storage does not answer. Ask again."},
	{errNoBucket, http.StatusNotFound, "There is no such bucket."},
	{rounds.ErrBucket, http.StatusConflict, "This bucket is not verified: buckets.{alias}.verify is false."},
	{rounds.ErrBoard, http.StatusServiceUnavailable, "Redis cannot be reached. Ask again."},
	{ErrUnlocked, http.StatusServiceUnavailable, "A bucket is not known to be locked. GET /v1/buckets says which, and why."},
	{errNoLeaks, http.StatusNotFound, "This gate watches for no leaks."},
	{errMethod, http.StatusMethodNotAllowed, "This route does not take that method."},
	{errIdent, http.StatusNotFound, "There is no such token. A token's ID looks like tok_ and 26 characters."},
	{tokens.ErrUnknown, http.StatusNotFound, "There is no such token."},
	{errNoMatch, http.StatusPreconditionRequired, "If-Match is required: the ETag of the token, so that nobody's change is lost."},
	{tokens.ErrVersion, http.StatusPreconditionFailed, "The token has been changed since. Ask for it, and send the change with its ETag."},
	{errChanged, http.StatusConflict, "The token was changed while it was being reissued. Nothing was done; ask again."},
	{errAllInUse, http.StatusConflict, "All uses that the token has left are under way. Nothing was done; ask again when one has ended, or revoke the token."},
	{errDoubt, http.StatusConflict, "It could not be shown that no revocation came that means the token by a label which it has lost. So it was revoked."},
	{errCovered, http.StatusConflict, "A revocation covers the token, and would not any more, or not what takes its place. Lift it first."},
	{tokens.ErrReissued, http.StatusConflict, "Another token has taken the place of this one, whose revocation stands."},
	{tokens.ErrRevoked, http.StatusConflict, "The token was revoked."},
	{tokens.ErrExpired, http.StatusConflict, "The token has expired."},
	{tokens.ErrUsed, http.StatusConflict, "The token is used up."},
	{tokens.ErrNoSecret, http.StatusBadRequest, "This gate takes no Idempotency-Key, since it has no tokens.mint_secret."},
	{tokens.ErrOtherRequest, http.StatusUnprocessableEntity, "The Idempotency-Key stands for a request that asked for something else."},
	{tokens.ErrUnderWay, http.StatusConflict, "The first request with this Idempotency-Key is being answered. Ask again after Retry-After."},
	{tokens.ErrForgottenSecret, http.StatusConflict, "The Idempotency-Key was used under a tokens.mint_secret that this gate does not have, yet or any more. Ask again, or at another gate."},
	{revocation.ErrRule, http.StatusBadRequest, "The rule cannot be read."},
	{revocation.ErrNoRule, http.StatusNotFound, "There is no such revocation."},
	{revocation.ErrNoTransfer, http.StatusNotFound, "No such transfer runs, on any gate. It may have ended."},
	{errStanding, http.StatusForbidden, "A standing revocation forbids such tokens. Lift it first."},
	{events.ErrNoDead, http.StatusNotFound, "There is no such dead delivery, or its webhook is not configured any more."},
	{events.ErrFollowers, http.StatusServiceUnavailable, "As many follow the events of this gate as may. Ask again, or another gate."},
	{errCrowded, http.StatusServiceUnavailable, "As many follow this gate as may. Ask again, or another gate."},
	{events.ErrStream, http.StatusServiceUnavailable, "Redis cannot be reached. Ask again."},
	{leakwatch.ErrStore, http.StatusServiceUnavailable, "Redis cannot be reached. Ask again."},
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
func (h *Handler) fail(w http.ResponseWriter, err error) {
	p := h.problem(w, err)
	switch p.Status {
	case http.StatusUnauthorized:
		w.Header().Set("WWW-Authenticate", `Bearer realm="s3gate"`)
	case http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", "1")
	case http.StatusTooManyRequests:
		h.tellWhen(w, err)
	}
	if errors.Is(err, tokens.ErrUnderWay) {
		w.Header().Set("Retry-After", "1")
	}
	writeJSON(w, p.Status, "application/problem+json", p)
}

// problem says what err is, and logs it if somebody should know.
func (h *Handler) problem(w http.ResponseWriter, err error) Problem {
	p := Problem{Type: "about:blank", Status: http.StatusInternalServerError, Detail: "Something went wrong here."}
	var field *tokens.FieldError
	if errors.As(err, &field) {
		p.Status, p.Detail, p.Field = http.StatusBadRequest, field.Error(), field.Field
		if errors.Is(err, errNoRight) {
			p.Status = http.StatusForbidden
		}
		p.explain(err)
	} else if header := (*headerError)(nil); errors.As(err, &header) {
		p.Status, p.Detail, p.Field = http.StatusBadRequest, header.Error(), header.name
	} else if large := (*tooLargeError)(nil); errors.As(err, &large) {
		p.Status = http.StatusRequestEntityTooLarge
		p.Detail = "The request body is larger than " + strconv.FormatInt(large.limit, 10) + " bytes."
	} else if limited := (*limitError)(nil); errors.As(err, &limited) {
		p.Status, p.Detail, p.Limit, p.Allowed = http.StatusTooManyRequests, limited.detail, limited.limit, limited.allowed
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
	p.place(err)
	p.Detail, p.Field, p.Pointer = censored(p.Detail), censored(p.Field), censored(p.Pointer)
	p.RequestID = w.Header().Get("X-Request-Id")
	switch {
	case p.Status == http.StatusUnauthorized:
		h.cfg.Logger.Info("api caller refused", "request", p.RequestID, "err", err)
	case p.Status >= 500:
		h.cfg.Logger.Warn("api error", "request", p.RequestID, "err", err)
	}
	p.Title = http.StatusText(p.Status)
	return p
}

// place adds how far a reissue has come, and of which token of a batch the problem
// is.
func (p *Problem) place(err error) {
	var reissue *reissueError
	if errors.As(err, &reissue) {
		p.Rule, p.Outcome, p.Detail = "", revocation.Stage(reissue.stage), reissueStages[reissue.stage]
	}
	var item *tokens.ItemError
	if !errors.As(err, &item) {
		return
	}
	at := "tokens." + strconv.Itoa(item.Item)
	p.Detail = at + ": " + p.Detail
	if p.Pointer == "" {
		p.Pointer = "/tokens/" + strconv.Itoa(item.Item)
	}
	if p.Field == "" || p.Field == bodyField {
		p.Field = at
	} else {
		p.Field = at + "." + p.Field
	}
}

// explain says of the field what is known of it.
func (p *Problem) explain(err error) {
	var told *complaint
	if errors.As(err, &told) {
		p.Pointer, p.Given, p.Allowed = told.pointer, clip(censored(told.given)), told.allowed
	}
}

func writeJSON(w http.ResponseWriter, status int, contentType string, body any) {
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(body) // the client may be gone
}
