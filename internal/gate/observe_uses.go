package gate

import (
	"github.com/prometheus/client_golang/prometheus"

	"s3gate/tokens"
)

// newUses registers
//
//	s3gate_uses_total{operation,outcome}  uses that have ended: "complete" or "aborted"
func newUses(reg prometheus.Registerer) *prometheus.CounterVec {
	uses := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "s3gate_uses_total", Help: "Uses that have ended, by whether all that was asked for was given out or stored."}, []string{"operation", "outcome"})
	reg.MustRegister(uses)
	for _, op := range []tokens.Operation{tokens.Get, tokens.Put} {
		for _, outcome := range []tokens.Outcome{tokens.Complete, tokens.Aborted} {
			uses.WithLabelValues(string(op), string(outcome))
		}
	}
	return uses
}

// registerCharges registers
//
//	s3gate_uses_charged_total      uses of tokens with a limit that count
//	s3gate_uses_handed_back_total  and that do not, since nothing was given out or stored
//	s3gate_uses_unsettled          ends of uses that Redis has not heard of yet
func registerCharges(reg prometheus.Registerer, counts func() tokens.Counts) {
	reg.MustRegister(
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "s3gate_uses_charged_total", Help: "Uses of tokens with a limit that were charged."},
			func() float64 { return float64(counts().Charged) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "s3gate_uses_handed_back_total", Help: "Uses of tokens with a limit that were handed back, since nothing was given out or stored."},
			func() float64 { return float64(counts().HandedBack) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "s3gate_uses_unsettled", Help: "Ends of uses that Redis has not heard of yet."},
			func() float64 { return float64(counts().Unsettled) }))
}
