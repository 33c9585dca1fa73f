package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

func newRevoke() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "revoke TOKEN|URL|ID...",
		Short: "Revoke tokens: refuse them from now on and cut their running transfers",
		Long: `Revoke tokens. When the command has ended without error every later request is
refused and running transfers through this gate are cut.`,
		Example: `  s3gate revoke https://files.example.com/s3g_…/report.pdf --reason 'sent to the wrong list'`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef("usage: %s", cmd.UseLine())
			}
			return nil
		},
	}
	reason := cmd.Flags().String("reason", "", "why, kept with the token")
	apiFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := newClient(cmd)
		if err != nil {
			return err
		}
		// A mistyped token must not leave the others half done.
		ids := make([]string, len(args))
		for i, arg := range args {
			if ids[i], err = tokenID(arg); err != nil {
				return err
			}
		}
		for _, id := range ids {
			receipt, err := c.Revoke(cmd.Context(), id, *reason)
			if err != nil {
				return fmt.Errorf("revoking %s: %w", id, err)
			}
			err = newPrinter(cmd).print(receipt, func(p *printer) {
				fmt.Fprintf(p.out, "%s revoked in %.1f ms by %s; %d transfers cut\n", id, receipt.TookMS,
					strings.Join(receipt.AcknowledgedBy, ", "), receipt.Cut)
				for _, t := range receipt.Committing {
					p.say("upload %s had been sent in full and may have been stored", t)
				}
			})
			if err != nil {
				return err
			}
		}
		return nil
	}
	return cmd
}
