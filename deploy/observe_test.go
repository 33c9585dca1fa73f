package deploy_test

import (
	"encoding/json"
	"maps"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// alert is a rule of deploy/prometheus.
type alert struct {
	Alert, Expr, For    string
	Labels, Annotations map[string]string
}

func alerts(t *testing.T) (all []alert) {
	t.Helper()
	var file struct {
		Groups []struct{ Rules []alert }
	}
	if err := yaml.Unmarshal([]byte(read(t, "prometheus", "alerts.yaml")), &file); err != nil {
		t.Fatal(err)
	}
	for _, g := range file.Groups {
		all = append(all, g.Rules...)
	}
	return all
}

// Every alert says how bad it is and what to do, about metrics that there are.
func TestAlerts(t *testing.T) {
	page, known := anchors(read(t, root, "docs", "observe.md")), metricsOfPage(t)
	for _, a := range alerts(t) {
		if !slices.Contains([]string{"critical", "warning", "info"}, a.Labels["severity"]) || a.For == "" || a.Annotations["summary"] == "" {
			t.Errorf("%s lacks a severity, for or a summary", a.Alert)
		}
		if at, found := strings.CutPrefix(a.Annotations["runbook"], "docs/observe.md#"); !found || !page[at] {
			t.Errorf("%s leads to %q, where nothing is", a.Alert, a.Annotations["runbook"])
		}
		if unknown := unknownMetrics(a.Expr, known); len(unknown) > 0 {
			t.Errorf("%s is about %v, which no gate has", a.Alert, unknown)
		}
	}
}

// Prometheus takes the rules. Each alert fires when it should, and not where all is well.
func TestAlertsFire(t *testing.T) {
	promtool(t)
	dir := filepath.Join("prometheus")
	for _, args := range [][]string{{"check", "rules", "alerts.yaml"}, {"test", "rules", "alerts_test.yaml"}} {
		cmd := exec.Command("promtool", args...)
		cmd.Dir = dir
		if err := said(cmd); err != nil {
			t.Error(err)
		}
	}
	var file struct {
		Tests []struct {
			AlertRuleTest []struct {
				Alertname string `yaml:"alertname"`
				Expected  []any  `yaml:"exp_alerts"`
			} `yaml:"alert_rule_test"`
		}
	}
	if err := yaml.Unmarshal([]byte(read(t, "prometheus", "alerts_test.yaml")), &file); err != nil {
		t.Fatal(err)
	}
	fires, silent := map[string]bool{}, map[string]bool{}
	for _, one := range file.Tests {
		for _, r := range one.AlertRuleTest {
			fires[r.Alertname] = fires[r.Alertname] || len(r.Expected) > 0
			silent[r.Alertname] = silent[r.Alertname] || len(r.Expected) == 0
		}
	}
	for _, a := range alerts(t) {
		if !fires[a.Alert] || !silent[a.Alert] {
			t.Errorf("%s: tested that it fires: %v, that it is silent: %v", a.Alert, fires[a.Alert], silent[a.Alert])
		}
	}
}

// panel is one of a dashboard.
type panel struct {
	ID         int
	Type       string
	Title      string
	Datasource *struct{ Type, UID string }
	Targets    []struct {
		Expr       string
		Datasource *struct{ Type, UID string }
	}
	Panels []panel
}

// The dashboard shows what gates have, of whatever data source is chosen.
func TestDashboard(t *testing.T) {
	raw := read(t, "grafana", "s3gate.json")
	var board struct {
		Panels     []panel
		Templating struct {
			List []struct{ Name, Type string }
		}
	}
	if err := json.Unmarshal([]byte(raw), &board); err != nil {
		t.Fatal(err)
	}
	known, ids, used := metricsOfPage(t), map[int]string{}, map[string]bool{}
	var rows []string
	for _, p := range board.Panels {
		if other, twice := ids[p.ID]; twice || p.ID == 0 {
			t.Errorf("the panels %q and %q have the ID %d", p.Title, other, p.ID)
		}
		ids[p.ID] = p.Title
		if p.Type == "row" {
			rows = append(rows, p.Title)
			continue
		}
		if p.Datasource == nil || p.Datasource.UID != "${datasource}" || len(p.Targets) == 0 {
			t.Errorf("%q has no query, or a data source of its own", p.Title)
		}
		for _, target := range p.Targets {
			if target.Datasource == nil || target.Datasource.UID != "${datasource}" || !strings.Contains(target.Expr, "$instance") {
				t.Errorf("%q does not ask what was chosen: %s", p.Title, target.Expr)
			}
			if unknown := unknownMetrics(target.Expr, known); len(unknown) > 0 {
				t.Errorf("%q is about %v, which no gate has", p.Title, unknown)
			}
			for _, name := range metricNames.FindAllString(target.Expr, -1) {
				used[histogramPart.ReplaceAllString(name, "")] = true
			}
		}
	}
	for _, want := range []string{"Traffic", "Latency", "Errors", "Revocation and leases", "Uploads", "Redis", "S3", "Guard and leaks", "The process"} {
		if !slices.Contains(rows, want) {
			t.Errorf("there is no row %q", want)
		}
	}
	for name := range known {
		if !used[name] {
			t.Errorf("%s is not shown", name)
		}
	}
	var variables []string
	for _, v := range board.Templating.List {
		variables = append(variables, v.Name)
	}
	if !slices.Contains(variables, "datasource") || !slices.Contains(variables, "instance") {
		t.Errorf("it has the variables %v", variables)
	}
	for _, m := range regexp.MustCompile(`"uid": "([^"]*)"`).FindAllStringSubmatch(raw, -1) {
		if m[1] != "${datasource}" && m[1] != "s3gate" {
			t.Errorf("it names %q", m[1])
		}
	}
}

// Prometheus can read every query of the dashboard.
func TestDashboardQueries(t *testing.T) {
	promtool(t)
	var board struct{ Panels []panel }
	if err := json.Unmarshal([]byte(read(t, "grafana", "s3gate.json")), &board); err != nil {
		t.Fatal(err)
	}
	type rule struct {
		Record string `yaml:"record"`
		Expr   string `yaml:"expr"`
	}
	var rules []rule
	chosen := strings.NewReplacer("$__rate_interval", "1m", "$instance", ".*", "$job", ".*")
	for _, p := range board.Panels {
		for _, target := range p.Targets {
			expr := chosen.Replace(target.Expr)
			if strings.Contains(expr, "$") {
				t.Errorf("%q has a variable that is none: %s", p.Title, expr)
			}
			// Rules that are the same would be a complaint of their own.
			rules = append(rules, rule{"panel:" + strings.Repeat("a", len(rules)+1), expr})
		}
	}
	raw, err := yaml.Marshal(map[string]any{"groups": []map[string]any{{"name": "dashboard", "rules": rules}}})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "rules.yaml")
	write(t, path, string(raw))
	if err := said(exec.Command("promtool", "check", "rules", path)); err != nil {
		t.Error(err)
	}
}

