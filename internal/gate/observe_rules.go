package gate

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"

	"s3gate/internal/traces"
	"s3gate/revocation"
)

// ruleMetrics are those of revocations.
type ruleMetrics struct {
	made    *prometheus.CounterVec
	silent  prometheus.Counter
	seconds prometheus.Histogram
	applied prometheus.Histogram
	cut     prometheus.Counter
}

// newRuleMetrics registers
//
//	s3gate_revocations_total{result}         revocations, lifts and changes through this gate: "ok" or "unproven"
//	s3gate_revocation_seconds                from such a call until all gates have acknowledged it
//	s3gate_revocation_silent_gates_total     gates whose lease had to run out instead
//	s3gate_revocation_apply_seconds          how long this gate took to stop what a rule covers
//	s3gate_transfers_cut_total               transfers that it has stopped so
func newRuleMetrics(reg prometheus.Registerer) *ruleMetrics {
	m := &ruleMetrics{
		made: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "s3gate_revocations_total", Help: "Revocations, lifts and changes that were asked of this gate, and whether they were shown to hold."}, []string{"result"}),
		silent: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "s3gate_revocation_silent_gates_total", Help: "Gates that did not acknowledge a revocation, so that their lease had to run out."}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "s3gate_revocation_seconds", Help: "Time from a revocation until it was shown to hold on all gates.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 13)}),
		applied: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "s3gate_revocation_apply_seconds", Help: "Time that this gate took to stop what a rule covers, once it had heard of it.",
			Buckets: prometheus.ExponentialBuckets(0.00001, 4, 10)}),
		cut: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "s3gate_transfers_cut_total", Help: "Transfers that a rule has stopped on this gate."}),
	}
	reg.MustRegister(m.made, m.silent, m.seconds, m.applied, m.cut)
	m.made.WithLabelValues("ok")
	m.made.WithLabelValues("unproven")
	return m
}

// told hears of a rule that was made, lifted or changed.
func (m *ruleMetrics) told(receipt revocation.Receipt, err error) {
	if err != nil {
		m.made.WithLabelValues("unproven").Inc()
		return
	}
	m.made.WithLabelValues("ok").Inc()
	m.seconds.Observe(receipt.TookMS / 1000)
	m.silent.Add(float64(len(receipt.ExpiredLeases)))
}

// applyWatched applies a rule here, measured.
func (g *Gate) applyWatched(r *revocation.Rule) revocation.Effect {
	begin := time.Now()
	_, step := g.observing.traces.Own(context.Background(), "apply rule", attribute.String("s3gate.rule", r.ID))
	effect := g.apply(r)
	step.Say(attribute.Int("s3gate.cut", effect.Stopped), attribute.Int("s3gate.committing", len(effect.Committing)))
	step.End("")
	m := g.observing.rules
	m.applied.Observe(time.Since(begin).Seconds())
	m.cut.Add(float64(effect.Stopped))
	return effect
}

// traced has a revocation in the trace of whoever asked for it, with what the gates
// said to it.
func (g *Gate) traced(ctx context.Context, what string, do func(context.Context) (revocation.Receipt, error)) (revocation.Receipt, error) {
	ctx, step := g.observing.traces.Step(ctx, what)
	receipt, err := do(ctx)
	endRule(step, receipt, err)
	return receipt, err
}

func endRule(step *traces.Step, receipt revocation.Receipt, err error) {
	if step == nil {
		return
	}
	for _, name := range receipt.AcknowledgedBy {
		step.Note("acknowledged", attribute.String("s3gate.gate", name))
	}
	for _, name := range receipt.ExpiredLeases {
		step.Note("lease expired", attribute.String("s3gate.gate", name))
	}
	step.Say(attribute.String("s3gate.rule", receipt.ID), attribute.Int("s3gate.cut", receipt.Cut), attribute.Int("s3gate.committing", len(receipt.Committing)))
	if err != nil {
		step.End("unproven")
		return
	}
	step.End("")
}
