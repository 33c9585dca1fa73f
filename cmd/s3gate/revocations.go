package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"s3gate/client"
)

func newRevocations() *cobra.Command {
	return group("revocations", "List and lift what was revoked", newListRevocations(), newLift())
}

func newListRevocations() *cobra.Command {
	var q client.RuleQuery
	cmd := &cobra.Command{
		Use:     "ls",
		Aliases: []string{"list"},
		Short:   "List what was revoked, the newest first",
		Args:    exactly(0),
	}
	cmd.Flags().StringVar(&q.State, "state", "", "only those that are active or lifted")
	choices(cmd, "state", "active", "lifted")
	most := cmd.Flags().Int("limit", 1000, "how many at most; 0 means all")
	apiFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := newClient(cmd)
		if err != nil {
			return err
		}
		return listRevocations(cmd, c, q, *most)
	}
	return cmd
}

func listRevocations(cmd *cobra.Command, c *client.Client, q client.RuleQuery, most int) error {
	p := newPrinter(cmd)
	t := p.rows()
	defer t.Flush()
	if !p.json {
		fmt.Fprintln(t, "ID\tSTATE\tSELECTION\tMADE\tBY\tREASON")
	}
	for n := 0; ; {
		page, err := c.Revocations(cmd.Context(), q)
		if err != nil {
			return err
		}
		for _, r := range page.Revocations {
			if n++; most > 0 && n > most {
				p.say("there are more; see --limit")
				return nil
			}
			err := p.print(r, func(*printer) {
				row(t, r.ID, r.State, selection(&r.Rule), r.At.Local().Format(time.DateTime), r.Author, r.Reason)
			})
			if err != nil {
				return err
			}
		}
		if q.Cursor = page.Next; q.Cursor == "" {
			return nil
		}
	}
}

// selection is a rule in few words.
func selection(r *client.Rule) string {
	var words []string
	add := func(name, value string) {
		if value != "" {
			words = append(words, name+"="+value)
		}
	}
	add("token", r.Token)
	add("subject", r.Subject)
	add("issuer", r.Issuer)
	for _, name := range slices.Sorted(maps.Keys(r.Labels)) {
		words = append(words, "label="+name+"="+r.Labels[name])
	}
	if r.Prefix != "" {
		add("prefix", r.Bucket+"/"+r.Prefix)
	} else {
		add("bucket", r.Bucket)
	}
	if r.IssuedBefore != nil {
		add("issued-before", r.IssuedBefore.Local().Format(time.DateTime))
	}
	if r.All {
		words = append(words, "all")
	}
	if r.Standing {
		words = append(words, "standing")
	}
	return strings.Join(words, " ")
}

func newLift() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "lift ID",
		Short: "End a revocation: what it covered works again, but for tokens that it named",
		Args:  exactly(1),
	}
	reason := cmd.Flags().String("reason", "", "why, kept with the rule")
	apiFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := newClient(cmd)
		if err != nil {
			return err
		}
		receipt, err := c.Lift(cmd.Context(), args[0], *reason)
		if err != nil {
			return fmt.Errorf("lifting %s: %w", args[0], err)
		}
		return printReceipt(cmd, receipt.ID, "lifted", receipt)
	}
	return cmd
}
