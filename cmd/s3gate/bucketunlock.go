package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"s3gate/guard"
	"s3gate/s3client"
)

func newUnlock() *cobra.Command {
	var f changeFlags
	cmd := &cobra.Command{
		Use:   "unlock BUCKET",
		Short: "Take s3gate's statements out of the bucket's policy",
		Args:  exactly(1),
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
		result := lookAfterUnlock(cmd.Context(), bucket)
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

func lookAfterUnlock(ctx context.Context, bucket *s3client.Bucket) unlocked {
	report, err := guard.Verify(ctx, bucket, nil)
	if err != nil {
		return unlocked{Unverified: err.Error()}
	}
	return unlocked{Refused: refusesStill(report)}
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
