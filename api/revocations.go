package api

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"slices"
	"strings"

	"s3gate/revocation"
	"s3gate/tokens"
)

// decodeRevoke reads a request to revoke. A field that is there without a
// value is an error, since somebody's variable was not set, and a selection
// without it would take more than they meant.
func decodeRevoke(r io.Reader) (*RevokeRequest, error) {
	var raw bytes.Buffer
	req := new(RevokeRequest)
	if err := decode(io.TeeReader(r, &raw), req); err != nil {
		return nil, err
	}
	var given map[string]json.RawMessage
	if err := json.Unmarshal(raw.Bytes(), &given); err != nil {
		return nil, bodyError("is not a valid JSON object")
	}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if name == "reason" {
			continue // it selects nothing
		}
		if value := string(given[name]); value == "null" || value == `""` || name == "labels" && len(req.Labels) == 0 {
			return nil, &tokens.FieldError{Field: name, Problem: "must not be empty; leave it out if it is not to select"}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(req.Labels)) {
		if req.Labels[name] == nil {
			return nil, &tokens.FieldError{Field: "labels." + clip(name), Problem: "must be a string, got a JSON null"}
		}
	}
	return req, nil
}

// rule turns the request into a rule, which is valid. The bucket must be an
// alias: one that is mistyped would revoke nothing and say that it is done.
func (h *Handler) rule(req *RevokeRequest) (revocation.Rule, error) {
	r := revocation.Rule{
		Token: tokens.ID(req.Token), Subject: req.Subject, Issuer: req.Issuer, Bucket: req.Bucket, Prefix: req.Prefix,
		All: req.All, Standing: req.Standing, Reason: req.Reason,
	}
	for name, value := range req.Labels {
		if r.Labels == nil {
			r.Labels = map[string]string{}
		}
		r.Labels[name] = *value
	}
	var err error
	if r.IssuedBefore, err = parseTime("issued_before", req.IssuedBefore); err != nil {
		return r, err
	}
	if r.Bucket != "" && !slices.Contains(h.cfg.Buckets, r.Bucket) {
		return r, &tokens.FieldError{Field: "bucket", Problem: "is not an alias of this gate"}
	}
	return r, r.Validate()
}

func (h *Handler) revokeBy(c *call) (int, any, error) {
	req, err := decodeRevoke(c.Body)
	if err != nil {
		return 0, nil, err
	}
	rule, err := h.rule(req)
	if err != nil {
		return 0, nil, err
	}
	if err := h.mayRule(c, &rule); err != nil {
		return 0, nil, err
	}
	if req.DryRun {
		found, err := h.dryRun(c, &rule)
		return http.StatusOK, found, err
	}
	rule.Author = c.caller.Subject
	receipt, err := h.cfg.Revoker.Revoke(c.Context(), rule)
	return http.StatusOK, receipt, err
}

// mayRule asks whether the caller may make or lift a rule: it must select
// nothing that the caller may not revoke.
func (h *Handler) mayRule(c *call, r *revocation.Rule) error {
	switch {
	case c.caller.Rules(r.Issuer, r.Bucket):
		return nil
	case r.Token != "":
		_, err := h.find(c, r.Token, true)
		return err
	}
	return denied("issuer", "or bucket must be one in which the bearer JWT may revoke by rule")
}

// seesRule reports whether the caller may see a rule. Those of single tokens are
// for callers who see every token; others see what became of a token with it.
func (c *call) seesRule(r *revocation.Rule) bool {
	return c.caller.SeesAll() || r.Token == "" && c.caller.SeesRule(r.Issuer, r.Bucket)
}

// reach is the answer to a dry run: what the rule would hit.
type reach struct {
	DryRun bool `json:"dry_run"`
	// Tokens are those that work, or will, and that the rule would end;
	// Transfers those that run on this gate.
	Tokens    int `json:"tokens"`
	Transfers int `json:"transfers"`
	// Scanned tokens were looked at, and Complete says that those were all
	// that have not expired.
	Scanned  int  `json:"scanned"`
	Complete bool `json:"complete"`
	// Examples are some of the tokens, as far as the caller may see them.
	Examples []hit `json:"examples,omitempty"`
}

// hit is a token that a rule would end.
type hit struct {
	ID        tokens.ID        `json:"id"`
	Operation tokens.Operation `json:"operation"`
	Bucket    string           `json:"bucket"`
	Key       string           `json:"key,omitempty"`
	Prefix    string           `json:"prefix,omitempty"`
	Subject   string           `json:"subject,omitempty"`
}

// maxExamples bounds how many tokens a dry run names.
const maxExamples = 20

// maxDryRun bounds how many tokens a dry run looks at.
const maxDryRun = 100_000

func (h *Handler) dryRun(c *call, rule *revocation.Rule) (reach, error) {
	if err := h.cfg.Member.Lease(); err != nil {
		return reach{}, err // what others have revoked would be counted
	}
	// As if it were made after everything that there is.
	rule.Position = revocation.Position{Gen: math.MaxInt64}
	found := reach{DryRun: true, Transfers: len(h.cfg.Transfers.Running(rule.CoversTransfer))}
	if rule.Token != "" {
		status, err := h.cfg.Tokens.Show(c.Context(), rule.Token)
		if err != nil {
			return reach{}, err
		}
		h.count(c, &found, rule, []tokens.Status{status})
		found.Complete = true
		return found, nil
	}
	for q := (tokens.Query{Limit: maxPage}); ; {
		page, err := h.cfg.Tokens.List(c.Context(), q)
		if err != nil {
			return reach{}, err
		}
		found.Complete = h.count(c, &found, rule, page.Tokens) || page.Next == ""
		if q.Cursor = page.Next; found.Complete || found.Scanned >= maxDryRun {
			return found, nil
		}
	}
}

