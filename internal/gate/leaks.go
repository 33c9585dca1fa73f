package gate

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
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
	budget  *rate.Limiter
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
	l.budget = rate.NewLimiter(rate.Every(time.Hour/time.Duration(c.MaxActions)), c.MaxActions)
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
		var reading sync.WaitGroup
		for _, s := range g.leaks.sources {
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

// leaked does what the settings say about a finding, and tells of it.
func (g *Gate) leaked(ctx context.Context, f leakwatch.Finding) []leakwatch.Taken {
	do := leakwatch.Choose(g.leaks.rules, &f)
	dry := g.cfg.Guard.Leaks.DryRun
	held := len(do) > 0 && !dry && !g.leaks.budget.Allow()
	var taken []leakwatch.Taken
	for _, action := range do {
		t := leakwatch.Taken{Action: action, DryRun: dry, At: time.Now().UTC().Truncate(time.Millisecond)}
		var err error
		switch {
		case held:
			err = fmt.Errorf("not done: guard.leaks.max_actions is %d an hour", g.cfg.Guard.Leaks.MaxActions)
		default:
			t.Tokens, err = g.leakAction(ctx, action, &f, dry)
		}
		if err != nil {
			t.Error = err.Error()
		}
		taken = append(taken, t)
	}
	f.Taken = taken
	g.telling.bus.Emit(events.LeakSeen, f.Token, leakEvent(&f))
	level := slog.LevelWarn
	if f.Outcome == leakwatch.Allowed {
		level = slog.LevelError
	}
	g.logger.LogAttrs(ctx, level, "leak found", slog.String("leak", f.ID), slog.String("kind", string(f.Kind)), slog.String("outcome", string(f.Outcome)),
		slog.String("bucket", f.Bucket), slog.String("token", f.Token), slog.String("signer", f.Signer), slog.Any("actions", actionNames(taken)))
	return taken
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
