// Package gate puts one s3gate process together from its configuration: the
// buckets, the token store, the link listener, the API and the operators'
// listener. It holds wiring and life cycle and no decision of its own.
//
// [Open] connects nothing but the listeners; Redis and S3 may come later, and
// until they do the gate answers 503 and 502.
package gate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/redis/go-redis/v9"

	"s3gate/api"
	"s3gate/guard/rounds"
	"s3gate/internal/config"
	"s3gate/proxy"
	"s3gate/revocation"
	"s3gate/s3client"
	"s3gate/tokens"
	"s3gate/uploads"
)

// Options are what does not come from the configuration.
type Options struct {
	// Logger is where everything is logged; nil discards.
	Logger *slog.Logger
	// Level is that of Logger, for a reload to change; nil is that of a logger
	// whose level nobody changes.
	Level *slog.LevelVar
	// Version goes into the User-Agent of requests to S3.
	Version string
	// FreshRedis says that nobody else can have used Redis yet.
	FreshRedis bool
	// AllowUnsafe serves also from a Redis that cannot be relied on, and warns.
	AllowUnsafe bool
	// PublicURL returns the beginning of links, given the address that the
	// link listener got; nil means the configuration's.
	PublicURL func(addr net.Addr) string
	// Listen opens the port of the link listener; nil is net.Listen. It is for
	// tests, and returns connections that have the
	// methods of [net.TCPConn].
	Listen func(network, addr string) (net.Listener, error)
	// Sockets are TCP listeners that were open before the gate was, by the name of its
	// listener: links, api or ops. It takes them instead of opening those ports, and
	// closes them; nil has none. See [ErrSocket].
	Sockets map[string]net.Listener
}

// Gate is one running gate.
type Gate struct {
	cfg    *config.Config // as it began; what can change counts only in live
	live   live
	name   string // in receipts, events and the list of gates
	logger *slog.Logger
	level  *slog.LevelVar

	rdb       redis.UniversalClient
	leaseRDB  redis.UniversalClient // its own connections: requests must not hold up the lease
	store     *tokens.Store
	journal   *uploads.Journal
	buckets   map[string]*s3client.Bucket
	transfers *revocation.Transfers
	member    *revocation.Member
	telling   telling
	leaks     leaks
	rounds    *rounds.Rounds
	metrics   *prometheus.Registry
	observing observing
	draining  atomic.Bool

	links, api, ops *listener // ops may be nil
	tls             secured
	connections     connections
	handler         *proxy.Handler
	control         *api.Handler
	publicURL       string
	serving         sync.WaitGroup
	stopSweep       context.CancelFunc
	begun           chan struct{} // closed when begin is over
	failed          chan error
}

// Open builds a gate and opens its listeners. [Gate.Start] serves on them and
// [Gate.Close] ends everything.
func Open(ctx context.Context, cfg *config.Config, opts Options) (*Gate, error) {
	g := &Gate{
		cfg: cfg, name: gateName(), logger: opts.Logger, level: cmp.Or(opts.Level, new(slog.LevelVar)), transfers: &revocation.Transfers{},
		buckets: map[string]*s3client.Bucket{}, begun: make(chan struct{}), failed: make(chan error, 4), stopSweep: func() {},
	}
	if g.logger == nil {
		g.logger = slog.New(slog.DiscardHandler)
	}
	if err := g.open(ctx, opts); err != nil {
		g.closeAll()
		return nil, err
	}
	return g, nil
}

func (g *Gate) open(ctx context.Context, opts Options) error {
	verifier, err := g.newVerifier(g.cfg)
	if err != nil {
		return err
	}
	for alias, b := range g.cfg.Buckets {
		if g.buckets[alias], err = OpenBucket(ctx, b, g.cfg.Upstream, "s3gate/"+cmp.Or(opts.Version, "dev"), g.logger); err != nil {
			return fmt.Errorf("buckets.%s: %w", alias, err)
		}
	}
	g.metrics = prometheus.NewRegistry()
	if err := g.openObserving(ctx, cmp.Or(opts.Version, "dev")); err != nil {
		return err
	}
	g.rdb, g.leaseRDB = g.watchRedis("requests", newRedis(g.cfg.Redis)), g.watchRedis("lease", newRedis(g.cfg.Redis))
	if err := g.openEvents(ctx, g.metrics, cmp.Or(opts.Version, "dev")); err != nil {
		return err
	}
	if g.rounds, err = g.newRounds(g.metrics); err != nil {
		return err
	}
	if err := g.openLeaks(ctx, g.metrics, cmp.Or(opts.Version, "dev")); err != nil {
		return err
	}
	g.store = g.newStore()
	g.adjust(g.cfg, verifier)
	g.journal = g.newJournal()
	g.join(opts)
	if err := g.listen(opts); err != nil {
		return err
	}
	g.publicURL = g.cfg.PublicURL
	if opts.PublicURL != nil {
		g.publicURL = opts.PublicURL(g.links.Addr())
	}
	return g.handle()
}

