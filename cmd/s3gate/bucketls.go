package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"s3gate/client"
)

func newListBuckets() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "ls",
		Aliases: []string{"list"},
		Short:   "List the gate's buckets, and whether they were locked when that was last tried",
		Args:    exactly(0),
	}
	apiFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := newClient(cmd)
		if err != nil {
			return err
		}
		buckets, err := c.Buckets(cmd.Context())
		if err != nil {
			return err
		}
		return printTable(newPrinter(cmd), "BUCKET\tSTATE\tVERIFIED\tSIGNING\tWHY", buckets, func(w io.Writer, b client.BucketStatus) {
			row(w, b.Bucket, stateOf(b), verifiedAt(b), b.Signing, why(b))
		})
	}
	return cmd
}

// verifyByGate has a gate verify one of its buckets.
func verifyByGate(cmd *cobra.Command, alias string) error {
	c, err := newClient(cmd)
	if err != nil {
		return err
	}
	b, err := c.VerifyBucket(cmd.Context(), alias)
	if err != nil {
		return err
	}
	err = newPrinter(cmd).print(b, func(p *printer) {
		if b.Error == "" {
			t := p.table()
			for _, check := range b.Report.Checks {
				printCheck(t, check.Name, check.Got, check.Cause, check.OK)
			}
			t.Flush()
		} else {
			p.say("%s", plain(b.Error))
		}
		fmt.Fprintln(p.out, plain(stateOf(*b)))
	})
	if err == nil && b.State != "locked" && b.State != "limited" {
		err = errNo
	}
	return err
}

func stateOf(b client.BucketStatus) string {
	if !b.Watched {
		return "not verified"
	}
	r := b.Report
	if b.State != "locked" && b.State != "limited" {
		return b.State
	}
	text := b.State
	if r.ReadsOnly {
		text += " for reading"
	}
	if len(r.Exempts) > 0 {
		text += " for everybody but " + strings.Join(r.Exempts, ", ")
	}
	if r.Prefix != "" {
		text += fmt.Sprintf(", only keys that begin with %q", r.Prefix)
	}
	return text
}

func verifiedAt(b client.BucketStatus) string {
	if b.VerifiedAt.IsZero() {
		return "never"
	}
	return b.VerifiedAt.Local().Format(time.DateTime)
}

// why says in a few words what is wrong.
func why(b client.BucketStatus) string {
	if b.Error != "" {
		return b.Error
	}
	var failed []string
	for _, c := range b.Report.Checks {
		if !c.OK {
			failed = append(failed, c.Name+": "+c.Got)
		}
	}
	return strings.Join(failed, "; ")
}
