package loadtest

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Report is what a run has shown. Its JSON form is stable.
type Report struct {
	Scenario string `json:"scenario"`
	// OK is whether every invariant held.
	OK bool `json:"ok"`
	// Target is the links' URL; Size is that of an object in bytes.
	Target string `json:"target"`
	Size   int64  `json:"size"`
	// Began is when, Seconds how long the part was that is measured.
	Began   time.Time `json:"began"`
	Seconds float64   `json:"seconds"`
	// Asked is the rate that was asked for, 0 for a closed loop, and Rate the
	// operations a second that ended. Kept is false where the workers were too
	// few, or this machine too slow, to begin them when they were due.
	Asked   float64 `json:"asked_rate"`
	Rate    float64 `json:"rate"`
	Kept    bool    `json:"kept"`
	Workers int     `json:"workers"`
	Seed    uint64  `json:"seed"`
	// Operations is how many ended, and Failed how many of them as they should not.
	Operations uint64 `json:"operations"`
	Failed     uint64 `json:"failed"`
	// Errors are those by their kind.
	Errors []ErrorCount `json:"errors"`
	// Latency is that of operations that succeeded, FirstByte the time to the first
	// byte of an answer's header. Both count from when the operation was due.
	Latency   Quantiles `json:"latency_ms"`
	FirstByte Quantiles `json:"first_byte_ms"`
	// Measures are other durations, by name.
	Measures map[string]Quantiles `json:"measures_ms"`
	// Received and Sent are bytes of bodies, and the rates megabytes (10^6) a second.
	Received     int64   `json:"received"`
	Sent         int64   `json:"sent"`
	ReceivedRate float64 `json:"received_mb_s"`
	SentRate     float64 `json:"sent_mb_s"`
	// Invariants are what has to hold.
	Invariants []Invariant `json:"invariants"`
	// Processes are those that were watched.
	Processes []Process `json:"processes"`
	// Timeline has each second of the run, the warm-up too.
	Timeline []Second `json:"timeline"`
	// Percentiles is the whole distribution of latencies.
	Percentiles []Percentile `json:"percentiles"`
}

// Percentile is one point of a distribution: as many operations in a hundred took
// so many milliseconds at most.
type Percentile struct {
	Percent float64 `json:"percent"`
	Took    float64 `json:"ms"`
}

func percentiles(h *hdrhistogram.Histogram) (list []Percentile) {
	if h.TotalCount() == 0 {
		return nil
	}
	for _, b := range h.CumulativeDistribution() {
		list = append(list, Percentile{b.Quantile, float64(b.ValueAt) / 1000})
	}
	return list
}

// ErrorCount counts one kind of error.
type ErrorCount struct {
	Kind    string `json:"kind"`
	Count   uint64 `json:"count"`
	Example string `json:"example"`
}

// Quantiles are milliseconds; all are 0 if nothing was measured.
type Quantiles struct {
	Count int64   `json:"count"`
	Mean  float64 `json:"mean"`
	P50   float64 `json:"p50"`
	P90   float64 `json:"p90"`
	P99   float64 `json:"p99"`
	P999  float64 `json:"p99_9"`
	Max   float64 `json:"max"`
}

func quantiles(h *hdrhistogram.Histogram) Quantiles {
	if h.TotalCount() == 0 {
		return Quantiles{}
	}
	return Quantiles{
		Count: h.TotalCount(), Mean: h.Mean() / 1000, P50: milliseconds(h, 50), P90: milliseconds(h, 90),
		P99: milliseconds(h, 99), P999: milliseconds(h, 99.9), Max: float64(h.Max()) / 1000,
	}
}

// lateBegin is the part of operations that may be missing at the end of an open loop
// before its rate counts as not kept.
const lateBegin = 0.01

