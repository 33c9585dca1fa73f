package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// printer writes results: data to stdout, words about it to stderr.
type printer struct {
	out, err io.Writer
	json     bool
}

func newPrinter(cmd *cobra.Command) *printer {
	asJSON, _ := cmd.Flags().GetBool("json")
	return &printer{out: cmd.OutOrStdout(), err: cmd.ErrOrStderr(), json: asJSON}
}

// print writes v as one line of JSON, if that was asked for, or by text.
func (p *printer) print(v any, text func(*printer)) error {
	if !p.json {
		text(p)
		return nil
	}
	enc := json.NewEncoder(p.out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("printing: %w", err)
	}
	return nil
}

// say tells a person something that is not data.
func (p *printer) say(format string, args ...any) {
	if !p.json {
		fmt.Fprintf(p.err, format+"\n", args...)
	}
}

// table aligns columns.
func (p *printer) table() *tabwriter.Writer { return tabwriter.NewWriter(p.out, 0, 4, 2, ' ', 0) }

// printTable prints rows under a head, whose columns are separated by tabs, or
// each as one line of JSON.
func printTable[T any](p *printer, head string, rows []T, line func(io.Writer, T)) error {
	t := p.table()
	defer t.Flush()
	if !p.json {
		fmt.Fprintln(t, head)
	}
	for _, row := range rows {
		if err := p.print(row, func(*printer) { line(t, row) }); err != nil {
			return err
		}
	}
	return nil
}

// isTerminal reports whether a person reads or writes there.
func isTerminal(v any) bool {
	f, ok := v.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
