package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"s3gate/client"
)

// maxBatch bounds what is read of a batch, in bytes.
const maxBatch = 64 << 20

// mintBatch mints what a file asks for.
func mintBatch(cmd *cobra.Command, args []string, file, key string) error {
	var other string
	cmd.Flags().Visit(func(f *pflag.Flag) {
		switch f.Name {
		case "batch", "idempotency-key", "api-url", "api-token-file", "json", "quiet":
		default:
			other = f.Name
		}
	})
	switch {
	case len(args) > 0:
		return usagef("--batch and %q exclude each other: each line of the file is a request", args[0])
	case other != "":
		return usagef("--batch and --%s exclude each other: each line of the file is a request", other)
	}
	requests, err := readBatch(cmd, file)
	if err != nil {
		return err
	}
	c, err := newClient(cmd)
	if err != nil {
		return err
	}
	results, err := c.MintBatch(cmd.Context(), requests, client.IdempotencyKey(key))
	if err != nil {
		return err
	}
	return printBatch(cmd, results)
}

// readBatch reads one request from each line that is not empty. A field that no
// request has is an error, as it is for the gate.
func readBatch(cmd *cobra.Command, file string) ([]client.MintRequest, error) {
	in := cmd.InOrStdin()
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, fmt.Errorf("reading a batch: %w", err)
		}
		defer f.Close()
		in = f
	}
	raw, err := io.ReadAll(io.LimitReader(in, maxBatch))
	if err != nil {
		return nil, fmt.Errorf("reading a batch: %w", err)
	}
	var requests []client.MintRequest
	n := 0
	for line := range bytes.Lines(raw) {
		n++
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		dec := json.NewDecoder(bytes.NewReader(line))
		dec.DisallowUnknownFields()
		var r client.MintRequest
		if err := dec.Decode(&r); err != nil {
			return nil, usagef("line %d of the batch: %v", n, err)
		}
		if dec.More() {
			return nil, usagef("line %d of the batch: has something after the JSON object", n)
		}
		requests = append(requests, r)
	}
	if len(requests) == 0 {
		return nil, usagef("the batch is empty")
	}
	return requests, nil
}

// printBatch prints what was minted, and fails if something was not.
func printBatch(cmd *cobra.Command, results []client.BatchResult) error {
	p := newPrinter(cmd)
	failed := 0
	for i, r := range results {
		err := p.print(r, func(p *printer) {
			if r.Token != nil {
				fmt.Fprintln(p.out, r.Token.URL)
				p.say("%s  %s  until %s", r.Token.ID, usesText(r.Token.MaxUses), r.Token.ExpiresAt.Local().Format(time.DateTime))
				return
			}
			fmt.Fprintln(p.out) // so that lines stay beside each other
			p.say("request %d: %v", i+1, r.Error)
		})
		if err != nil {
			return err
		}
		if r.Token == nil {
			failed++
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d tokens were not minted", failed, len(results))
	}
	return nil
}

func newPatch() *cobra.Command {
	var p client.Patch
	var expiresAt string
	var uses, version int64
	var labels map[string]string
	var removed []string
	cmd := &cobra.Command{
		Use:   "patch TOKEN|URL|ID",
		Short: "Make a token permit less: for a shorter time, or less often",
		Long: `Make a token permit less, and set or remove its labels. When the command has ended
without error every gate goes by it, also for transfers that run.`,
		Example: `  s3gate token patch tok_… --expires-in 1h
  s3gate token patch tok_… --max-uses 3 --label ticket=4711 --remove-label draft`,
		Args: exactly(1),
	}
	f := cmd.Flags()
	f.StringVar(&p.ExpiresIn, "expires-in", "", "how much longer it works, such as 90s or 1h; less than now")
	f.StringVar(&expiresAt, "expires-at", "", "until when it works, such as 2030-01-31T12:00:00Z")
	f.Int64Var(&uses, "max-uses", 0, "how often it works in all; less than now")
	f.StringToStringVar(&labels, "label", nil, "name=value to set; may be repeated")
	f.StringSliceVar(&removed, "remove-label", nil, "the name of a label to remove; may be repeated")
	f.Int64Var(&version, "version", 0, "change this version only (default: the one that it has)")
	apiFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) (err error) {
		id, err := tokenID(args[0])
		if err != nil {
			return err
		}
		if p.ExpiresAt, err = parseTime("expires-at", expiresAt); err != nil {
			return err
		}
		if f.Changed("max-uses") {
			p.MaxUses = &uses
		}
		p.Labels = map[string]*string{}
		for name, value := range labels {
			p.Labels[name] = &value
		}
		for _, name := range removed {
			p.Labels[name] = nil
		}
		c, err := newClient(cmd)
		if err != nil {
			return err
		}
		if !f.Changed("version") {
			status, err := c.Show(cmd.Context(), id)
			if err != nil {
				return err
			}
			version = status.Version
		}
		changed, err := c.Patch(cmd.Context(), id, version, p)
		if err != nil {
			return err
		}
		return newPrinter(cmd).print(changed, func(p *printer) {
			fmt.Fprintf(p.out, "%s changed in %.1f ms by %s: version %d, %s, until %s\n", id, changed.TookMS, strings.Join(changed.AcknowledgedBy, ", "),
				changed.Version, usesText(changed.MaxUses), changed.ExpiresAt.Local().Format(time.DateTime))
			sayProof(p, &changed.Proof)
		})
	}
	return cmd
}

