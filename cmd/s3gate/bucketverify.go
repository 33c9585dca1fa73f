package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"s3gate/guard"
	"s3gate/internal/config"
	"s3gate/internal/gate"
	"s3gate/policy"
	"s3gate/s3client"
)

// verifyFlags are what "bucket verify" was told.
type verifyFlags struct {
	prefix, key    string
	others, exempt []string
	gate           bool
}

func newVerify() *cobra.Command {
	v := &verifyFlags{}
	cmd := &cobra.Command{
		Use:   "verify BUCKET",
		Short: "Try real presigned requests and say whether the bucket refuses them (exit code 3 if not)",
		Long: `Store a small object as the gate does, read it, try what a locked bucket refuses
(presigned GET, HEAD, PUT, DELETE, multipart upload and listing, a POST form, GET and
PUT without a signature), and remove it. What went otherwise is told with the statement of the bucket's policy
that is to blame, or with what the store does not heed.

With --as-profile and --exempt-profile the credentials of others are tried too:
whether their presigned URLs are refused, or work although the bucket is locked.`,
		Example: `  s3gate bucket verify docs --config s3gate.yaml
  s3gate bucket verify my-bucket --as-profile alice --exempt-profile legacy
  s3gate bucket verify my-bucket --key reports/2030.pdf
  s3gate bucket verify docs --gate`,
		Args: exactly(1),
	}
	bucketFlags(cmd)
	apiFlags(cmd)
	f := cmd.Flags()
	f.StringVar(&v.prefix, "prefix", "", "the keys that are locked, if not all (default: the bucket's verify_prefix)")
	f.StringVar(&v.key, "key", "", "an object that is there: it is only read, and of writing nothing is proven (default: the bucket's verify_key)")
	f.StringSliceVar(&v.others, "as-profile", nil, "a profile of the AWS SDK whose presigned URLs must be refused too; may be repeated")
	f.StringSliceVar(&v.exempt, "exempt-profile", nil, "a profile that is exempt, whose presigned URLs must work; may be repeated")
	f.BoolVar(&v.gate, "gate", false, "have a gate do it, through its API; BUCKET is then an alias there")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := v.check(cmd); err != nil {
			return err
		}
		if v.gate {
			return verifyByGate(cmd, args[0])
		}
		return v.verify(cmd, args[0])
	}
	return cmd
}

// check refuses command lines that contradict themselves.
func (v *verifyFlags) check(cmd *cobra.Command) error {
	if v.key != "" && !strings.HasPrefix(v.key, v.prefix) {
		return usagef("--key %q does not begin with --prefix %q", v.key, v.prefix)
	}
	for _, name := range []string{"prefix", "key", "as-profile", "exempt-profile", "config", "endpoint", "region", "path-style", "profile"} {
		if v.gate && cmd.Flags().Changed(name) {
			return usagef("--gate and --%s exclude each other: the gate knows its bucket", name)
		}
	}
	return nil
}

func (v *verifyFlags) verify(cmd *cobra.Command, name string) error {
	bucket, settings, err := openBucket(cmd, name)
	if err != nil {
		return err
	}
	defer bucket.Close()
	opts, err := gate.VerifyOptions(settings)
	if err != nil {
		return usageError{err}
	}
	if v.prefix != "" || v.key != "" {
		opts.Prefix, opts.Key = v.prefix, v.key
	}
	opts.Partition = policy.PartitionOf(regionOf(settings))
	for _, profile := range append(v.others, v.exempt...) {
		other, err := openAs(cmd, settings, profile)
		if err != nil {
			return fmt.Errorf("profile %s: %w", profile, err)
		}
		defer other.Close()
		opts.Others = append(opts.Others, guard.Other{Name: profile, Store: other})
	}
	for i := range v.exempt {
		opts.Others[len(v.others)+i].Exempt = true
	}
	report, err := guard.VerifyWith(cmd.Context(), bucket, opts)
	if err != nil {
		return fmt.Errorf("verifying: %w", err)
	}
	return v.printReport(cmd, report)
}

// openAs opens a bucket with the credentials of another profile, which nothing
// but a header signs.
func openAs(cmd *cobra.Command, b config.Bucket, profile string) (*s3client.Bucket, error) {
	b.AccessKeyID, b.SecretAccessKey, b.AssumeRole, b.Signing = "", "", config.AssumeRole{}, ""
	b.Profile = profile
	return openSettings(cmd, b)
}

// printReport prints what real requests showed. It fails when the bucket is not
// as locked as it can be.
func (v *verifyFlags) printReport(cmd *cobra.Command, report guard.Report) error {
	err := newPrinter(cmd).print(report, func(p *printer) {
		printChecks(p, report)
		if report.PolicyIgnored {
			p.say("This store does not apply bucket policies to signed requests. Put the deny into the policy of the gate's user (s3gate bucket lock --print iam), or let the gate assume a role under it (assume_role).")
		}
		fmt.Fprintln(p.out, plain(verdict(report, v.exempt, "", len(v.others) > 0)))
	})
	if err == nil && !report.OK() {
		err = errNo
	}
	return err
}
