package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"s3gate/loadtest"
)

func newLoadtest() *cobra.Command {
	var c loadtest.Config
	var ready, target string
	var yes bool
	cmd := &cobra.Command{
		Use:   "loadtest SCENARIO",
		Short: "Put load on a gate, and see whether it keeps its promises",
		Long: "Put load on a gate that --target or the file of --ready-file names, show how fast it\n" +
			"is, and whether what must hold under any load does. It makes objects below --prefix,\n" +
			"which stay. Exit code 3 if something did not hold.\n\nScenarios:\n" + scenarioTable() +
			"\nWithout --rate there are as many operations at a time as --workers, and the next\n" +
			"begins when one has ended. With it operations begin at that rate whatever the gate\n" +
			"does, and count from when they were due.",
		Example: `  s3gate loadtest download-small --ready-file dev.json --rate 500 --duration 30s
  s3gate loadtest single-use-race --ready-file dev.json
  s3gate loadtest download-large --target https://dl.example.com --api-url https://gate:8090 --bucket docs --yes --json`,
		Args: exactly(1),
	}
	for _, s := range loadtest.Scenarios() {
		cmd.ValidArgs = append(cmd.ValidArgs, s.Name)
	}
	f := cmd.Flags()
	f.StringVar(&ready, "ready-file", "", `the file that "s3gate dev" or "s3gate serve" has written`)
	f.StringVar(&target, "target", "", "where the gate's links are, such as https://dl.example.com")
	f.StringVar(&c.Target.Bucket, "bucket", "", "the alias of a bucket of the gate")
	f.StringVar(&c.Target.Prefix, "prefix", loadtest.DefaultPrefix, "begins the keys of the objects that are made")
	f.Float64Var(&c.Rate, "rate", 0, "operations a second; 0 for as many as the workers do")
	f.IntVar(&c.Workers, "workers", 0, "operations at a time (default: the scenario's, or what the rate needs)")
	f.DurationVar(&c.Duration, "duration", 10*time.Second, "how long, after the warm-up")
	f.DurationVar(&c.Warmup, "warmup", time.Second, "how long nothing is measured at first")
	f.DurationVar(&c.Ramp, "ramp", 0, "how long the rate grows from 0, within the warm-up")
	f.Uint64Var(&c.Operations, "operations", 0, "end after so many, without a warm-up; 0 for no limit")
	size := f.String("size", "", "of an object, such as 64MiB (default: the scenario's)")
	f.Uint64Var(&c.Seed, "seed", 1, "the same seed makes the same objects and asks for the same")
	f.IntVar(&c.Clients, "clients", 8, "clients that race for a token, or download by one that is revoked")
	f.StringToIntVar(&c.Mix, "mix", loadtest.DefaultMix(), "the weights of scenarios in mixed")
	f.Lookup("mix").DefValue = inOrder(loadtest.DefaultMix()) // pflag's own has any order
	f.DurationVar(&c.Grace, "grace", 250*time.Millisecond, "how long what was on its way may arrive after a revocation")
	f.DurationVar(&c.Timeout, "timeout", time.Minute, "the longest that one operation may take")
	f.IntSliceVar(&c.PIDs, "pid", nil, "a process of this machine whose CPU time and memory are shown; may be repeated (Linux)")
	page := f.String("html", "", "also write the report there, as a page with plots")
	f.BoolVarP(&yes, "yes", "y", false, "do not ask")
	apiFlags(cmd)
	cmd.AddCommand(newCompareLoad())
	cmd.RunE = func(cmd *cobra.Command, args []string) (err error) {
		c.Scenario = args[0]
		if *size != "" {
			if c.Size, err = parseBytes(*size); err != nil {
				return err
			}
		}
		if c.Target, err = loadTarget(cmd, c.Target, ready, target); err != nil {
			return err
		}
		if !yes {
			if err := confirmLoad(cmd, &c); err != nil {
				return err
			}
		}
		return runLoad(cmd, c, *page)
	}
	return cmd
}

func scenarioTable() string {
	var b strings.Builder
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, s := range loadtest.Scenarios() {
		fmt.Fprintf(t, "  %s\t%s\n", s.Name, s.About)
	}
	t.Flush()
	return b.String()
}

