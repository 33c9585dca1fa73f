package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"s3gate/auth"
)

// maxJWT bounds what is read of a JWT.
const maxJWT = 64 << 10

func newAuthExplain() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "explain [JWT|-]",
		Short: "Say what a bearer JWT may do, and why",
		Long: `Hold a bearer JWT against the issuers and rules of the configuration, and say
which key has signed it, what was checked, which rules apply and what they allow.
The gate is not asked, only the issuer if its keys are published. Without an
argument, or with -, the JWT is read from stdin, where no other process sees it.

Exit code 0 if the gate would accept the JWT, 3 if not, 1 if the keys of its issuer
cannot be had.`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usagef("usage: %s", cmd.UseLine())
			}
			return nil
		},
	}
	configFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		cfg, err := loadConfig(cmd)
		if err != nil {
			return err
		}
		bearer, err := readJWT(cmd, args)
		if err != nil {
			return err
		}
		verifier, err := auth.New(cfg.API.Callers())
		if err != nil {
			return err
		}
		ex := verifier.Explain(bearer)
		if err := newPrinter(cmd).print(explained{ex, ex.Caller.Subject, ex.Caller.Admin}, func(p *printer) { printExplanation(p, &ex) }); err != nil {
			return err
		}
		switch {
		case errors.Is(ex.Err(), auth.ErrUnavailable):
			return ex.Err()
		case ex.Err() != nil:
			return errNo
		}
		return nil
	}
	return cmd
}

// explained is the explanation as JSON.
type explained struct {
	auth.Explanation
	Subject string `json:"subject,omitempty"`
	Admin   bool   `json:"admin"`
}

// readJWT takes the JWT from the argument or stdin. People paste it with the
// word that stands before it in the header.
func readJWT(cmd *cobra.Command, args []string) (string, error) {
	text := "-"
	if len(args) > 0 {
		text = args[0]
	}
	if text == "-" {
		raw, err := io.ReadAll(io.LimitReader(cmd.InOrStdin(), maxJWT))
		if err != nil {
			return "", fmt.Errorf("reading the JWT: %w", err)
		}
		text = string(raw)
	}
	text = strings.TrimSpace(text)
	if word, rest, ok := strings.Cut(text, " "); ok && strings.EqualFold(word, "Bearer") {
		text = strings.TrimSpace(rest)
	}
	if text == "" {
		return "", usagef("there is no JWT: give it as an argument or to stdin")
	}
	return text, nil
}

func printExplanation(p *printer, ex *auth.Explanation) {
	for _, c := range ex.Checks {
		verdict := "ok"
		if !c.OK {
			verdict = "NO"
		}
		fmt.Fprintln(p.out, strings.TrimRight(fmt.Sprintf("%s  %-14s %s", verdict, c.Name, c.Detail), " "))
	}
	for _, r := range ex.Rules {
		verdict := "applies"
		if !r.Applies {
			verdict = "does not apply"
		}
		fmt.Fprintf(p.out, "rule %s %s: %s\n", r.Rule, verdict, r.Why)
		if r.Applies {
			printAllow(p.out, r.Allow)
		}
	}
	switch {
	case !ex.Accepted:
		fmt.Fprintln(p.out, "not accepted")
	case ex.Caller.Admin:
		fmt.Fprintf(p.out, "accepted: %q may do everything\n", ex.Caller.Subject)
	case ex.Caller.Rights == nil || len(ex.Caller.Rights.Allowances) == 0:
		fmt.Fprintf(p.out, "accepted: %q may do nothing\n", ex.Caller.Subject)
	default:
		fmt.Fprintf(p.out, "accepted: %q may do what the rules that apply allow\n", ex.Caller.Subject)
	}
}

// printAllow prints one line for each thing that a rule allows.
func printAllow(out io.Writer, a *auth.Allow) {
	line := func(format string, args ...any) { fmt.Fprintf(out, "    "+format+"\n", args...) }
	for _, alias := range slices.Sorted(maps.Keys(a.Buckets)) {
		for _, prefix := range a.Buckets[alias] {
			line("mint %s in %s/%s*", strings.Join(a.Operations, " and "), alias, prefix)
		}
	}
	if a.MaxLife > 0 {
		line("for at most %s", a.MaxLife)
	}
	if a.MaxBytes > 0 {
		line("of at most %d bytes", a.MaxBytes)
	}
	if a.MaxUses > 0 {
		line("for at most %d uses", a.MaxUses)
	}
	for _, name := range slices.Sorted(maps.Keys(a.Labels)) {
		line("with the label %s=%q", name, a.Labels[name])
	}
	for _, s := range []struct {
		verb  string
		scope auth.Scope
	}{{"see", a.List}, {"revoke", a.Revoke}} {
		if s.scope != "" && s.scope != auth.ScopeNone {
			line("%s tokens of: %s", s.verb, s.scope)
		}
	}
	if a.RevokeByRule {
		line("revoke by rule")
	}
	if len(a.AdminBuckets) > 0 {
		line("everything in %s", strings.Join(a.AdminBuckets, ", "))
	}
	if a.Admin {
		line("everything")
	}
}
