package traces_test

import (
	"context"
	"encoding/hex"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"

	"s3gate/internal/s3gatetest"
	"s3gate/internal/traces"
)

func open(t *testing.T, env map[string]string) (*traces.Traces, error) {
	t.Helper()
	for name, value := range env {
		t.Setenv(name, value)
	}
	return traces.Open(t.Context(), traces.Options{Version: "v1", Instance: "gate-1", Getenv: os.Getenv}, prometheus.NewRegistry())
}

// Without an endpoint there is nothing, and what is wrong is named.
func TestEnvironment(t *testing.T) {
	const at = "http://127.0.0.1:4318"
	for _, tt := range []struct {
		name string
		env  map[string]string
		on   bool
		err  string
	}{
		{"nothing", nil, false, ""},
		{"an endpoint", map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": at}, true, ""},
		{"one for traces", map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": at + "/v1/traces"}, true, ""},
		{"grpc", map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": at, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, true, ""},
		{"disabled", map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": at, "OTEL_SDK_DISABLED": "TRUE"}, false, ""},
		{"no exporter", map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": at, "OTEL_TRACES_EXPORTER": "none"}, false, ""},
		{"a sampler without an endpoint", map[string]string{"OTEL_TRACES_SAMPLER": "always_on"}, false, ""},
		{"a ratio", map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": at, "OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.25"}, true, ""},
		{"another exporter", map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": at, "OTEL_TRACES_EXPORTER": "zipkin"}, false, `OTEL_TRACES_EXPORTER: must be otlp or none, got "zipkin"`},
		{"another protocol", map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": at, "OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"}, false, `OTEL_EXPORTER_OTLP_PROTOCOL: must be http/protobuf or grpc, got "http/json"`},
		{"another sampler", map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": at, "OTEL_TRACES_SAMPLER": "sometimes"}, false, `OTEL_TRACES_SAMPLER: must be always_on, always_off or traceidratio, or one of them after parentbased_, got "sometimes"`},
		{"too large a ratio", map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": at, "OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "2"}, false, `OTEL_TRACES_SAMPLER_ARG: must be 0 to 1, got "2"`},
		{"a ratio that is none", map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": at, "OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "NaN"}, false, `got "NaN"`},
		{"a queue that is none", map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": at, "OTEL_BSP_MAX_QUEUE_SIZE": "0"}, false, `OTEL_BSP_MAX_QUEUE_SIZE: must be 1 to 1048576, got "0"`},
		{"no URL", map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4318"}, false, "OTEL_EXPORTER_OTLP_ENDPOINT: must be a URL"},
		{"a password in what is no URL", map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "user:hunter2@collector"}, false, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: must be a URL"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := open(t, tt.env)
			if (err != nil) != (tt.err != "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Fatalf("error %v, want %q", err, tt.err)
			}
			if err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error holds the password: %v", err)
			}
			if (got != nil) != tt.on {
				t.Errorf("is on: %v", got != nil)
			}
			ctx, cancel := context.WithCancel(t.Context())
			cancel() // nothing is there to be sent to
			_ = got.Close(ctx)
		})
	}
}

const (
	theirs     = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	theirTrace = "0af7651916cd43dd8448eb211c80319c"
)

// ask has a handler serve a request, and returns the spans that were sent then.
func ask(t *testing.T, c *s3gatetest.Collector, wrap func(*traces.Traces, http.Handler) http.Handler, serve http.HandlerFunc, header ...string) []*tracepb.Span {
	t.Helper()
	tr, err := open(t, nil)
	if err != nil || tr == nil {
		t.Fatalf("no traces: %v", err)
	}
	r := httptest.NewRequest("GET", "/s3g_secret/path?query=1", nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	func() {
		defer func() { _ = recover() }()
		wrap(tr, serve).ServeHTTP(httptest.NewRecorder(), r)
	}()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := tr.Close(ctx); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(c.Text(), "s3g_secret") || strings.Contains(c.Text(), "query=1") {
		t.Errorf("the path was sent: %s", c.Text())
	}
	return c.Spans()
}

func links(tr *traces.Traces, h http.Handler) http.Handler { return tr.Links(h) }

func nothing(http.ResponseWriter, *http.Request) {}

// A stranger decides nothing about a trace.
func TestLinksAreTracesOfTheirOwn(t *testing.T) {
	c := s3gatetest.NewCollector(t)
	t.Setenv("OTEL_TRACES_SAMPLER", "parentbased_always_on")
	spans := ask(t, c, links, func(_ http.ResponseWriter, r *http.Request) {
		traces.Link(r.Context(), "GET", "ok", 200, attribute.String("s3gate.bucket", "docs"))
	}, "Traceparent", strings.TrimSuffix(theirs, "1")+"0", "Tracestate", "vendor=s3g_secret", "Baggage", "token=s3g_secret")
	if len(spans) != 1 || spans[0].GetName() != "link GET" || spans[0].GetKind() != tracepb.Span_SPAN_KIND_SERVER {
		t.Fatalf("sent %v", spans) // although theirs is not sampled
	}
	if s := spans[0]; len(s.GetParentSpanId()) != 0 || hex.EncodeToString(s.GetTraceId()) == theirTrace {
		t.Errorf("theirs is the parent: %v", s)
	}
	if l := spans[0].GetLinks(); len(l) != 1 || hex.EncodeToString(l[0].GetTraceId()) != theirTrace || l[0].GetTraceState() != "" {
		t.Errorf("is linked to %v", l)
	}
}

func TestCallsBelongToTracesOfCallers(t *testing.T) {
	for _, tt := range []struct {
		name    string
		trusted bool
	}{{"proven", true}, {"not proven", false}} {
		t.Run(tt.name, func(t *testing.T) {
			c := s3gatetest.NewCollector(t)
			spans := ask(t, c, func(tr *traces.Traces, h http.Handler) http.Handler {
				return tr.API(h, func(a string) bool { return tt.trusted && a == "Bearer x" })
			}, func(_ http.ResponseWriter, r *http.Request) {
				traces.Call(r.Context(), "req_1", "POST /v1/tokens", 503)
			}, "Traceparent", theirs, "Authorization", "Bearer x", "Tracestate", "vendor=s3g_secret")
			if len(spans) != 1 || spans[0].GetName() != "api POST /v1/tokens" || spans[0].GetStatus().GetCode() != tracepb.Status_STATUS_CODE_ERROR {
				t.Fatalf("sent %v", spans)
			}
			if in := hex.EncodeToString(spans[0].GetTraceId()) == theirTrace; in != tt.trusted {
				t.Errorf("is in the caller's trace: %v", in)
			}
			if spans[0].GetTraceState() != "" {
				t.Errorf("has their state %q", spans[0].GetTraceState())
			}
		})
	}
}

// A span ends also if the request panics, and says nothing of what the panic says.
func TestPanics(t *testing.T) {
	for _, what := range []any{http.ErrAbortHandler, "panic about s3g_secret"} {
		c := s3gatetest.NewCollector(t)
		spans := ask(t, c, links, func(http.ResponseWriter, *http.Request) { panic(what) })
		if len(spans) != 1 || len(spans[0].GetEvents()) != 0 {
			t.Errorf("sent %v", spans)
		}
	}
}

// Steps belong to a request that is traced, and there are none outside.
func TestSteps(t *testing.T) {
	c := s3gatetest.NewCollector(t)
	var tr *traces.Traces
	spans := ask(t, c, func(of *traces.Traces, h http.Handler) http.Handler { tr = of; return of.Links(h) },
		func(_ http.ResponseWriter, r *http.Request) {
			ctx, step := tr.Step(r.Context(), "redis redeem.lua")
			_, inner := tr.Step(ctx, "inner")
			inner.Note("noted")
			inner.End("timeout")
			step.End("")
			_, none := tr.Step(context.Background(), "without a request")
			none.Say(attribute.Int("n", 1))
			none.End("")
			_, own := tr.Own(context.Background(), "own")
			own.End("")
			if id := traces.ID(r.Context()); len(id) != 32 {
				t.Errorf("the trace has the ID %q", id)
			}
		})
	var names []string
	for _, s := range spans {
		names = append(names, s.GetName())
	}
	slices.Sort(names)
	if want := []string{"inner", "link", "own", "redis redeem.lua"}; !slices.Equal(names, want) {
		t.Errorf("sent %q, want %q", names, want)
	}
}

// What is not sampled has no ID that one could look for.
func TestNotSampled(t *testing.T) {
	c := s3gatetest.NewCollector(t)
	t.Setenv("OTEL_TRACES_SAMPLER", "always_off")
	id := "unset"
	if spans := ask(t, c, links, func(_ http.ResponseWriter, r *http.Request) { id = traces.ID(r.Context()) }); len(spans) != 0 || id != "" {
		t.Errorf("sent %v, with the ID %q", spans, id)
	}
}

// Without traces a handler is itself, and nothing is done.
func TestOff(t *testing.T) {
	tr, err := open(t, map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": ""})
	if err != nil || tr != nil {
		t.Fatalf("got %v, %v", tr, err)
	}
	mux := http.NewServeMux()
	if tr.Links(mux) != http.Handler(mux) || tr.API(mux, nil) != http.Handler(mux) {
		t.Error("a handler was wrapped")
	}
	ctx, step := tr.Own(t.Context(), "own")
	if step != nil || ctx != t.Context() || tr.Close(ctx) != nil {
		t.Error("something was begun")
	}
	allocs := testing.AllocsPerRun(100, func() {
		_, step := tr.Step(t.Context(), "step")
		step.End("")
		traces.Link(t.Context(), "GET", "ok", 200)
		if traces.ID(t.Context()) != "" {
			t.Error("there is a trace")
		}
	})
	if allocs != 0 {
		t.Errorf("it allocates %v times", allocs)
	}
}

// A collector that is away costs spans, which are counted, and is said once.
func TestNoCollector(t *testing.T) {
	log := &s3gatetest.Log{}
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
	t.Setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "300")
	reg := prometheus.NewRegistry()
	tr, err := traces.Open(t.Context(), traces.Options{Getenv: os.Getenv, Logger: s3gatetest.Logger(log)}, reg)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		tr.Links(http.HandlerFunc(nothing)).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	}
	_ = tr.Close(t.Context())
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		want := map[string]float64{"s3gate_trace_spans_sent_total": 0, "s3gate_trace_spans_failed_total": 3}[f.GetName()]
		if got := f.GetMetric()[0].GetCounter().GetValue(); got != want {
			t.Errorf("%s is %v, want %v", f.GetName(), got, want)
		}
	}
	if n := strings.Count(log.String(), "sending traces"); n != 1 {
		t.Errorf("said %d times: %s", n, log)
	}
}

// grpcCollector takes spans by gRPC.
type grpcCollector struct {
	collector.UnimplementedTraceServiceServer
	*s3gatetest.Collector
}

func (c grpcCollector) Export(_ context.Context, sent *collector.ExportTraceServiceRequest) (*collector.ExportTraceServiceResponse, error) {
	c.Take(sent)
	return &collector.ExportTraceServiceResponse{}, nil
}

func TestGRPC(t *testing.T) {
	c := s3gatetest.NewCollector(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	collector.RegisterTraceServiceServer(server, grpcCollector{Collector: c})
	go server.Serve(l)
	t.Cleanup(server.Stop)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://"+l.Addr().String())
	t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
	t.Setenv("OTEL_SERVICE_NAME", "gate-of-tests")
	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")
	if spans := ask(t, c, links, nothing); len(spans) != 1 {
		t.Errorf("sent %v", spans)
	}
	for _, want := range []string{"gate-of-tests", "deployment.environment.name", "service.version"} {
		if !strings.Contains(c.Text(), want) {
			t.Errorf("does not say %s: %s", want, c.Text())
		}
	}
}

func BenchmarkLink(b *testing.B) {
	b.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "")
	for _, sampler := range []string{"", "always_off", "always_on"} {
		name := sampler
		if sampler == "" {
			name = "without traces"
		}
		b.Run(name, func(b *testing.B) {
			server := httptest.NewServer(http.HandlerFunc(nothing))
			b.Cleanup(server.Close)
			if sampler != "" {
				b.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", server.URL)
				b.Setenv("OTEL_TRACES_SAMPLER", sampler)
			}
			tr, err := traces.Open(b.Context(), traces.Options{Getenv: os.Getenv}, prometheus.NewRegistry())
			if err != nil {
				b.Fatal(err)
			}
			h := tr.Links(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				for _, step := range []string{"redis redeem.lua", "s3 GetObject", "redis charge.lua"} {
					_, s := tr.Step(r.Context(), step)
					s.End("")
				}
				traces.Link(r.Context(), "GET", "ok", 200)
			}))
			r, w := httptest.NewRequest("GET", "/", nil), httptest.NewRecorder()
			b.ReportAllocs()
			for b.Loop() {
				h.ServeHTTP(w, r)
			}
			_ = tr.Close(b.Context())
		})
	}
}

// A collector that hangs costs spans, all of which are counted, and no request waits.
func TestHangingCollector(t *testing.T) {
	release := make(chan struct{})
	hanging := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}))
	defer hanging.Close()
	defer close(release)
	for name, value := range map[string]string{
		"OTEL_EXPORTER_OTLP_ENDPOINT": hanging.URL, "OTEL_BSP_MAX_QUEUE_SIZE": "20", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "5",
	} {
		t.Setenv(name, value)
	}
	reg := prometheus.NewRegistry()
	tr, err := traces.Open(t.Context(), traces.Options{Getenv: os.Getenv}, reg)
	if err != nil {
		t.Fatal(err)
	}
	const all = 1000
	serve := tr.Links(http.HandlerFunc(nothing))
	for range all {
		serve.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	}
	found, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range found {
		if n := family.GetMetric()[0].GetCounter().GetValue(); family.GetName() == "s3gate_trace_spans_failed_total" && (n < all-20-5 || n >= all) {
			t.Errorf("%v of %d spans are counted as lost, and at most 25 can wait", n, all)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if tr.Close(ctx) == nil {
		t.Error("nothing says that spans have not arrived")
	}
}