func (r *recorder) report(w *world, p processes) *Report {
	r.mu.Lock()
	defer r.mu.Unlock()
	cfg := r.cfg
	rep := &Report{
		Scenario: cfg.Scenario, Target: cfg.Target.LinksURL, Size: cfg.Size, Began: r.beganAt.UTC(),
		Errors: []ErrorCount{}, Asked: cfg.Rate, Workers: cfg.Workers, Seed: cfg.Seed, Operations: r.ok,
		Latency: quantiles(r.latency), FirstByte: quantiles(r.firstByte), Measures: w.measures.list(),
		Received: r.received, Sent: r.sent, Timeline: r.ticks, Percentiles: percentiles(r.latency),
	}
	if len(cfg.PIDs) > 0 {
		holdMemory(w.checks, r.ticks)
	}
	rep.Invariants = w.checks.list()
	end := cmp.Or(r.last, r.endedAt)
	rep.Seconds = max(end.Sub(r.measured).Seconds(), 0)
	for kind, n := range r.failed {
		rep.Errors = append(rep.Errors, ErrorCount{kind, n, r.examples[kind]})
		rep.Failed += n
	}
	slices.SortFunc(rep.Errors, func(a, b ErrorCount) int { return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Kind, b.Kind)) })
	rep.Operations += rep.Failed
	if rep.Seconds > 0 {
		rep.Rate = float64(rep.Operations) / rep.Seconds
		rep.ReceivedRate = float64(rep.Received) / 1e6 / rep.Seconds
		rep.SentRate = float64(rep.Sent) / 1e6 / rep.Seconds
	}
	due := cfg.Rate * cfg.Duration.Seconds()
	rep.Kept = cfg.Rate == 0 || cfg.Operations > 0 || float64(rep.Operations) >= due*(1-lateBegin)-1
	rep.Processes = p.usage(rep)
	rep.OK = rep.Operations > 0 && !slices.ContainsFunc(rep.Invariants, func(i Invariant) bool { return !i.OK })
	return rep
}

// WriteText writes the report for people.
func (r *Report) WriteText(out io.Writer) error {
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	line := func(name, format string, args ...any) { fmt.Fprintf(t, name+"\t"+format+"\n", args...) }
	loop := fmt.Sprintf("%d workers", r.Workers)
	if r.Asked > 0 {
		loop = fmt.Sprintf("asked for %s/s", plain(r.Asked))
		if !r.Kept {
			loop += ", NOT KEPT: more workers, or a faster machine here"
		}
	}
	line(r.Scenario, "%d operations in %.1f s: %.1f/s (%s)", r.Operations, r.Seconds, r.Rate, loop)
	line("success", "%s", r.success())
	for _, q := range r.tables() {
		line(q.Name, "p50 %s  p90 %s  p99 %s  p99.9 %s  max %s", ms(q.P50), ms(q.P90), ms(q.P99), ms(q.P999), ms(q.Max))
	}
	if r.Received > 0 {
		line("received", "%.1f MB/s", r.ReceivedRate)
	}
	if r.Sent > 0 {
		line("sent", "%.1f MB/s", r.SentRate)
	}
	for _, e := range r.Errors {
		line("error", "%d × %s: %s", e.Count, e.Kind, e.Example)
	}
	for _, p := range r.Processes {
		line("process", "%s", p)
	}
	for _, i := range r.Invariants {
		line(i.verdict(), "%s (%d times)", i.Name, i.Checked)
		for _, example := range i.Examples {
			line("", "%s", example)
		}
	}
	return t.Flush()
}

type namedQuantiles struct {
	Name string
	Quantiles
}

// tables are all quantiles that there are, in a fixed order.
func (r *Report) tables() (list []namedQuantiles) {
	for name, q := range r.Measures {
		list = append(list, namedQuantiles{name, q})
	}
	slices.SortFunc(list, func(a, b namedQuantiles) int { return cmp.Compare(a.Name, b.Name) })
	list = append([]namedQuantiles{{"latency", r.Latency}, {"first byte", r.FirstByte}}, list...)
	return slices.DeleteFunc(list, func(q namedQuantiles) bool { return q.Count == 0 })
}

// ms writes milliseconds with three digits.
func ms(x float64) string {
	switch {
	case x >= 10_000:
		return fmt.Sprintf("%.1f s", x/1000)
	case x >= 100:
		return fmt.Sprintf("%.0f ms", x)
	case x >= 10:
		return fmt.Sprintf("%.1f ms", x)
	}
	return fmt.Sprintf("%.2f ms", x)
}

func (i *Invariant) verdict() string {
	switch {
	case i.OK:
		return "ok"
	case i.Checked == 0:
		return "NOT SHOWN"
	}
	return fmt.Sprintf("BROKEN %d ×", i.Broken)
}
