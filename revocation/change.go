package revocation

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"s3gate/tokens"
)

// Change is what has become of a grant since it was minted. It travels in the
// log as a rule that covers nothing, and of which the version is the grant's: so
// gates that know nothing of changes only forget what they keep of the token, as
// they do for a rule that was lifted.
type Change struct {
	// ExpiresAt is when the token expires now, and Labels are all its labels.
	ExpiresAt time.Time         `json:"expires_at"`
	Labels    map[string]string `json:"labels,omitempty"`
}

// changeID is the same for all changes of a token: the last one counts.
func changeID(id tokens.ID) string { return "chg_" + strings.TrimPrefix(string(id), "tok_") }

// of returns the grant as it is by the change.
func (c *Change) of(g *tokens.Grant, version int64) *tokens.Grant {
	changed := *g
	changed.ExpiresAt, changed.Labels, changed.Version = c.ExpiresAt, c.Labels, version
	return &changed
}

// Change makes a grant count on every gate that was changed in the store, and
// returns when it does: what gates keep of the token is forgotten, and its
// transfers that run have the new expiry and labels. Errors: a tokens.ErrUnproven
// that is an [*UnprovenError] without a rule.
func (r *Revoker) Change(ctx context.Context, from, to *tokens.Grant, author string) (Receipt, error) {
	begin := time.Now()
	rule := Rule{
		ID: changeID(to.ID), Version: to.Version, Token: to.ID, Author: author,
		Change: &Change{to.ExpiresAt, to.Labels},
	}
	receipt, err := r.change(ctx, &rule, from, begin)
	r.tell(rule, receipt, err)
	var unproven *UnprovenError
	if errors.As(err, &unproven) {
		unproven.Rule = "" // it is none that anybody could ask for
	}
	receipt.ID = ""
	return receipt, err
}

func (r *Revoker) change(ctx context.Context, rule *Rule, from *tokens.Grant, begin time.Time) (Receipt, error) {
	now, err := r.Now(ctx)
	if err != nil {
		// The store has the change, and only gates that ask it know of it.
		return Receipt{}, rule.at(MaybeMade, fmt.Errorf("%w: %w", tokens.ErrUnproven, err))
	}
	rule.At, rule.LiftedAt, rule.Until = now, now, from.ExpiresAt.Add(afterlife)
	if forgotten := now.Add(r.MaxAway + time.Hour); r.MaxAway > 0 && forgotten.Before(rule.Until) {
		rule.Until = forgotten
	}
	return r.announce(ctx, rule, begin)
}

// Change gives the running transfers of a token what has become of its grant, and
// stops those that a rule covers now. It returns as [Transfers.Cut] does.
func (ts *Transfers) Change(r *Rule) (stopped int, late []string) {
	for _, t := range ts.matching(func(t *Transfer) bool { return t.Token == r.Token }) {
		t.change(r)
	}
	if ts.Gate == nil {
		return 0, nil
	}
	rules := ts.Gate.Rules()
	return ts.Cut(func(t *Transfer) bool {
		g := t.Grant()
		return t.Token == r.Token && g != nil && rules.Covers(g) != nil
	})
}

// change may come before the grant is known, which then was asked for before.
func (t *Transfer) change(r *Rule) {
	t.ending.Lock()
	defer t.ending.Unlock()
	if t.changed == nil || t.changed.Version < r.Version {
		t.changed = r
	}
	if g := t.given; g != nil {
		t.grant.Store(t.current(g))
	}
	t.arm()
}

// current is the grant as it is by what is known of changes.
func (t *Transfer) current(g *tokens.Grant) *tokens.Grant {
	if c := t.changed; c != nil && g.Version < c.Version {
		return c.Change.of(g, c.Version)
	}
	return g
}

// know notes what permits the transfer.
func (t *Transfer) know(g *tokens.Grant) *tokens.Grant {
	t.ending.Lock()
	defer t.ending.Unlock()
	t.given = g
	g = t.current(g)
	t.grant.Store(g)
	return g
}

// arm sets the timer of a transfer that ends with its token: by how much the
// token now expires earlier than when its end was told, it ends earlier.
func (t *Transfer) arm() {
	if t.timer == nil || t.given == nil || t.state.Load() != running {
		return
	}
	t.timer.Reset(max(0, time.Until(t.until)+t.current(t.given).ExpiresAt.Sub(t.given.ExpiresAt)))
}