func (g *Gate) newStore() *tokens.Store {
	return tokens.New(g.rdb, tokens.Options{
		Retention:      g.cfg.Tokens.Retention,
		ReserveTimeout: g.cfg.Tokens.ReserveTimeout,
		Receipts:       g.cfg.Tokens.Receipts,
		MinAcks:        g.cfg.Redis.Acks(),
		AckTimeout:     g.cfg.Redis.AckTimeout,
		Ended:          g.useEnded,
		MintSecrets:    g.cfg.Tokens.MintSecrets(), IdempotencyWindow: g.cfg.API.IdempotencyWindow,
		Cache: tokens.CacheOptions{
			MaxEntries: g.cfg.Tokens.CacheEntries, MaxBytes: g.cfg.Tokens.CacheBytes, MaxAge: g.cfg.Tokens.CacheAge,
			Valid: g.life, Clock: revocation.BootClock,
		},
		Logger: g.logger,
	})
}

func (g *Gate) newJournal() *uploads.Journal {
	return uploads.New(g.rdb, uploads.Options{
		Grace: g.cfg.Upload.SweepAfter, Resume: g.cfg.Upload.ResumeWindow,
		MinAcks: g.cfg.Redis.Acks(), AckTimeout: g.cfg.Redis.AckTimeout, Logger: g.logger,
	})
}

// sweep ends uploads that other gates have left behind, until ctx is done.
func (g *Gate) sweep(ctx context.Context) {
	buckets, check := map[string]uploads.Upstream{}, map[string]bool{}
	for alias, b := range g.buckets {
		buckets[alias] = g.watchBucket(alias, b)
		check[alias] = proxy.NoOverwrite(g.cfg.Buckets[alias].NoOverwrite) == proxy.CheckOverwrite
	}
	s := &uploads.Sweeper{
		Journal: g.journal, Buckets: buckets, Recover: g.store.Recover, Permits: g.transfers.Permits, Commit: g.transfers.Commit, Check: check, Ended: g.useEnded,
		TempPrefix: g.cfg.Upload.TempPrefix, Retry: uploads.Retry{Tries: g.cfg.Upload.Tries, Backoff: g.cfg.Upload.Backoff},
		Logger: g.logger,
	}
	s.Run(ctx)
}

// join makes the gate one of those that follow the revocation log.
func (g *Gate) join(opts Options) {
	// The first rule may come before the transfers know whose they are.
	joined := make(chan struct{})
	var seen priorities
	g.member = revocation.Join(g.leaseRDB, revocation.MemberOptions{
		Name: g.name, Lease: g.cfg.Revocation.Lease, MaxLife: time.Duration(g.live.maxLife.Load()), Fresh: opts.FreshRedis, AllowUnsafe: opts.AllowUnsafe, Logger: g.logger,
		Apply:    func(r *revocation.Rule) revocation.Effect { <-joined; return g.applyWatched(r) },
		Held:     g.observing.lease.held,
		Answer:   func(question string) string { <-joined; return g.transfers.Answer(question) },
		Replicas: g.cfg.Redis.ReplicaCount(), MinAcks: g.cfg.Redis.Acks(), AckTimeout: g.cfg.Redis.AckTimeout,
		Check: func(ctx context.Context) error { return seen.check(ctx, g.cfg.Redis) },
	})
	g.observing.lease.follow(g.member.Remaining)
	g.transfers.Gate = g.member
	close(joined)
}

