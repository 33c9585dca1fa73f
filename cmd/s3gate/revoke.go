package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"s3gate/client"
)

func newRevoke() *cobra.Command {
	var rule client.Rule
	var issuedBefore string
	var dryRun bool
	cmd := &cobra.Command{
		Use:   "revoke [TOKEN|URL|ID...]",
		Short: "Revoke tokens: refuse them from now on and cut their running transfers",
		Long: `Revoke tokens, by name or by what they have in common. When the command has ended
without error every later request is refused, on every gate, and running
transfers are cut.

Of the flags that select, all must match. What was revoked works again when the
rule is lifted (s3gate revocations lift).`,
		Example: `  s3gate revoke https://files.example.com/s3g_…/report.pdf --reason 'sent to the wrong list'
  s3gate revoke --subject ada@example.com --standing --reason 'laptop stolen'
  s3gate revoke --prefix docs/2026/q3/ --dry-run
  s3gate revoke --all --standing`,
	}
	f := cmd.Flags()
	f.StringVar(&rule.Subject, "subject", "", "those for this subject")
	f.StringVar(&rule.Issuer, "issuer", "", "those that a caller of this JWT issuer has minted")
	f.StringToStringVar(&rule.Labels, "label", nil, "those with this name=value; may be repeated, and then all must match")
	f.StringVar(&rule.Bucket, "bucket", "", "those for this bucket alias")
	f.StringVar(&rule.Prefix, "prefix", "", "those whose key begins so, in --bucket, or BUCKET/PREFIX")
	f.StringVar(&issuedBefore, "issued-before", "", "those minted before, such as 2030-01-31T12:00:00Z")
	f.BoolVar(&rule.All, "all", false, "all; not together with another selection")
	f.BoolVar(&rule.Standing, "standing", false, "later ones too, whose minting is refused until the rule is lifted")
	f.BoolVar(&dryRun, "dry-run", false, "only say how many that would be")
	f.StringVar(&rule.Reason, "reason", "", "why, kept with the rule")
	apiFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) (err error) {
		if err := checkSelection(cmd, args); err != nil {
			return err
		}
		c, err := newClient(cmd)
		if err != nil {
			return err
		}
		if len(args) > 0 {
			return revokeTokens(cmd, c, args, rule.Reason, dryRun)
		}
		if rule.IssuedBefore, err = parseTime("issued-before", issuedBefore); err != nil {
			return err
		}
		if rule.Prefix != "" && rule.Bucket == "" {
			whole := rule.Prefix
			if rule.Bucket, rule.Prefix, err = splitTarget(whole); err != nil {
				return usagef("--prefix without --bucket must be BUCKET/PREFIX, got %q; --bucket is for a whole bucket", whole)
			}
		}
		if dryRun {
			return tryRule(cmd, c, rule)
		}
		receipt, err := c.RevokeBy(cmd.Context(), rule)
		if err != nil {
			return fmt.Errorf("revoking: %w", err)
		}
		return printReceipt(cmd, receipt.ID, "revoked", receipt)
	}
	return cmd
}

// checkSelection refuses what a person did not mean: a flag whose variable was
// not set, which would make the rule wider, and names beside a selection.
func checkSelection(cmd *cobra.Command, args []string) error {
	var selected []string
	var empty string
	cmd.Flags().Visit(func(f *pflag.Flag) {
		switch f.Name {
		case "subject", "issuer", "label", "bucket", "prefix", "issued-before", "all":
			if value := f.Value.String(); value == "" || value == "[]" || value == "false" {
				empty = f.Name
			}
			selected = append(selected, "--"+f.Name)
		}
	})
	all, _ := cmd.Flags().GetBool("all")
	standing, _ := cmd.Flags().GetBool("standing")
	switch {
	case empty != "":
		return usagef("--%s is empty; leave it out if it is not to select", empty)
	case len(args) == 0 && len(selected) == 0:
		return usagef("say what to revoke: tokens, or a selection such as --subject; see %s --help", cmd.CommandPath())
	case len(args) > 0 && len(selected) > 0:
		return usagef("tokens by name and %s exclude each other", strings.Join(selected, ", "))
	case len(args) > 0 && standing:
		return usagef("--standing is for a selection: after a token that is named comes no other")
	case all && len(selected) > 1:
		return usagef("--all and another selection exclude each other, got %s", strings.Join(selected, ", "))
	}
	return nil
}

func revokeTokens(cmd *cobra.Command, c *client.Client, args []string, reason string, dryRun bool) error {
	// A mistyped token must not leave the others half done.
	ids := make([]string, len(args))
	for i, arg := range args {
		var err error
		if ids[i], err = tokenID(arg); err != nil {
			return err
		}
	}
	for _, id := range ids {
		if dryRun {
			if err := tryRule(cmd, c, client.Rule{Token: id}); err != nil {
				return err
			}
			continue
		}
		receipt, err := c.Revoke(cmd.Context(), id, reason)
		if err != nil {
			return fmt.Errorf("revoking %s: %w", id, err)
		}
		if err := printReceipt(cmd, id, "revoked", receipt); err != nil {
			return err
		}
	}
	return nil
}

func tryRule(cmd *cobra.Command, c *client.Client, r client.Rule) error {
	reach, err := c.DryRun(cmd.Context(), r)
	if err != nil {
		return fmt.Errorf("trying: %w", err)
	}
	return newPrinter(cmd).print(reach, func(p *printer) {
		fmt.Fprintf(p.out, "would revoke %s and cut %s through this gate\n",
			count(reach.Tokens, "token"), count(reach.Transfers, "transfer"))
		t := p.rows()
		for _, h := range reach.Examples {
			row(t, h.ID, h.Operation, h.Bucket+"/"+h.Key+h.Prefix, h.Subject)
		}
		_ = t.Flush()
		if more := reach.Tokens - len(reach.Examples); more > 0 {
			fmt.Fprintf(p.out, "and %d more\n", more)
		}
		if !reach.Complete {
			p.say("only the %d tokens that expire last were looked at; there are more", reach.Scanned)
		}
	})
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// printReceipt says what was done, and who has confirmed it.
func printReceipt(cmd *cobra.Command, id, done string, r *client.Receipt) error {
	return newPrinter(cmd).print(r, func(p *printer) {
		fmt.Fprintf(p.out, "%s %s in %.1f ms by %s; %d transfers cut\n", id, done, r.TookMS,
			strings.Join(r.AcknowledgedBy, ", "), r.Cut)
		for _, gate := range r.ExpiredLeases {
			p.say("gate %s was silent; its lease has run out, and it serves nothing until it has caught up", gate)
		}
		if r.Durability == "best-effort" {
			p.say("best-effort: redis may lose this with its primary, since not every replica has to have it")
		}
		for _, t := range r.Committing {
			p.say("upload %s had been sent in full and may have been stored", t)
		}
	})
}