// loadTarget is the gate of the ready file, unless flags and environment say
// otherwise. Nobody else is ever asked: a gate that neither names is refused.
func loadTarget(cmd *cobra.Command, t loadtest.Target, ready, target string) (loadtest.Target, error) {
	var from loadtest.Target
	if ready != "" {
		var err error
		if from, err = loadtest.ReadReadyFile(ready); err != nil {
			return t, usageError{err}
		}
	}
	if ready == "" && target == "" {
		return t, usagef("say whom to put load on: --target with the URL of links, or --ready-file")
	}
	url, bearer, err := apiOf(cmd)
	if err != nil {
		return t, err
	}
	identity, err := identityOf(cmd)
	if err != nil {
		return t, err
	}
	if t.TLS, err = identity.Config(); err != nil {
		return t, usageError{err}
	}
	t.LinksURL = strings.TrimSuffix(cmp.Or(target, from.LinksURL), "/")
	t.APIURL = cmp.Or(from.APIURL, url)
	t.Bearer = cmp.Or(from.Bearer, bearer)
	if cmd.Flags().Changed("api-url") {
		t.APIURL = url
	}
	t.Bucket = cmp.Or(t.Bucket, from.Bucket)
	return t, nil
}

// confirmLoad says what is about to happen, and asks.
func confirmLoad(cmd *cobra.Command, c *loadtest.Config) error {
	pace := "as fast as the gate lets it"
	if c.Rate > 0 {
		pace = fmt.Sprintf("%g times a second", c.Rate)
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "%s for %s, %s, on %s.\nWhoever runs that gate and its bucket pays for requests and traffic.\n",
		c.Scenario, c.Warmup+c.Duration, pace, c.Target)
	if !isTerminal(cmd.InOrStdin()) {
		return usagef("nobody to ask: say --yes to begin")
	}
	return confirm(cmd, "Begin?")
}

func runLoad(cmd *cobra.Command, c loadtest.Config, page string) error {
	p := newPrinter(cmd)
	if !p.quiet && isTerminal(p.err) {
		c.Progress = func(s loadtest.Progress) { fmt.Fprintf(p.err, "\r\x1b[K%s", liveLine(s)) }
	}
	report, err := loadtest.Run(cmd.Context(), c)
	if c.Progress != nil {
		fmt.Fprint(p.err, "\r\x1b[K")
	}
	if errors.Is(err, loadtest.ErrConfig) {
		return usageError{err}
	}
	if err != nil {
		return err
	}
	if page != "" {
		if err := writePage(page, report); err != nil {
			return err
		}
	}
	if err := p.print(report, func(p *printer) { err = report.WriteText(p.out) }); err != nil {
		return err
	}
	if err == nil && !report.OK {
		err = errNo
	}
	return err
}

// liveLine says what happens now.
func liveLine(s loadtest.Progress) string {
	const mb = 1e6
	return fmt.Sprintf("%d/s  p50 %.1f ms  p99 %.1f ms  %.1f MB/s  %d running  %d failed  %s left",
		s.Operations, s.P50, s.P99, float64(s.Received+s.Sent)/mb, s.Running, s.Failed, s.Left.Round(time.Second))
}

func writePage(path string, report *loadtest.Report) error {
	var page bytes.Buffer
	if err := report.WriteHTML(&page); err != nil {
		return err
	}
	if err := os.WriteFile(path, page.Bytes(), 0o644); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	return nil
}

func newCompareLoad() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "compare A.json B.json",
		Short: "Put two reports of the same scenario side by side",
		Args:  exactly(2),
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		var reports [2]*loadtest.Report
		for i, path := range args {
			var err error
			if reports[i], err = loadtest.ReadReport(path); err != nil {
				return usageError{err}
			}
		}
		list, err := loadtest.Compare(reports[0], reports[1])
		if err != nil {
			return usageError{err}
		}
		var writeErr error
		err = newPrinter(cmd).print(list, func(p *printer) { writeErr = loadtest.WriteDifferences(p.out, list) })
		return cmp.Or(err, writeErr)
	}
	return cmd
}

// inOrder writes weights as the flag takes them, the same each time.
func inOrder(mix map[string]int) string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(mix)) {
		all = append(all, fmt.Sprintf("%s=%d", name, mix[name]))
	}
	return strings.Join(all, ",")
}
