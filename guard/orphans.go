package guard

import (
	"cmp"
	"context"
	"fmt"

	"s3gate/s3client"
)

// The IDs of the lifecycle rules that are ours.
const (
	RuleOrphanParts = "s3gate-abort-multipart"
	RuleNoncurrent  = "s3gate-expire-noncurrent"
)

const defaultAbortDays = 7

// lookOrphanParts is about uploads that were begun and never completed, whose
// parts cost and are not in any listing of objects.
func lookOrphanParts(ctx context.Context, b *s3client.Bucket, w *Want) (look, error) {
	r := expiry{
		rule: s3client.LifecycleRule{ID: RuleOrphanParts, AbortDays: cmp.Or(w.AbortDays, defaultAbortDays)},
		days: func(r s3client.LifecycleRule) int { return r.AbortDays }, what: "parts of uploads go",
	}
	return r.look(ctx, b)
}

func lookNoncurrent(ctx context.Context, b *s3client.Bucket, w *Want) (look, error) {
	r := expiry{
		rule: s3client.LifecycleRule{ID: RuleNoncurrent, NoncurrentDays: w.NoncurrentDays},
		days: func(r s3client.LifecycleRule) int { return r.NoncurrentDays }, what: "old versions go",
	}
	return r.look(ctx, b)
}

// expiry is a lifecycle rule of ours and what it is for.
type expiry struct {
	rule s3client.LifecycleRule
	days func(s3client.LifecycleRule) int
	what string
}

// look finds the shortest time that some rule sets for the whole bucket.
func (e *expiry) look(ctx context.Context, b *s3client.Bucket) (look, error) {
	found, err := b.Lifecycle(ctx)
	if err != nil {
		return look{}, err
	}
	var shortest s3client.LifecycleRule
	for _, r := range found.Rules() {
		if n := e.days(r); r.Enabled && r.Everything && n > 0 && (e.days(shortest) == 0 || n < e.days(shortest)) {
			shortest = r
		}
	}
	rule := e.rule
	rule.Enabled, rule.Everything = true, true
	l := look{
		state: Missing, is: "no rule for the whole bucket", will: e.words(rule),
		apply: func(ctx context.Context) error {
			// Somebody may have changed the rules since they were read.
			now, err := b.Lifecycle(ctx)
			if err != nil {
				return err
			}
			return b.PutLifecycle(ctx, now.With(rule))
		},
	}
	wanted := e.days(rule)
	switch {
	case e.days(shortest) == 0 && wanted == 0:
		return look{state: OK, is: l.is, note: "nobody asked for one"}, nil
	case e.days(shortest) == 0:
	case wanted == 0 || e.days(shortest) <= wanted:
		return look{state: OK, is: e.words(shortest)}, nil
	default:
		l.state, l.is = Weak, e.words(shortest)
	}
	return l, nil
}

func (e *expiry) words(r s3client.LifecycleRule) string {
	return fmt.Sprintf("%s after %d days (rule %s)", e.what, e.days(r), r.ID)
}
