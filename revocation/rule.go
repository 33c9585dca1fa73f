package revocation

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"s3gate/tokens"
)

// Position is a place in the revocation log: how much of it somebody has
// seen. The zero Position is before everything.
type Position struct {
	// Gen counts the lives of the log: it grows when Redis has restarted or
	// another server has taken over.
	Gen int64 `json:"gen"`
	// Seq counts the entries.
	Seq int64 `json:"seq"`
}

// Before reports whether p is earlier than q.
func (p Position) Before(q Position) bool {
	return p.Gen < q.Gen || p.Gen == q.Gen && p.Seq < q.Seq
}

// Rule takes permission back from every grant that it covers. Of the fields
// that select, those that are set must all match; one at least is set.
type Rule struct {
	// ID names the rule; filled when it is appended.
	ID string `json:"id"`

	// Token is one token.
	Token tokens.ID `json:"token,omitempty"`
	// Subject, Issuer: for whom the token was made, and which JWT issuer's
	// caller made it.
	Subject string `json:"subject,omitempty"`
	Issuer  string `json:"issuer,omitempty"`
	// Labels must all be in the grant's.
	Labels map[string]string `json:"labels,omitempty"`
	// Bucket is the alias, and Prefix begins the key; a Prefix needs a Bucket.
	Bucket string `json:"bucket,omitempty"`
	Prefix string `json:"prefix,omitempty"`
	// IssuedBefore covers grants that were minted earlier, by Redis time.
	IssuedBefore time.Time `json:"issued_before,omitzero"`
	// All covers everything.
	All bool `json:"all,omitempty"`

	// Standing makes the rule cover later grants too, and refuse their
	// minting, until it is lifted. Others cover what was minted before them.
	Standing bool `json:"standing,omitempty"`

	// Author and Reason are kept with the rule, and At is when it was made, by
	// Redis time.
	Author string    `json:"author,omitempty"`
	Reason string    `json:"reason,omitempty"`
	At     time.Time `json:"at,omitzero"`
	// Position is the rule's place in the log.
	Position Position `json:"position,omitzero"`

	// Version grows with each change, of which the only one is to be lifted.
	Version int64 `json:"version"`
	// LiftedAt, LiftedBy and LiftReason are set when the rule holds no more.
	LiftedAt   time.Time `json:"lifted_at,omitzero"`
	LiftedBy   string    `json:"lifted_by,omitempty"`
	LiftReason string    `json:"lift_reason,omitempty"`
	// Change makes this a change of a token's grant, and no revocation.
	Change *Change `json:"change,omitempty"`
	// Until is when no grant can live any more that the rule covers, so that it
	// may be forgotten; zero means never.
	Until time.Time `json:"until,omitzero"`
}

// Lifted reports whether the rule holds no more.
func (r *Rule) Lifted() bool { return !r.LiftedAt.IsZero() }

// over reports whether nothing can live any more that the rule covers.
func (r *Rule) over(now time.Time, longest time.Duration) bool {
	if r.Until.IsZero() || !now.After(r.Until) {
		return false
	}
	return r.Token != "" || now.After(r.At.Add(longest+afterlife)) // whoever made it may not have known of longer lives
}

// Covers reports whether the rule takes the grant's permission back.
func (r *Rule) Covers(g *tokens.Grant) bool {
	return !r.Lifted() && (r.Standing || Position{g.RevGen, g.RevSeq}.Before(r.Position)) && r.selects(g)
}

// CoversTransfer reports whether the rule stops a transfer. One whose grant is
// not known yet asks by itself, and is stopped here only by its token's name.
func (r *Rule) CoversTransfer(t *Transfer) bool {
	if g := t.Grant(); g != nil {
		return r.Covers(g)
	}
	return r.Token != "" && r.Token == t.Token && !r.Lifted()
}

// Refuses reports whether the rule forbids to mint the grant.
func (r *Rule) Refuses(g *tokens.Grant) bool { return r.Standing && !r.Lifted() && r.selects(g) }

// selects reports whether all fields that are set match.
func (r *Rule) selects(g *tokens.Grant) bool {
	switch {
	case r.Token != "" && r.Token != g.ID,
		r.Subject != "" && r.Subject != g.Subject,
		r.Issuer != "" && r.Issuer != g.Issuer,
		r.Bucket != "" && r.Bucket != g.Bucket,
		!r.selectsKey(g),
		!r.IssuedBefore.IsZero() && !g.IssuedAt.Before(r.IssuedBefore):
		return false
	}
	for name, value := range r.Labels {
		if v, ok := g.Labels[name]; !ok || v != value {
			return false
		}
	}
	return r.selective() || r.All
}

// selectsKey also finds a grant for a prefix that has keys in common with the
// rule's.
func (r *Rule) selectsKey(g *tokens.Grant) bool {
	if g.Prefix != "" {
		return strings.HasPrefix(g.Prefix, r.Prefix) || strings.HasPrefix(r.Prefix, g.Prefix)
	}
	return strings.HasPrefix(g.Key, r.Prefix)
}

func (r *Rule) selective() bool {
	return r.Token != "" || r.Subject != "" || r.Issuer != "" || len(r.Labels) > 0 || r.Bucket != "" || !r.IssuedBefore.IsZero()
}

// ErrRule is returned, wrapped, for a rule that cannot be.
var ErrRule = errors.New("malformed revocation rule")

// The limits of a rule's texts, in bytes.
const (
	maxText   = 1024
	maxLabels = 16
)

// Validate checks what the author of a rule sets. Errors wrap [ErrRule], and
// are a [*tokens.FieldError] that is fit for the author.
func (r *Rule) Validate() error {
	bad := func(field, format string, args ...any) error {
		return fmt.Errorf("%w: %w", ErrRule, &tokens.FieldError{Field: field, Problem: fmt.Sprintf(format, args...)})
	}
	switch {
	case r.Prefix != "" && r.Bucket == "":
		return bad("prefix", "needs a bucket")
	case r.All && r.selective():
		return bad("all", "excludes every other selection")
	case !r.All && !r.selective():
		return bad("all", "is required to revoke everything; else name a token, subject, issuer, label, bucket or time")
	case len(r.Labels) > maxLabels:
		return bad("labels", "has %d entries, at most %d are allowed", len(r.Labels), maxLabels)
	case !r.IssuedBefore.IsZero() && r.IssuedBefore.Unix() < 0:
		return bad("issued_before", "must not be before 1970")
	}
	if r.Token != "" {
		if _, err := tokens.ParseID(string(r.Token)); err != nil {
			return bad("token", "must be a token's ID")
		}
	}
	texts := map[string]string{
		"subject": r.Subject, "issuer": r.Issuer, "bucket": r.Bucket, "prefix": r.Prefix, "reason": r.Reason,
	}
	for name, value := range r.Labels {
		texts["labels"] += name + value
	}
	for field, text := range texts {
		if len(text) > maxText*2 || len(text) > maxText && field != "labels" {
			return bad(field, "is %d bytes long, at most %d are allowed", len(text), maxText)
		}
		if !utf8.ValidString(text) || field != "prefix" && strings.ContainsFunc(text, unicode.IsControl) {
			return bad(field, "must be UTF-8 without control characters")
		}
	}
	return nil
}
