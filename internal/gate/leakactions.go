package gate

import (
	"context"
	"errors"
	"fmt"

	"s3gate/guard/leakwatch"
	"s3gate/revocation"
	"s3gate/tokens"
)

// leakAuthor is who revokes and locks for the watch.
const leakAuthor = "leakwatch"

// maxRevoked is how many tokens one action revokes at most.
const maxRevoked = 1000

// leakAction does one thing about a finding. A dry run says which tokens it would
// revoke, and locks nothing.
func (g *Gate) leakAction(ctx context.Context, action leakwatch.Action, f *leakwatch.Finding, dry bool) (revoked []string, err error) {
	switch action {
	case leakwatch.Lock:
		return nil, g.lockForLeak(ctx, f.Bucket, dry)
	case leakwatch.RevokeKey:
		if f.Key == "" || f.Kind == leakwatch.Shared || f.Kind == leakwatch.Canary {
			return nil, errors.New("the finding is about no object that was asked for past the gate")
		}
		match := func(grant *tokens.Grant) bool { return grant.Key == f.Key && !grant.Canary }
		for _, alias := range g.cfg.LeakAliases(f) { // the object is behind each of them
			if revoked, err = g.revokeAll(ctx, tokens.Query{Bucket: alias, Prefix: f.Key, Match: match}, f, dry, revoked); err != nil {
				return revoked, err
			}
		}
		return revoked, nil
	case leakwatch.RevokeSubject:
		if f.Subject == "" {
			return nil, errors.New("the finding is about no subject")
		}
		match := func(grant *tokens.Grant) bool { return !grant.Canary }
		return g.revokeAll(ctx, tokens.Query{Subject: f.Subject, Match: match}, f, dry, nil)
	case leakwatch.RevokeToken:
		if f.Token == "" || f.Kind == leakwatch.Canary {
			return nil, errors.New("the finding is about no token that works")
		}
		return g.revokeForLeak(ctx, tokens.ID(f.Token), f, dry, nil)
	}
	return nil, fmt.Errorf("%q is no action", action)
}

// revokeAll revokes every token that q finds, page by page, and adds them to those
// that were revoked before.
func (g *Gate) revokeAll(ctx context.Context, q tokens.Query, f *leakwatch.Finding, dry bool, revoked []string) ([]string, error) {
	q.Limit = 100
	for {
		page, err := g.store.List(ctx, q)
		if err != nil {
			return revoked, err
		}
		for _, t := range page.Tokens {
			if t.State == tokens.Revoked || t.State == tokens.Expired {
				continue
			}
			if len(revoked) == maxRevoked {
				return revoked, fmt.Errorf("more than %d tokens: the others still work", maxRevoked)
			}
			if revoked, err = g.revokeForLeak(ctx, t.ID, f, dry, revoked); err != nil {
				return revoked, err
			}
		}
		if q.Cursor = page.Next; q.Cursor == "" {
			return revoked, nil
		}
	}
}

func (g *Gate) revokeForLeak(ctx context.Context, id tokens.ID, f *leakwatch.Finding, dry bool, revoked []string) ([]string, error) {
	if !dry {
		reason := fmt.Sprintf("%s: %s, %s", f.ID, f.Kind, f.Outcome)
		if _, err := g.revoker().Revoke(ctx, revocation.Rule{Token: id, Author: leakAuthor, Reason: reason}); err != nil {
			return revoked, fmt.Errorf("revoking %s: %w", id, err)
		}
	}
	return append(revoked, string(id)), nil
}
