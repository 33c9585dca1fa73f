package tokens_test

import (
	"errors"
	"testing"
	"time"

	"s3gate/tokens"
)

// uploadGrant permits one upload, for as long as the test lets it.
func uploadGrant(uses int64) tokens.Grant { return tokens.Grant{Operation: tokens.Put, MaxUses: uses} }

// An upload that another request goes on with has one use for all of them,
// through any gate.
func testAttempt(t *testing.T, b *backend) {
	ctx := t.Context()
	s, other := b.store(t, tokens.Options{BusyWait: -1}), b.store(t, tokens.Options{BusyWait: -1})
	token, _ := mintGrant(t, s, uploadGrant(1), time.Hour)
	first, err := s.Redeem(ctx, token, tokens.Ask{Operation: tokens.Put})
	if err != nil {
		t.Fatal(err)
	}
	first.Keep()
	if _, err := other.Redeem(ctx, token, tokens.Ask{Operation: tokens.Put}); !errors.Is(err, tokens.ErrInUse) {
		t.Errorf("another upload: %v, want ErrInUse", err)
	}
	for range 2 {
		next, err := other.Redeem(ctx, token, tokens.Ask{Operation: tokens.Put, Attempt: first.Attempt()})
		if err != nil || next.Mark() != first.Mark() {
			t.Fatalf("going on: %v", err)
		}
		next.Keep()
	}
	last, err := s.Redeem(ctx, token, tokens.Ask{Operation: tokens.Put, Attempt: first.Attempt()})
	if err != nil {
		t.Fatal(err)
	}
	last.Commit(ctx)
	wantUses(t, s, token, 1, 0)
	if _, err := s.Redeem(ctx, token, tokens.Ask{Operation: tokens.Put}); !errors.Is(err, tokens.ErrUsed) {
		t.Errorf("afterwards: %v, want ErrUsed", err)
	}
}

// What began in time goes on after the token has expired, unless the grant says
// otherwise, and never after it was revoked.
func testLateAttempt(t *testing.T, b *backend) {
	ctx := t.Context()
	s := b.store(t, tokens.Options{})
	const life = 500 * time.Millisecond
	cut, revoked := uploadGrant(1), uploadGrant(1)
	cut.CutAtExpiry = true
	for _, test := range []struct {
		name  string
		grant tokens.Grant
		want  error
	}{
		{"limited", uploadGrant(1), nil},
		{"without limit", uploadGrant(0), nil},
		{"cut at expiry", cut, tokens.ErrExpired},
		{"revoked", revoked, tokens.ErrRevoked},
	} {
		token, _ := mintGrant(t, s, test.grant, life)
		use, err := s.Redeem(ctx, token, tokens.Ask{Operation: tokens.Put})
		if err != nil {
			t.Fatal(err)
		}
		use.Keep()
		if test.name == "revoked" {
			if err := s.Revoke(ctx, token.ID(), "a", "r"); err != nil {
				t.Fatal(err)
			}
		}
		b.elapse(life + 10*time.Millisecond)
		_, err = s.Redeem(ctx, token, tokens.Ask{Operation: tokens.Put, Attempt: use.Attempt()})
		if !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", test.name, err, test.want)
		}
		if _, err := s.Redeem(ctx, token, tokens.Ask{Operation: tokens.Put}); err == nil {
			t.Errorf("%s: another upload began after the expiry", test.name)
		}
		// A download cannot pretend to have begun.
		if _, err := s.Redeem(ctx, token, tokens.Ask{Operation: tokens.Get, Attempt: use.Attempt()}); err == nil {
			t.Errorf("%s: a download went on", test.name)
		}
	}
}

// The use of an upload whose gate has died is ended by somebody else, also when
// the token does not live any more.
func testRecover(t *testing.T, b *backend) {
	ctx := t.Context()
	s, other := b.store(t, tokens.Options{}), b.store(t, tokens.Options{})
	begin := func() (tokens.Token, *tokens.Use) {
		t.Helper()
		token, _ := mintGrant(t, s, uploadGrant(2), time.Hour)
		use, err := s.Redeem(ctx, token, tokens.Ask{Operation: tokens.Put})
		if err != nil {
			t.Fatal(err)
		}
		return token, use
	}
	token, use := begin()
	found, err := other.Recover(ctx, token.ID(), use.Attempt())
	if err != nil || found.Mark() != use.Mark() {
		t.Fatal(err)
	}
	found.Stored(tokens.Object{Size: 7, ETag: `"e"`})
	found.Commit(ctx)
	if r, ended := found.End(ctx, 7); !ended || r.Outcome != tokens.Complete || r.Use != use.Mark() {
		t.Errorf("receipt %+v, %v", r, ended)
	}
	wantUses(t, s, token, 1, 0)

	token, use = begin()
	if err := s.Revoke(ctx, token.ID(), "a", "r"); err != nil {
		t.Fatal(err)
	}
	found, err = other.Recover(ctx, token.ID(), use.Attempt())
	if !errors.Is(err, tokens.ErrRevoked) || found == nil {
		t.Fatalf("of a revoked token: %v", err)
	}
	found.Refund(ctx)
	wantUses(t, s, token, 0, 0)
	if _, err := s.Recover(ctx, tokens.Generate().ID(), use.Attempt()); !errors.Is(err, tokens.ErrUnknown) {
		t.Errorf("of an unknown token: %v", err)
	}
}

// A use that was charged stays so when somebody who does not find what it has
// stored hands it back: that may have been moved since.
func testRecoverCharged(t *testing.T, b *backend) {
	ctx := t.Context()
	s, other := b.store(t, tokens.Options{}), b.store(t, tokens.Options{})
	for _, again := range []func(token tokens.Token, attempt string) (*tokens.Use, error){
		func(token tokens.Token, attempt string) (*tokens.Use, error) {
			return other.Recover(ctx, token.ID(), attempt)
		},
		func(token tokens.Token, attempt string) (*tokens.Use, error) {
			return other.Redeem(ctx, token, tokens.Ask{Operation: tokens.Put, Attempt: attempt})
		},
	} {
		token, _ := mintGrant(t, s, uploadGrant(1), time.Hour)
		use, err := s.Redeem(ctx, token, tokens.Ask{Operation: tokens.Put})
		if err != nil {
			t.Fatal(err)
		}
		use.Commit(ctx)
		found, err := again(token, use.Attempt())
		if found == nil {
			t.Fatal(err)
		}
		found.Refund(ctx)
		wantUses(t, s, token, 1, 0)
	}
}
