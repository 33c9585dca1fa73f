package loadtest_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"s3gate/loadtest"
)

func TestConfigIsChecked(t *testing.T) {
	to := loadtest.Target{LinksURL: "http://127.0.0.1:1", APIURL: "http://127.0.0.1:1", Bearer: "secret", Bucket: "b"}
	for _, test := range []struct {
		want   string
		change func(*loadtest.Config)
	}{
		{`scenario: "x" is none of`, func(c *loadtest.Config) { c.Scenario = "x" }},
		{"rate: must be 0 to 100000, is -1", func(c *loadtest.Config) { c.Rate = -1 }},
		{"rate: must be 0 to 100000, is NaN", func(c *loadtest.Config) { c.Rate = math.NaN() }},
		{"workers: must be 1 to 20000, is 20001", func(c *loadtest.Config) { c.Workers = 20001 }},
		{"duration: must be 0.001 to 86400, is 172800", func(c *loadtest.Config) { c.Duration = 48 * time.Hour }},
		{"ramp: must be 0 to 1, is 2", func(c *loadtest.Config) { c.Warmup, c.Ramp = time.Second, 2*time.Second }},
		{"size: must be 1 to 68719476736, is -5", func(c *loadtest.Config) { c.Size = -5 }},
		{"clients: must be 2 to 1000, is 1", func(c *loadtest.Config) { c.Clients = 1 }},
		{`links URL: must be http://… or https://…, is "dl.example.com"`, func(c *loadtest.Config) { c.Target.LinksURL = "dl.example.com" }},
		{"bearer: is required", func(c *loadtest.Config) { c.Target.Bearer = "" }},
		{"bucket: is required", func(c *loadtest.Config) { c.Target.Bucket = "" }},
		{`mix: "mixed" is none`, func(c *loadtest.Config) { c.Scenario, c.Mix = "mixed", map[string]int{"mixed": 1} }},
		{"mix: all weights are 0", func(c *loadtest.Config) { c.Scenario, c.Mix = "mixed", map[string]int{"mint": 0} }},
		{"mix: the weight of mint must be 0 to 1000000, is -1", func(c *loadtest.Config) { c.Scenario, c.Mix = "mixed", map[string]int{"mint": -1} }},
	} {
		c := loadtest.Config{Target: to, Scenario: "mint"}
		test.change(&c)
		_, err := loadtest.Run(t.Context(), c)
		if !errors.Is(err, loadtest.ErrConfig) || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%v, want %q", err, test.want)
		}
	}
}

// Nobody is asked whom the target does not name, also when it redirects.
func TestUnreachableGate(t *testing.T) {
	to := loadtest.Target{LinksURL: "http://127.0.0.1:1", APIURL: "http://127.0.0.1:1", Bearer: "b", Bucket: "b"}
	if _, err := loadtest.Run(t.Context(), loadtest.Config{Target: to, Scenario: "download-small"}); err == nil || errors.Is(err, loadtest.ErrConfig) {
		t.Errorf("got %v", err)
	}
	r, err := loadtest.Run(t.Context(), loadtest.Config{Target: to, Scenario: "mint", Operations: 3})
	if err != nil || r.OK || r.Failed != 3 || len(r.Errors) != 1 || r.Errors[0].Kind != "connection refused" {
		t.Errorf("%+v, %v", r, err)
	}
}

func report(name string) *loadtest.Report {
	r := &loadtest.Report{
		Scenario: "mint", OK: true, Target: "https://dl.example.com", Began: time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC), Seconds: 2,
		Rate: 100, Kept: true, Operations: 200, Failed: 1, Received: 5e6, ReceivedRate: 2.5, Workers: 4,
		Latency:    loadtest.Quantiles{Count: 199, Mean: 3, P50: 2, P90: 4, P99: 8, P999: 20_000, Max: 20_000},
		Measures:   map[string]loadtest.Quantiles{"upload-many": {Count: 1, P50: 7, Max: 7}},
		Errors:     []loadtest.ErrorCount{{Kind: "HTTP 503", Count: 1, Example: "answered 503 <Service> Unavailable"}},
		Invariants: []loadtest.Invariant{{Name: "no answer is 5xx", Checked: 200, OK: true}},
		Processes:  []loadtest.Process{{PID: 7, Name: "s3gate", CPU: 1, PerOperation: 5000, Before: 1 << 20, Peak: 3 << 20, After: 2 << 20}},
		Timeline: []loadtest.Second{
			{At: 1, Operations: 100, P50: 2, P99: 8, Received: 2e6, Memory: 1 << 20}, {At: 2, Operations: 100, P50: 3, P99: 9, Received: 3e6, Memory: 2 << 20},
		},
		Percentiles: []loadtest.Percentile{{Percent: 0, Took: 1}, {Percent: 50, Took: 2}, {Percent: 100, Took: 20_000}},
	}
	if name == "broken" {
		r.OK, r.Kept, r.Asked = false, false, 500
		r.Invariants = append(r.Invariants, loadtest.Invariant{Name: "exactly one client gets a single use", Checked: 3, Broken: 1, Examples: []string{"race 2: 2 of 8 clients got it"}})
	}
	return r
}

