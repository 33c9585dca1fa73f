package main

import (
	"cmp"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"s3gate/guard"
	"s3gate/internal/config"
	"s3gate/internal/duration"
	"s3gate/internal/gate"
	"s3gate/policy"
)

// lockFlags are what "bucket lock" was told.
type lockFlags struct {
	options                  policy.LockOptions
	gate, maxAge             string
	plainHTTP, oldSignatures bool
	change                   changeFlags
	print, logs, since       string
	now, all, harden         bool
}

func newLock() *cobra.Command {
	l := &lockFlags{}
	cmd := &cobra.Command{
		Use:   "lock BUCKET",
		Short: "Deny presigned URLs by the bucket's policy, and prove that it works",
		Long: `Merge statements into the bucket's policy that deny requests signed in the query
string or by a POST form, show the difference, ask, apply, and verify with real
requests. Other statements stay as they are; "bucket unlock" takes ours out, and
"bucket rollback" puts the policy back that was there.

Who is exempt is shown with what that lets through. Downloads in the S3 console are
presigned too: they stop working for everybody who is not exempt. With --dry-run
--logs the bucket's access log tells who would have been refused.

With --now nobody is asked: the full lock goes on one bucket, several, or with --all
those of the configuration, all at once, and each is verified. What an earlier lock
refuses beyond that stays refused.`,
		Example: `  s3gate bucket lock docs --exempt-user legacy
  s3gate bucket lock docs --dry-run --logs s3://logs/docs/
  s3gate bucket lock docs --only-principal arn:aws:iam::111122223333:role/admin --only-vpce vpce-1a2b3c4d
  s3gate bucket lock docs --print terraform
  s3gate bucket lock --now --all --config s3gate.yaml`,
		Args: cobra.ArbitraryArgs,
	}
	bucketFlags(cmd)
	l.change.add(cmd)
	l.addOptions(cmd)
	f := cmd.Flags()
	f.StringVar(&l.print, "print", "", "only print the statements, for infrastructure code: json, terraform or cloudformation, or iam for a user's policy; asks nobody")
	choices(cmd, "print", "json", "terraform", "cloudformation", "iam")
	f.StringVar(&l.logs, "logs", "", "with --dry-run: S3 server access logs in which to look who would have been refused, s3://BUCKET/PREFIX, a file or a folder")
	f.StringVar(&l.since, "since", "7d", "with --logs: how far to look back")
	f.BoolVar(&l.harden, "harden", false, "then do what \"bucket harden\" does without flags of its own")
	f.BoolVar(&l.now, "now", false, "an emergency: lock in full, ask nobody; takes several buckets")
	f.BoolVar(&l.all, "all", false, "with --now: all buckets of the configuration")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if l.now {
			return l.lockNow(cmd, args)
		}
		if err := l.check(cmd, args); err != nil {
			return err
		}
		if l.print != "" {
			return l.printStatements(cmd, args[0])
		}
		err := l.lock(cmd, args[0])
		if l.harden {
			err = l.hardenToo(cmd, args[0], err)
		}
		return err
	}
	return cmd
}

// addOptions adds the flags that say what is locked, and for whom. Those that are
// not in [emergencyFlags] do not go with --now.
func (l *lockFlags) addOptions(cmd *cobra.Command) {
	f, o := cmd.Flags(), &l.options
	f.StringVar(&o.Prefix, "prefix", "", "lock only keys that begin so")
	f.StringSliceVar(&o.Actions, "action", nil, "lock only these S3 actions; may be repeated (default: all on objects)")
	f.StringSliceVar(&o.ExemptUsers, "exempt-user", nil, "an IAM user who may go on using presigned URLs; may be repeated")
	f.StringSliceVar(&o.ExemptRoles, "exempt-role", nil, "the ARN of a role or user that may go on using presigned URLs; may be repeated")
	f.StringSliceVar(&o.ExemptEndpoints, "exempt-vpce", nil, "a VPC endpoint through which presigned URLs go on working; may be repeated")
	f.StringSliceVar(&o.ExemptNetworks, "exempt-network", nil, "a network from which presigned URLs go on working, such as 192.0.2.0/24; may be repeated")
	f.StringVar(&l.maxAge, "max-url-age", "", "refuse URLs of the exempt too when they are older, such as 15m")
	f.StringSliceVar(&o.OnlyPrincipals, "only-principal", nil, "refuse all but this role or user, by ARN, and the gate; may be repeated")
	f.StringSliceVar(&o.OnlyEndpoints, "only-vpce", nil, "refuse all but what comes through this VPC endpoint; may be repeated, and then one of all --only flags is enough")
	f.StringSliceVar(&o.Accounts, "only-account", nil, "refuse all but this account; may be repeated")
	f.StringVar(&l.gate, "gate-principal", "", "the ARN of the gate's own role or user (default: the bucket's principal in the configuration)")
	f.BoolVar(&l.plainHTTP, "allow-plain-http", false, "do not require TLS (the default for an endpoint with http://)")
	f.BoolVar(&l.oldSignatures, "allow-old-signatures", false, "do not refuse Signature Version 2")
}