// listen opens the listeners, so that a port that is taken is an error of
// Open.
func (g *Gate) listen(opts Options) (err error) {
	if err := g.checkSockets(opts.Sockets); err != nil {
		return err
	}
	if g.links, err = listen("links", g.cfg.Links, opts.opener("links")); err != nil {
		return err
	}
	// The wrapper lies below TLS, so that a transfer can be cut at once.
	g.links.Listener = revocation.Listen(g.bound(g.links), stallCounter{g.member, g.observing.lease}, g.cfg.Revocation.StallTimeout)
	g.links.server.ConnContext = revocation.ConnContext
	g.links.server.HTTP2 = proxy.HTTP2()
	if g.api, err = listen("api", g.cfg.API.Listener, opts.opener("api")); err != nil {
		return err
	}
	if err = g.secure(); err != nil {
		return err
	}
	g.api.Listener = g.bound(g.api)
	if g.cfg.Ops.Addr == "" || g.cfg.Ops.Addr == g.cfg.API.Addr {
		return nil
	}
	g.ops, err = listen("ops", config.Listener{
		Addr: g.cfg.Ops.Addr, MaxHeader: g.cfg.API.MaxHeader,
		HeaderTimeout: g.cfg.API.HeaderTimeout, IdleTimeout: g.cfg.API.IdleTimeout,
	}, opts.opener("ops"))
	if err == nil {
		g.ops.Listener = g.bound(g.ops)
	}
	return err
}

// handle gives each listener its handler.
func (g *Gate) handle() error {
	reg := g.metrics
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "s3gate_transfers", Help: "Link requests that are running."},
			func() float64 { return float64(g.transfers.Len()) }))
	registerCache(reg, g.store.CacheStats)
	registerCharges(reg, g.store.Counts)
	g.live.registerReloads(reg)
	metrics := promhttp.HandlerFor(reg, promhttp.HandlerOpts{})
	g.handler = g.linkHandler(reg)
	g.live.guesses = newGuesses(g.cfg)
	adjusted, err := adjustable(g.cfg, g.live.guesses)
	if err != nil {
		return err
	}
	g.handler.Adjust(adjusted)
	g.links.server.Handler = g.leaving(g.withHSTS(g.observing.traces.Links(g.handler), g.behindHTTPS))
	g.control = g.apiHandler(metrics, registerLimits(reg))
	g.api.server.Handler = g.leaving(g.withHSTS(g.timeBodies(g.withClients(g.limitRequests(g.afterBegin(g.observing.traces.API(g.withProfiles(g.withConsole(g.control)), g.live.known))))), nil))
	g.api.server.RegisterOnShutdown(g.control.Stop)
	if g.ops != nil {
		mux := http.NewServeMux()
		mux.Handle("GET /metrics", metrics)
		mux.Handle("/debug/pprof/", profiles(g.profileLimit))
		g.ops.server.Handler = withoutBodies(mux)
	}
	return nil
}

// linkHandler is what serves links, without what can change.
func (g *Gate) linkHandler(reg prometheus.Registerer) *proxy.Handler {
	h := &proxy.Handler{
		Tokens: g.store, Buckets: map[string]proxy.Upstream{}, Transfers: g.transfers,
		Passcodes:  proxy.NewPasscodes(g.store),
		Answers:    proxy.NewGuesses(0.2, 20),
		Status:     g.store.Show,
		TempPrefix: g.cfg.Upload.TempPrefix, Storage: map[string]proxy.Storage{},
		Multipart: proxy.Multipart{
			SingleMax: g.cfg.Upload.SingleMax, PartSize: g.cfg.Upload.PartSize, Memory: g.cfg.Upload.Memory,
			Concurrency: g.cfg.Upload.Concurrency, Tries: g.cfg.Upload.Tries, Backoff: g.cfg.Upload.Backoff,
		},
		Journal: g.journal,
		Revoke: func(ctx context.Context, id tokens.ID) error {
			_, err := revokers{g}.Revoke(ctx, revocation.Rule{Token: id, Author: "holder", Reason: "revoked through its link"})
			return err
		},
		Ended: g.useEnded, Redeemed: g.redeemed, Refused: g.refused, ReceiptAddress: proxy.AddressDetail(g.cfg.Audit.ClientAddress),
		Answered: g.tellsAnswered(), Metrics: proxy.NewMetrics(reg), Logger: g.logger,
	}
	for alias, b := range g.buckets {
		h.Buckets[alias] = g.watchBucket(alias, b)
		h.Storage[alias] = storage(g.cfg.Buckets[alias], b.Secure())
	}
	registerParts(reg, &h.Multipart)
	return h
}