func TestWriteText(t *testing.T) {
	var text bytes.Buffer
	if err := report("broken").WriteText(&text); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"200 operations in 2.0 s: 100.0/s (asked for 500/s, NOT KEPT", "99.500 %", "p50 2.00 ms  p90 4.00 ms  p99 8.00 ms  p99.9 20.0 s",
		"1 × HTTP 503: answered 503", "7 (s3gate): 1.00 s of CPU, 5000.0 µs an operation; memory 1 MiB, at most 3, then 2",
		"BROKEN 1 ×", "exactly one client gets a single use (3 times)", "race 2: 2 of 8 clients got it",
	} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("no %q in\n%s", want, text.String())
		}
	}
}

func TestWriteHTML(t *testing.T) {
	var page bytes.Buffer
	if err := report("broken").WriteHTML(&page); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"not every promise kept", "Latency over time", "Latency by percentile", "Throughput", "Memory", "<polyline", "&lt;Service&gt;", "race 2"} {
		if !strings.Contains(page.String(), want) {
			t.Errorf("no %q in the page", want)
		}
	}
	for _, not := range []string{"<script", "src=", "href=", "url(", "@import", "NaN", "Inf"} {
		if strings.Contains(page.String(), not) {
			t.Errorf("the page has %q", not)
		}
	}
}

func TestCompare(t *testing.T) {
	a, b := report(""), report("")
	b.Rate, b.Latency.P50 = 150, 1
	path := filepath.Join(t.TempDir(), "b.json")
	raw, err := json.Marshal(b)
	if err == nil {
		err = os.WriteFile(path, append([]byte("{\"note\": 1}\n"), raw...), 0o600)
	}
	if err == nil {
		b, err = loadtest.ReadReport(path)
	}
	if err != nil {
		t.Fatal(err)
	}
	list, err := loadtest.Compare(a, b)
	if err != nil {
		t.Fatal(err)
	}
	ratios := map[string]float64{}
	for _, d := range list {
		ratios[d.Name] = d.Ratio
	}
	if ratios["operations/s"] != 1.5 || ratios["latency p50 ms"] != 0.5 || ratios["latency p99 ms"] != 1 || ratios["CPU µs/operation"] != 1 {
		t.Errorf("%v", ratios)
	}
	b.Size++
	if _, err := loadtest.Compare(a, b); !errors.Is(err, loadtest.ErrDifferent) {
		t.Errorf("of different sizes: %v", err)
	}
	if _, err := loadtest.ReadReport(os.Args[0]); err == nil {
		t.Error("a program was read as a report")
	}
}

func TestReadReadyFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ready.json")
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(`{"public_url": "http://127.0.0.1:1/", "api_url": "http://127.0.0.1:2", "api_token": "jwt", "bucket": "demo"}`)
	got, err := loadtest.ReadReadyFile(path)
	if want := (loadtest.Target{LinksURL: "http://127.0.0.1:1", APIURL: "http://127.0.0.1:2", Bearer: "jwt", Bucket: "demo"}); err != nil || got != want {
		t.Errorf("%s, %v", got, err)
	}
	write(`{"links_url": "http://127.0.0.1:3", "public_url": "https://dl.example.com"}`)
	if got, err := loadtest.ReadReadyFile(path); err != nil || got.LinksURL != "http://127.0.0.1:3" {
		t.Errorf("of serve: %s, %v", got, err)
	}
	write(`{"api_token": "jwt-secret"`)
	if _, err := loadtest.ReadReadyFile(path); err == nil || strings.Contains(err.Error(), "jwt-secret") {
		t.Errorf("malformed: %v", err)
	}
}
