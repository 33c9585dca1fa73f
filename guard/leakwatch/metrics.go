package leakwatch

import "github.com/prometheus/client_golang/prometheus"

// Metrics count what a [Watch] reads and finds. A nil Metrics counts nothing.
type Metrics struct {
	leaks     *prometheus.CounterVec
	lines     prometheus.Counter
	malformed prometheus.Counter
	givenUp   prometheus.Counter
	lag       prometheus.Gauge
	untold    prometheus.Counter
}

// NewMetrics registers them.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{
		leaks: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "s3gate_leaks_total", Help: "Findings of the leak watch."}, []string{"bucket", "kind", "outcome"}),
		lines: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "s3gate_leak_lines_total", Help: "Lines and events of logs that the leak watch has read."}),
		malformed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "s3gate_leak_malformed_total", Help: "Lines and events of logs that the leak watch could not read."}),
		givenUp: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "s3gate_leak_logs_given_up_total", Help: "Logs that the leak watch has left out, since it could not read them."}),
		lag: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "s3gate_leak_lag_seconds", Help: "Age of the log that the leak watch has read last, when it was read."}),
		untold: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "s3gate_leaks_untold_total", Help: "Findings about refused requests that were only listed, since there were too many to tell of."}),
	}
	reg.MustRegister(m.leaks, m.lines, m.malformed, m.givenUp, m.lag, m.untold)
	return m
}

func (m *Metrics) read(s Summary) {
	if m != nil {
		m.lines.Add(float64(s.Lines))
		m.malformed.Add(float64(s.Malformed))
	}
}

func (m *Metrics) found(f *Finding) {
	if m != nil {
		m.leaks.WithLabelValues(f.Bucket, string(f.Kind), string(f.Outcome)).Inc()
	}
}

func (m *Metrics) gaveUp() {
	if m != nil {
		m.givenUp.Inc()
	}
}

func (m *Metrics) behind(seconds float64) {
	if m != nil {
		m.lag.Set(seconds)
	}
}

// Untold counts a finding that is in the list and that nobody was told of.
func (m *Metrics) Untold() {
	if m != nil {
		m.untold.Inc()
	}
}
