package rounds

import "github.com/prometheus/client_golang/prometheus"

// Metrics show what is known of buckets:
//
//	s3gate_bucket_locked{bucket}                      1 if the last round that came to a result found it locked, else 0
//	s3gate_bucket_limited{bucket}                     1 if it found it limited, where the gate signs in the query string
//	s3gate_bucket_verified_timestamp_seconds{bucket}  when that was
//	s3gate_bucket_verify_errors_total{bucket}         rounds that came to nothing, and questions to Redis
//
// A bucket without a result has none but the last, and one of which nothing was
// heard for two intervals not the first two. The nil Metrics do nothing.
type Metrics struct {
	locked, limited, verified *prometheus.GaugeVec
	errors                    *prometheus.CounterVec
}

// NewMetrics registers the metrics, for buckets with these aliases.
func NewMetrics(reg prometheus.Registerer, aliases ...string) *Metrics {
	label := []string{"bucket"}
	m := &Metrics{
		locked: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "s3gate_bucket_locked", Help: "Whether the bucket was locked against presigned URLs when that was last tried with a result."}, label),
		limited: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "s3gate_bucket_limited", Help: "Whether only fresh URLs of the gate opened the bucket then, where it signs in the query string."}, label),
		verified: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "s3gate_bucket_verified_timestamp_seconds", Help: "When that was, in seconds since 1970."}, label),
		errors: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "s3gate_bucket_verify_errors_total", Help: "How often it could not be found out whether the bucket is locked."}, label),
	}
	reg.MustRegister(m.locked, m.limited, m.verified, m.errors)
	for _, alias := range aliases {
		m.errors.WithLabelValues(alias)
	}
	return m
}

func (m *Metrics) failed(alias string) {
	if m != nil {
		m.errors.WithLabelValues(alias).Inc()
	}
}

// forget shows neither that a bucket is locked nor that it is not.
func (m *Metrics) forget(alias string) {
	if m != nil {
		m.locked.DeleteLabelValues(alias)
		m.limited.DeleteLabelValues(alias)
	}
}

func (m *Metrics) show(f Finding) {
	if m == nil || f.Report == nil {
		return
	}
	for gauge, holds := range map[*prometheus.GaugeVec]bool{m.locked: f.Report.Locked, m.limited: f.Report.Limited} {
		value := 0.0
		if holds {
			value = 1
		}
		gauge.WithLabelValues(f.Bucket).Set(value)
	}
	m.verified.WithLabelValues(f.Bucket).Set(float64(f.VerifiedAt.Unix()))
}
