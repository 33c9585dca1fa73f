package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"s3gate/guard"
	"s3gate/policy"
	"s3gate/s3client"
)

func newLock() *cobra.Command {
	var o policy.LockOptions
	var yes, dryRun, plainHTTP bool
	cmd := &cobra.Command{
		Use:   "lock BUCKET",
		Short: "Deny presigned URLs by the bucket's policy, and prove that it works",
		Long: `Merge statements into the bucket's policy that deny requests signed in the query
string or by a POST form, show the difference, ask, apply, and verify with real
requests. Other statements stay as they are; "bucket unlock" takes ours out.

Downloads in the S3 console are presigned too: they stop working for everybody
who is not exempt.`,
		Args: exactly(1),
	}
	bucketFlags(cmd)
	f := cmd.Flags()
	f.StringVar(&o.Prefix, "prefix", "", "lock only keys that begin so")
	f.StringSliceVar(&o.Actions, "action", nil, "lock only these S3 actions; may be repeated (default: all on objects)")
	f.StringSliceVar(&o.ExemptUsers, "exempt-user", nil, "an IAM user who may go on using presigned URLs; may be repeated")
	f.StringSliceVar(&o.ExemptRoles, "exempt-role", nil, "the ARN of a role that may go on using presigned URLs; may be repeated")
	f.BoolVar(&plainHTTP, "allow-plain-http", false, "do not require TLS (the default for an endpoint with http://)")
	f.BoolVarP(&yes, "yes", "y", false, "do not ask")
	f.BoolVar(&dryRun, "dry-run", false, "show the difference and change nothing")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		bucket, settings, err := openBucket(cmd, args[0])
		if err != nil {
			return err
		}
		defer bucket.Close()
		o.Bucket, o.DenyOldSignatures = bucket.Name(), true
		o.RequireTLS = !plainHTTP && !strings.HasPrefix(settings.Endpoint, "http://")
		plan, err := guard.Lock(cmd.Context(), bucket, o)
		if err != nil {
			return err
		}
		done, err := applyPlan(cmd, bucket, plan, yes, dryRun)
		if err != nil || !done {
			return err
		}
		return verifySoon(cmd, bucket, o.Prefix)
	}
	return cmd
}

func newUnlock() *cobra.Command {
	var yes, dryRun bool
	cmd := &cobra.Command{
		Use:   "unlock BUCKET",
		Short: "Take s3gate's statements out of the bucket's policy",
		Args:  exactly(1),
	}
	bucketFlags(cmd)
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "show the difference and change nothing")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		bucket, _, err := openBucket(cmd, args[0])
		if err != nil {
			return err
		}
		defer bucket.Close()
		plan, err := guard.Unlock(cmd.Context(), bucket)
		if err != nil {
			return err
		}
		done, err := applyPlan(cmd, bucket, plan, yes, dryRun)
		if err != nil || !done {
			return err
		}
		return newPrinter(cmd).print(map[string]bool{"unlocked": true}, func(p *printer) {
			fmt.Fprintln(p.out, "unlocked: presigned URLs work again")
		})
	}
	return cmd
}

// applyPlan shows the difference, asks, and applies. It reports whether the
// policy is now as planned.
func applyPlan(cmd *cobra.Command, bucket *s3client.Bucket, plan guard.Plan, yes, dryRun bool) (bool, error) {
	p := newPrinter(cmd)
	if !plan.Changes() {
		p.say("the policy is as it should be already")
		return !dryRun, nil
	}
	if dryRun {
		return false, p.print(map[string]any{"before": string(plan.Before), "after": string(plan.After)},
			func(p *printer) { fmt.Fprint(p.out, plan.Diff()) })
	}
	p.say("%s", strings.TrimSuffix(plan.Diff(), "\n"))
	if !yes {
		if err := confirm(cmd); err != nil {
			return false, err
		}
	}
	err := plan.Apply(cmd.Context(), bucket)
	if errors.Is(err, guard.ErrChanged) {
		return false, errors.New("somebody has changed the policy meanwhile; nothing was applied, run this again")
	}
	return err == nil, err
}

// confirm asks on a terminal and refuses to guess elsewhere.
func confirm(cmd *cobra.Command) error {
	if !isTerminal(cmd.InOrStdin()) {
		return usagef("nobody to ask: say --yes to apply this, or --dry-run to only look")
	}
	fmt.Fprint(cmd.ErrOrStderr(), "Apply this policy? [y/N] ")
	answer, err := bufio.NewReader(cmd.InOrStdin()).ReadString('\n')
	if err != nil && err != io.EOF {
		return fmt.Errorf("reading the answer: %w", err)
	}
	if a := strings.ToLower(strings.TrimSpace(answer)); a != "y" && a != "yes" {
		return fmt.Errorf("not applied")
	}
	return nil
}
