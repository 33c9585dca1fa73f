package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"unicode"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// printer writes results: data to stdout, words about it to stderr.
type printer struct {
	out, err io.Writer
	json     bool
	quiet    bool // says nothing that is not data
}

func newPrinter(cmd *cobra.Command) *printer {
	asJSON, _ := cmd.Flags().GetBool("json")
	return &printer{out: cmd.OutOrStdout(), err: cmd.ErrOrStderr(), json: asJSON, quiet: isQuiet(cmd)}
}

func isQuiet(cmd *cobra.Command) bool {
	quiet, _ := cmd.Flags().GetBool("quiet")
	return quiet
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
	if !p.json && !p.quiet {
		fmt.Fprintf(p.err, format+"\n", args...)
	}
}

// rows takes lines of columns with tabs between them: for a person it aligns
// them, for a program it leaves them as they are.
func (p *printer) rows() flusher {
	if isTerminal(p.out) {
		return p.table()
	}
	return bufio.NewWriter(p.out)
}

type flusher interface {
	io.Writer
	Flush() error
}

// row writes one line of a list. What is not to be printed, above all another tab
// or an escape sequence in a name, is written as in a Go string.
func row(w io.Writer, columns ...any) {
	for i, c := range columns {
		if i > 0 {
			io.WriteString(w, "\t")
		}
		io.WriteString(w, plain(fmt.Sprint(c)))
	}
	io.WriteString(w, "\n")
}

func plain(text string) string {
	if !strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return text
	}
	quoted := strconv.Quote(text)
	return strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`)
}

// table aligns columns.
func (p *printer) table() *tabwriter.Writer { return newTable(p.out) }

func newTable(out io.Writer) *tabwriter.Writer { return tabwriter.NewWriter(out, 0, 4, 2, ' ', 0) }

// printTable prints rows under a head, whose columns are separated by tabs and which
// is left out if it is "", or
// each as one line of JSON.
func printTable[T any](p *printer, head string, rows []T, line func(io.Writer, T)) error {
	t := p.rows()
	defer t.Flush()
	if !p.json && head != "" {
		fmt.Fprintln(t, head)
	}
	for _, r := range rows {
		if err := p.print(r, func(*printer) { line(t, r) }); err != nil {
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
