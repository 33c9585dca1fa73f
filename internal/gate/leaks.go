package gate

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"

	"s3gate/events"
	"s3gate/guard/leakwatch"
	"s3gate/internal/config"
	"s3gate/s3client"
)

// leaks is the watch over what the gates and the logs tell.
type leaks struct {
	store   *leakwatch.Redis
	watch   *leakwatch.Watch
	sources []leakSource
	logs    []*s3client.Bucket // to be closed
	rules   []leakwatch.Rule
	budgets leakBudgets
	acting  sync.Mutex             // one thing at a time
	quiet   map[bool]*rate.Limiter // see [Gate.toldOf]
	full    rate.Sometimes
}

// leakSource reads until its context is done.
type leakSource interface {
	Run(ctx context.Context, w *leakwatch.Watch) error
}

// openLeaks prepares what [Gate.watchLeaks] runs. It connects nothing.
func (g *Gate) openLeaks(ctx context.Context, reg prometheus.Registerer, version string) error {
	c := &g.cfg.Guard.Leaks
	l := &g.leaks
	l.store = &leakwatch.Redis{RDB: g.rdb, Most: c.Keep, MaxAge: c.KeepFor}
	l.rules = c.Rules()
	l.budgets = newLeakBudgets(c.MaxActions)
	l.quiet = map[bool]*rate.Limiter{}
	for _, known := range []bool{false, true} {
		l.quiet[known] = rate.NewLimiter(rate.Limit(float64(maxRefusedTold)/3600), maxRefusedTold)
	}
	l.full = rate.Sometimes{Interval: time.Hour}
	l.watch = &leakwatch.Watch{
		Buckets: g.cfg.WatchedBuckets(), Store: l.store, Window: c.Window, Act: g.leaked, Metrics: leakwatch.NewMetrics(reg), Logger: g.logger,
	}
	if g.telling.reader != nil {
		l.sources = append(l.sources, &leakwatch.GateEvents{Log: g.telling.reader, Networks: c.Networks, Window: c.NetworksWindow, NoNetworks: c.Networks == 0})
	}
	for name, s := range c.Sources {
		source, err := g.openLeakSource(ctx, &s, version)
		if err != nil {
			return fmt.Errorf("guard.leaks.sources.%s: %w", name, err)
		}
		l.sources = append(l.sources, source)
	}
	if len(l.sources) > 0 {
		l.sources = append(l.sources, &leakwatch.Retries{Store: l.store, Every: min(c.Interval, 10*time.Second)})
	}
	return nil
}

func (g *Gate) openLeakSource(ctx context.Context, s *config.LeakSource, version string) (leakSource, error) {
	var logs *s3client.Bucket
	if s.Bucket != "" {
		var err error
		if logs, err = OpenBucket(ctx, s.Reach(), g.cfg.Upstream, "s3gate/"+version, g.logger); err != nil {
			return nil, err
		}
		g.leaks.logs = append(g.leaks.logs, logs)
	}
	if s.Queue == "" {
		c := &g.cfg.Guard.Leaks
		return &leakwatch.LogBucket{Logs: logs, Name: s.Bucket, Prefix: s.Prefix, Late: c.Late, Every: c.Interval}, nil
	}
	api, err := OpenQueue(ctx, s)
	if err != nil {
		return nil, err
	}
	return &leakwatch.Queue{API: api, URL: s.Queue, Open: func(name string) (leakwatch.Logs, error) {
		if logs == nil || name != s.Bucket {
			return nil, fmt.Errorf("a message names the bucket %q, and the one of this source is %q", name, s.Bucket)
		}
		return logs, nil
	}}, nil
}

// OpenQueue returns a client of the queue of a source.
func OpenQueue(ctx context.Context, s *config.LeakSource) (*sqs.Client, error) {
	u, err := url.Parse(s.Queue)
	if err != nil {
		return nil, err
	}
	opts := []func(*awsconfig.LoadOptions) error{awsconfig.WithSharedConfigProfile(s.Profile)}
	if s.Region != "" {
		opts = append(opts, awsconfig.WithRegion(s.Region))
	}
	if s.AccessKeyID != "" {
		opts = append(opts, awsconfig.WithCredentialsProvider(credentials.NewStaticCredentialsProvider(s.AccessKeyID, s.SecretAccessKey, "")))
	}
	sdk, err := awsconfig.LoadDefaultConfig(ctx, opts...)
	if err != nil {
		return nil, fmt.Errorf("loading the AWS SDK's configuration: %w", err)
	}
	if sdk.Region == "" {
		sdk.Region = "us-east-1"
	}
	return sqs.NewFromConfig(sdk, func(o *sqs.Options) { o.BaseEndpoint = aws.String(u.Scheme + "://" + u.Host) }), nil
}

