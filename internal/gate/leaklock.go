package gate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"s3gate/guard"
	"s3gate/guard/rounds"
	"s3gate/internal/config"
	"s3gate/policy"
	"s3gate/s3client"
)

// errHasLock is a bucket with nothing to lock.
var errHasLock = errors.New("it has a lock, which was left as it is")

// lockForLeak locks a bucket and has it verified, which tells of it. One that has a
// lock keeps it as it is, with those whom it exempts.
func (g *Gate) lockForLeak(ctx context.Context, alias string, dry bool) error {
	bucket := g.buckets[alias]
	if bucket == nil {
		return fmt.Errorf("%q is not a bucket of this gate", alias)
	}
	plan, err := planLeakLock(ctx, bucket, g.cfg.Buckets[alias])
	if err != nil || dry {
		return err
	}
	if err := g.savePolicy(ctx, alias, plan.Before); err != nil {
		return err
	}
	if err := plan.Apply(ctx, bucket); err != nil {
		return err
	}
	return g.proveLeakLock(ctx, alias)
}

// planLeakLock plans the full lock of what the settings say is locked. Nothing that
// a lock refuses already is permitted by that: nobody is there to be asked.
func planLeakLock(ctx context.Context, bucket *s3client.Bucket, c config.Bucket) (guard.Plan, error) {
	opts, err := LockOptions(c, bucket.Region(), bucket.Secure())
	if err != nil {
		return guard.Plan{}, err
	}
	opts.Prefix = c.VerifyPrefix
	before, err := bucket.Policy(ctx)
	if err != nil {
		return guard.Plan{}, err
	}
	there, err := policy.Ours(before)
	if err != nil {
		return guard.Plan{}, err
	}
	opts = asChosen(opts, there)
	full, err := policy.LockStatements(opts)
	if err != nil {
		return guard.Plan{}, err
	}
	if policy.Weaker(full, there) == nil {
		return guard.Plan{}, errHasLock
	}
	plan, err := guard.Tighten(ctx, bucket, opts)
	if err != nil {
		return guard.Plan{}, err
	}
	if weaker := plan.Weaker(); weaker != nil {
		return guard.Plan{}, fmt.Errorf("nothing was changed, for the lock that is there would refuse less: %s", strings.Join(weaker, ", "))
	}
	return plan, nil
}

// asChosen returns the options with what whoever locked the bucket has chosen: who
// is exempt, and whether plain HTTP and old signatures are refused, which stays as
// it is.
func asChosen(o policy.LockOptions, there []policy.Statement) policy.LockOptions {
	if len(there) == 0 {
		return o
	}
	o.RequireTLS, o.DenyOldSignatures = false, false
	for _, s := range there {
		if s.Sid == policy.SidPresigned {
			o.ExemptUsers = s.Condition["StringNotEquals"]["aws:username"]
			o.ExemptEndpoints = s.Condition["StringNotEquals"]["aws:SourceVpce"]
			o.ExemptRoles = s.Condition["ArnNotLike"]["aws:PrincipalArn"]
			o.ExemptNetworks = s.Condition["NotIpAddress"]["aws:SourceIp"]
		}
	}
	return o
}

// maxProofPause is the longest pause between two tries: a policy may take some
// seconds to hold everywhere.
const maxProofPause = 4 * time.Second

// proveLeakLock has the bucket verified until it is locked. What was found is told
// as that of every round is.
func (g *Gate) proveLeakLock(ctx context.Context, alias string) error {
	for pause := 250 * time.Millisecond; ; pause *= 2 {
		f, err := g.rounds.Verify(ctx, alias)
		switch {
		case errors.Is(err, rounds.ErrBucket):
			return fmt.Errorf("the policy was written, and was not tried: buckets.%s.verify is false", alias)
		case err != nil:
			return fmt.Errorf("the policy was written, and what came of trying it was not noted: %w", err)
		case f.State == rounds.Locked, f.State == rounds.Limited:
			return nil
		case pause > maxProofPause && f.State == rounds.Unknown:
			return fmt.Errorf("the policy was written, and could not be tried: %s", f.Error)
		case pause > maxProofPause:
			return errors.New("the policy was written, but the bucket is NOT locked")
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the policy was written, and was not tried to the end: %w", ctx.Err())
		case <-time.After(pause):
		}
	}
}

// savedPoliciesKey is where the policies are that were there before a lock, the last
// ten of each bucket.
const savedPoliciesKey = "s3g:{leaks}:policies:"

// savedPolicy is one of them.
type savedPolicy struct {
	At     time.Time `json:"at"`
	Policy string    `json:"policy"` // "" if there was none
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
