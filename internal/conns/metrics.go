package conns

import "github.com/prometheus/client_golang/prometheus"

// Why a connection is refused.
const (
	reasonTotal     = "total"     // as many are open as may be
	reasonNetwork   = "network"   // its network has as many
	reasonHeader    = "header"    // the header of the PROXY protocol is missing, malformed or late
	reasonUntrusted = "untrusted" // it comes from no trusted proxy, but has to
)

// Metrics count connections. A nil Metrics counts nothing.
type Metrics struct {
	open    *prometheus.GaugeVec
	refused *prometheus.CounterVec
	slow    *prometheus.CounterVec
}

// NewMetrics registers the metrics of connections:
//
//	s3gate_connections{listener}                        connections that are open
//	s3gate_connections_refused_total{listener,reason}   connections that were closed at once: total, network, header or untrusted
//	s3gate_connections_slow_total{listener}             connections that were reset because their client took too little
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{
		open: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "s3gate_connections", Help: "Connections that are open."}, []string{"listener"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "s3gate_connections_refused_total", Help: "Connections that were closed at once, by the reason: total, network, header or untrusted."},
			[]string{"listener", "reason"}),
		slow: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "s3gate_connections_slow_total", Help: "Connections that were reset because their client took too little of what it was sent."},
			[]string{"listener"}),
	}
	reg.MustRegister(m.open, m.refused, m.slow)
	return m
}

// of returns the metrics of one listener.
func (m *Metrics) of(listener string) *listenerMetrics {
	if m == nil {
		return nil
	}
	own := &listenerMetrics{open: m.open.WithLabelValues(listener), slow: m.slow.WithLabelValues(listener), reasons: map[string]prometheus.Counter{}}
	for _, reason := range []string{reasonTotal, reasonNetwork, reasonHeader, reasonUntrusted} {
		own.reasons[reason] = m.refused.WithLabelValues(listener, reason)
	}
	return own
}

type listenerMetrics struct {
	open    prometheus.Gauge
	slow    prometheus.Counter
	reasons map[string]prometheus.Counter
}

func (m *listenerMetrics) opened() {
	if m != nil {
		m.open.Inc()
	}
}

func (m *listenerMetrics) closed() {
	if m != nil {
		m.open.Dec()
	}
}

func (m *listenerMetrics) wasSlow() {
	if m != nil {
		m.slow.Inc()
	}
}

func (m *listenerMetrics) refused(reason string) {
	if m != nil {
		m.reasons[reason].Inc()
	}
}