// storage is how uploads to a bucket are kept.
func storage(c config.Bucket, secure bool) proxy.Storage {
	return proxy.Storage{
		Class: c.StorageClass, Encryption: c.SSE, KMSKeyID: c.SSEKMSKeyID, BucketKey: c.SSEBucketKey,
		Plain: !secure, NoOverwrite: cmp.Or(proxy.NoOverwrite(c.NoOverwrite), proxy.ProbeStore),
	}
}

// apiHandler also serves metrics if the operators' listener is the API's.
func (g *Gate) apiHandler(metrics http.Handler, limited func(limit string)) *api.Handler {
	cfg := api.Config{
		Tokens:  g.store,
		Revoker: revokers{g},
		Member:  g.member, Transfers: g.transfers, Fleet: &revocation.Fleet{Member: g.member, Transfers: g.transfers},
		Verifier: &g.live, Buckets: slices.Sorted(maps.Keys(g.buckets)), PublicURL: g.publicURL,
		Ready: g.Ready, MaxBody: g.cfg.API.MaxBody, MaxBatch: g.cfg.API.MaxBatch, MaxBatchBody: g.cfg.API.MaxBatchBody,
		Limits: mintLimits(g.cfg), Limited: limited,
		Guard: g.rounds, Audit: g.audit, Origins: g.cfg.API.CORSOrigins, Logger: g.logger,
	}
	cfg.Answered = g.called
	g.apiEvents(&cfg)
	cfg.Leaks = g.leaks.store
	if g.cfg.Ops.Addr == g.cfg.API.Addr {
		cfg.Metrics = metrics
	}
	return api.New(cfg)
}

func (g *Gate) revoker() *revocation.Revoker {
	return &revocation.Revoker{
		Member: g.member, Tombstones: g.store, Now: g.store.Now, MaxLife: time.Duration(g.live.maxLife.Load()), Told: g.ruled,
		// The others may be set otherwise.
		MaxAway: 4 * max(g.cfg.Tokens.CacheAge, g.cfg.Revocation.StallTimeout),
	}
}

// life says in which life of Redis grants that are kept may be served, and
// whether any may be: under the lease. The lease comes first, so that it was
// held while that life was not over.
func (g *Gate) life() (life int64, ok bool) {
	ok = g.member.Remaining() > 0
	return g.member.Position().Gen, ok
}

// apply forgets and stops what a rule covers. It leaves the token's record to whoever
// revokes: a gate that reads the log from its beginning, or after a while, would
// mark a token again whose rule was lifted since.
func (g *Gate) apply(r *revocation.Rule) revocation.Effect {
	switch {
	case r.Change != nil:
		g.store.Forget(r.Token)
		stopped, late := g.transfers.Change(r)
		return revocation.Effect{Stopped: stopped, Committing: late}
	case r.Token != "":
		g.store.Forget(r.Token)
	case !r.Lifted():
		g.store.ForgetFunc(r.Covers)
	}
	stopped, late := g.transfers.Cut(r.CoversTransfer)
	return revocation.Effect{Stopped: stopped, Committing: late}
}

// gateName names this process in receipts: its host and its number.
func gateName() string {
	host, err := os.Hostname()
	if err != nil {
		host = "gate"
	}
	return fmt.Sprintf("%s/%d", host, os.Getpid())
}

// Ready reports why the gate cannot serve: it is shutting down, Redis has not
// confirmed lately that it knows everything that was revoked, or does not answer over
// the connections of requests, or a bucket is not known to be locked and the settings
// say that this counts.
func (g *Gate) Ready(ctx context.Context) error {
	if g.draining.Load() {
		return api.ErrDraining
	}
	if err := g.guarded(); err != nil {
		return err
	}
	if err := g.member.Lease(); err != nil {
		return err
	}
	// The client stops dialling for up to a second when that has failed often, and the
	// lease has a client of its own.
	if err := g.rdb.Ping(ctx).Err(); err != nil {
		return fmt.Errorf("%w: %w", tokens.ErrUnproven, err)
	}
	return nil
}

