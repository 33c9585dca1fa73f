package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"s3gate/guard"
	"s3gate/internal/config"
	"s3gate/s3client"
)

func newHarden() *cobra.Command {
	var o guard.HardenOptions
	var only, skip []string
	var yes, dryRun bool
	cmd := &cobra.Command{
		Use:   "harden BUCKET",
		Short: "Set what protects the bucket's content, each setting only if it is missing or weaker",
		Long: `Block public access, turn ACLs off, encrypt by default, keep versions, write an
access log, and drop the parts of uploads that nobody completes. What is there and
as strong stays as it is, lifecycle rules of others too. What is not permitted or
not supported by the store is reported, and the rest goes on; the exit code is 3
then.

The last of the settings below deletes, and is for those who say --noncurrent-days:
  ` + strings.Join(settingNames(), "\n  "),
		Example: `  s3gate bucket harden docs --dry-run
  s3gate bucket harden docs --log-bucket acme-logs --log-prefix docs/ --yes
  s3gate bucket harden docs --only encryption --kms-key arn:aws:kms:eu-central-1:111122223333:key/1234abcd`,
		Args: exactly(1),
	}
	bucketFlags(cmd)
	wantFlags(cmd, &o.Want)
	f := cmd.Flags()
	f.StringSliceVar(&only, "only", nil, "only these settings; may be repeated")
	f.StringSliceVar(&skip, "skip", nil, "all but these settings; may be repeated")
	f.IntVar(&o.NoncurrentDays, "noncurrent-days", 0, "delete versions so many days after they were replaced (default: never)")
	f.BoolVarP(&yes, "yes", "y", false, "do not ask")
	f.BoolVar(&dryRun, "dry-run", false, "show what would change and change nothing")
	choices(cmd, "only", settingNames()...)
	choices(cmd, "skip", settingNames()...)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		bucket, settings, err := openBucket(cmd, args[0])
		if err != nil {
			return err
		}
		defer bucket.Close()
		o.Only, o.Skip = settingsOf(only), settingsOf(skip)
		return hardenBucket(cmd, bucket, settings, o, yes, dryRun)
	}
	return cmd
}

// wantFlags adds the flags that say how the settings should be.
func wantFlags(cmd *cobra.Command, w *guard.Want) {
	f := cmd.Flags()
	f.StringVar(&w.KMSKey, "kms-key", "", "the ID or ARN of the KMS key to encrypt with by default (default: SSE-S3, or the key that is there)")
	f.StringVar(&w.LogBucket, "log-bucket", "", "the bucket that takes the access log, in the same region and account")
	f.StringVar(&w.LogPrefix, "log-prefix", "", "what the keys of the log begin with")
	f.BoolVar(&w.LogToSelf, "log-to-self", false, "permit the log bucket to be the bucket itself")
	f.IntVar(&w.AbortDays, "abort-days", 7, "drop the parts of uploads that are not complete after so many days")
}

func settingNames() (names []string) {
	for _, s := range guard.AllSettings() {
		names = append(names, string(s))
	}
	return names
}

func settingsOf(names []string) (list []guard.Setting) {
	for _, n := range names {
		list = append(list, guard.Setting(n))
	}
	return list
}

// openLogs opens the bucket that takes logs, with the credentials of the other
// one. Its account is taken from the gate's principal, if that is known.
func openLogs(cmd *cobra.Command, settings config.Bucket, w *guard.Want) (closer func(), err error) {
	w.Account = accountOf(settings.Principal)
	if w.LogBucket == "" {
		return func() {}, nil
	}
	settings.Name = w.LogBucket
	if w.Logs, err = openSettings(cmd, settings); err != nil {
		return nil, err
	}
	return func() { w.Logs.Close() }, nil
}

// accountOf is the account in an ARN; "" if there is none.
func accountOf(arn string) string {
	if f := strings.SplitN(arn, ":", 6); len(f) == 6 {
		return f[4]
	}
	return ""
}

// hardenBucket shows what is planned, asks, and applies it. It fails with errNo if
// the bucket is not as it was asked to be.
func hardenBucket(cmd *cobra.Command, bucket *s3client.Bucket, settings config.Bucket, o guard.HardenOptions, yes, dryRun bool) error {
	closeLogs, err := openLogs(cmd, settings, &o.Want)
	if err != nil {
		return err
	}
	defer closeLogs()
	h, err := guard.Harden(cmd.Context(), bucket, o)
	if errors.Is(err, guard.ErrOptions) {
		return usageError{err}
	}
	if err != nil {
		return err
	}
	if h.Changes() && !dryRun {
		if !yes {
			p := newPrinter(cmd)
			printSteps(p.err, h.Steps)
			if err := confirm(cmd, "Change these settings?"); err != nil {
				return err
			}
		}
		if err := h.Apply(cmd.Context()); err != nil {
			return err
		}
	}
	err = newPrinter(cmd).print(h, func(p *printer) { printSteps(p.out, h.Steps) })
	if err == nil && !h.Complete() {
		err = errNo
	}
	return err
}

// printSteps is a table, and below it what else there is to say.
func printSteps(out io.Writer, steps []guard.Step) {
	t := newTable(out)
	for _, s := range steps {
		is := s.Before
		if s.After != s.Before {
			is += " → " + s.After
		}
		row(t, s.Setting, s.Outcome, is)
	}
	t.Flush()
	for _, s := range steps {
		if s.Note != "" {
			fmt.Fprintf(out, "%s: %s\n", s.Setting, plain(s.Note))
		}
	}
}

// hardenToo hardens a bucket after "bucket lock" has ended with an error, or nil.
// A lock that could not be proven is no reason not to.
func (l *lockFlags) hardenToo(cmd *cobra.Command, name string, locked error) error {
	if locked != nil && !errors.Is(locked, errNo) {
		return locked
	}
	bucket, settings, err := openBucket(cmd, name)
	if err != nil {
		return err
	}
	defer bucket.Close()
	if err := hardenBucket(cmd, bucket, settings, guard.HardenOptions{}, l.change.yes, l.change.dryRun); err != nil {
		return err
	}
	return locked
}
