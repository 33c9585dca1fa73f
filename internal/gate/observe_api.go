package gate

import (
	"cmp"
	"context"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"s3gate/internal/traces"
)

// callMetrics are those of the API.
type callMetrics struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
}

// newCallMetrics registers
//
//	s3gate_api_requests_total{route,code}  calls by class of status
//	s3gate_api_request_seconds{route}      time from a call to the end of its answer
//
// The route is a pattern such as "POST /v1/tokens", or "none".
func newCallMetrics(reg prometheus.Registerer) *callMetrics {
	m := &callMetrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "s3gate_api_requests_total", Help: "Calls of the API by route and class of status."}, []string{"route", "code"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "s3gate_api_request_seconds", Help: "Time from a call of the API to the end of its answer.",
			Buckets: prometheus.ExponentialBuckets(0.001, 4, 8)}, []string{"route"}),
	}
	reg.MustRegister(m.requests, m.seconds)
	return m
}

// called keeps a record of a call of the API.
func (g *Gate) called(ctx context.Context, request, route string, status int, took time.Duration) {
	traces.Call(ctx, request, route, status)
	m := g.observing.calls
	route = cmp.Or(route, "none")
	m.requests.WithLabelValues(route, strconv.Itoa(status/100)+"xx").Inc()
	m.seconds.WithLabelValues(route).Observe(took.Seconds())
}

// known reports whether a call comes from a caller, whose trace it then belongs to.
func (l *live) known(authorization string) bool {
	_, err := l.Verify(authorization)
	return err == nil
}
