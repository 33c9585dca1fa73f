package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"s3gate/guard"
)

func newAudit() *cobra.Command {
	var o guard.AuditOptions
	var failOn string
	cmd := &cobra.Command{
		Use:   "audit [BUCKET]",
		Short: "Say what protects a bucket, what does not, and how to mend it (exit code 3 if something was found)",
		Long: `Look at the bucket's settings, at the statements of the lock, at what else its policy
lets through, and at what the policy makes of eleven requests that every lock has to
have an answer to; and change nothing. With --config and no BUCKET, all buckets of
the configuration.

What is printed of requests is an evaluation of the policy's text, and no proof:
"s3gate bucket verify" tries real requests.`,
		Example: `  s3gate bucket audit docs
  s3gate bucket audit --config s3gate.yaml --json --fail-on weak`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usagef("usage: %s", cmd.UseLine())
			}
			return nil
		},
	}
	bucketFlags(cmd)
	wantFlags(cmd, &o.Want)
	f := cmd.Flags()
	f.StringVar(&o.Prefix, "prefix", "", "the keys that are locked, if not all")
	f.StringVar(&o.Gate, "principal", "", "the ARN of the role or user that the gate signs as (default: buckets.X.principal)")
	f.IntVar(&o.NoncurrentDays, "noncurrent-days", 0, "versions should be deleted so many days after they were replaced (default: not looked at)")
	f.StringSliceVar(&o.Skip, "skip", nil, "findings not to look at, by name; may be repeated")
	f.StringVar(&failOn, "fail-on", string(guard.Unknown), "the least that is a finding: unknown, weak or missing")
	choices(cmd, "fail-on", "unknown", "weak", "missing")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if !slices.Contains([]guard.State{guard.Unknown, guard.Weak, guard.Missing}, guard.State(failOn)) {
			return usagef("--fail-on must be unknown, weak or missing, got %q", failOn)
		}
		names, err := bucketsToAudit(cmd, args)
		if err != nil {
			return err
		}
		found := false
		for _, name := range names {
			report, err := auditBucket(cmd, name, o)
			if err != nil {
				return err
			}
			if err := newPrinter(cmd).print(report, func(p *printer) { printAudit(p, &report) }); err != nil {
				return err
			}
			found = found || !report.OK(guard.State(failOn))
		}
		if found {
			return errNo
		}
		return nil
	}
	return cmd
}

// bucketsToAudit is the bucket of the command line, or all of the configuration.
func bucketsToAudit(cmd *cobra.Command, args []string) ([]string, error) {
	if len(args) == 1 {
		return args, nil
	}
	configured, err := configuredBuckets(cmd)
	if err != nil {
		return nil, err
	}
	if len(configured) == 0 {
		return nil, usagef("name a bucket, or a configuration that has some with --config")
	}
	return slices.Sorted(maps.Keys(configured)), nil
}

func auditBucket(cmd *cobra.Command, name string, o guard.AuditOptions) (guard.AuditReport, error) {
	bucket, settings, err := openBucket(cmd, name)
	if err != nil {
		return guard.AuditReport{}, err
	}
	defer bucket.Close()
	o.Gate = cmp.Or(o.Gate, settings.Principal)
	settings.Principal = o.Gate
	closeLogs, err := openLogs(cmd, settings, &o.Want)
	if err != nil {
		return guard.AuditReport{}, err
	}
	defer closeLogs()
	o.QuerySigning = settings.Signing == "query"
	o.Target = append([]string{name}, givenFlags(cmd)...)
	report, err := guard.Audit(cmd.Context(), bucket, o)
	if errors.Is(err, guard.ErrOptions) {
		err = usageError{err}
	}
	return report, err
}

// givenFlags are the flags of bucketFlags as they were given, so that a command
// that is printed reaches the same bucket.
func givenFlags(cmd *cobra.Command) (args []string) {
	for _, name := range []string{"config", "endpoint", "region", "path-style", "profile"} {
		f := cmd.Flags().Lookup(name)
		switch {
		case f == nil || !f.Changed:
		case f.Value.Type() == "bool":
			if f.Value.String() == "true" {
				args = append(args, "--"+name)
			}
		default:
			args = append(args, "--"+name, f.Value.String())
		}
	}
	return args
}

func printAudit(p *printer, r *guard.AuditReport) {
	fmt.Fprintf(p.out, "%s\n", r.Bucket)
	t := newTable(p.out)
	findings := slices.Concat(r.Settings, r.Lock, r.Policy)
	for _, f := range findings {
		row(t, f.State, f.Name, f.Is)
	}
	t.Flush()
	printRemarks(p.out, findings)
	if r.Requests == nil {
		return
	}
	fmt.Fprintln(p.out, "\nWhat the policy makes of requests:")
	t = newTable(p.out)
	for _, q := range r.Requests {
		mark := "ok"
		if !q.OK {
			mark = "NOT OK"
		}
		row(t, mark, q.Got, q.Text, q.By)
	}
	t.Flush()
	fmt.Fprintln(p.out, "This evaluates the text of the policy and proves nothing: a store may not apply it.")
	fmt.Fprintln(p.out, `The proof is "s3gate bucket verify", which tries real requests.`)
}

// printRemarks is what does not fit into the table: notes, and each command that
// mends something, once.
func printRemarks(out io.Writer, findings []guard.Finding) {
	for _, f := range findings {
		if f.Note != "" {
			fmt.Fprintf(out, "%s: %s\n", f.Name, plain(f.Note))
		}
	}
	var fixes []string
	for _, f := range findings {
		if f.Fix != "" && !slices.Contains(fixes, f.Fix) {
			fixes = append(fixes, f.Fix)
		}
	}
	if fixes == nil {
		return
	}
	fmt.Fprintln(out, "\nTo mend it:")
	for _, fix := range fixes {
		fmt.Fprintf(out, "  %s\n", plain(fix))
	}
}