func promtool(t *testing.T) {
	t.Helper()
	program(t, "promtool", "apt-get install prometheus")
}

var (
	metricNames   = regexp.MustCompile(`\bs3gate_[a-z0-9_]+`)
	histogramPart = regexp.MustCompile(`_(bucket|count|sum)$`)
)

// metricsOfPage are the types of the metrics that docs/metrics.md has, which another test
// compares with those of a gate.
func metricsOfPage(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `(s3gate_[a-z0-9_]+)` \\| (\\w+) \\|").FindAllStringSubmatch(read(t, root, "docs", "metrics.md"), -1) {
		all[row[1]] = row[2]
	}
	if len(all) == 0 {
		t.Fatal("docs/metrics.md has no metrics")
	}
	return all
}

// unknownMetrics are those of an expression that no gate has, or not so.
func unknownMetrics(expr string, known map[string]string) (unknown []string) {
	for _, name := range metricNames.FindAllString(expr, -1) {
		whole := histogramPart.ReplaceAllString(name, "")
		if kind := known[name]; kind == "" && known[whole] != "histogram" || kind == "histogram" {
			unknown = append(unknown, name)
		}
	}
	return unknown
}

// anchors are those of the headings of a page, as they are in Markdown on the web.
func anchors(page string) map[string]bool {
	all := map[string]bool{}
	for _, h := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(page, -1) {
		all[regexp.MustCompile(`[^a-z0-9 _-]`).ReplaceAllString(strings.ToLower(h[1]), "")] = true
	}
	spaced := slices.Collect(maps.Keys(all))
	for _, name := range spaced {
		all[strings.ReplaceAll(name, " ", "-")] = true
	}
	return all
}
