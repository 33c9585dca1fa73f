package loadtest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"text/tabwriter"
)

// ReadReport reads the JSON of a report, or the last line of a file of several lines.
func ReadReport(path string) (*Report, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading a report: %w", err)
	}
	defer file.Close()
	var last *Report
	for dec := json.NewDecoder(file); ; {
		var r Report
		switch err := dec.Decode(&r); {
		case errors.Is(err, io.EOF) && last != nil && last.Scenario != "":
			return last, nil
		case err != nil:
			return nil, fmt.Errorf("reading a report: %s has no report in JSON as its last line", path)
		}
		last = &r
	}
}

// Difference is one number of two reports.
type Difference struct {
	Name string  `json:"name"`
	A    float64 `json:"a"`
	B    float64 `json:"b"`
	// Ratio is B/A; 0 if A is 0.
	Ratio float64 `json:"ratio"`
}

// ErrDifferent is returned for reports of different scenarios or sizes.
var ErrDifferent = errors.New("the reports cannot be compared")

// Compare puts two reports of the same scenario side by side.
func Compare(a, b *Report) ([]Difference, error) {
	if a.Scenario != b.Scenario || a.Size != b.Size {
		return nil, fmt.Errorf("%w: %s of %d bytes and %s of %d bytes", ErrDifferent, a.Scenario, a.Size, b.Scenario, b.Size)
	}
	var list []Difference
	add := func(name string, a, b float64) {
		if a == 0 && b == 0 {
			return
		}
		d := Difference{Name: name, A: a, B: b}
		if a != 0 {
			d.Ratio = b / a
		}
		list = append(list, d)
	}
	add("operations/s", a.Rate, b.Rate)
	add("failed", float64(a.Failed), float64(b.Failed))
	add("received MB/s", a.ReceivedRate, b.ReceivedRate)
	add("sent MB/s", a.SentRate, b.SentRate)
	tables := b.tables()
	for _, q := range a.tables() {
		i := slices.IndexFunc(tables, func(other namedQuantiles) bool { return other.Name == q.Name })
		if i < 0 {
			continue
		}
		other := tables[i]
		add(q.Name+" p50 ms", q.P50, other.P50)
		add(q.Name+" p90 ms", q.P90, other.P90)
		add(q.Name+" p99 ms", q.P99, other.P99)
		add(q.Name+" p99.9 ms", q.P999, other.P999)
	}
	pa, pb := a.together(), b.together()
	add("CPU µs/operation", pa.PerOperation, pb.PerOperation)
	add("CPU s/GiB", pa.PerGiB, pb.PerGiB)
	add("memory at most, MiB", float64(pa.Peak)/(1<<20), float64(pb.Peak)/(1<<20))
	return list, nil
}

// together adds up the processes of a report.
func (r *Report) together() (sum Process) {
	for _, p := range r.Processes {
		sum.PerOperation += p.PerOperation
		sum.PerGiB += p.PerGiB
		sum.Peak += p.Peak
	}
	return sum
}

// WriteDifferences writes a comparison for people.
func WriteDifferences(out io.Writer, list []Difference) error {
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "\ta\tb\tb/a\t")
	for _, d := range list {
		ratio := "-"
		if d.A != 0 {
			ratio = fmt.Sprintf("%.2f", d.Ratio)
		}
		fmt.Fprintf(t, "%s\t%.2f\t%.2f\t%s\t\n", d.Name, d.A, d.B, ratio)
	}
	return t.Flush()
}
