package traces

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// Step is a part of what is done for a request. The nil Step does nothing.
type Step struct{ span trace.Span }

// Step begins a step of what ctx belongs to, and returns the context for what it asks
// in turn. Outside of a request that is traced there is none.
func (t *Traces) Step(ctx context.Context, name string, attributes ...attribute.KeyValue) (context.Context, *Step) {
	if t == nil || !trace.SpanFromContext(ctx).IsRecording() {
		return ctx, nil
	}
	return t.start(ctx, name, trace.SpanKindClient, attributes)
}

// Own begins what is done without a request, in a trace of its own.
func (t *Traces) Own(ctx context.Context, name string, attributes ...attribute.KeyValue) (context.Context, *Step) {
	if t == nil {
		return ctx, nil
	}
	return t.start(ctx, name, trace.SpanKindInternal, attributes)
}

func (t *Traces) start(ctx context.Context, name string, kind trace.SpanKind, attributes []attribute.KeyValue) (context.Context, *Step) {
	ctx, span := t.tracer.Start(ctx, name, trace.WithSpanKind(kind), trace.WithAttributes(attributes...))
	return ctx, &Step{span}
}

// Say adds attributes.
func (s *Step) Say(attributes ...attribute.KeyValue) {
	if s != nil {
		s.span.SetAttributes(attributes...)
	}
}

// Note adds something that has happened.
func (s *Step) Note(what string, attributes ...attribute.KeyValue) {
	if s != nil {
		s.span.AddEvent(what, trace.WithAttributes(attributes...))
	}
}

// End ends the step: with "" well, and else with the kind of what was wrong, which is
// one of our own words and never an error's.
func (s *Step) End(wrong string) {
	if s == nil {
		return
	}
	if wrong != "" {
		s.span.SetStatus(codes.Error, wrong)
	}
	s.span.End()
}
