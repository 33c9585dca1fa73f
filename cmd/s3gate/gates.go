package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func newGates() *cobra.Command {
	return group("gates", "Show the gates that share a Redis", newListGates())
}

func newListGates() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "ls",
		Aliases: []string{"list"},
		Short:   "List the gates, and how much of what was revoked each has applied",
		Args:    exactly(0),
	}
	apiFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := newClient(cmd)
		if err != nil {
			return err
		}
		gates, err := c.Gates(cmd.Context())
		if err != nil {
			return err
		}
		p := newPrinter(cmd)
		t := p.table()
		defer t.Flush()
		if !p.json {
			fmt.Fprintln(t, "NAME\tSTATE\tPOSITION\tCAUGHT UP")
		}
		for _, g := range gates {
			err := p.print(g, func(*printer) {
				state, caughtUp := "silent", "no"
				if g.Live {
					state = "live"
				}
				if g.CaughtUp {
					caughtUp = "yes"
				}
				fmt.Fprintf(t, "%s\t%s\t%d\t%s\n", g.Name, state, g.Position.Seq, caughtUp)
			})
			if err != nil {
				return err
			}
		}
		return nil
	}
	return cmd
}