// Await returns when the gate can serve, or why it cannot when ctx is done.
func (g *Gate) Await(ctx context.Context) error {
	if err := g.member.Await(ctx); err != nil {
		return fmt.Errorf("%w: %w", g.Ready(ctx), err)
	}
	return nil
}

// Start serves in the background. A listener that fails is reported by Wait.
func (g *Gate) Start() {
	ctx, stop := context.WithCancel(context.Background())
	g.stopSweep = stop
	g.serving.Go(func() { g.sweep(ctx) })
	g.serving.Go(func() { g.telling.hooks.Run(ctx) })
	g.serving.Go(func() { g.watchLeaks(ctx) })
	g.serving.Go(func() { g.guards(ctx) })
	g.serving.Go(func() { g.watchCertificates(ctx) })
	g.startACME()
	for _, l := range g.listeners() {
		g.serving.Add(1)
		go func() {
			defer g.serving.Done()
			l.server.ErrorLog = log.New(serverLog{g.logger.With("listener", l.name)}, "", 0)
			l.server.Handler = g.catching(l.server.Handler, l.name)
			l.server.ConnState = l.notice
			if l == g.links {
				g.begin(ctx)
			}
			if err := l.serve(); err != nil && !errors.Is(err, http.ErrServerClosed) && !g.draining.Load() {
				g.failed <- fmt.Errorf("%s listener: %w", l.name, err)
			}
		}()
	}
}

// Wait returns when ctx is done, with nil, or when a listener has failed.
func (g *Gate) Wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case err := <-g.failed:
		return err
	}
}

// PublicURL begins the links that the gate gives out.
func (g *Gate) PublicURL() string { return g.publicURL }

// APIURL is the address of the API.
func (g *Gate) APIURL() string { return g.api.url() }

// Close drains the gate: readiness fails, after drain_delay the listeners close,
// running transfers may go on for drain_timeout and are then cut. It returns when
// everything has ended.
func (g *Gate) Close() error {
	g.leave()
	ctx, cancel := context.WithTimeout(context.Background(), g.live.cfg.Load().DrainTimeout)
	defer cancel()
	var errs []error
	g.links.stopAccepting(ctx)
	// The API goes last: a transfer may have to be revoked while it drains.
	if err := g.links.server.Shutdown(ctx); err != nil {
		n := g.transfers.CutAll()
		g.logger.Warn("drain timeout over", "cut", n)
		errs = append(errs, g.links.server.Close())
	}
	if g.telling.reader != nil {
		g.telling.reader.Close() // who follows it would keep the API open
	}
	errs = append(errs, shutdown(g.api, g.ops, g.tls.http))
	g.stopSweep()
	g.serving.Wait()
	g.waitTransfers()
	return errors.Join(append(errs, g.closeAll())...)
}

// waitTransfers waits for handlers of connections that were closed under
// them to hand their uses back.
func (g *Gate) waitTransfers() {
	for range 100 {
		if g.transfers.Len() == 0 {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// closeAll releases what Open has opened so far.
func (g *Gate) closeAll() error {
	var errs []error
	for _, l := range g.listeners() {
		_ = l.server.Close() // also closes the listener, if it was served
		_ = l.Listener.Close()
	}
	g.tls.close()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	if g.member != nil {
		g.member.Leave(ctx)
	}
	if g.store != nil {
		errs = append(errs, g.store.Close(ctx))
	}
	for _, b := range g.buckets {
		if b != nil {
			errs = append(errs, b.Close())
		}
	}
	errs = append(errs, g.closeEvents())
	errs = append(errs, g.closeLeaks()...)
	for _, rdb := range []redis.UniversalClient{g.rdb, g.leaseRDB} {
		if rdb != nil {
			errs = append(errs, rdb.Close())
		}
	}
	g.observing.close()
	return errors.Join(errs...)
}

func (g *Gate) listeners() []*listener {
	return slices.DeleteFunc([]*listener{g.links, g.api, g.ops, g.tls.http}, func(l *listener) bool { return l == nil })
}

// LinksURL is how the link listener is reached from this machine.
func (g *Gate) LinksURL() string { return g.links.url() }

// OpsURL is the address of the metrics, and unless it is the API's of profiles; "" if they are turned off.
func (g *Gate) OpsURL() string {
	switch {
	case g.ops != nil:
		return g.ops.url()
	case g.cfg.Ops.Addr != "":
		return g.api.url()
	}
	return ""
}