// watchLeaks reads what there is to read, as long as no other gate does.
func (g *Gate) watchLeaks(ctx context.Context) {
	if len(g.leaks.sources) == 0 {
		return
	}
	lead := &leakwatch.Lead{RDB: g.rdb, Logger: g.logger}
	lead.Run(ctx, func(ctx context.Context) {
		begin, err := g.leaks.store.Begin(ctx)
		if err != nil {
			g.logger.Error("watching for leaks", "err", err)
			return
		}
		// Nobody reads yet, or any more.
		g.leaks.watch.Since = begin.Add(-g.cfg.Guard.Leaks.Since)
		var reading sync.WaitGroup
		for _, s := range g.leaks.sources {
			if b, ok := s.(*leakwatch.LogBucket); ok {
				b.Since = g.leaks.watch.Since
			}
			reading.Go(func() {
				if err := s.Run(ctx, g.leaks.watch); err != nil && !errors.Is(err, context.Canceled) {
					g.logger.Error("watching for leaks", "err", err)
				}
			})
		}
		reading.Wait()
	})
}

func (g *Gate) closeLeaks() (errs []error) {
	for _, b := range g.leaks.logs {
		errs = append(errs, b.Close())
	}
	return errs
}

// leaked does what the settings say about a finding, and tells of it. About one that
// comes again, since something is pending, it tells when that is settled.
func (g *Gate) leaked(ctx context.Context, f leakwatch.Finding) []leakwatch.Taken {
	if f.Taken != nil {
		taken, settled := g.actAgainOnLeak(ctx, &f)
		if f.Taken = taken; settled {
			g.tellOfLeak(&f)
		}
		return taken
	}
	for _, action := range leakwatch.Choose(g.leaks.rules, &f) {
		f.Taken = append(f.Taken, g.actOnLeak(ctx, action, &f, time.Time{}))
	}
	if g.toldOf(&f) {
		g.tellOfLeak(&f)
	}
	return f.Taken
}

// maxRefusedTold is of how many refused requests past the gate there are events
// within an hour: of those that nobody has signed, and of others. Everybody can send
// as many as they like.
const maxRefusedTold = 1000

// toldOf reports whether there is an event about a finding. All others are in the
// list.
func (g *Gate) toldOf(f *leakwatch.Finding) bool {
	done := slices.ContainsFunc(f.Taken, func(t leakwatch.Taken) bool { return t.Error == "" && !t.DryRun })
	if done || f.Outcome != leakwatch.Refused || f.Kind != leakwatch.Presigned && f.Kind != leakwatch.Form {
		return true
	}
	if g.leaks.quiet[f.Requester != ""].Allow() {
		return true
	}
	g.leaks.watch.Metrics.Untold()
	g.leaks.full.Do(func() {
		g.logger.Warn("more refused requests past the gate than are told of; the list of leaks has them", "an_hour", maxRefusedTold)
	})
	return false
}

func (g *Gate) tellOfLeak(f *leakwatch.Finding) {
	g.telling.bus.Emit(events.LeakSeen, f.Token, leakEvent(f))
	level := slog.LevelWarn
	if f.Outcome == leakwatch.Allowed {
		level = slog.LevelError
	}
	g.logger.LogAttrs(context.Background(), level, "leak found", slog.String("leak", f.ID), slog.String("kind", string(f.Kind)), slog.String("outcome", string(f.Outcome)),
		slog.String("bucket", f.Bucket), slog.String("token", f.Token), slog.String("signer", f.Signer), slog.Any("actions", actionNames(f.Taken)))
}

func actionNames(taken []leakwatch.Taken) (names []string) {
	for _, t := range taken {
		name := string(t.Action)
		switch {
		case t.Error != "":
			name += ": " + t.Error
		case t.DryRun:
			name += " (dry run)"
		}
		names = append(names, name)
	}
	return names
}

func leakEvent(f *leakwatch.Finding) events.Leak {
	e := events.Leak{
		ID: f.ID, Kind: string(f.Kind), Outcome: string(f.Outcome), Bucket: f.Bucket, Key: f.Key, Token: f.Token, Subject: f.Subject,
		Signer: f.Signer, Requester: f.Requester, Client: f.Client, Networks: f.Networks, Method: f.Method, Status: f.Status, Code: f.Code,
		Request: f.Request, UserAgent: f.UserAgent, Log: f.Log, At: f.First, Count: f.Count,
	}
	for _, t := range f.Taken {
		e.Actions = append(e.Actions, events.LeakAction{Action: string(t.Action), DryRun: t.DryRun, Tokens: t.Tokens, Error: t.Error})
	}
	return e
}
