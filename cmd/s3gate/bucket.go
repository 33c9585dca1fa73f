package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"s3gate/guard"
	"s3gate/internal/config"
	"s3gate/internal/gate"
	"s3gate/policy"
	"s3gate/s3client"
)

func newBucket() *cobra.Command {
	return group("bucket", "Lock a bucket against presigned URLs, and prove it", newLock(), newUnlock(), newVerify())
}

// bucketFlags adds the flags that say how to reach a bucket.
func bucketFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringP("config", "c", os.Getenv("S3GATE_CONFIG"), "YAML file with settings; BUCKET is then an alias in it")
	f.String("endpoint", "", "the URL of an S3-compatible store (default: Amazon S3)")
	f.String("region", "", "the bucket's region")
	f.Bool("path-style", false, "put the bucket's name into the path")
	f.String("profile", "", "a profile of the AWS SDK's shared configuration")
}

// openBucket opens the bucket of the command line, with the AWS SDK's default
// credentials unless the configuration has some.
func openBucket(cmd *cobra.Command, name string) (*s3client.Bucket, config.Bucket, error) {
	f := cmd.Flags()
	b := config.Bucket{Name: name}
	if path, _ := f.GetString("config"); path != "" {
		cfg, err := config.Load(path, os.Environ(), nil)
		if err != nil {
			return nil, b, usageError{err}
		}
		var ok bool
		if b, ok = cfg.Buckets[name]; !ok {
			return nil, b, usagef("%s has no bucket with the alias %q", path, name)
		}
	}
	for flag, field := range map[string]*string{"endpoint": &b.Endpoint, "region": &b.Region, "profile": &b.Profile} {
		if f.Changed(flag) {
			*field, _ = f.GetString(flag)
		}
	}
	if f.Changed("path-style") {
		b.PathStyle, _ = f.GetBool("path-style")
	}
	bucket, err := gate.OpenBucket(cmd.Context(), b, config.Default().Upstream, "s3gate/"+versionString(), slog.New(slog.DiscardHandler))
	return bucket, b, err
}

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

// verifySoon verifies a lock that was applied just now. A policy may take
// some seconds to hold everywhere.
func verifySoon(cmd *cobra.Command, bucket *s3client.Bucket, prefix string) error {
	ctx := cmd.Context()
	var report guard.Report
	for pause := 250 * time.Millisecond; ; pause *= 2 {
		var err error
		if report, err = guard.VerifyPrefix(ctx, bucket, prefix, nil); err != nil {
			return fmt.Errorf("verifying: %w", err)
		}
		if report.Locked || pause > 4*time.Second || ctx.Err() != nil {
			break
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
	if !report.Locked {
		newPrinter(cmd).say("The policy was stored, but the store does not apply it to these credentials, or they are exempt.")
	}
	return printReport(cmd, report)
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
	return askYes(cmd, "Apply this policy?")
}

// askYes asks a person; anything but yes is an error.
func askYes(cmd *cobra.Command, question string) error {
	fmt.Fprint(cmd.ErrOrStderr(), question+" [y/N] ")
	answer, err := bufio.NewReader(cmd.InOrStdin()).ReadString('\n')
	if err != nil && err != io.EOF {
		return fmt.Errorf("reading the answer: %w", err)
	}
	if a := strings.ToLower(strings.TrimSpace(answer)); a != "y" && a != "yes" {
		return errors.New("not done")
	}
	return nil
}

func newVerify() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "verify BUCKET",
		Short: "Try real presigned requests and say whether the bucket refuses them (exit code 3 if not)",
		Args:  exactly(1),
	}
	bucketFlags(cmd)
	prefix := cmd.Flags().String("prefix", "", "the keys that are locked, if not all")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		bucket, _, err := openBucket(cmd, args[0])
		if err != nil {
			return err
		}
		defer bucket.Close()
		report, err := guard.VerifyPrefix(cmd.Context(), bucket, *prefix, nil)
		if err != nil {
			return fmt.Errorf("verifying: %w", err)
		}
		return printReport(cmd, report)
	}
	return cmd
}

// printReport prints what real requests showed. It fails when the bucket is
// not locked.
func printReport(cmd *cobra.Command, report guard.Report) error {
	err := newPrinter(cmd).print(report, func(p *printer) {
		t := p.table()
		for _, c := range report.Checks {
			mark := "ok"
			if !c.OK {
				mark = "NOT OK"
			}
			fmt.Fprintf(t, "%s\t%s\t%s\n", mark, c.Name, c.Got)
		}
		t.Flush()
		for _, key := range report.Left {
			p.say("could not remove the canary %s", key)
		}
		if report.Locked {
			fmt.Fprintln(p.out, "locked: presigned URLs open nothing")
			return
		}
		fmt.Fprintln(p.out, "NOT locked")
	})
	if err == nil && !report.Locked {
		err = errNo
	}
	return err
}
