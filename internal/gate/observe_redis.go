package gate

import (
	"context"
	"errors"
	"net"
	"os"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"go.opentelemetry.io/otel/attribute"

	"s3gate/internal/script"
	"s3gate/internal/traces"
)

// redisMetrics are those of what a gate asks Redis.
type redisMetrics struct {
	seconds *prometheus.HistogramVec
	errors  *prometheus.CounterVec
	reg     prometheus.Registerer
}

// newRedisMetrics registers
//
//	s3gate_redis_command_seconds{client,command}  time from a command to its answer
//	s3gate_redis_errors_total{client,kind}        commands that had no good answer
//
// and for each client what [poolMetrics] describes. The client is "requests" or "lease";
// the command is that of Redis in lower case, the name of a script with .lua, or
// "pipeline" for several at once.
func newRedisMetrics(reg prometheus.Registerer) *redisMetrics {
	m := &redisMetrics{
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "s3gate_redis_command_seconds", Help: "Time from a command to the answer of Redis, waiting for a connection included.",
			Buckets: prometheus.ExponentialBuckets(0.0002, 3, 10)}, []string{"client", "command"}),
		errors: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "s3gate_redis_errors_total", Help: "Commands to which Redis gave no good answer, by kind."}, []string{"client", "kind"}),
		reg: reg,
	}
	reg.MustRegister(m.seconds, m.errors)
	return m
}

// watchRedis has a client measured, and its commands in traces.
func (g *Gate) watchRedis(name string, rdb redis.UniversalClient) redis.UniversalClient {
	m := g.observing.redis
	for _, kind := range redisKinds {
		m.errors.WithLabelValues(name, kind)
	}
	registerPool(m.reg, name, rdb.PoolStats)
	rdb.AddHook(&redisHook{
		seconds: m.seconds.MustCurryWith(prometheus.Labels{"client": name}),
		errors:  m.errors.MustCurryWith(prometheus.Labels{"client": name}), traces: g.observing.traces,
	})
	return rdb
}

// redisHook measures the commands of one client.
type redisHook struct {
	seconds prometheus.ObserverVec
	errors  *prometheus.CounterVec
	traces  *traces.Traces
}

// DialHook changes nothing.
func (h *redisHook) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessHook measures a command.
func (h *redisHook) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		return h.watch(ctx, commandName(cmd), func(ctx context.Context) error { return next(ctx, cmd) })
	}
}

// ProcessPipelineHook measures commands that go together.
func (h *redisHook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if len(cmds) > 0 && cmds[0].Name() == "client" {
			return next(ctx, cmds) // the client introduces itself, which not every Redis understands
		}
		return h.watch(ctx, "pipeline", func(ctx context.Context) error { return next(ctx, cmds) })
	}
}

func (h *redisHook) watch(ctx context.Context, name string, do func(context.Context) error) error {
	begin := time.Now()
	var step *traces.Step
	if h.traces != nil {
		ctx, step = h.traces.Step(ctx, "redis "+name, attribute.String("db.system.name", "redis"), attribute.String("db.operation.name", name))
	}
	err := do(ctx)
	h.seconds.WithLabelValues(name).Observe(time.Since(begin).Seconds())
	kind := redisKind(err)
	if kind != "" {
		h.errors.WithLabelValues(kind).Inc()
	}
	step.End(kind)
	return err
}

// commandName is the name of a command or of a script, and nothing of what it is about.
func commandName(cmd redis.Cmder) string {
	name := cmd.Name()
	if name != "evalsha" && name != "eval" {
		return name
	}
	if args := cmd.Args(); len(args) > 1 {
		if text, ok := args[1].(string); ok {
			if of := script.Name(text); of != "" {
				return of
			}
		}
	}
	return name
}

// redisKinds are the kinds of errors.
var redisKinds = []string{"timeout", "pool", "unreachable", "cancelled", "refused"}

// redisKind says what kind of error it is, "" for an answer, also one that there is
// nothing, and for that a script has to be sent whole.
func redisKind(err error) string {
	var network net.Error
	var answer redis.Error
	switch {
	case err == nil, errors.Is(err, redis.Nil):
		return ""
	case errors.As(err, &answer):
		if strings.HasPrefix(answer.Error(), "NOSCRIPT") {
			return ""
		}
		return "refused"
	case errors.Is(err, redis.ErrPoolTimeout), errors.Is(err, redis.ErrPoolExhausted):
		return "pool"
	case errors.Is(err, context.Canceled):
		return "cancelled"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &network) && network.Timeout():
		return "timeout"
	}
	return "unreachable"
}

// registerPool registers what is known of the connections of a client:
//
//	s3gate_redis_connections{client,state}     connections that are "idle" or "used"
//	s3gate_redis_pool_timeouts_total{client}   waits for a connection that took too long
//	s3gate_redis_pool_misses_total{client}     commands for which a connection was opened
//	s3gate_redis_pool_stale_total{client}      connections that were dropped as too old or broken
func registerPool(reg prometheus.Registerer, client string, stats func() *redis.PoolStats) {
	labels := prometheus.Labels{"client": client}
	gauge := func(state string, value func(*redis.PoolStats) uint32) {
		reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "s3gate_redis_connections", Help: "Connections to Redis.",
			ConstLabels: prometheus.Labels{"client": client, "state": state},
		}, func() float64 { return float64(value(stats())) }))
	}
	counter := func(name, help string, value func(*redis.PoolStats) uint32) {
		reg.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help, ConstLabels: labels},
			func() float64 { return float64(value(stats())) }))
	}
	gauge("idle", func(s *redis.PoolStats) uint32 { return s.IdleConns })
	gauge("used", func(s *redis.PoolStats) uint32 { return s.TotalConns - min(s.IdleConns, s.TotalConns) })
	counter("s3gate_redis_pool_timeouts_total", "Waits for a connection to Redis that took too long.", func(s *redis.PoolStats) uint32 { return s.Timeouts })
	counter("s3gate_redis_pool_misses_total", "Commands for which a connection to Redis had to be opened.", func(s *redis.PoolStats) uint32 { return s.Misses })
	counter("s3gate_redis_pool_stale_total", "Connections to Redis that were dropped as too old or broken.", func(s *redis.PoolStats) uint32 { return s.StaleConns })
}
