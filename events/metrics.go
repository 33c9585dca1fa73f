package events

import "github.com/prometheus/client_golang/prometheus"

// Metrics count what becomes of events. Labels are names of sinks.
//
//	s3gate_events_delivered_total{sink}       events that the sink has
//	s3gate_events_failed_total{sink}          tries that came to nothing
//	s3gate_events_dropped_total{sink,reason}  events that it will not get: full, closed, encoding, forgotten
//	s3gate_events_dead_total{sink}            deliveries to a webhook that were given up
//	s3gate_events_lag_seconds{sink}           how old the last event was when it was delivered
//	s3gate_events_waiting{sink}               events in its queue, in memory or for a webhook in Redis
//	s3gate_events_refusals_folded_total       refusals that are told together with others
type Metrics struct {
	delivered, failed, dropped, dead *prometheus.CounterVec
	lag, waiting                     *prometheus.GaugeVec
	folded                           prometheus.Counter
}

// NewMetrics registers the metrics of one bus.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "s3gate_events_" + name, Help: help}, labels)
	}
	m := &Metrics{
		delivered: counter("delivered_total", "Events that a sink has taken.", "sink"),
		failed:    counter("failed_total", "Tries of a sink that came to nothing.", "sink"),
		dropped:   counter("dropped_total", "Events that a sink will not get, and why.", "sink", "reason"),
		dead:      counter("dead_total", "Deliveries to a webhook that were given up, and can be redelivered.", "sink"),
		lag: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "s3gate_events_lag_seconds", Help: "How old the last event was when a sink had taken it."}, []string{"sink"}),
		waiting: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "s3gate_events_waiting", Help: "Events that waited for a sink when one was last taken from its queue."}, []string{"sink"}),
		folded: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "s3gate_events_refusals_folded_total", Help: "Refusals that are told together with others of their kind."}),
	}
	reg.MustRegister(m.delivered, m.failed, m.dropped, m.dead, m.lag, m.waiting, m.folded)
	return m
}

// add makes the metrics of a sink appear before anything has happened.
func (m *Metrics) add(sink string) {
	m.delivered.WithLabelValues(sink)
	m.failed.WithLabelValues(sink)
	m.dropped.WithLabelValues(sink, reasonFull)
	m.pending(sink, 0)
}

// pending notes how many events wait.
func (m *Metrics) pending(sink string, n int) { m.waiting.WithLabelValues(sink).Set(float64(n)) }
