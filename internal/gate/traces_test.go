package gate_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"

	"s3gate/internal/config"
	"s3gate/internal/s3gatetest"
)

// below are the names of all spans below the one of that name, each once, sorted.
func below(spans []*tracepb.Span, root string) []string {
	parents := map[string]bool{}
	for _, s := range spans {
		if s.GetName() == root {
			parents[string(s.GetSpanId())] = true
		}
	}
	var names []string
	for more := true; more; {
		more = false
		for _, s := range spans {
			if parents[string(s.GetParentSpanId())] && !parents[string(s.GetSpanId())] {
				parents[string(s.GetSpanId())], more = true, true
				names = append(names, s.GetName())
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func attribute(s *tracepb.Span, name string) string {
	for _, a := range s.GetAttributes() {
		if a.GetKey() == name {
			return strings.Trim(a.GetValue().String(), `"`)
		}
	}
	return ""
}

// Of each request there is what it asks Redis and S3, and what came of it; S3 hears
// nothing of traces.
func TestTraces(t *testing.T) {
	const theirs = "0af7651916cd43dd8448eb211c80319c"
	collector := s3gatetest.NewCollector(t)
	w := newEmbedded(t)
	w.store("a.txt", "text/plain", []byte("content"))
	heard := listenTo(t, w.s3)
	file := filepath.Join(t.TempDir(), "access.log")
	g := w.open(func(c *config.Config) {
		docs := c.Buckets["docs"]
		docs.Endpoint, docs.Verify = heard.url, false
		c.Buckets["docs"] = docs
		c.Upload.SingleMax, c.Upload.PartSize = 5<<20, 5<<20
		c.AccessLog.File = file
	})
	one := g.mint("get", "a.txt", uses(1))
	traceparent := "Traceparent: 00-" + theirs + "-b7ad6b7169203331-01"
	if a := do(t, "GET", one.URL, nil, traceparent); a.status != 200 {
		t.Fatalf("answers %d", a.status)
	}
	do(t, "PUT", g.mint("put", "large", uses(1)).URL, make([]byte, 11<<20))
	do(t, "DELETE", g.APIURL()+"/v1/tokens/"+one.ID, nil, "Authorization: Bearer "+g.bearer, traceparent)
	do(t, "GET", g.APIURL()+"/v1/tokens", nil, traceparent)
	if err := g.Gate.Close(); err != nil {
		t.Fatal(err)
	}
	spans := collector.Spans()
	for root, want := range map[string][]string{
		"link GET":                   {"redis charge.lua", "redis redeem.lua", "s3 GetObject"},
		"link PUT":                   {"redis redeem.lua", "redis settle.lua", "s3 CompleteMultipartUpload", "s3 CreateMultipartUpload", "s3 UploadPart"},
		"api DELETE /v1/tokens/{id}": {"redis append.lua", "redis revoke.lua", "revoke"},
		"revoke":                     {"redis append.lua", "redis revoke.lua"},
	} {
		got := below(spans, root)
		for _, name := range want {
			if !slices.Contains(got, name) {
				t.Errorf("below %q there is no %q in %q", root, name, got)
			}
		}
	}
	parts := 0
	for _, s := range spans {
		trace := hex.EncodeToString(s.GetTraceId())
		switch name := s.GetName(); {
		case name == "s3 UploadPart":
			parts++
		case name == "link GET":
			if attribute(s, "s3gate.token") != `string_value:"`+one.ID || !strings.HasSuffix(attribute(s, "s3gate.bucket"), "docs") || !strings.HasSuffix(attribute(s, "s3gate.outcome"), "ok") || attribute(s, "http.response.status_code") != "int_value:200" {
				t.Errorf("it says %v", s.GetAttributes())
			}
			if trace == theirs || len(s.GetLinks()) != 1 {
				t.Errorf("a stranger decides about the trace: %v", s)
			}
			inLog(t, file, "trace", trace)
		case strings.HasPrefix(name, "api DELETE"):
			if trace != theirs {
				t.Error("the call is not in the caller's trace")
			}
		case name == "api GET /v1/tokens":
			if trace == theirs {
				t.Error("a caller without a JWT decides about the trace")
			}
		case name == "revoke":
			if len(s.GetEvents()) != 1 || s.GetEvents()[0].GetName() != "acknowledged" || !strings.Contains(attribute(s, "s3gate.rule"), "rev_") {
				t.Errorf("it says %v, %v", s.GetAttributes(), s.GetEvents())
			}
		}
	}
	if parts != 3 {
		t.Errorf("%d parts of 3 have a span", parts)
	}
	if len(below(spans, "apply rule")) != 0 || !slices.ContainsFunc(spans, func(s *tracepb.Span) bool { return s.GetName() == "apply rule" }) {
		t.Error("nobody applies the rule")
	}
	for name := range heard.headers() {
		if slices.Contains([]string{"Traceparent", "Tracestate", "Baggage", "B3", "Uber-Trace-Id", "X-Amzn-Trace-Id"}, name) {
			t.Errorf("S3 hears of the trace: %s", name)
		}
	}
}

// inLog expects a line of an access log with a field.
func inLog(t *testing.T, path, field, value string) {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(raw) {
		var fields map[string]any
		if err := json.Unmarshal(line, &fields); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		if fields[field] == value {
			return
		}
	}
	t.Errorf("no line with %s=%s in\n%s", field, value, raw)
}

// listener is what stands before a store and hears what it is asked.
type hearing struct {
	url string
	mu  sync.Mutex
	all http.Header
}

func (h *hearing) headers() http.Header {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.all.Clone()
}

// listenTo passes requests on as they are: a signature covers the name of the host.
func listenTo(t *testing.T, s3 *s3gatetest.Endpoint) *hearing {
	t.Helper()
	target, err := url.Parse(s3.URL)
	if err != nil {
		t.Fatal(err)
	}
	h := &hearing{all: http.Header{}}
	server := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		h.mu.Lock()
		for name, values := range r.In.Header {
			h.all[name] = values
		}
		h.mu.Unlock()
		r.SetURL(target)
		r.Out.Host = r.In.Host
	}})
	t.Cleanup(server.Close)
	h.url = server.URL
	return h
}

// A gate does not start with variables that it cannot heed, and says which.
func TestTracesThatCannotBe(t *testing.T) {
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318")
	t.Setenv("OTEL_TRACES_SAMPLER", "sometimes")
	w := newEmbedded(t)
	if err := openError(t, w.config()); err == nil || !strings.Contains(err.Error(), "OTEL_TRACES_SAMPLER") {
		t.Errorf("opening: %v", err)
	}
}
