package main

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"s3gate/guard"
	"s3gate/internal/config"
	"s3gate/policy"
	"s3gate/s3client"
)

// changeFlags are those of commands that change a bucket's policy.
type changeFlags struct {
	yes, dryRun bool
	backupDir   string
}

func (c *changeFlags) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.BoolVarP(&c.yes, "yes", "y", false, "do not ask")
	f.BoolVar(&c.dryRun, "dry-run", false, "show the difference and change nothing")
	c.addDir(cmd)
}

func (c *changeFlags) addDir(cmd *cobra.Command) {
	cmd.Flags().StringVar(&c.backupDir, "backup-dir", "", "where policies are saved before they change (default: s3gate/policies in $XDG_STATE_HOME or ~/.local/state)")
}

// history is where a bucket's policies are saved. Buckets of other stores than
// Amazon S3 have the store's name in that of their folder: they may be called
// the same.
func (c *changeFlags) history(b config.Bucket) (guard.History, error) {
	dir := c.backupDir
	if dir == "" {
		state := os.Getenv("XDG_STATE_HOME")
		if !filepath.IsAbs(state) { // so says the specification
			home, err := os.UserHomeDir()
			if err != nil {
				return guard.History{}, fmt.Errorf("looking for a folder for saved policies, or say --backup-dir: %w", err)
			}
			state = filepath.Join(home, ".local", "state")
		}
		dir = filepath.Join(state, "s3gate", "policies")
	}
	folder := b.Name
	if u, err := url.Parse(storeURL(b)); err == nil && u.Host != "" {
		folder += "@" + strings.ReplaceAll(u.Host, ":", "_")
	}
	if !filepath.IsLocal(folder) {
		return guard.History{}, usagef("%q is no name of a bucket", b.Name)
	}
	return guard.History{Dir: filepath.Join(dir, folder)}, nil
}

// storeURL is where a bucket is, as far as can be said without asking the AWS SDK;
// "" is Amazon S3.
func storeURL(b config.Bucket) string {
	return cmp.Or(b.Endpoint, os.Getenv("AWS_ENDPOINT_URL_S3"), os.Getenv("AWS_ENDPOINT_URL"))
}

// change is a plan, and what to know before agreeing to it.
type change struct {
	Bucket string `json:"bucket"`
	plan   guard.Plan
	// Before and After are the whole policies; empty is none.
	Before string `json:"before"`
	After  string `json:"after"`
	// Weaker are statements of ours that would refuse less than they do.
	Weaker []string `json:"weaker,omitempty"`
	// Exempt are those for whom presigned URLs go on working, and Bounds is what
	// is not locked at all.
	Exempt []policy.Exemption `json:"exempt,omitempty"`
	Bounds string             `json:"bounds,omitempty"`
	// Notices are about those whom the policy names.
	Notices []guard.Notice `json:"notices,omitempty"`
	// Refused are those whom the lock would have refused; nil if that was not
	// looked for.
	Refused *wouldRefuse `json:"refused,omitempty"`
}

// apply shows a change, asks, saves the policy that is there, and makes the
// change. It reports whether the policy is now as planned.
func (f *changeFlags) apply(cmd *cobra.Command, bucket *s3client.Bucket, b config.Bucket, c change) (bool, error) {
	p := newPrinter(cmd)
	c.Before, c.After = string(c.plan.Before), string(c.plan.After)
	if f.dryRun {
		if !c.plan.Changes() {
			p.say("the policy is as it should be already")
		}
		return false, p.print(c, func(p *printer) { c.show(p.out) })
	}
	asks := !f.yes && c.plan.Changes()
	switch {
	case asks || !p.json && !p.quiet:
		c.show(p.err)
	case !p.json:
		c.showWeaker(p.err) // never in silence
	}
	if !c.plan.Changes() {
		p.say("the policy is as it should be already")
		return true, nil
	}
	if asks {
		if err := confirm(cmd, "Apply this policy?"); err != nil {
			return false, err
		}
	}
	history, err := f.history(b)
	if err != nil {
		return false, err
	}
	switch err = c.plan.ApplyKept(cmd.Context(), bucket, history); {
	case errors.Is(err, guard.ErrChanged):
		return false, errors.New("somebody has changed the policy meanwhile; nothing was applied, run this again")
	case errors.Is(err, guard.ErrNotKept):
		fmt.Fprintln(p.err, "s3gate:", err)
	case errors.Is(err, s3client.ErrPolicy) && strings.Contains(c.After, `"NotAction"`):
		return false, fmt.Errorf("%w; it may not know NotAction, which refuses plain HTTP and old signatures: try --allow-plain-http --allow-old-signatures", err)
	case err != nil:
		return false, err
	}
	return true, nil
}

// show tells a person what would change, and what that means.
func (c *change) show(w io.Writer) {
	fmt.Fprint(w, c.plan.Diff())
	c.showWeaker(w)
	for _, e := range c.Exempt {
		fmt.Fprintf(w, "exempt: %s: %s\n", plain(e.Who), plain(e.Lets))
	}
	if c.Bounds != "" {
		fmt.Fprintln(w, "not the whole bucket:", plain(c.Bounds))
	}
	for _, n := range c.Notices {
		word := "note"
		if n.Affected {
			word = "may stop"
		}
		fmt.Fprintf(w, "%s: %s %s\n", word, plain(n.Statement), plain(n.Text))
	}
	if c.Refused != nil {
		c.Refused.show(w)
	}
}

func (c *change) showWeaker(w io.Writer) {
	for _, line := range c.Weaker {
		fmt.Fprintln(w, "weaker:", plain(line))
	}
}

// confirm asks a question on a terminal and refuses to guess elsewhere.
func confirm(cmd *cobra.Command, question string) error {
	if !isTerminal(cmd.InOrStdin()) {
		return usagef("nobody to ask: say --yes to apply this, or --dry-run to only look")
	}
	fmt.Fprint(cmd.ErrOrStderr(), question+" [y/N] ")
	answer, err := bufio.NewReader(cmd.InOrStdin()).ReadString('\n')
	if err != nil && err != io.EOF {
		return fmt.Errorf("reading the answer: %w", err)
	}
	if a := strings.ToLower(strings.TrimSpace(answer)); a != "y" && a != "yes" {
		return fmt.Errorf("not applied")
	}
	return nil
}
