package main

import (
	"fmt"
	"io"
	"text/template"
)

// page writes the report for people, as Markdown. It has nothing that is not in the
// report.
func (r *Report) page(out io.Writer) error {
	t, err := template.ParseFS(files, "conf/performance.md")
	if err != nil {
		return err
	}
	return t.Execute(out, r)
}

// Aimed are the rows with an aim, with what they are about.
func (r *Report) Aimed() (all []AimedRow) {
	for _, w := range r.Works {
		for _, row := range w.Rows {
			if row.Aim != "" {
				all = append(all, AimedRow{w.Title, w.Name, row})
			}
		}
	}
	return all
}

// AimedRow is a row and its work.
type AimedRow struct {
	Title, Work string
	Row
}

// Columns are the row's cells on the page: median, ratio and to whom.
func (r Row) Columns() string {
	ratio := "|"
	if r.Ratio != nil {
		ratio = fmt.Sprintf("%s | %s", r.Ratio, r.Peer)
	}
	return fmt.Sprintf("| %s | %s | %s %s | %s |", r.Subject, r.Metric, r.Value, r.Unit, ratio)
}
