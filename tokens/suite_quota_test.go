package tokens_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"s3gate/tokens"
)

// holds mints a token within quotas, for a life.
func holds(t *testing.T, s *tokens.Store, uses int64, life time.Duration, quotas ...tokens.Quota) (tokens.Token, error) {
	t.Helper()
	token, _, err := s.Mint(t.Context(), tokens.Grant{Operation: tokens.Get, Bucket: "b", Key: "k", MaxUses: uses}, life, quotas...)
	return token, err
}

func wantFull(t *testing.T, err error, name string) *tokens.QuotaError {
	t.Helper()
	var full *tokens.QuotaError
	if !errors.As(err, &full) || full.Name != name {
		t.Fatalf("Mint: %v, want a full quota of the %s", err, name)
	}
	return full
}

func testQuota(t *testing.T, b *backend) {
	s := b.store(t, tokens.Options{})
	caller := tokens.Quota{Name: "caller", Holder: "shop", Open: 3}
	ada := tokens.Quota{Name: "subject", Holder: "ada", Open: 2}
	bob := tokens.Quota{Name: "subject", Holder: "bob", Open: 2}
	begin, err := s.Now(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := holds(t, s, 0, time.Hour, caller, ada); err != nil {
			t.Fatal(err)
		}
	}
	wantFull(t, func() error { _, err := holds(t, s, 0, time.Hour, caller, ada); return err }(), "subject")
	// What was refused has taken no place.
	if _, err := holds(t, s, 0, 2*time.Hour, caller, bob); err != nil {
		t.Fatal(err)
	}
	_, err = holds(t, s, 0, time.Hour, caller, bob)
	if full := wantFull(t, err, "caller"); full.Until.Before(begin.Add(time.Hour-time.Second)) || full.Until.After(begin.Add(time.Hour+10*time.Second)) {
		t.Errorf("until %s, want in an hour", full.Until)
	}
	// Others have quotas of their own, and 0 is none.
	for range 5 {
		if _, err := holds(t, s, 0, time.Hour, tokens.Quota{Name: "caller", Holder: "other", Open: 100}, tokens.Quota{Name: "subject", Holder: "ada"}); err != nil {
			t.Fatal(err)
		}
	}
	// A grant that is refused for another reason takes none either.
	for range 5 {
		if _, err := holds(t, s, -1, time.Hour, bob); err == nil {
			t.Fatal("minted -1 uses")
		}
	}
	if _, err := holds(t, s, 0, time.Hour, bob); err != nil {
		t.Error(err)
	}
}

// Tokens that nobody can use any more make room.
func testQuotaDead(t *testing.T, b *backend) {
	ctx := t.Context()
	s := b.store(t, tokens.Options{})
	q := tokens.Quota{Name: "caller", Holder: "shop", Open: 3}
	mint := func(life time.Duration) tokens.Token {
		t.Helper()
		token, err := holds(t, s, 1, life, q)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	full := func() { t.Helper(); _, err := holds(t, s, 1, time.Hour, q); wantFull(t, err, "caller") }
	used, revoked := mint(time.Hour), mint(time.Hour)
	mint(300 * time.Millisecond)
	full()
	redeem(t, s, used).Commit(ctx)
	mint(time.Hour)
	full()
	if err := s.Revoke(ctx, revoked.ID(), "", ""); err != nil {
		t.Fatal(err)
	}
	mint(time.Hour)
	full()
	b.elapse(310 * time.Millisecond)
	mint(time.Hour)
	full()
	// Nothing is left of quotas when their tokens have expired.
	rdb := b.client(t)
	if ttl := rdb.PTTL(ctx, rdb.Keys(ctx, "s3g:quota:*").Val()[0]).Val(); ttl <= 0 || ttl > time.Hour {
		t.Errorf("the places are kept for %s", ttl)
	}
}

// Over several stores, exactly as many get in as there are places.
func testQuotaRacers(t *testing.T, b *backend) {
	const places, racers = 7, 40
	q := tokens.Quota{Name: "subject", Holder: "ada", Open: places}
	stores := []*tokens.Store{b.store(t, tokens.Options{}), b.store(t, tokens.Options{}), b.store(t, tokens.Options{})}
	var in atomic.Int64
	var all sync.WaitGroup
	for i := range racers {
		all.Go(func() {
			var full *tokens.QuotaError
			switch _, err := holds(t, stores[i%len(stores)], 1, time.Hour, q); {
			case err == nil:
				in.Add(1)
			case !errors.As(err, &full):
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := in.Load(); n != places {
		t.Errorf("%d minted, want %d", n, places)
	}
}

// A mint that breaks off gives its place back, or loses it after a while.
func testQuotaLapses(t *testing.T, b *backend) {
	q := tokens.Quota{Name: "subject", Holder: "ada", Open: 1}
	whole := b.store(t, tokens.Options{})
	for _, dead := range []bool{false, true} {
		rdb := b.client(t)
		ctx, cancel := context.WithCancel(t.Context())
		// A mint asks for the time and for the place, and then for the indexes.
		broken := &countdown{Redis: rdb, left: 2, do: func() {
			cancel()
			if dead {
				rdb.Close()
			}
		}}
		s := tokens.New(broken, tokens.HoldFor(300*time.Millisecond))
		if _, _, err := s.Mint(ctx, tokens.Grant{Operation: tokens.Get, Bucket: "b", Key: "k"}, time.Hour, q); !errors.Is(err, tokens.ErrUnproven) {
			t.Fatalf("Mint: %v, want ErrUnproven", err)
		}
		if dead {
			_, err := holds(t, whole, 1, 100*time.Millisecond, q)
			wantFull(t, err, "subject")
			b.elapse(310 * time.Millisecond)
		}
		if _, err := holds(t, whole, 1, 100*time.Millisecond, q); err != nil {
			t.Errorf("dead %v, and the place is still taken: %v", dead, err)
		}
		b.elapse(110 * time.Millisecond)
		s.Close(t.Context())
	}
}

// A second try of a mint that fails does not free the place of the first, whose
// token lives.
func testQuotaAgain(t *testing.T, b *backend) {
	q := tokens.Quota{Name: "subject", Holder: "ada", Open: 1}
	g := tokens.Grant{Operation: tokens.Get, Bucket: "b", Key: "k"}
	m := tokens.Minting{Grant: g, Life: time.Hour, Token: tokens.Generate(), Quotas: []tokens.Quota{q}}
	whole := b.store(t, tokens.Options{})
	if minted, err := whole.MintAll(t.Context(), []tokens.Minting{m}); err != nil || minted[0].Err != nil {
		t.Fatal(minted, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	s := newStore(t, &countdown{Redis: b.client(t), left: 2, do: cancel}, tokens.Options{})
	if _, err := s.MintAll(ctx, []tokens.Minting{m}); !errors.Is(err, tokens.ErrUnproven) {
		t.Fatalf("MintAll: %v, want ErrUnproven", err)
	}
	_, err := holds(t, whole, 1, time.Hour, q)
	wantFull(t, err, "subject")
	// Nor does one of many that finds its quota full.
	other := tokens.Minting{Grant: g, Life: time.Hour, Quotas: []tokens.Quota{q}}
	_, err = whole.MintAll(t.Context(), []tokens.Minting{m, other})
	wantFull(t, err, "subject")
	_, err = holds(t, whole, 1, time.Hour, q)
	wantFull(t, err, "subject")
}
