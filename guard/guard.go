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
	after, err := policy.Merge(before, ours)
	if err != nil {
		return Plan{}, fmt.Errorf("merging into the bucket's policy: %w", err)
	}
	return Plan{before, after}, nil
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

// Changes reports whether there is anything to do.
func (p *Plan) Changes() bool { return !bytes.Equal(p.Before, p.After) }

// Diff shows a person what would change.
func (p *Plan) Diff() string { return policy.Diff(p.Before, p.After) }

// ErrChanged is returned by [Plan.Apply] when somebody has changed the policy
// since the plan was made, which would undo what they did.
var ErrChanged = errors.New("the bucket policy has changed meanwhile")

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
