package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"
)

// Report is what a run has found.
type Report struct {
	Began    time.Time     `json:"began"`
	Took     string        `json:"took"`
	Command  string        `json:"command"`
	Quick    bool          `json:"quick"` // a smoke run, whose numbers mean nothing
	Logs     bool          `json:"logs"`
	Rounds   int           `json:"rounds"`
	Machine  Machine       `json:"machine"`
	Versions []Version     `json:"versions"`
	Works    []WorkResults `json:"works"`
}

// WorkResults are those of one work.
type WorkResults struct {
	Name  string `json:"name"`
	Title string `json:"title"`
	How   string `json:"how"`
	Base  string `json:"base,omitempty"` // what was subtracted
	Rows  []Row  `json:"rows"`
	// Repeated are turns that failed and were done again.
	Repeated int `json:"repeated,omitempty"`
	// Failed says why there are no rows; "" where there are.
	Failed string `json:"failed,omitempty"`
}

// add notes what came of a work.
func (r *Report) add(w *work, rows []Row, err error) {
	results := WorkResults{Name: w.name, Title: w.title, How: w.how, Base: w.base, Rows: rows, Repeated: w.repeated}
	if err != nil {
		results.Failed = err.Error()
	}
	r.Works = append(r.Works, results)
}

// failed names the works that have failed; nil if there are none.
func (r *Report) failed() error {
	var all []error
	for _, w := range r.Works {
		if w.Failed != "" {
			all = append(all, fmt.Errorf("%s: %s", w.Name, w.Failed))
		}
	}
	return errors.Join(all...)
}

// table writes one line for each row.
func (r *Report) table(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "WORK\tSUBJECT\tMETRIC\tMEDIAN\tUNIT\tRATIO MIN–MEDIAN–MAX\tTO\tAIM\tREACHED")
	for _, results := range r.Works {
		if results.Failed != "" {
			fmt.Fprintf(w, "%s\tFAILED: %s\n", results.Name, results.Failed)
		}
		for _, row := range results.Rows {
			ratio := ""
			if row.Ratio != nil {
				ratio = row.Ratio.String()
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n",
				results.Name, row.Subject, row.Metric, number(row.Value.Median), row.Unit, ratio, row.Peer, row.Aim, row.Verdict())
		}
	}
	if r.Quick {
		fmt.Fprintln(w, "This was a smoke run: the numbers mean nothing.")
	}
	return w.Flush()
}

// Verdict is whether its aim was reached; "" without an aim.
func (r Row) Verdict() string {
	switch {
	case r.Aim == "":
		return ""
	case r.Reached:
		return "yes"
	default:
		return "no"
	}
}

// json writes the report as one object.
func (r *Report) json(out io.Writer) error {
	e := json.NewEncoder(out)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

// Number is the median.
func (r Row) Number() string { return number(r.Value.Median) }