// check refuses command lines that contradict themselves.
func (l *lockFlags) check(cmd *cobra.Command, args []string) error {
	switch {
	case l.all:
		return usagef("--all goes with --now")
	case l.harden && l.print != "":
		return usagef("--harden does not go with --print")
	case len(args) != 1:
		return usagef("usage: %s", cmd.UseLine())
	case l.logs != "" && !l.change.dryRun:
		return usagef("--logs goes with --dry-run")
	case !slices.Contains([]string{"", "json", "terraform", "cloudformation", "iam"}, l.print):
		return usagef("--print is json, terraform, cloudformation or iam, not %q", l.print)
	}
	return nil
}

// lock is the command without --now and --print.
func (l *lockFlags) lock(cmd *cobra.Command, name string) error {
	bucket, settings, err := openBucket(cmd, name)
	if err != nil {
		return err
	}
	defer bucket.Close()
	o, err := l.lockOptions(settings, bucket.Region(), bucket.Secure())
	if err != nil {
		return err
	}
	plan, err := guard.Lock(cmd.Context(), bucket, o)
	if err != nil {
		return err
	}
	c := change{
		Bucket: bucket.Name(), plan: plan, Weaker: plan.Weaker(),
		Exempt: o.Exemptions(), Bounds: o.Bounds(), Notices: guard.Notices(plan.Before, o),
	}
	if l.logs != "" {
		if c.Refused, err = l.refused(cmd, settings, o); err != nil {
			return err
		}
	}
	done, err := l.change.apply(cmd, bucket, settings, c)
	if err != nil || !done {
		return err
	}
	report, err := prove(cmd, bucket, settings, o.Prefix)
	if err != nil {
		return err
	}
	proven := newProof(o, report)
	proven.Weaker = c.Weaker
	return printProof(cmd, proven)
}

// lockOptions are those of the command line for a bucket, which is in a region and
// reached by TLS or not.
func (l *lockFlags) lockOptions(b config.Bucket, region string, secure bool) (policy.LockOptions, error) {
	o := l.options
	b.Principal = cmp.Or(l.gate, b.Principal)
	full, err := gate.LockOptions(b, region, secure)
	if err != nil {
		return o, usagef("bucket %s: %v; or say it with --gate-principal", b.Name, err)
	}
	o.Bucket, o.Partition, o.QuerySigner = full.Bucket, full.Partition, full.QuerySigner
	o.DenyOldSignatures = full.DenyOldSignatures && !l.oldSignatures
	o.RequireTLS = full.RequireTLS && !l.plainHTTP
	if l.maxAge != "" {
		if o.MaxURLAge, err = duration.Parse(l.maxAge); err != nil {
			return o, usagef("--max-url-age: %w", err)
		}
	}
	if len(o.OnlyPrincipals)+len(o.OnlyEndpoints) > 0 {
		if b.Principal == "" {
			return o, usagef("--only-principal and --only-vpce refuse the gate too: say who it is with the bucket's setting principal, or --gate-principal")
		}
		if !slices.Contains(o.OnlyPrincipals, b.Principal) {
			o.OnlyPrincipals = append([]string{b.Principal}, o.OnlyPrincipals...)
		}
	}
	if _, err := policy.LockStatements(o); err != nil {
		return o, usageError{err}
	}
	return o, nil
}

// regionOf is a bucket's region as far as settings and environment tell, for what
// is printed without opening it.
func regionOf(b config.Bucket) string {
	return cmp.Or(b.Region, os.Getenv("AWS_REGION"), os.Getenv("AWS_DEFAULT_REGION"))
}
