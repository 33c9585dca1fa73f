package traces

import (
	"context"
	"net/http"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// Links gives each request for a link a trace of its own. What the client says of a
// trace it belongs to is linked to. [Link] says the rest of it.
func (t *Traces) Links(next http.Handler) http.Handler {
	if t == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		opts := []trace.SpanStartOption{trace.WithNewRoot(), trace.WithSpanKind(trace.SpanKindServer)}
		if theirs := remote(r); theirs.IsValid() {
			opts = append(opts, trace.WithLinks(trace.Link{SpanContext: theirs}))
		}
		t.serve(next, w, r, "link", opts)
	})
}

// API gives each call of the API a span. Its parent is that of the caller, if trusted
// says that it is one. [Call] says the rest of it.
func (t *Traces) API(next http.Handler, trusted func(authorization string) bool) http.Handler {
	if t == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		opts := []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindServer)}
		ctx := r.Context()
		if theirs := remote(r); theirs.IsValid() && trusted(r.Header.Get("Authorization")) {
			ctx = trace.ContextWithRemoteSpanContext(ctx, theirs)
		}
		t.serve(next, w, r.WithContext(ctx), "api", opts)
	})
}

// serve serves a request within a span, which ends also when the request is aborted.
func (t *Traces) serve(next http.Handler, w http.ResponseWriter, r *http.Request, name string, opts []trace.SpanStartOption) {
	ctx, span := t.tracer.Start(r.Context(), name, opts...)
	// Called directly, End would note what a panic says.
	defer func() { span.End() }()
	next.ServeHTTP(w, r.WithContext(ctx))
}

// remote is what a request says of the trace that it belongs to (W3C Trace Context).
// Its tracestate, which is any text, is left out.
func remote(r *http.Request) trace.SpanContext {
	only := propagation.MapCarrier{"traceparent": r.Header.Get("Traceparent")}
	return trace.SpanContextFromContext(propagation.TraceContext{}.Extract(context.Background(), only))
}

// Link completes the span of a link request.
func Link(ctx context.Context, method, outcome string, status int, attributes ...attribute.KeyValue) {
	span := trace.SpanFromContext(ctx)
	if !span.IsRecording() {
		return
	}
	span.SetName("link " + method)
	span.SetAttributes(attribute.String("http.request.method", method), attribute.String("http.route", "/{token}"),
		attribute.Int("http.response.status_code", status), attribute.String("s3gate.outcome", outcome))
	span.SetAttributes(attributes...)
	if status >= http.StatusInternalServerError || outcome == "broken" || outcome == "panic" {
		span.SetStatus(codes.Error, outcome)
	}
}

// Call completes the span of a call of the API. The route is a pattern, such as
// "POST /v1/tokens"; "" is none.
func Call(ctx context.Context, request, route string, status int) {
	span := trace.SpanFromContext(ctx)
	if !span.IsRecording() {
		return
	}
	if route == "" {
		route = "none"
	}
	span.SetName("api " + route)
	span.SetAttributes(attribute.String("http.route", route), attribute.Int("http.response.status_code", status),
		attribute.String("s3gate.request", request))
	if status >= http.StatusInternalServerError {
		span.SetStatus(codes.Error, "")
	}
}

// ID is the trace that a context belongs to, if there is a span of it that will be
// sent; else "".
func ID(ctx context.Context) string {
	if c := trace.SpanContextFromContext(ctx); c.IsSampled() {
		return c.TraceID().String()
	}
	return ""
}
