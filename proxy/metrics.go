package proxy

import (
	"cmp"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics counts link requests. Labels are the operation's method, the
// bucket's alias and the class of the status: never a token, a key or an
// address. A nil Metrics counts nothing.
type Metrics struct {
	requests *prometheus.CounterVec
	bytes    *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	first    *prometheus.HistogramVec
	uploads  *prometheus.CounterVec
	origin   prometheus.Counter
}

// NewMetrics registers the metrics of links:
//
//	s3gate_link_requests_total{method,bucket,code}  requests by class of status
//	s3gate_link_bytes_total{direction,bucket}       body bytes, "in" or "out"
//	s3gate_link_request_seconds{method}             time from request to end
//	s3gate_link_first_byte_seconds{method}          time from request to the headers of its answer
//	s3gate_uploads_total{bucket,how}                objects stored, in "one" request to S3 or in "parts"
//	s3gate_origin_refusals_total                    requests without the secret of the front
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "s3gate_link_requests_total", Help: "Link requests by method, bucket alias and class of status."},
			[]string{"method", "bucket", "code"}),
		bytes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "s3gate_link_bytes_total", Help: "Body bytes from (in) and to (out) clients of links."},
			[]string{"direction", "bucket"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "s3gate_link_request_seconds", Help: "Time from a link request to the end of its answer.",
			Buckets: prometheus.ExponentialBuckets(0.001, 4, 10)},
			[]string{"method"}),
		first: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "s3gate_link_first_byte_seconds", Help: "Time from a link request to the headers of its answer.",
			Buckets: prometheus.ExponentialBuckets(0.001, 4, 10)},
			[]string{"method"}),
		uploads: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "s3gate_uploads_total", Help: "Objects that uploads have stored, in one request to S3 or in parts."},
			[]string{"bucket", "how"}),
		origin: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "s3gate_origin_refusals_total", Help: "Requests that were refused since they did not carry the origin secret."}),
	}
	reg.MustRegister(m.requests, m.bytes, m.seconds, m.first, m.uploads, m.origin)
	return m
}

func (m *Metrics) observe(x *exchange) {
	if m == nil {
		return
	}
	method, bucket := knownMethod(x.r.Method), cmp.Or(x.grant().Bucket, "none")
	class := "gone" // the client left before it was answered
	if x.status > 0 {
		class = strconv.Itoa(x.status/100) + "xx"
	}
	if !x.returned {
		class = "panic"
	}
	m.requests.WithLabelValues(method, bucket, class).Inc()
	m.bytes.WithLabelValues("in", bucket).Add(float64(x.in))
	m.bytes.WithLabelValues("out", bucket).Add(float64(x.out))
	m.seconds.WithLabelValues(method).Observe(time.Since(x.begin).Seconds())
	if x.status > 0 {
		m.first.WithLabelValues(method).Observe(x.first.Sub(x.begin).Seconds())
	}
}

// stored counts an object that an upload has stored.
func (m *Metrics) stored(x *exchange) {
	if m == nil {
		return
	}
	how := "one"
	if x.parts {
		how = "parts"
	}
	m.uploads.WithLabelValues(x.grant().Bucket, how).Inc()
}

// bypassed counts a request that did not come through the front of the gate.
func (m *Metrics) bypassed() {
	if m != nil {
		m.origin.Inc()
	}
}
