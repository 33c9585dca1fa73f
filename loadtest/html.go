package loadtest

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"math"
)

//go:embed report.html
var pageText string

var page = template.Must(template.New("report").Funcs(template.FuncMap{"ms": ms}).Parse(pageText))

// WriteHTML writes the report as one page that loads nothing: no script, no font, no
// image from elsewhere.
func (r *Report) WriteHTML(out io.Writer) error {
	var charts []*chart
	for _, c := range []*chart{r.latencyChart(), r.percentileChart(), r.throughputChart(), r.rateChart(), r.memoryChart()} {
		if c != nil {
			charts = append(charts, c)
		}
	}
	err := page.Execute(out, map[string]any{"R": r, "Charts": charts, "Tables": r.tables(), "Success": r.success()})
	if err != nil {
		return fmt.Errorf("writing the page: %w", err)
	}
	return nil
}

// success is the part of operations that succeeded, in percent.
func (r *Report) success() string {
	return fmt.Sprintf("%.3f %%", 100*float64(r.Operations-r.Failed)/float64(max(r.Operations, 1)))
}

// shortSecond is how much of a second the last one must be to be drawn.
const shortSecond = 0.5

// overTime is a chart of the run's seconds, nil of a run that was too short for one.
func (r *Report) overTime(title, unit string, lines ...timeLine) *chart {
	if len(r.Timeline) < 2 {
		return nil
	}
	end := r.Timeline[len(r.Timeline)-1].At
	c := &chart{Title: title, Unit: unit}
	for i := range 5 {
		x := float64(i) / 4
		c.Ticks = append(c.Ticks, chartTick{x, fmt.Sprintf("%.0f s", x*end)})
	}
	for _, l := range lines {
		line := chartLine{Name: l.name, Class: l.class}
		before := 0.0
		for _, s := range r.Timeline {
			if took := s.At - before; took > shortSecond {
				line.Points = append(line.Points, chartPoint{s.At / end, l.value(s, took)})
			}
			before = s.At
		}
		c.Lines = append(c.Lines, line)
	}
	return c
}

// timeLine is one value of each second; took is how long that second was.
type timeLine struct {
	name, class string
	value       func(s Second, took float64) float64
}

func (r *Report) latencyChart() *chart {
	return r.overTime("Latency over time", "ms",
		timeLine{"p50", "one", func(s Second, _ float64) float64 { return s.P50 }},
		timeLine{"p99", "two", func(s Second, _ float64) float64 { return s.P99 }})
}

func (r *Report) throughputChart() *chart {
	if r.Received+r.Sent == 0 {
		return nil
	}
	return r.overTime("Throughput", "MB/s",
		timeLine{"received", "one", func(s Second, took float64) float64 { return float64(s.Received) / 1e6 / took }},
		timeLine{"sent", "two", func(s Second, took float64) float64 { return float64(s.Sent) / 1e6 / took }})
}

func (r *Report) rateChart() *chart {
	return r.overTime("Operations", "per second",
		timeLine{"ended", "one", func(s Second, took float64) float64 { return float64(s.Operations) / took }},
		timeLine{"failed", "bad", func(s Second, took float64) float64 { return float64(s.Failed) / took }})
}

func (r *Report) memoryChart() *chart {
	if len(r.Processes) == 0 {
		return nil
	}
	return r.overTime("Memory of the watched processes", "MiB",
		timeLine{"resident", "one", func(s Second, _ float64) float64 { return float64(s.Memory) / (1 << 20) }})
}

// percentileChart has the percentiles on a scale on which each nine takes as much
// room as the one before.
func (r *Report) percentileChart() *chart {
	if len(r.Percentiles) < 2 {
		return nil
	}
	const nines = 4
	place := func(percent float64) float64 { return min(-math.Log10(1-min(percent/100, 0.99999)), nines) / nines }
	c := &chart{Title: "Latency by percentile", Unit: "ms"}
	for _, p := range []float64{0, 90, 99, 99.9, 99.99} {
		c.Ticks = append(c.Ticks, chartTick{place(p), fmt.Sprintf("%g %%", p)})
	}
	line := chartLine{Name: "latency", Class: "one"}
	for _, p := range r.Percentiles {
		line.Points = append(line.Points, chartPoint{place(p.Percent), p.Took})
	}
	c.Lines = []chartLine{line}
	return c
}
