package gate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"s3gate/events"
	"s3gate/guard"
	"s3gate/guard/leakwatch"
	"s3gate/policy"
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
	q := tokens.Query{Limit: 100}
	switch action {
	case leakwatch.Lock:
		return nil, g.lockForLeak(ctx, f.Bucket, dry)
	case leakwatch.RevokeKey:
		if f.Key == "" || f.Kind == leakwatch.Shared || f.Kind == leakwatch.Canary {
			return nil, errors.New("the finding is about no object that was asked for past the gate")
		}
		q.Bucket, q.Prefix = f.Bucket, f.Key
		q.Match = func(grant *tokens.Grant) bool { return grant.Key == f.Key && !grant.Canary }
	case leakwatch.RevokeSubject:
		if f.Subject == "" {
			return nil, errors.New("the finding is about no subject")
		}
		q.Subject = f.Subject
		q.Match = func(grant *tokens.Grant) bool { return !grant.Canary }
	case leakwatch.RevokeToken:
		if f.Token == "" || f.Kind == leakwatch.Canary {
			return nil, errors.New("the finding is about no token that works")
		}
		return g.revokeForLeak(ctx, tokens.ID(f.Token), f, dry, nil)
	}
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

// savedPoliciesKey is where the policies are that were there before a lock, the last
// ten of each bucket.
const savedPoliciesKey = "s3g:{leaks}:policies:"

// savedPolicy is one of them.
type savedPolicy struct {
	At     time.Time `json:"at"`
	Policy string    `json:"policy"` // "" if there was none
}

// lockForLeak locks a bucket and proves it. One that has a lock keeps it as it is,
// with those whom it exempts.
func (g *Gate) lockForLeak(ctx context.Context, alias string, dry bool) error {
	bucket, c := g.buckets[alias], g.cfg.Buckets[alias]
	if bucket == nil {
		return fmt.Errorf("%q is not a bucket of this gate", alias)
	}
	opts := policy.LockOptions{Bucket: bucket.Name(), DenyOldSignatures: true, RequireTLS: bucket.Secure()}
	if c.Signing == "query" {
		if !strings.HasPrefix(c.Principal, "arn:") {
			return errors.New("the gate signs in the URL, and without buckets.*.principal a lock would shut it out")
		}
		opts.ExemptRoles = []string{c.Principal}
	}
	plan, err := guard.Lock(ctx, bucket, opts)
	if err != nil {
		return err
	}
	if strings.Contains(string(plan.Before), `"`+policy.SidPrefix+`DenyPresigned"`) {
		return errors.New("it has a lock, which was left as it is")
	}
	if dry {
		return nil
	}
	if err := g.savePolicy(ctx, alias, plan.Before); err != nil {
		return err
	}
	if err := plan.Apply(ctx, bucket); err != nil {
		return err
	}
	report, err := guard.Verify(ctx, bucket, nil)
	g.telling.bus.Emit(events.BucketLocked, "", events.Locked{Bucket: alias, Author: leakAuthor, Verified: err == nil && report.Locked})
	switch {
	case err != nil:
		return fmt.Errorf("the policy was written, but could not be tried: %w", err)
	case !report.Locked && c.Signing != "query":
		return errors.New("the policy was written, but the bucket is NOT locked")
	}
	return nil
}

func (g *Gate) savePolicy(ctx context.Context, alias string, before []byte) error {
	raw, err := json.Marshal(savedPolicy{At: time.Now().UTC(), Policy: string(before)})
	if err == nil {
		_, err = g.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
			p.LPush(ctx, savedPoliciesKey+alias, raw)
			p.LTrim(ctx, savedPoliciesKey+alias, 0, 9)
			return nil
		})
	}
	if err != nil {
		return fmt.Errorf("keeping the policy as it was: %w", err)
	}
	return nil
}
