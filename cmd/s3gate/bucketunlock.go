package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"s3gate/guard"
	"s3gate/internal/config"
	"s3gate/s3client"
)

func newUnlock() *cobra.Command {
	var f changeFlags
	cmd := &cobra.Command{
		Use:   "unlock BUCKET",
		Short: "Take s3gate's statements out of the bucket's policy",
		Long: `Take s3gate's statements out of the bucket's policy, and say what real requests show
of it: something else may refuse presigned URLs still. "bucket rollback" puts the
policy back that was there.`,
		Args: exactly(1),
	}
	bucketFlags(cmd)
	f.add(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		bucket, settings, err := openBucket(cmd, args[0])
		if err != nil {
			return err
		}
		defer bucket.Close()
		plan, err := guard.Unlock(cmd.Context(), bucket)
		if err != nil {
			return err
		}
		done, err := f.apply(cmd, bucket, settings, change{Bucket: bucket.Name(), plan: plan})
		if err != nil || !done {
			return err
		}
		result := lookAfterUnlock(cmd.Context(), bucket, settings)
		result.Unlocked = true
		return newPrinter(cmd).print(result, func(p *printer) { fmt.Fprintln(p.out, "unlocked: "+result.text()) })
	}
	return cmd
}

// unlocked is a bucket without statements of ours, and what real requests showed
// of it.
type unlocked struct {
	Unlocked bool `json:"unlocked"`
	// Refused are presigned requests that are refused nevertheless.
	Refused []string `json:"refused,omitempty"`
	// Unverified is why it could not be tried; empty if it was.
	Unverified string `json:"unverified,omitempty"`
}

// lookAfterUnlock tries as an administrator, with the headers of the bucket's
// storage. Only a presigned request that got through shows that they work.
func lookAfterUnlock(ctx context.Context, bucket *s3client.Bucket, b config.Bucket) unlocked {
	report, err := guard.VerifyWith(ctx, bucket, proofOptions(b, ""))
	if err != nil {
		return unlocked{Unverified: err.Error()}
	}
	return afterUnlock(report)
}

// afterUnlock is what a report shows of a bucket without statements of ours.
func afterUnlock(report guard.Report) unlocked {
	refused, allowed := presigned(report)
	if allowed == 0 && len(refused) == 0 {
		failed := report.Failed()[0]
		return unlocked{Unverified: "a " + failed.Name + " " + failed.Got}
	}
	return unlocked{Refused: refused}
}

func (u unlocked) text() string {
	switch {
	case u.Unverified != "":
		return "s3gate's statements are out; what that does could not be tried: " + plain(u.Unverified)
	case len(u.Refused) > 0:
		return "s3gate's statements are out, and something else still refuses, or the policy has not reached all of the store yet: " + strings.Join(u.Refused, ", ")
	}
	return "presigned URLs work again"
}
