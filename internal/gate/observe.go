package gate

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"

	"s3gate/internal/accesslog"
	"s3gate/internal/config"
	"s3gate/internal/traces"
	"s3gate/proxy"
)

// observing is what a gate tells of itself, besides events and its log.
type observing struct {
	traces *traces.Traces // nil for none
	access *accesslog.Log // nil for none
	redis  *redisMetrics
	s3     *s3Metrics
	lease  *leaseMetrics
	rules  *ruleMetrics
	uses   *prometheus.CounterVec
	calls  *callMetrics
	panics prometheus.Counter
	acme   func(ok bool)
	logger *slog.Logger
}

// openObserving opens what the settings and the environment name, and registers the
// metrics that are the gate's own.
func (g *Gate) openObserving(ctx context.Context, version string) (err error) {
	reg, o := g.metrics, &g.observing
	registerBuild(reg, version)
	o.redis, o.s3, o.lease, o.rules, o.calls = newRedisMetrics(reg), newS3Metrics(reg), newLeaseMetrics(reg), newRuleMetrics(reg), newCallMetrics(reg)
	o.uses, o.panics, o.logger = newUses(reg), newPanics(reg), g.logger
	o.acme = newACME(reg)
	if o.access, err = openAccessLog(g, reg); err != nil {
		return fmt.Errorf("access_log.file: %w", err)
	}
	o.traces, err = traces.Open(ctx, traces.Options{Version: version, Instance: g.name, Getenv: os.Getenv, Logger: g.logger}, reg)
	return err
}

func openAccessLog(g *Gate, reg prometheus.Registerer) (*accesslog.Log, error) {
	a := &g.cfg.AccessLog
	if a.File == "" {
		accesslog.Register(reg)
		return nil, nil
	}
	return accesslog.Open(a.File, accesslog.Options{Limits: accessLimits(g.cfg), Queue: a.Queue, Logger: g.logger}, reg)
}

func accessLimits(cfg *config.Config) accesslog.Limits {
	return accesslog.Limits{Refusals: cfg.AccessLog.Refusals, MaxAgent: cfg.AccessLog.MaxAgent}
}

// close writes and sends what waits. What nobody takes any more is lost, which is no
// failure of a gate that ends.
func (o *observing) close() {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	var ended sync.WaitGroup
	for what, end := range map[string]func() error{
		"access log": o.access.Close,
		"traces":     func() error { return o.traces.Close(ctx) },
	} {
		ended.Go(func() {
			if err := end(); err != nil {
				o.logger.Warn("what waited for the "+what+" is lost", "err", err)
			}
		})
	}
	ended.Wait()
}

// answered keeps a record of a link request.
func (g *Gate) answered(ctx context.Context, a proxy.Answer) {
	o := &g.observing
	if o.traces != nil {
		traces.Link(ctx, a.Method, a.Outcome, a.Status,
			attribute.String("s3gate.request", a.Request), attribute.String("s3gate.token", string(a.Token)),
			attribute.String("s3gate.operation", string(a.Operation)), attribute.String("s3gate.bucket", a.Bucket),
			attribute.Int64("s3gate.bytes_in", a.In), attribute.Int64("s3gate.bytes_out", a.Out),
			attribute.Float64("s3gate.first_byte_ms", millis(a.FirstByte)))
	}
	if o.access != nil {
		o.access.Add(accesslog.Line{
			Time: a.Began.UTC(), Request: a.Request, Token: string(a.Token), Operation: string(a.Operation), Bucket: a.Bucket,
			Method: a.Method, Status: a.Status, Outcome: a.Outcome, BytesIn: a.In, BytesOut: a.Out,
			MS: millis(a.Took), FirstByteMS: millis(a.FirstByte), Client: a.Client, Agent: a.Agent,
			Proto: a.Proto, TLS: a.TLS, Trace: traces.ID(ctx),
		})
	}
}

// tellsAnswered is what link requests are told to; nil if nobody listens.
func (g *Gate) tellsAnswered() func(context.Context, proxy.Answer) {
	if g.observing.traces == nil && g.observing.access == nil {
		return nil
	}
	return g.answered
}

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// registerBuild registers s3gate_build_info{version,goversion}, which is 1.
func registerBuild(reg prometheus.Registerer, version string) {
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "s3gate_build_info", Help: "Which s3gate this is; always 1.",
		ConstLabels: prometheus.Labels{"version": version, "goversion": runtime.Version()},
	})
	build.Set(1)
	reg.MustRegister(build)
}

// newACME registers what came of asking for certificates, and returns what
// counts it:
//
//	s3gate_acme_certificates_total{result}  attempts to get one, by success or failure
func newACME(reg prometheus.Registerer) (ended func(ok bool)) {
	attempts := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "s3gate_acme_certificates_total", Help: "Attempts to get a certificate from the certificate authority, by result: success or failure."}, []string{"result"})
	reg.MustRegister(attempts)
	results := map[bool]string{true: "success", false: "failure"}
	for _, result := range results {
		attempts.WithLabelValues(result)
	}
	return func(ok bool) { attempts.WithLabelValues(results[ok]).Inc() }
}
