// Package traces tells an OpenTelemetry collector what a gate does with each request:
// spans of link requests, of calls of the API, of revocations, and of what they ask
// Redis and S3. It is set up by the environment only, as OpenTelemetry describes
// (https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/),
// and without an endpoint there is nothing: a nil [Traces].
//
// The invariants:
//
//   - No span holds a token, a passcode, a path or query, a key of an object, a
//     subject, an address, or a text that Redis or S3 has answered.
//   - Who has a link decides nothing about a trace: a traceparent that comes with a
//     link is only linked to. One that comes with a call of the API is the parent if
//     the caller is proven.
//   - Nothing is sent on: neither Redis nor S3 hears of a trace.
package traces

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// Options say whose traces they are.
type Options struct {
	// Version and Instance are service.version and service.instance.id.
	Version, Instance string
	// Getenv reads the environment, as [os.Getenv] does. Required. What belongs to the
	// way to the collector (headers, certificates, timeouts, compression) and to batches
	// (OTEL_BSP_*) is read by the SDK from the environment of the process.
	Getenv func(string) string
	// Logger hears when the collector does not take spans, once a minute at most; nil
	// discards.
	Logger *slog.Logger
}

// Traces makes spans. It is safe for concurrent use. The nil Traces makes none.
type Traces struct {
	provider *sdktrace.TracerProvider
	tracer   trace.Tracer
}

// Open returns what the environment asks for: nil if that is nothing. It does not
// connect. Metrics are registered in any case.
func Open(ctx context.Context, opts Options, reg prometheus.Registerer) (*Traces, error) {
	metrics := newMetrics(reg)
	env, err := read(opts.Getenv)
	if err != nil || env == nil {
		return nil, err
	}
	sender, err := env.exporter(ctx)
	if err != nil {
		return nil, fmt.Errorf("OTEL_EXPORTER_OTLP_*: %w", err)
	}
	about, err := describe(ctx, opts)
	if err != nil {
		return nil, fmt.Errorf("OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	logger := opts.Logger
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	t := &Traces{provider: sdktrace.NewTracerProvider(
		sdktrace.WithSampler(env.sampler), sdktrace.WithResource(about),
		sdktrace.WithSpanProcessor(newBounded(&counted{SpanExporter: sender, metrics: metrics, logger: logger}, env.queue)),
	)}
	t.tracer = t.provider.Tracer("s3gate", trace.WithInstrumentationVersion(opts.Version))
	return t, nil
}

// exporter sends to the collector that the environment names.
func (e *environment) exporter(ctx context.Context) (*otlptrace.Exporter, error) {
	if e.grpc {
		return otlptracegrpc.New(ctx)
	}
	return otlptracehttp.New(ctx)
}

// describe says whose spans they are. What the environment says comes last, and counts.
func describe(ctx context.Context, opts Options) (*resource.Resource, error) {
	return resource.New(ctx,
		resource.WithTelemetrySDK(),
		resource.WithAttributes(
			attribute.String("service.name", "s3gate"), attribute.String("service.version", opts.Version),
			attribute.String("service.instance.id", opts.Instance)),
		resource.WithFromEnv(),
	)
}

// Close sends what waits, until ctx is done.
func (t *Traces) Close(ctx context.Context) error {
	if t == nil {
		return nil
	}
	return t.provider.Shutdown(ctx)
}

type metrics struct{ sent, failed prometheus.Counter }

// newMetrics registers
//
//	s3gate_trace_spans_sent_total    spans that the collector has taken
//	s3gate_trace_spans_failed_total  spans that it has not, and that are lost
func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{
		sent: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "s3gate_trace_spans_sent_total", Help: "Spans that the collector has taken."}),
		failed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "s3gate_trace_spans_failed_total", Help: "Spans that the collector has not taken, and that are lost."}),
	}
	reg.MustRegister(m.sent, m.failed)
	return m
}

// bounded has as many spans waiting as the queue of the SDK holds, which drops what is too
// much and tells nobody how much that was.
type bounded struct {
	sdktrace.SpanProcessor
	to   *counted
	most int64
}

func newBounded(to *counted, queue int) *bounded {
	return &bounded{sdktrace.NewBatchSpanProcessor(to, sdktrace.WithMaxQueueSize(queue)), to, int64(queue)}
}

func (b *bounded) OnEnd(s sdktrace.ReadOnlySpan) {
	if !s.SpanContext().IsSampled() {
		return
	}
	if b.to.waiting.Add(1) > b.most {
		b.to.waiting.Add(-1)
		b.to.lost(1, &b.to.full, errFull)
		return
	}
	b.SpanProcessor.OnEnd(s)
}

var errFull = errors.New("the queue is full")

// counted counts what is sent. What fails is logged here and is no error above, where
// it would go to a logger of the whole process.
type counted struct {
	sdktrace.SpanExporter
	metrics *metrics
	logger  *slog.Logger
	said    atomic.Int64 // when, in Unix seconds
	full    atomic.Int64 // when it was said that the queue is
	waiting atomic.Int64 // spans
}

func (c *counted) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	c.waiting.Add(-int64(len(spans)))
	if err := c.SpanExporter.ExportSpans(ctx, spans); err != nil {
		c.lost(len(spans), &c.said, err)
		return nil
	}
	c.metrics.sent.Add(float64(len(spans)))
	return nil
}

func (c *counted) lost(spans int, said *atomic.Int64, err error) {
	c.metrics.failed.Add(float64(spans))
	if now := time.Now().Unix(); now-said.Load() >= 60 {
		said.Store(now)
		c.logger.Warn("sending traces; spans are lost until that works again", "err", err)
	}
}
