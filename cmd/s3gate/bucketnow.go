package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"s3gate/guard"
	"s3gate/policy"
	"s3gate/s3client"
)

// emergencyFlags are those that go with --now.
var emergencyFlags = []string{
	"now", "all", "config", "endpoint", "region", "path-style", "profile", "backup-dir", "gate-principal", "allow-plain-http", "yes", "json", "quiet",
}

// emergencyResult is what --now has done to one bucket.
type emergencyResult struct {
	Bucket  string `json:"bucket"`
	verdict string // for a person
	// Locked is true only if real requests were seen refused.
	Locked bool `json:"locked"`
	// Limited is Locked's place where the gate itself signs in the query string.
	Limited bool `json:"limited,omitempty"`
	// Except are those for whom presigned URLs go on working.
	Except []string `json:"except,omitempty"`
	// Without are the statements that the store does not understand and that are
	// not stored: those that need NotAction, and refuse no presigned URLs.
	Without []string `json:"without,omitempty"`
	// Weaker are statements of ours that refuse less than they did.
	Weaker []string `json:"weaker,omitempty"`
	// Error is why it is not known to be locked; empty if it is.
	Error string `json:"error,omitempty"`
	// Stored is how long it took until the policy was stored, and Took until it
	// was proven, both in milliseconds.
	Stored int64 `json:"stored_ms,omitempty"`
	Took   int64 `json:"took_ms"`
}

// lockNow locks buckets in full, all at once, and prints each when it is done.
// It fails if one of them is not proven.
func (l *lockFlags) lockNow(cmd *cobra.Command, args []string) error {
	names, err := l.emergencyBuckets(cmd, args)
	if err != nil {
		return err
	}
	p := newPrinter(cmd)
	var group sync.WaitGroup
	var mu sync.Mutex
	var failed error
	for _, name := range names {
		group.Go(func() {
			o := l.lockOne(cmd, name)
			mu.Lock()
			defer mu.Unlock()
			if !o.Locked && !o.Limited {
				failed = errNo
			}
			if err := p.print(o, func(p *printer) { fmt.Fprintln(p.out, o.line()) }); err != nil {
				failed = err
			}
		})
	}
	group.Wait()
	return failed
}

// emergencyBuckets are those of the command line.
func (l *lockFlags) emergencyBuckets(cmd *cobra.Command, args []string) ([]string, error) {
	var err error
	cmd.Flags().Visit(func(f *pflag.Flag) {
		if err == nil && !slices.Contains(emergencyFlags, f.Name) {
			err = usagef("--now locks in full and asks nobody: --%s does not go with it", f.Name)
		}
	})
	if err != nil {
		return nil, err
	}
	if !l.all {
		if len(args) == 0 {
			return nil, usagef("say which buckets, or --all for those of the configuration")
		}
		slices.Sort(args)
		return slices.Compact(args), nil
	}
	configured, err := configuredBuckets(cmd)
	switch {
	case err != nil:
		return nil, err
	case len(args) > 0:
		return nil, usagef("say which buckets, or --all, and not both")
	case configured == nil:
		return nil, usagef("--all are the buckets of the configuration: say --config")
	}
	return slices.Sorted(maps.Keys(configured)), nil
}

// lockOne locks one bucket and proves it. It returns when that has failed, too.
func (l *lockFlags) lockOne(cmd *cobra.Command, name string) emergencyResult {
	began := time.Now()
	o := emergencyResult{Bucket: name}
	err := func() error {
		bucket, settings, err := openBucket(cmd, name)
		if err != nil {
			return err
		}
		defer bucket.Close()
		options, err := l.lockOptions(settings, bucket.Region(), bucket.Secure())
		if err != nil {
			return err
		}
		history, err := l.change.history(settings)
		if err != nil {
			return err
		}
		o.Weaker, err = tighten(cmd.Context(), bucket, options, history)
		if errors.Is(err, s3client.ErrPolicy) && (options.RequireTLS || options.DenyOldSignatures) {
			// What refuses presigned URLs matters now, and is what most stores know.
			options.RequireTLS, options.DenyOldSignatures = false, false
			o.Without = []string{policy.SidPlainHTTP, policy.SidOldSignature}
			o.Weaker, err = tighten(cmd.Context(), bucket, options, history)
		}
		if err != nil && !errors.Is(err, guard.ErrNotKept) {
			return err
		}
		o.Stored = time.Since(began).Milliseconds()
		report, err := prove(cmd, bucket, settings, "")
		if err != nil {
			return err
		}
		proven := newProof(options, report)
		o.Except, o.verdict = proven.except(), proven.verdict()
		o.Locked, o.Limited = report.Locked, report.Limited
		if !report.OK() {
			failed := report.Failed()[0]
			return fmt.Errorf("the policy is stored, and a %s is %s: %s", failed.Name, failed.Got, failed.Cause)
		}
		return nil
	}()
	if err != nil {
		o.Error = err.Error()
	}
	o.Took = time.Since(began).Milliseconds()
	return o
}

// tighten stores the policy, also if others change it at the same time, and says
// what became weaker by that.
func tighten(ctx context.Context, bucket *s3client.Bucket, options policy.LockOptions, history guard.History) ([]string, error) {
	for tries := 1; ; tries++ {
		plan, err := guard.Tighten(ctx, bucket, options)
		if err == nil {
			err = plan.ApplyKept(ctx, bucket, history)
		}
		switch {
		case err == nil, errors.Is(err, guard.ErrNotKept):
			return plan.Weaker(), err
		case !errors.Is(err, guard.ErrChanged), tries == 5:
			return nil, err
		}
	}
}

func (o emergencyResult) line() string {
	text := "NOT proven: " + o.Error
	if o.Locked || o.Limited {
		text = o.verdict
	}
	if len(o.Without) > 0 {
		text += "; without " + strings.Join(o.Without, " and ") + ", which the store does not understand"
	}
	for _, w := range o.Weaker {
		text += "; weaker: " + w
	}
	return fmt.Sprintf("%s: %s (%d ms)", plain(o.Bucket), plain(text), o.Took)
}