// sayProof tells what somebody should know of a proof.
func sayProof(p *printer, proof *client.Proof) {
	for _, gate := range proof.ExpiredLeases {
		p.say("gate %s was silent; its lease has run out, and it serves nothing until it has caught up", gate)
	}
	if proof.Durability == "best-effort" {
		p.say("best-effort: redis may lose this with its primary, since not every replica has to have it")
	}
	for _, t := range proof.Committing {
		p.say("upload %s had been sent in full and may have been stored", t)
	}
}

func newReissue() *cobra.Command {
	var r client.Reissue
	var key, expiresAt string
	cmd := &cobra.Command{
		Use:   "reissue TOKEN|URL|ID",
		Short: "Revoke a token and mint one in its place, with what it had left",
		Long: `Revoke a token and mint one that permits the same, as often as the old one had uses
left, and print its link. The old one stays revoked, also if minting fails.`,
		Example: `  s3gate token reissue https://files.example.com/s3g_…/report.pdf --reason 'sent to the wrong list'`,
		Args:    exactly(1),
	}
	f := cmd.Flags()
	f.StringVar(&r.ExpiresIn, "expires-in", "", "how long the new one works (default: as long as the old one)")
	f.StringVar(&expiresAt, "expires-at", "", "until when it works, such as 2030-01-31T12:00:00Z")
	f.StringVar(&r.Reason, "reason", "", "why the old one was revoked, kept with it")
	f.StringVar(&key, "idempotency-key", "", "a name for this request: the same one again gets the same token")
	apiFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) (err error) {
		id, err := tokenID(args[0])
		if err != nil {
			return err
		}
		if r.ExpiresAt, err = parseTime("expires-at", expiresAt); err != nil {
			return err
		}
		c, err := newClient(cmd)
		if err != nil {
			return err
		}
		token, err := c.Reissue(cmd.Context(), id, r, client.IdempotencyKey(key))
		if err != nil {
			return err
		}
		return newPrinter(cmd).print(token, func(p *printer) {
			fmt.Fprintln(p.out, token.URL)
			p.say("%s  %s  until %s, instead of %s", token.ID, usesText(token.MaxUses), token.ExpiresAt.Local().Format(time.DateTime), id)
			if token.Replaces != nil {
				sayProof(p, &token.Replaces.Proof)
			}
		})
	}
	return cmd
}
