package main

import (
	"strings"

	"github.com/spf13/cobra"

	"s3gate/guard"
	"s3gate/policy"
)

// printStatements prints a lock for infrastructure code, without asking S3 what
// is there.
func (l *lockFlags) printStatements(cmd *cobra.Command, name string) error {
	settings, err := bucketSettings(cmd, name)
	if err != nil {
		return err
	}
	o, err := l.lockOptions(settings, regionOf(settings), !strings.HasPrefix(storeURL(settings), "http://"))
	if err != nil {
		return err
	}
	statements, err := policy.LockStatements(o)
	if err != nil {
		return err
	}
	var text []byte
	switch l.print {
	case "json":
		text, err = policy.JSON(statements)
	case "terraform":
		text, err = policy.Terraform(o.Bucket, statements)
	case "cloudformation":
		text, err = policy.CloudFormation(o.Bucket, statements)
	case "iam":
		text, err = guard.IdentityLock(o)
		text = append(text, '\n')
	}
	if err != nil {
		return err
	}
	p := newPrinter(cmd)
	for _, e := range o.Exemptions() {
		p.say("exempt: %s: %s", plain(e.Who), plain(e.Lets))
	}
	if l.print == "iam" {
		p.say("This denies what a lock denies to whom it is attached to, for stores that do not apply bucket policies to signed requests. For MinIO:")
		p.say("  mc admin policy create STORE s3gate-lock-%s lock.json", o.Bucket)
		p.say("  mc admin policy attach STORE s3gate-lock-%s --user THE-GATES-USER", o.Bucket)
	} else {
		p.say("These are the lock's statements alone. A bucket has one policy: whoever applies this replaces what is there.")
	}
	_, err = p.out.Write(text)
	return err
}
