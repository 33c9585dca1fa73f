package gate

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"s3gate/api"
	"s3gate/auth"
	"s3gate/internal/config"
	"s3gate/proxy"
	"s3gate/revocation"
	"s3gate/tokens"
)

// live is what can change while the gate runs.
type live struct {
	mu       sync.Mutex // one reload at a time
	cfg      atomic.Pointer[config.Config]
	verifier atomic.Pointer[auth.Verifier]
	guesses  *proxy.Guesses // nil for no limit
	// maxLife is the longest life that this gate has ever permitted: tokens that
	// have it outlive the setting, and so must the rules that cover them.
	maxLife atomic.Int64
	reloads *prometheus.CounterVec
	success prometheus.Gauge
}

// Reload takes over the settings that load returns, as far as they can change
// while the gate runs, and reads its certificates again. It logs what has
// changed, and what needs a restart. Requests that are under way end as they
// began. If anything is wrong nothing changes. It is safe for concurrent use.
func (g *Gate) Reload(load func() (*config.Config, error)) error {
	g.live.mu.Lock()
	defer g.live.mu.Unlock()
	changed, restart, err := g.reload(load)
	if err != nil {
		g.live.reloads.WithLabelValues("failure").Inc()
		g.logger.Error("configuration not reloaded, everything stays as it was", "err", err)
		return err
	}
	g.live.reloads.WithLabelValues("success").Inc()
	g.live.success.SetToCurrentTime()
	level := slog.LevelInfo
	if len(restart) > 0 {
		level = slog.LevelWarn
	}
	before, after := g.level.Level(), logLevel(g.live.cfg.Load())
	g.level.Set(min(before, after)) // whoever asked for either can see this
	g.logger.Log(context.Background(), level, "configuration reloaded", "changed", words(changed), "needs_restart", words(restart))
	g.level.Set(after)
	return nil
}

func (g *Gate) reload(load func() (*config.Config, error)) (changed, restart []config.Change, err error) {
	next, err := load()
	if err != nil {
		return nil, nil, err
	}
	before := g.live.cfg.Load()
	cfg, changed, restart := before.Reload(next)
	// All that can fail comes first.
	verifier, err := g.newVerifier(cfg)
	if err != nil {
		return nil, nil, err
	}
	certificates, err := g.tls.read(cfg, g.links, g.api)
	if err != nil {
		return nil, nil, err
	}
	guesses := g.live.guesses
	if before.Guesses != cfg.Guesses {
		guesses = newGuesses(cfg)
	}
	adjusted, err := adjustable(cfg, guesses)
	if err != nil {
		return nil, nil, err
	}
	if err := g.permit(cfg.Tokens.MaxLife); err != nil {
		return nil, nil, err
	}
	g.live.guesses = guesses
	changed = append(changed, g.tls.use(certificates)...)
	g.adjust(cfg, verifier)
	g.handler.Adjust(adjusted)
	g.control.Adjust(mintLimits(cfg))
	return changed, restart, nil
}

