package gate_test

import (
	"crypto/tls"
	"fmt"
	"maps"
	"net/http"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"

	"s3gate/client"
	"s3gate/internal/config"
	"s3gate/internal/gate"
)

// meaning is what a page or a gate says of a metric.
type meaning struct {
	kind   string
	labels map[string][]string // the values; nil stands for any
}

// Every metric of a gate is on the page of metrics as it is, and no other is.
func TestMetricsAreDocumented(t *testing.T) {
	page, there := documented(t), registered(t, gate.Registry(busyGate(t)))
	for _, name := range slices.Sorted(maps.Keys(there)) {
		doc, found := page[name]
		if !found {
			t.Errorf("docs/metrics.md lacks %s, a %s with %v", name, there[name].kind, slices.Sorted(maps.Keys(there[name].labels)))
			continue
		}
		if doc.kind != there[name].kind {
			t.Errorf("%s is a %s, and a %s in docs/metrics.md", name, there[name].kind, doc.kind)
		}
		said, have := slices.Sorted(maps.Keys(doc.labels)), slices.Sorted(maps.Keys(there[name].labels))
		if !slices.Equal(said, have) {
			t.Errorf("%s has the labels %v, and in docs/metrics.md %v", name, have, said)
		}
		for label, values := range there[name].labels {
			for _, v := range values {
				if known := doc.labels[label]; known != nil && !slices.Contains(known, v) {
					t.Errorf("%s has %s=%q, and in docs/metrics.md one of %q", name, label, v, known)
				}
			}
		}
	}
	for name := range page {
		if _, found := there[name]; !found {
			t.Errorf("docs/metrics.md has %s, and a gate does not", name)
		}
	}
}

// Names and units are those of https://prometheus.io/docs/practices/naming/.
func TestMetricsHaveProperNames(t *testing.T) {
	families, err := gate.Registry(busyGate(t)).Gather()
	if err != nil {
		t.Fatal(err)
	}
	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if strings.HasPrefix(p.Metric, "s3gate_") {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
}

// busyGate is a gate that has done a little of everything.
func busyGate(t *testing.T) *gate.Gate {
	t.Helper()
	w := newEmbedded(t)
	w.store("a.txt", "text/plain", []byte("content"))
	cert, key, roots := selfSigned(t)
	g := w.gate(func(c *config.Config) {
		c.Links.Cert, c.Links.Key = cert, key
		c.Upload.SingleMax, c.Upload.PartSize = 5<<20, 5<<20
		c.API.Limits.MintRate = 1e6
		c.AccessLog.File = t.TempDir() + "/access.log"
	})
	trusting := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
	defer trusting.CloseIdleConnections()
	for _, ask := range []struct {
		method, url string
		body        []byte
	}{
		{"GET", g.mint("get", "a.txt", uses(1)).URL, nil},
		{"GET", g.mint("get", "missing.txt", uses(1)).URL, nil},
		{"PUT", g.mint("put", "b.txt", uses(1)).URL, []byte("b")},
		{"PUT", g.mint("put", "c.txt", nil).URL, make([]byte, 11<<20)},
		{"HEAD", g.mint("get", "a.txt", nil).URL, nil},
		{"GET", g.LinksURL() + "/nothing", nil},
		{"BREW", g.LinksURL() + "/nothing", nil},
	} {
		if _, err := try(t.Context(), trusting, ask.method, ask.url, ask.body); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := g.api.Revoke(t.Context(), g.mint("get", "a.txt", nil).ID, "no more"); err != nil {
		t.Fatal(err)
	}
	if _, err := g.api.Mint(t.Context(), client.MintRequest{Operation: "get"}); err == nil {
		t.Fatal("minted without a bucket")
	}
	do(t, "GET", g.APIURL()+"/nowhere", nil)
	return g.Gate
}

// registered are the metrics of a registry, also those without any value yet, and but
// for those of Go and the process.
func registered(t *testing.T, reg *prometheus.Registry) map[string]meaning {
	t.Helper()
	all := map[string]meaning{}
	// The registry tells what its collectors describe, but not what they are.
	field := reflect.ValueOf(reg).Elem().FieldByName("collectorsByID")
	collectors := reflect.NewAt(field.Type(), unsafe.Pointer(field.UnsafeAddr())).Elem().Interface().(map[uint64]prometheus.Collector)
	for _, c := range collectors {
		for _, d := range describe(c) {
			name := descName.FindStringSubmatch(d)
			if name == nil {
				t.Fatalf("cannot read %s", d)
			}
			if !strings.HasPrefix(name[1], "s3gate_") {
				continue
			}
			m := meaning{kindOf(c), map[string][]string{}}
			for _, part := range []*regexp.Regexp{descConst, descVariable} {
				for _, l := range strings.Split(part.FindStringSubmatch(d)[1], ",") {
					if label, _, _ := strings.Cut(l, "="); label != "" {
						m.labels[label] = nil
					}
				}
			}
			all[name[1]] = m
		}
	}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if known, found := all[f.GetName()]; found {
					known.labels[l.GetName()] = append(known.labels[l.GetName()], l.GetValue())
				}
			}
		}
	}
	return all
}

var (
	descName     = regexp.MustCompile(`fqName: "([^"]+)"`)
	descConst    = regexp.MustCompile(`constLabels: \{([^}]*)\}`)
	descVariable = regexp.MustCompile(`variableLabels: \{([^}]*)\}`)
)

func describe(c prometheus.Collector) (all []string) {
	descs := make(chan *prometheus.Desc)
	go func() { c.Describe(descs); close(descs) }()
	for d := range descs {
		all = append(all, d.String())
	}
	return all
}

func kindOf(c prometheus.Collector) string {
	switch c := c.(type) {
	case *prometheus.CounterVec:
		return "counter"
	case *prometheus.GaugeVec:
		return "gauge"
	case *prometheus.HistogramVec:
		return "histogram"
	case prometheus.Metric:
		var m dto.Metric
		if err := c.Write(&m); err != nil {
			return err.Error()
		}
		switch {
		case m.Counter != nil:
			return "counter"
		case m.Gauge != nil:
			return "gauge"
		case m.Histogram != nil:
			return "histogram"
		}
	}
	return fmt.Sprintf("%T", c)
}

// documented are the metrics of docs/metrics.md.
func documented(t *testing.T) map[string]meaning {
	t.Helper()
	raw, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]meaning{}
	for line := range strings.Lines(string(raw)) {
		cells := strings.Split(strings.TrimSpace(line), "|")
		if len(cells) < 2 || !strings.HasPrefix(cells[1], " `s3gate_") {
			continue
		}
		if len(cells) != 8 {
			t.Errorf("a row of docs/metrics.md has %d cells: %s", len(cells)-2, line)
			continue
		}
		for i, cell := range cells[1:7] {
			if cells[i+1] = strings.TrimSpace(cell); cells[i+1] == "" && i != 3 {
				t.Errorf("an empty cell: %s", line)
			}
		}
		all[strings.Trim(cells[1], "`")] = meaning{cells[2], labelsOf(cells[4])}
	}
	return all
}

// labelsOf reads such as "`code`: 2xx, 4xx; `bucket`: (an alias)".
func labelsOf(cell string) map[string][]string {
	labels := map[string][]string{}
	for _, one := range strings.Split(cell, ";") {
		name, values, found := strings.Cut(one, ":")
		if !found {
			continue
		}
		name, values = strings.Trim(name, " `"), strings.TrimSpace(values)
		labels[name] = nil
		if !strings.HasPrefix(values, "(") {
			labels[name] = strings.Split(values, ", ")
		}
	}
	return labels
}
