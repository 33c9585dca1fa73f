package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"s3gate/client"
	"s3gate/internal/duration"
)

func newLeaks() *cobra.Command {
	return group("leaks", "Show what has leaked, or was tried", newListLeaks())
}

func newListLeaks() *cobra.Command {
	var q client.LeakQuery
	cmd := &cobra.Command{
		Use:     "ls",
		Aliases: []string{"list"},
		Short:   "List what the leak watch of the gates has found, the latest first",
		Example: `  s3gate leaks ls --since 7d
  s3gate leaks ls --kind canary --follow`,
		Args: exactly(0),
	}
	f := cmd.Flags()
	since := f.String("since", "", "only findings with a request since then: a time, or how long ago, such as 7d")
	f.StringVar(&q.Bucket, "bucket", "", "only findings about this bucket, by its alias")
	f.StringVar(&q.Kind, "kind", "", "only findings of this kind: presigned, form, shared or canary")
	f.IntVar(&q.Limit, "limit", 0, "how many at most, up to 1000 (default 50)")
	follow := f.Bool("follow", false, "go on with what is found, as it is told in events")
	choices(cmd, "kind", "presigned", "form", "shared", "canary")
	apiFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) (err error) {
		if q.Since, err = ago("since", *since); err != nil {
			return err
		}
		c, err := newClient(cmd)
		if err != nil {
			return err
		}
		found, err := c.Leaks(cmd.Context(), q)
		if err != nil {
			return err
		}
		if err := printTable(newPrinter(cmd), leakHead, found, leakRow); err != nil || !*follow {
			return err
		}
		return followLeaks(cmd, c, q)
	}
	return cmd
}

// ago reads a flag that is a time or how long ago it was; the zero time if it is not
// given.
func ago(flag, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if d, err := duration.Parse(text); err == nil {
		return time.Now().Add(-d), nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return t, usagef("--%s must be a time such as 2030-01-31T12:00:00Z, or how long ago such as 7d, got %q", flag, text)
	}
	return t, nil
}

const leakHead = "LAST\tKIND\tOUTCOME\tCOUNT\tBUCKET\tKEY\tWHO\tFROM\tDONE"

func leakRow(w io.Writer, l client.Leak) {
	who, from := l.Signer, l.Client
	for _, other := range []string{l.Requester, l.Token} {
		if who == "" {
			who = other
		}
	}
	if len(l.Networks) > 0 {
		from = fmt.Sprintf("%d networks", len(l.Networks))
	}
	var done []string
	for _, t := range l.Taken {
		text := t.Action
		switch {
		case t.Error != "":
			text += " FAILED"
		case t.DryRun:
			text += " (dry run)"
		}
		done = append(done, text)
	}
	row(w, l.Last.Local().Format(time.DateTime), l.Kind, l.Outcome, l.Count, l.Bucket, l.Key, who, from, strings.Join(done, ", "))
}

// followLeaks prints what is told from now on.
func followLeaks(cmd *cobra.Command, c *client.Client, q client.LeakQuery) error {
	p := newPrinter(cmd)
	err := c.Events(cmd.Context(), client.EventQuery{Type: "s3gate.leak.seen.v1", Follow: true, After: "now"}, func(e client.Event) error {
		var data struct {
			client.Leak
			At      time.Time           `json:"at"`
			Actions []client.LeakAction `json:"actions"`
		}
		if err := json.Unmarshal(e.Data, &data); err != nil {
			return fmt.Errorf("reading an event: %w", err)
		}
		l := data.Leak
		l.First, l.Last, l.Taken = data.At, data.At, data.Actions
		if q.Bucket != "" && q.Bucket != l.Bucket || q.Kind != "" && q.Kind != l.Kind {
			return nil
		}
		return p.print(l, func(p *printer) { leakRow(p.out, l) })
	})
	if errors.Is(cmd.Context().Err(), context.Canceled) {
		return nil // that is how it ends
	}
	return err
}