// permit lets all gates know of a longer life before tokens have it, since they keep
// rules accordingly.
func (g *Gate) permit(life time.Duration) error {
	if int64(life) <= g.live.maxLife.Load() {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := g.member.Permit(ctx, life); err != nil {
		return fmt.Errorf("tokens.max_life: telling the other gates of %s: %w", life, err)
	}
	return nil
}

// adjust makes settings count.
func (g *Gate) adjust(cfg *config.Config, verifier *auth.Verifier) {
	g.live.maxLife.Store(max(g.live.maxLife.Load(), int64(cfg.Tokens.MaxLife)))
	g.store.Adjust(adjustableTokens(cfg))
	g.observing.access.Adjust(accessLimits(cfg))
	adjustProfiles(&cfg.Ops)
	g.live.verifier.Store(verifier)
	g.live.cfg.Store(cfg)
	g.connections.adjust(cfg)
}

// newVerifier knows the key sets that the one before has fetched.
func (g *Gate) newVerifier(cfg *config.Config) (*auth.Verifier, error) {
	callers := cfg.API.Callers()
	callers.Logger, callers.Previous = g.logger, g.live.verifier.Load()
	return auth.New(callers)
}

// Verify is that of the verifier that counts at the moment.
func (l *live) Verify(authorization string) (auth.Caller, error) {
	return l.verifier.Load().Verify(authorization)
}

func newGuesses(cfg *config.Config) *proxy.Guesses {
	if cfg.Guesses.Burst == 0 {
		return nil
	}
	return proxy.NewGuesses(cfg.Guesses.PerSecond, cfg.Guesses.Burst)
}

func adjustable(cfg *config.Config, guesses *proxy.Guesses) (proxy.Adjustable, error) {
	proxies, err := cfg.Proxies()
	if err != nil {
		return proxy.Adjustable{}, fmt.Errorf("trusted_proxies: %w", err)
	}
	look, looks, err := readLooks(cfg)
	if err != nil {
		return proxy.Adjustable{}, err
	}
	return proxy.Adjustable{
		Client: proxy.ClientAddress{Trusted: proxies, Header: cfg.ClientHeader}, Guesses: guesses,
		Origin:     proxy.NewOrigin(cfg.Origin.Header, cfg.Origin.Secrets()...),
		UploadIdle: cfg.Upload.IdleTimeout, UploadMinRate: cfg.Upload.MinRate,
		DownloadIdle: cfg.Download.IdleTimeout, DownloadMinRate: cfg.Download.MinRate, MaxRunning: cfg.Links.Requests(), Look: look, Looks: looks,
	}, nil
}

func mintLimits(cfg *config.Config) api.Limits {
	l := cfg.API.Limits
	return api.Limits{MintRate: l.MintRate, MintBurst: l.MintBurst, OpenPerCaller: l.OpenPerCaller, OpenPerSubject: l.OpenPerSubject}
}

func adjustableTokens(cfg *config.Config) tokens.Adjustable {
	a := tokens.Adjustable{
		Limits: tokens.Limits{
			MaxLife: cfg.Tokens.MaxLife, MaxUses: cfg.Tokens.MaxUses, MaxLabels: cfg.Tokens.MaxLabels, MaxText: cfg.Tokens.MaxText,
		},
		PasscodeTries: cfg.Passcode.Tries, PasscodeWindow: cfg.Passcode.Window, BusyWait: cfg.Tokens.BusyWait,
	}
	if a.BusyWait == 0 {
		a.BusyWait = -1
	}
	return a
}

// revokers make each revocation with what counts at its moment.
type revokers struct{ gate *Gate }

func (r revokers) Revoke(ctx context.Context, rule revocation.Rule) (revocation.Receipt, error) {
	return r.gate.traced(ctx, "revoke", func(ctx context.Context) (revocation.Receipt, error) {
		return r.gate.revoker().Revoke(ctx, rule)
	})
}

func (r revokers) Lift(ctx context.Context, id, author, reason string) (revocation.Receipt, error) {
	return r.gate.traced(ctx, "lift", func(ctx context.Context) (revocation.Receipt, error) {
		return r.gate.revoker().Lift(ctx, id, author, reason)
	})
}

func (r revokers) Change(ctx context.Context, from, to *tokens.Grant, author string) (revocation.Receipt, error) {
	return r.gate.traced(ctx, "change", func(ctx context.Context) (revocation.Receipt, error) {
		return r.gate.revoker().Change(ctx, from, to, author)
	})
}

func logLevel(cfg *config.Config) slog.Level {
	var level slog.Level
	_ = level.UnmarshalText([]byte(cfg.Log.Level)) // it was validated; else info
	return level
}

func words(changes []config.Change) []string {
	all := make([]string, len(changes))
	for i, c := range changes {
		all[i] = c.String()
	}
	return all
}
