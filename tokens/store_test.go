package tokens_test

import (
	"context"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"s3gate/internal/s3gatetest"
	"s3gate/tokens"
)

// backend is a Redis, real or not, for one contract test.
type backend struct {
	addr string
	// elapse lets Redis time pass.
	elapse func(time.Duration)
}

func TestStoreOnMiniredis(t *testing.T) {
	t.Parallel()
	testStore(t, func(t *testing.T) *backend {
		m := miniredis.RunT(t)
		now := time.Now()
		m.SetTime(now)
		return &backend{addr: m.Addr(), elapse: func(d time.Duration) {
			now = now.Add(d)
			m.SetTime(now)
			m.FastForward(d)
		}}
	})
}

func TestStoreOnRedis(t *testing.T) {
	t.Parallel()
	addr := s3gatetest.Redis(t)
	testStore(t, func(t *testing.T) *backend {
		b := &backend{addr: addr, elapse: time.Sleep}
		if err := b.client(t).FlushAll(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		return b
	})
}

// client returns a client as the gate configures it, but one that does not
// repeat commands.
func (b *backend) client(t testing.TB) *redis.Client {
	t.Helper()
	return newClient(t, b.addr, -1)
}

func newClient(t testing.TB, addr string, retries int) *redis.Client {
	t.Helper()
	rdb := redis.NewClient(&redis.Options{
		Addr: addr, MaxRetries: retries, ContextTimeoutEnabled: true,
		DialTimeout: time.Second, DialerRetries: 1, ReadTimeout: 3 * time.Second,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
	t.Cleanup(func() { rdb.Close() })
	return rdb
}

// store returns a store that does not wait for busy uses, unless opts say so.
func (b *backend) store(t testing.TB, opts tokens.Options) *tokens.Store {
	t.Helper()
	return newStore(t, b.client(t), opts)
}

func newStore(t testing.TB, rdb tokens.Redis, opts tokens.Options) *tokens.Store {
	t.Helper()
	if opts.BusyWait == 0 {
		opts.BusyWait = -1
	}
	s := tokens.New(rdb, opts)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := s.Close(ctx); err != nil {
			t.Errorf("closing the store: %v", err)
		}
	})
	return s
}

// mint mints a get token for an hour with uses uses.
func mint(t testing.TB, s *tokens.Store, uses int64) tokens.Token {
	t.Helper()
	token, _ := mintGrant(t, s, tokens.Grant{MaxUses: uses}, time.Hour)
	return token
}

// mintGrant mints g, with the fields that it must have filled in.
func mintGrant(t testing.TB, s *tokens.Store, g tokens.Grant, expires time.Duration) (tokens.Token, tokens.Grant) {
	t.Helper()
	if g.Operation == "" {
		g.Operation = tokens.Get
	}
	if g.Bucket == "" {
		g.Bucket = "media"
	}
	if g.Key == "" {
		g.Key = "a/b.mp4"
	}
	token, g, err := s.Mint(t.Context(), g, expires)
	if err != nil {
		t.Fatalf("minting: %v", err)
	}
	return token, g
}

// redeem expects a use.
func redeem(t testing.TB, s *tokens.Store, token tokens.Token) *tokens.Use {
	t.Helper()
	use, err := s.Redeem(t.Context(), token, tokens.Ask{Operation: tokens.Get})
	if err != nil {
		t.Fatalf("redeeming: %v", err)
	}
	return use
}

// wantUses compares the counts that Show gives.
func wantUses(t testing.TB, s *tokens.Store, token tokens.Token, uses, inUse int64) {
	t.Helper()
	st, err := s.Show(t.Context(), token.ID())
	if err != nil {
		t.Fatalf("showing: %v", err)
	}
	if st.Uses != uses || st.InUse != inUse {
		t.Errorf("%d uses and %d in use, want %d and %d", st.Uses, st.InUse, uses, inUse)
	}
}

// eventually waits for what happens in the background.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if holds() {
			return
		}
	}
	t.Fatalf("still not so after 30 s: %s", what)
}
