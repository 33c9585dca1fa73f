package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"s3gate/guard"
	"s3gate/internal/config"
	"s3gate/policy"
	"s3gate/s3client"
)

func newRollback() *cobra.Command {
	var f changeFlags
	var to string
	var list bool
	cmd := &cobra.Command{
		Use:   "rollback BUCKET",
		Short: "Put a policy back that the bucket had before",
		Long: `Put the policy back that the bucket had last, of those that "bucket lock", "unlock"
and "rollback" have saved: the latest one that is not the one in force. So it undoes
what s3gate did, and done again redoes it; and it undoes what somebody else did to
a lock. The whole policy is replaced, whoever has changed it since. Policies are
saved on the machine on which the command ran.

The difference is shown, and asked for; what is in force then is tried with real
requests.`,
		Example: `  s3gate bucket rollback docs
  s3gate bucket rollback docs --list
  s3gate bucket rollback docs --to 20300131T120000.000000000Z`,
		Args: exactly(1),
	}
	bucketFlags(cmd)
	f.add(cmd)
	cmd.Flags().StringVar(&to, "to", "", "the time of a saved policy, as --list shows it, or a file with one")
	cmd.Flags().BoolVar(&list, "list", false, "only list what was saved; asks nobody")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if list {
			return listVersions(cmd, &f, args[0])
		}
		return rollback(cmd, &f, args[0], to)
	}
	return cmd
}

// listing is a line of --list.
type listing struct {
	guard.Version
	Bytes  int  `json:"bytes"`
	Locked bool `json:"locked"` // holds statements of ours
}

func listVersions(cmd *cobra.Command, f *changeFlags, name string) error {
	settings, err := bucketSettings(cmd, name)
	if err != nil {
		return err
	}
	history, err := f.history(settings)
	if err != nil {
		return err
	}
	versions, err := history.List()
	if err != nil {
		return err
	}
	lines := make([]listing, len(versions))
	for i, v := range versions {
		ours, err := policy.Ours(v.Document)
		lines[i] = listing{v, len(v.Document), err == nil && len(ours) > 0}
	}
	return printTable(newPrinter(cmd), "TIME\tBYTES\tLOCK\tFILE", lines, func(w io.Writer, l listing) {
		lock := "-"
		if l.Locked {
			lock = "yes"
		}
		row(w, l.Name, l.Bytes, lock, l.Path)
	})
}

func rollback(cmd *cobra.Command, f *changeFlags, name, to string) error {
	bucket, settings, err := openBucket(cmd, name)
	if err != nil {
		return err
	}
	defer bucket.Close()
	history, err := f.history(settings)
	if err != nil {
		return err
	}
	version, err := chooseVersion(cmd, bucket, history, to)
	if err != nil {
		return err
	}
	plan, err := guard.Restore(cmd.Context(), bucket, version.Document)
	if err != nil {
		return err
	}
	newPrinter(cmd).say("back to %s", plain(version.Path))
	done, err := f.apply(cmd, bucket, settings, change{Bucket: bucket.Name(), plan: plan, Weaker: plan.Weaker()})
	if err != nil || !done {
		return err
	}
	return tellRestored(cmd, bucket, settings, version)
}

// chooseVersion is the one named, or else the latest that is not in force.
func chooseVersion(cmd *cobra.Command, bucket *s3client.Bucket, history guard.History, to string) (guard.Version, error) {
	if to == "" {
		current, err := bucket.Policy(cmd.Context())
		if err != nil {
			return guard.Version{}, err
		}
		return history.Previous(current)
	}
	version, err := history.Find(to)
	if !errors.Is(err, guard.ErrNoVersion) {
		return version, err
	}
	text, fileErr := guard.ReadPolicy(to)
	switch {
	case errors.Is(fileErr, fs.ErrNotExist) && !strings.ContainsRune(to, os.PathSeparator):
		return version, err
	case fileErr != nil:
		return version, fileErr
	}
	return guard.Version{Path: to, Document: text}, nil
}

// restored is a policy without a lock that is back, and what real requests showed
// of it.
type restored struct {
	Restored string `json:"restored"` // its file
	Locked   bool   `json:"locked"`
	unlocked
}

// tellRestored tries the policy that is back: whether it locks anything is for
// real requests to say.
func tellRestored(cmd *cobra.Command, bucket *s3client.Bucket, settings config.Bucket, version guard.Version) error {
	ours, err := policy.Ours(version.Document)
	if err != nil {
		return err
	}
	locks := lockedBy(ours)
	if len(locks) == 0 {
		result := restored{Restored: version.Path, unlocked: lookAfterUnlock(cmd.Context(), bucket, settings)}
		result.Unlocked = true
		return newPrinter(cmd).print(result, func(p *printer) { fmt.Fprintln(p.out, "restored, without a lock: "+result.text()) })
	}
	bounds := boundsOf(locks)
	report, err := prove(cmd, bucket, settings, bounds.Prefix)
	if err != nil {
		return err
	}
	proven := proof{Report: report, Bounds: bounds.Bounds(), Restored: version.Path}
	for _, who := range excluded(locks) {
		proven.Exempt = append(proven.Exempt, policy.Exemption{Who: who})
	}
	newPrinter(cmd).say("restored")
	return printProof(cmd, proven)
}

// lockedBy are the statements of ours that deny presigned requests.
func lockedBy(ours []policy.Statement) (list []policy.Statement) {
	for _, s := range ours {
		if s.Sid == policy.SidPresigned || s.Sid == policy.SidPresignedList {
			list = append(list, s)
		}
	}
	return list
}

// excluded are those whom one of the statements leaves out.
func excluded(locks []policy.Statement) (list []string) {
	for _, s := range locks {
		list = append(list, s.Excluded()...)
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// boundsOf are the options of a lock that say what it is for, as its statements
// do.
func boundsOf(locks []policy.Statement) (o policy.LockOptions) {
	var actions []string
	for _, s := range locks {
		actions = append(actions, s.Action...)
		if s.Sid == policy.SidPresigned && len(s.Resource) > 0 {
			_, keys, _ := strings.Cut(s.Resource[0], "/")
			o.Prefix = strings.TrimSuffix(keys, "*")
		}
	}
	all := policy.DefaultActions()
	if o.Prefix != "" {
		all = slices.DeleteFunc(all, func(a string) bool { return !policy.OnObjects(a) })
	}
	if slices.ContainsFunc(all, func(a string) bool { return !slices.Contains(actions, a) }) {
		o.Actions = actions
	}
	return o
}
