package gate

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"s3gate/revocation"
)

// leaseMetrics are those of the lease under which a gate serves.
type leaseMetrics struct {
	reg     prometheus.Registerer
	lost    prometheus.Counter
	stalled atomic.Int64
	stalls  *prometheus.CounterVec

	mu      sync.Mutex
	missing time.Duration // for how long there was none, but for now
	since   time.Time     // since when there is none now; zero while there is one
}

// newLeaseMetrics registers
//
//	s3gate_lease_lost_total             how often the lease was lost
//	s3gate_lease_missing_seconds_total  for how long there was none, also before the first
//	s3gate_stalled_writes               writes to clients that wait for the lease now
//	s3gate_stalls_total{end}            such waits that are over: the lease came ("resumed") or not ("cut")
func newLeaseMetrics(reg prometheus.Registerer) *leaseMetrics {
	m := &leaseMetrics{
		reg: reg, since: time.Now(),
		lost: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "s3gate_lease_lost_total", Help: "How often the gate has lost its lease, without which it serves nothing."}),
		stalls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "s3gate_stalls_total", Help: "Writes to clients that had to wait for the lease, by how that ended."}, []string{"end"}),
	}
	reg.MustRegister(m.lost, m.stalls,
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "s3gate_lease_missing_seconds_total", Help: "For how long the gate had no lease."},
			func() float64 { return m.without().Seconds() }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "s3gate_stalled_writes", Help: "Writes to clients that wait for the lease."},
			func() float64 { return float64(m.stalled.Load()) }))
	m.stalls.WithLabelValues("resumed")
	m.stalls.WithLabelValues("cut")
	return m
}

// held hears that the lease has come or was lost.
func (m *leaseMetrics) held(held bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if held && !m.since.IsZero() {
		m.missing += time.Since(m.since)
		m.since = time.Time{}
	}
	if !held {
		m.since = time.Now()
		m.lost.Inc()
	}
}

func (m *leaseMetrics) without() time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.since.IsZero() {
		return m.missing
	}
	return m.missing + time.Since(m.since)
}

// follow registers how long the lease of the gate lasts:
//
//	s3gate_lease_remaining_seconds  0 without one
func (m *leaseMetrics) follow(remaining func() time.Duration) {
	m.reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "s3gate_lease_remaining_seconds", Help: "How long the lease still lasts if it is not renewed; 0 without one."},
		func() float64 { return max(0, remaining().Seconds()) }))
}

// stallCounter is the gate as connections of clients know it, and counts those who wait
// for its lease.
type stallCounter struct {
	revocation.Gate
	metrics *leaseMetrics
}

// Await is the gate's, counted.
func (s stallCounter) Await(ctx context.Context) error {
	s.metrics.stalled.Add(1)
	defer s.metrics.stalled.Add(-1)
	err := s.Gate.Await(ctx)
	end := "resumed"
	if err != nil {
		end = "cut"
	}
	s.metrics.stalls.WithLabelValues(end).Inc()
	return err
}
