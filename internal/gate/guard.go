package gate

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"s3gate/api"
	"s3gate/events"
	"s3gate/guard"
	"s3gate/guard/rounds"
	"s3gate/internal/config"
	"s3gate/policy"
)

// newRounds says how the gate's buckets are verified, which [Gate.Start] begins
// with.
func (g *Gate) newRounds(reg prometheus.Registerer) (*rounds.Rounds, error) {
	r := &rounds.Rounds{
		Board: rounds.NewBoard(g.rdb), Interval: g.cfg.Guard.VerifyInterval, Gate: g.name, Told: g.foundBucket, Logger: g.logger,
	}
	var watched []string
	for _, alias := range slices.Sorted(maps.Keys(g.buckets)) {
		c, b := g.cfg.Buckets[alias], g.buckets[alias]
		one := rounds.Bucket{Alias: alias, Key: findingKey(alias, c), Signing: b.Signing()}
		if c.Verify {
			opts, err := VerifyOptions(c)
			if err != nil {
				return nil, fmt.Errorf("buckets.%s.%w", alias, err)
			}
			one.Verify = func(ctx context.Context) (guard.Report, error) { return guard.VerifyWith(ctx, b, opts) }
			watched = append(watched, alias)
		}
		r.Buckets = append(r.Buckets, one)
	}
	r.Metrics = rounds.NewMetrics(reg, watched...)
	return r, nil
}

// VerifyOptions are those that a bucket's settings say. Errors begin with the
// setting.
func VerifyOptions(c config.Bucket) (guard.VerifyOptions, error) {
	o := guard.VerifyOptions{Prefix: c.VerifyPrefix, Key: c.VerifyKey, Partition: policy.PartitionOf(c.Region), Header: http.Header{}}
	kept := storage(c, true)
	kept.Encrypt(o.Header)
	if c.Principal == "" {
		return o, nil
	}
	who, err := policy.ParsePrincipal(c.Principal)
	if err != nil {
		return o, fmt.Errorf("principal: %w", err)
	}
	o.Principal = who
	return o, nil
}

// audit looks at a bucket with the gate's own credentials, by its alias.
func (g *Gate) audit(ctx context.Context, alias string) (guard.AuditReport, error) {
	c := g.cfg.Buckets[alias]
	return guard.Audit(ctx, g.buckets[alias], guard.AuditOptions{
		Prefix: c.VerifyPrefix, Gate: c.Principal, QuerySigning: c.Signing == "query", Target: []string{alias},
	})
}

// findingKey names what is found of a bucket: an alias that is another bucket
// now, or another part of it, has nothing to do with what was found before.
func findingKey(alias string, c config.Bucket) string {
	what, err := json.Marshal([]string{c.Endpoint, c.Region, c.Name, c.VerifyPrefix, c.VerifyKey, c.Signing, c.Principal})
	if err != nil {
		return alias // strings always have a form
	}
	sum := sha256.Sum256(what)
	return alias + "." + hex.EncodeToString(sum[:8])
}

// LockOptions are those of the full lock of a bucket with these settings, in this
// region and reached by TLS or not. Errors begin with the setting.
func LockOptions(c config.Bucket, region string, secure bool) (policy.LockOptions, error) {
	o := policy.LockOptions{Bucket: c.Name, Partition: policy.PartitionOf(region), DenyOldSignatures: true, RequireTLS: secure}
	if c.Signing == "query" {
		if c.Principal == "" {
			return o, errors.New("principal: is required, for the gate signs in the query string and the lock must exempt it")
		}
		o.QuerySigner = c.Principal
	}
	return o, nil
}

// guards makes the rounds until ctx is done, if there are any.
func (g *Gate) guards(ctx context.Context) {
	if g.cfg.Guard.VerifyInterval > 0 {
		g.rounds.Run(ctx)
	}
}

// guarded reports why a gate that waits for its buckets to be locked cannot
// serve.
func (g *Gate) guarded() error {
	if g.cfg.Guard.Ready && len(g.rounds.Unsafe()) > 0 {
		return api.ErrUnlocked
	}
	return nil
}

// foundBucket tells what a round has found that was not so before.
func (g *Gate) foundBucket(before rounds.State, f rounds.Finding) {
	kind := events.BucketLocked
	data := events.Locked{
		Bucket: f.Bucket, Verified: f.Error == "", State: string(f.State), Before: string(before), Error: f.Error, VerifiedAt: f.VerifiedAt,
	}
	switch f.State {
	case rounds.Unknown:
		kind = events.BucketUnverified
	case rounds.Unlocked:
		kind = events.BucketUnlocked
		for _, c := range f.Report.Failed() {
			data.Failed = append(data.Failed, events.Failed{Name: c.Name, Got: c.Got, Cause: c.Cause})
		}
	}
	g.telling.bus.Emit(kind, "", data)
}
