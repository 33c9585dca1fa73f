package main

import (
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"s3gate/client"
)

func newTransfers() *cobra.Command {
	return group("transfers", "List and cut what runs through the gates", newListTransfers(), newCut())
}

func newListTransfers() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "ls",
		Aliases: []string{"list"},
		Short:   "List what runs through all gates, the longest first",
		Args:    exactly(0),
	}
	apiFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := newClient(cmd)
		if err != nil {
			return err
		}
		all, err := c.Transfers(cmd.Context())
		if err != nil {
			return err
		}
		p := newPrinter(cmd)
		err = printTable(p, "ID\tDIRECTION\tOBJECT\tBYTES\tOF\tPER SECOND\tSINCE\tTOKEN\tSUBJECT\tGATE", all.Transfers, func(w io.Writer, r client.Transfer) {
			size := "?"
			if r.Size > 0 {
				size = strconv.FormatInt(r.Size, 10)
			}
			row(w, r.ID, r.Direction, r.Bucket+"/"+r.Key+r.Prefix,
				r.Bytes, size, r.BytesPerSecond, r.Since.Local().Format(time.DateTime), r.Token, r.Subject, r.Gate)
		})
		if err != nil {
			return err
		}
		for _, gate := range all.Silent {
			p.say("gate %s did not answer; without a lease what runs there waits", gate)
		}
		if !all.Complete && len(all.Silent) == 0 {
			p.say("this is not all: Redis is away, or a gate has more than it tells of")
		}
		return nil
	}
	return cmd
}

func newCut() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "cut ID",
		Short: "Cut one transfer, on whichever gate; its token goes on working",
		Args:  exactly(1),
	}
	apiFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := newClient(cmd)
		if err != nil {
			return err
		}
		receipt, err := c.Cut(cmd.Context(), args[0])
		if err != nil {
			return fmt.Errorf("cutting %s: %w", args[0], err)
		}
		return newPrinter(cmd).print(receipt, func(p *printer) {
			if receipt.Cut {
				fmt.Fprintf(p.out, "%s cut\n", receipt.ID)
			} else {
				fmt.Fprintf(p.out, "%s not cut: the upload had been sent in full and may have been stored\n", receipt.ID)
			}
		})
	}
	return cmd
}
