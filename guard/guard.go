// Package guard locks a bucket against presigned URLs, takes the lock off,
// and proves which of the two holds.
//
// A lock is a few statements in the bucket's policy, merged by their Sid into
// whatever is there. The invariants: nobody else's statement is touched; no
// statement of ours denies anybody the bucket policy itself; and a bucket is
// called locked only after [Verify] has seen S3 refuse real presigned
// requests, since some stores take a policy and do not apply it.
package guard

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"s3gate/policy"
)

// Settings reads and writes a bucket's policy; [s3client.Bucket] is one.
type Settings interface {
	// Policy returns nil if there is none.
	Policy(ctx context.Context) ([]byte, error)
	PutPolicy(ctx context.Context, document []byte) error
	DeletePolicy(ctx context.Context) error
}

// Plan is a change of a bucket's policy that has not been made yet.
type Plan struct {
	// Before and After are the whole documents; nil means no policy.
	Before, After []byte
}

// Lock plans to lock a bucket: the statements of opts are merged into its
// policy. Locking twice changes nothing.
func Lock(ctx context.Context, s Settings, opts policy.LockOptions) (Plan, error) {
	ours, err := policy.LockStatements(opts)
	if err != nil {
		return Plan{}, err
	}
	before, err := s.Policy(ctx)
	if err != nil {
		return Plan{}, err
	}
	return merge(before, ours)
}

// Unlock plans to take every statement of ours out.
func Unlock(ctx context.Context, s Settings) (Plan, error) {
	before, err := s.Policy(ctx)
	if err != nil || before == nil {
		return Plan{}, err
	}
	after, err := policy.Remove(before)
	if err != nil {
		return Plan{}, fmt.Errorf("taking the lock out of the bucket's policy: %w", err)
	}
	return Plan{before, after}, nil
}

// Tighten is [Lock] for an emergency: statements of ours that are there and that
// opts does not ask for stay, and those that it asks for go on refusing what they
// refused, so that nothing becomes weaker but what [Plan.Weaker] says: statements
// that somebody has given another form.
func Tighten(ctx context.Context, s Settings, opts policy.LockOptions) (Plan, error) {
	ours, err := policy.LockStatements(opts)
	if err != nil {
		return Plan{}, err
	}
	before, err := s.Policy(ctx)
	if err != nil {
		return Plan{}, err
	}
	// What cannot be read is replaced.
	if there, err := policy.Ours(before); err == nil {
		ours = policy.Keep(there, ours)
	}
	return merge(before, ours)
}

// Restore plans to put a whole policy back, nil for none, whatever is there now.
func Restore(ctx context.Context, s Settings, document []byte) (Plan, error) {
	before, err := s.Policy(ctx)
	if err != nil {
		return Plan{}, err
	}
	if samePolicy(before, document) {
		return Plan{before, before}, nil
	}
	return Plan{before, document}, nil
}

func merge(before []byte, ours []policy.Statement) (Plan, error) {
	after, err := policy.Merge(before, ours)
	if err != nil {
		return Plan{}, fmt.Errorf("merging into the bucket's policy: %w", err)
	}
	return Plan{before, after}, nil
}

// Changes reports whether there is anything to do.
func (p *Plan) Changes() bool { return !bytes.Equal(p.Before, p.After) }

// Diff shows a person what would change.
func (p *Plan) Diff() string { return policy.Diff(p.Before, p.After) }

// Weaker says, a line each, what statements of ours would refuse no longer, or
// refuse to fewer; see [policy.Weaker].
func (p *Plan) Weaker() []string {
	was, err := policy.Ours(p.Before)
	if err != nil {
		return []string{"what is there of ours cannot be read, so it may become weaker: " + err.Error()}
	}
	will, err := policy.Ours(p.After)
	if err != nil {
		return []string{"what would be there of ours cannot be read: " + err.Error()}
	}
	return policy.Weaker(was, will)
}

// ErrChanged is returned by [Plan.Apply] when somebody has changed the policy
// since the plan was made, which would undo what they did.
var ErrChanged = errors.New("the bucket policy has changed meanwhile")

// ErrNotKept is returned when the policy was changed as planned and could not be
// saved then: that it was so for a while will not be in the [History].
var ErrNotKept = errors.New("the policy was changed as planned, and was not saved")

// Apply makes the change, if the policy is still the one that was planned on.
// S3 has no conditional write of a policy, so a change by somebody else within
// the same moment is still lost. Errors: [ErrChanged] and those of s.
func (p *Plan) Apply(ctx context.Context, s Settings) error {
	if !p.Changes() {
		return nil
	}
	now, err := s.Policy(ctx)
	switch {
	case err != nil:
		return err
	case !bytes.Equal(now, p.Before):
		return ErrChanged
	case p.After == nil:
		return s.DeletePolicy(ctx)
	}
	return s.PutPolicy(ctx, p.After)
}

// ApplyKept is [Plan.Apply], and saves the policy that is there before, without
// which nothing is changed, and the new one when it is there. Errors also:
// [ErrNotKept].
func (p *Plan) ApplyKept(ctx context.Context, s Settings, h History) error {
	if !p.Changes() {
		return nil
	}
	if err := h.Save(p.Before); err != nil {
		return fmt.Errorf("nothing was changed: %w", err)
	}
	if err := p.Apply(ctx, s); err != nil {
		return err
	}
	if err := h.Save(p.After); err != nil {
		return fmt.Errorf("%w: %w", ErrNotKept, err)
	}
	return nil
}
