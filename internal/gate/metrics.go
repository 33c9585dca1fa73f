package gate

import (
	"github.com/prometheus/client_golang/prometheus"

	"s3gate/proxy"
	"s3gate/tokens"
)

// registerCache registers the metrics of the grants that are kept in memory:
//
//	s3gate_grant_cache_hits_total    look-ups answered without Redis
//	s3gate_grant_cache_misses_total  look-ups of tokens without limit that Redis permitted
//	s3gate_grant_cache_entries       grants that are kept
//	s3gate_grant_cache_bytes         memory that they are thought to take
func registerCache(reg prometheus.Registerer, stats func() tokens.CacheStats) {
	counter := func(name, help string, value func(tokens.CacheStats) uint64) {
		reg.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help},
			func() float64 { return float64(value(stats())) }))
	}
	gauge := func(name, help string, value func(tokens.CacheStats) uint64) {
		reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help},
			func() float64 { return float64(value(stats())) }))
	}
	counter("s3gate_grant_cache_hits_total", "Look-ups of tokens that were answered from memory, without Redis.",
		func(s tokens.CacheStats) uint64 { return s.Hits })
	counter("s3gate_grant_cache_misses_total", "Look-ups that Redis permitted although the grant may be kept in memory: it was not there, too old, or there was no lease.",
		func(s tokens.CacheStats) uint64 { return s.Misses })
	gauge("s3gate_grant_cache_entries", "Grants that are kept in memory.",
		func(s tokens.CacheStats) uint64 { return uint64(s.Entries) })
	gauge("s3gate_grant_cache_bytes", "Memory that these grants are thought to take, in bytes, as it is counted against tokens.cache_bytes.",
		func(s tokens.CacheStats) uint64 { return s.Bytes })
}

// registerReloads registers what came of reloading the configuration:
//
//	s3gate_config_reloads_total{result}                     how often, by success or failure
//	s3gate_config_last_reload_success_timestamp_seconds     when it was read last
func (l *live) registerReloads(reg prometheus.Registerer) {
	l.reloads = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "s3gate_config_reloads_total", Help: "Reloads of the configuration by result: success or failure."}, []string{"result"})
	l.success = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "s3gate_config_last_reload_success_timestamp_seconds", Help: "When the settings that count were read, in seconds since 1970."})
	reg.MustRegister(l.reloads, l.success)
	for _, result := range []string{"success", "failure"} {
		l.reloads.WithLabelValues(result)
	}
	l.success.SetToCurrentTime()
}

// registerLimits registers how often a limit on minting has refused a request, and
// returns what counts one:
//
//	s3gate_api_limited_total{limit}  mint_rate, open_per_caller or open_per_subject
func registerLimits(reg prometheus.Registerer) (limited func(limit string)) {
	refused := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "s3gate_api_limited_total", Help: "Requests to mint that a limit below api.limits has refused, by the limit."}, []string{"limit"})
	reg.MustRegister(refused)
	for _, limit := range []string{"mint_rate", "open_per_caller", "open_per_subject"} {
		refused.WithLabelValues(limit)
	}
	return func(limit string) { refused.WithLabelValues(limit).Inc() }
}

// registerParts registers what uploads in parts take and do.
//
//	s3gate_upload_memory_bytes        memory that parts take
//	s3gate_upload_memory_limit_bytes  memory that they may take
//	s3gate_upload_part_retries_total  parts that were sent again
func registerParts(reg prometheus.Registerer, m *proxy.Multipart) {
	reg.MustRegister(
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "s3gate_upload_memory_bytes", Help: "Memory that the parts of uploads take."},
			func() float64 { return float64(m.Stats().Held) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "s3gate_upload_memory_limit_bytes", Help: "Memory that the parts of uploads may take."},
			func() float64 { return float64(m.Stats().Limit) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "s3gate_upload_part_retries_total", Help: "Parts of uploads that were sent again."},
			func() float64 { return float64(m.Stats().Retries) }),
	)
}
