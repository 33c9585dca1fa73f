package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"s3gate/guard"
)

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