// count adds the tokens that the rule would end. It reports whether it has
// come to those that have expired, after which there are no others.
func (h *Handler) count(c *call, found *reach, rule *revocation.Rule, page []tokens.Status) (expired bool) {
	rules := h.cfg.Member.Rules()
	for i := range page {
		st := &page[i]
		found.Scanned++
		switch {
		case st.State == tokens.Expired:
			return true
		case st.State != tokens.Active && st.State != tokens.Pending, rules.Covers(&st.Grant) != nil:
		case rule.Covers(&st.Grant):
			found.Tokens++
			if g := &st.Grant; len(found.Examples) < maxExamples && c.caller.Sees(origin(g)) {
				found.Examples = append(found.Examples, hit{st.ID, g.Operation, g.Bucket, g.Key, g.Prefix, g.Subject})
			}
		}
	}
	return false
}

// The states of a rule.
const (
	ruleActive = "active"
	ruleLifted = "lifted"
)

// shownRule is a rule as the API shows it.
type shownRule struct {
	*revocation.Rule
	State string `json:"state"`
}

func show(r *revocation.Rule) shownRule {
	if r.Lifted() {
		return shownRule{r, ruleLifted}
	}
	return shownRule{r, ruleActive}
}

// rulePage is the answer to GET /v1/revocations.
type rulePage struct {
	Revocations []shownRule `json:"revocations"`
	// Next is the cursor of the next page; absent on the last.
	Next string `json:"next,omitempty"`
}

// defaultPage is how many rules a page holds if the caller does not say.
const defaultPage = 50

func (h *Handler) revocations(c *call) (int, any, error) {
	state := c.query.Get("state")
	if c.query.Has("state") && state != ruleActive && state != ruleLifted {
		return 0, nil, &tokens.FieldError{Field: "state", Problem: "must be active or lifted"}
	}
	limit, err := readLimit(c.query)
	if err != nil {
		return 0, nil, err
	}
	after, err := readRuleCursor(c.query.Get("cursor"))
	if err != nil {
		return 0, nil, blameCursor(err)
	}
	if err := h.cfg.Member.Lease(); err != nil {
		return 0, nil, err // there may be others
	}
	page := rulePage{Revocations: []shownRule{}}
	limit = cmp.Or(limit, defaultPage)
	for _, r := range h.cfg.Member.Rules().All() {
		shown := show(r)
		if !after.passed(r) || state != "" && state != shown.State || !c.seesRule(r) {
			continue
		}
		if len(page.Revocations) == limit {
			page.Next = ruleCursorOf(page.Revocations[limit-1].Rule).String()
			break
		}
		page.Revocations = append(page.Revocations, shown)
	}
	return http.StatusOK, page, nil
}

// ruleCursor is the place of the last rule of a page. It also serves when that
// has been forgotten meanwhile. The zero ruleCursor is before all.
type ruleCursor struct {
	revocation.Position
	id string
}

func ruleCursorOf(r *revocation.Rule) ruleCursor { return ruleCursor{r.Position, r.ID} }

// String is the form in which callers get it.
func (c ruleCursor) String() string {
	return base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "%d %d %s", c.Gen, c.Seq, c.id))
}

func readRuleCursor(text string) (c ruleCursor, err error) {
	if text == "" {
		return c, nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return c, tokens.ErrCursor
	}
	if _, err := fmt.Sscanf(string(raw), "%d %d %s", &c.Gen, &c.Seq, &c.id); err != nil || c.String() != text {
		return c, tokens.ErrCursor
	}
	return c, nil
}

// passed reports whether a rule comes after the cursor, where the latest come
// first.
func (c ruleCursor) passed(r *revocation.Rule) bool {
	return c.id == "" || r.Position.Before(c.Position) || r.Position == c.Position && strings.Compare(r.ID, c.id) < 0
}

func (h *Handler) revocation(c *call) (int, any, error) {
	if err := h.cfg.Member.Lease(); err != nil {
		return 0, nil, err // what is not known here may be there
	}
	r := h.cfg.Member.Rules().Rule(c.PathValue("id"))
	if r == nil || !c.seesRule(r) {
		return 0, nil, revocation.ErrNoRule
	}
	return http.StatusOK, show(r), nil
}

func (h *Handler) lift(c *call) (int, any, error) {
	reason, err := c.reason()
	if err != nil {
		return 0, nil, err
	}
	if err := h.cfg.Member.Lease(); err != nil {
		return 0, nil, err
	}
	if err := h.mayLift(c, c.PathValue("id")); err != nil {
		return 0, nil, err
	}
	receipt, err := h.cfg.Revoker.Lift(c.Context(), c.PathValue("id"), c.caller.Subject, reason)
	return http.StatusOK, receipt, err
}

// mayLift asks whether the caller may lift a rule. What the caller may not even
// see is not there.
func (h *Handler) mayLift(c *call, id string) error {
	if c.caller.RevokesAll() {
		return nil
	}
	r := h.cfg.Member.Rules().Rule(id)
	switch {
	case r == nil:
		return revocation.ErrNoRule
	case r.Token == "" && c.caller.Rules(r.Issuer, r.Bucket):
		return nil
	case c.seesRule(r):
		return errNoRight
	}
	return revocation.ErrNoRule
}
