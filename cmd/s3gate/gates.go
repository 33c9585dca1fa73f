package main

import (
	"io"
	"strconv"

	"github.com/spf13/cobra"

	"s3gate/client"
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
		return printTable(newPrinter(cmd), "NAME\tSTATE\tPOSITION\tLAG\tDURABILITY", gates, func(w io.Writer, g client.Gate) {
			state, lag := "silent", strconv.FormatInt(g.Lag, 10)
			if g.Live {
				state = "live"
			}
			if g.Lag == 0 && !g.CaughtUp {
				lag = "?" // it knows another life of Redis
			}
			row(w, g.Name, state, g.Position.Seq, lag, g.Durability)
		})
	}
	return cmd
}
