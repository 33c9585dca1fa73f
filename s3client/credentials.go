package s3client

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"golang.org/x/sync/singleflight"
)

const (
	// refreshAhead is how long before their expiry credentials are replaced,
	// less up to a half, so that many gates do not ask in the same moment.
	refreshAhead = 5 * time.Minute
	// refreshTick is how often the background looks whether it is time, and
	// so also how soon it tries again.
	refreshTick = 10 * time.Second
	// refreshTimeout bounds one question to the provider.
	refreshTimeout = 30 * time.Second
	// refusalMemory is how long a provider that failed is left alone, however
	// many requests need credentials.
	refusalMemory = time.Second
)

// credentials keeps what a provider gives and replaces it ahead of its expiry
// in the background, so that requests neither wait for a refresh nor fail when
// one fails while the old credentials are still good. The SDK's own cache asks
// only when a request finds the credentials expired, and lets it wait.
type credentials struct {
	provider aws.CredentialsProvider
	logger   *slog.Logger
	flight   singleflight.Group
	current  atomic.Pointer[lease] // nil: there are none, or S3 refused them
	ctx      context.Context       // of questions to the provider; ends with close
	stop     context.CancelFunc
	done     chan struct{}

	// Owned by the question that is in flight.
	refusal   error
	refusedAt time.Time
}

// lease is credentials and when to replace them; zero means never.
type lease struct {
	aws.Credentials
	renew time.Time
}

// due reports whether it is time to replace l, as it always is for none.
func (l *lease) due() bool {
	return l == nil || !l.renew.IsZero() && !time.Now().Before(l.renew)
}

func newCredentials(provider aws.CredentialsProvider, logger *slog.Logger) *credentials {
	c := &credentials{provider: provider, logger: logger, done: make(chan struct{})}
	c.ctx, c.stop = context.WithCancel(context.Background())
	go c.refresh()
	return c
}

// Retrieve returns credentials that are good now. It waits for the provider
// only when there are none.
func (c *credentials) Retrieve(ctx context.Context) (aws.Credentials, error) {
	if l := c.current.Load(); l != nil && !l.Expired() {
		return l.Credentials, nil
	}
	return c.ask(ctx)
}

// invalidate forgets credentials that S3 has refused, unless others have taken
// their place already.
func (c *credentials) invalidate(refused aws.Credentials) {
	l := c.current.Load()
	if l != nil && l.AccessKeyID == refused.AccessKeyID && l.SecretAccessKey == refused.SecretAccessKey &&
		l.SessionToken == refused.SessionToken {
		c.current.CompareAndSwap(l, nil)
	}
}

func (c *credentials) close() {
	c.stop()
	<-c.done
}

func (c *credentials) refresh() {
	defer close(c.done)
	tick := time.NewTicker(refreshTick)
	defer tick.Stop()
	for {
		if c.current.Load().due() {
			c.ask(c.ctx) // what it got, or why not, it has told
		}
		select {
		case <-c.ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// ask gets fresh credentials. All who ask at the same time share one question,
// which goes on when one of them leaves.
func (c *credentials) ask(ctx context.Context) (aws.Credentials, error) {
	answer := c.flight.DoChan("", func() (any, error) { return c.renew() })
	select {
	case got := <-answer:
		return got.Val.(aws.Credentials), got.Err
	case <-ctx.Done():
		return aws.Credentials{}, ctx.Err()
	}
}

func (c *credentials) renew() (aws.Credentials, error) {
	if l := c.current.Load(); !l.due() { // somebody was faster
		return l.Credentials, nil
	}
	if c.refusal != nil && time.Since(c.refusedAt) < refusalMemory {
		return aws.Credentials{}, c.refusal
	}
	ctx, cancel := context.WithTimeout(c.ctx, refreshTimeout)
	defer cancel()
	// The SDK's default chain brings a cache of its own, which would give the
	// old credentials until the last second.
	if inner, ok := c.provider.(*aws.CredentialsCache); ok {
		inner.Invalidate()
	}
	fresh, err := c.provider.Retrieve(ctx)
	if err == nil && (!fresh.HasKeys() || fresh.Expired()) {
		err = errors.New("the provider gave none that are good now")
	}
	c.refusal, c.refusedAt = err, time.Now()
	if err != nil {
		if c.ctx.Err() == nil {
			c.logger.Error("refreshing s3 credentials", "err", err)
		}
		return aws.Credentials{}, err
	}
	l := &lease{Credentials: fresh}
	if fresh.CanExpire {
		l.renew = fresh.Expires.Add(-refreshAhead + rand.N(refreshAhead/2))
	}
	c.current.Store(l)
	return fresh, nil
}
