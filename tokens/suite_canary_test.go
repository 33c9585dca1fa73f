package tokens_test

import (
	"errors"
	"testing"
	"time"

	"s3gate/tokens"
)

// testCanary: whatever is asked of a canary, and whenever, there is no such token;
// and it holds nothing.
func testCanary(t *testing.T, b *backend) {
	ctx := t.Context()
	s := b.store(t, tokens.Options{Cache: tokens.CacheOptions{
		MaxEntries: 10, MaxBytes: 1 << 20, MaxAge: time.Minute, Valid: func() (int64, bool) { return 1, true }, Clock: func() time.Duration { return 0 },
	}})
	for _, g := range []tokens.Grant{
		{Operation: tokens.Get}, {Operation: tokens.Get, MaxUses: 1}, {Operation: tokens.Get, MaxUses: 1, ResumeWindow: tokens.Duration(time.Minute)},
		{Operation: tokens.Put, MaxUses: 1}, {Operation: tokens.Get, Passcode: passcode(t)},
	} {
		g.Canary = true
		token, minted := mintGrant(t, s, g, time.Hour)
		before := b.client(t).Keys(ctx, "*").Val()
		// Uses that a first one would have taken, or kept in memory.
		for range 3 {
			for _, op := range []tokens.Operation{tokens.Get, tokens.Put, ""} {
				for name, ask := range map[string]func() (*tokens.Use, error){
					"redeem": func() (*tokens.Use, error) { return s.Redeem(ctx, token, tokens.Ask{Operation: op}) },
					"look":   func() (*tokens.Use, error) { return s.Look(ctx, token, tokens.Ask{Operation: op}) },
				} {
					use, err := ask()
					var canary *tokens.CanaryError
					if use != nil || !errors.Is(err, tokens.ErrUnknown) || !errors.As(err, &canary) || canary.Grant.ID != minted.ID || err.Error() != tokens.ErrUnknown.Error() {
						t.Errorf("%s %s of %+v: %v, %v", name, op, g, use, err)
					}
				}
			}
		}
		// A write would have to wait for replicas, which an unknown token does not.
		if after := b.client(t).Keys(ctx, "*").Val(); len(after) != len(before) {
			t.Errorf("%+v: whoever tries it leaves %q in Redis, where there was %q", g, after, before)
		}
		if err := s.Revoke(ctx, token.ID(), "ops", "old"); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Redeem(ctx, token, tokens.Ask{Operation: g.Operation}); !errors.Is(err, tokens.ErrUnknown) {
			t.Errorf("revoked: %v", err)
		}
		if st, err := s.Show(ctx, token.ID()); err != nil || !st.Canary || st.Uses != 0 {
			t.Errorf("%+v, %v", st, err)
		}
	}
	if err := s.Close(ctx); err != nil {
		t.Error(err)
	}
}

func passcode(t *testing.T) tokens.Passcode {
	t.Helper()
	p, err := tokens.HashPasscode("1234")
	if err != nil {
		t.Fatal(err)
	}
	return p
}
