package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"s3gate/client"
)

func newEvents() *cobra.Command {
	var q client.EventQuery
	cmd := &cobra.Command{
		Use:   "events",
		Short: "Show what has happened, and follow it",
		Long: `Show what has happened on all gates, the oldest first, as far as it is kept. With
--json each line is the whole event, with the position after which to go on. With
--follow it goes on after the last event when the connection breaks off.`,
		Example: `  s3gate events --follow
  s3gate events --token tok_… --json
  s3gate events --type s3gate.token.refused.v1 --follow`,
		Args: exactly(0),
	}
	f := cmd.Flags()
	f.BoolVar(&q.Follow, "follow", false, "go on with what happens, from now on unless --after says another place")
	f.StringVar(&q.Type, "type", "", "only those of this type, such as s3gate.token.receipt.v1")
	f.StringVar(&q.Request, "request", "", "only those of this request (req_…)")
	token := f.String("token", "", "only those of this token: its ID, the token or its link")
	f.StringVar(&q.After, "after", "", "begin after this position, 0 for the oldest, now for what is to come")
	f.IntVar(&q.Limit, "limit", 0, "how many at most (default 1000, without limit with --follow)")
	apiFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) (err error) {
		if q.Follow && q.After == "" {
			q.After = "now"
		}
		if *token != "" {
			if q.Token, err = tokenID(*token); err != nil {
				return err
			}
		}
		return showEvents(cmd, q)
	}
	cmd.AddCommand(newDead())
	return cmd
}

func showEvents(cmd *cobra.Command, q client.EventQuery) error {
	c, err := newClient(cmd)
	if err != nil {
		return err
	}
	p := newPrinter(cmd)
	show := func(e client.Event) error {
		if e.Type == client.GapEvent {
			p.say("events are missing here: they were dropped before they were asked for")
		}
		return p.print(e.Raw, func(p *printer) {
			fmt.Fprintf(p.out, "%s  %-26s  %s  %s\n", e.Time.Local().Format(time.DateTime), e.Type, e.Subject, e.Data)
		})
	}
	if !q.Follow {
		return c.Events(cmd.Context(), q, show)
	}
	err = follow(cmd.Context(), c, q, show, p.say)
	if errors.Is(err, context.Canceled) {
		return nil // that is how it ends
	}
	return err
}

// followPatience is how long events may not be had before nobody asks any more.
const followPatience = 10 * time.Minute

// errEnded is an answer that ends though more was to come: the gate goes down.
var errEnded = errors.New("the gate has ended the answer")

// follow goes on after the last event when an answer breaks off.
func follow(ctx context.Context, c *client.Client, q client.EventQuery, show func(client.Event) error, say func(string, ...any)) error {
	wait := &patience{ctx: ctx, limit: followPatience, say: say}
	var shown error
	limited := q.Limit > 0
	for left := q.Limit; ; q.Limit = left {
		err := c.Events(ctx, q, func(e client.Event) error {
			wait.progress()
			if e.Position != "" {
				q.After = e.Position
				left--
			}
			shown = show(e)
			return shown
		})
		switch {
		case shown != nil:
			return shown
		case limited && left <= 0:
			return nil
		case err == nil:
			wait.reached, err = true, errEnded
		case refused(err) != 0 && refused(err) < 500:
			return err
		}
		if err := wait.wait(err); err != nil {
			return err
		}
	}
}

func newDead() *cobra.Command {
	return group("dead", "List what webhooks did not take, and send it again", newListDead(), newRedeliver())
}

func newListDead() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "ls",
		Aliases: []string{"list"},
		Short:   "List deliveries to webhooks that were given up, the latest first",
		Args:    exactly(0),
	}
	most := cmd.Flags().Int("limit", 50, "how many at most, up to 1000")
	apiFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := newClient(cmd)
		if err != nil {
			return err
		}
		dead, err := c.DeadEvents(cmd.Context(), *most)
		if err != nil {
			return err
		}
		return printTable(newPrinter(cmd), "ID\tTYPE\tGIVEN UP\tTRIES\tERROR", dead, func(w io.Writer, d client.DeadEvent) {
			var e client.Event
			_ = json.Unmarshal(d.Event, &e) // of a later gate it may be anything
			fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\n", d.ID, e.Type, d.At.Local().Format(time.DateTime), d.Tries, d.Error)
		})
	}
	return cmd
}

func newRedeliver() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "redeliver ID...",
		Short: "Send deliveries again that were given up",
		Args:  cobra.MinimumNArgs(1),
	}
	apiFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := newClient(cmd)
		if err != nil {
			return err
		}
		p := newPrinter(cmd)
		for _, id := range args {
			if err := c.Redeliver(cmd.Context(), id); err != nil {
				return fmt.Errorf("redelivering %s: %w", id, err)
			}
			p.say("%s is sent again", id)
		}
		return nil
	}
	return cmd
}
