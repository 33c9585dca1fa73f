package tokens_test

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"s3gate/tokens"
)

// testStore is what a Store promises on any Redis. Each part gets an empty
// one from open.
func testStore(t *testing.T, open func(t *testing.T) *backend) {
	for _, part := range []struct {
		name string
		run  func(*testing.T, *backend)
	}{
		{"minting keeps the grant", testMint},
		{"minting refuses", testMintRefuses},
		{"use, refund, commit, keep", testUses},
		{"charging", testCharge},
		{"looking reserves nothing", testLook},
		{"a token without limit counts nothing", testUnlimited},
		{"racers get exactly max_uses", testRacers},
		{"racing uploads get exactly max_uses", testRacingCommits},
		{"one nonce is one use", testReplay},
		{"a late redemption is a no-op", testLateRedeem},
		{"committing an unknown nonce charges it", testUnknownCommit},
		{"a lost reservation is not charged twice", testLostReservation},
		{"busy is waited for", testBusy},
		{"not before", testNotBefore},
		{"expiry and retention", testExpiry},
		{"revoking", testRevoke},
		{"refusals give the grant", testRefusalsGiveGrant},
		{"nothing outlives its token", testGrowth},
		{"a record without an end keeps its counts", testPersisted},
		{"scripts flushed", testScriptFlush},
		{"an unreadable record holds no use", testUnreadable},
		{"nothing secret in a dump", testDump},
		{"keys of one token share a slot", testSlots},
		{"listing in pages", testListPages},
		{"listing while minting", testListWhileMinting},
		{"listing filters", testListFilters},
		{"listing scans a bounded part", testListScan},
		{"listing drops orphans", testListOrphans},
		{"listing refuses cursors", testListCursors},
	} {
		t.Run(part.name, func(t *testing.T) { part.run(t, open(t)) })
	}
}

func testMint(t *testing.T, b *backend) {
	s := b.store(t, tokens.Options{})
	before, err := s.Now(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	g := typicalGrant()
	g.ExpiresAt, g.IssuedAt = time.Time{}, time.Time{}
	g.NotBefore = before.Add(-time.Hour).In(time.FixedZone("", 3600))
	token, minted, err := s.Mint(t.Context(), g, 90*time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if minted.ID != token.ID() {
		t.Errorf("ID %s, want that of the token, %s", minted.ID, token.ID())
	}
	if d := minted.IssuedAt.Sub(before); d < -time.Millisecond || d > 10*time.Second {
		t.Errorf("issued at %s, want Redis time, %s", minted.IssuedAt, before)
	}
	if got := minted.ExpiresAt.Sub(minted.IssuedAt); got < 90*time.Minute-time.Millisecond || got > 90*time.Minute+time.Millisecond {
		t.Errorf("lives for %s, want 90m", got)
	}
	if minted.NotBefore.Location() != time.UTC || minted.ExpiresAt.Nanosecond()%1e6 != 0 {
		t.Errorf("times are not UTC milliseconds: %s, %s", minted.NotBefore, minted.ExpiresAt)
	}
	st, err := s.Show(t.Context(), token.ID())
	if err != nil {
		t.Fatal(err)
	}
	if want := (tokens.Status{Grant: minted, State: tokens.Active}); !reflect.DeepEqual(st, want) {
		t.Errorf("shown  %+v\nminted %+v", st, want)
	}
	use := redeem(t, s, token)
	if !reflect.DeepEqual(use.Grant, minted) {
		t.Errorf("redeemed %+v\nminted   %+v", use.Grant, minted)
	}
	if _, err := s.Show(t.Context(), tokens.Generate().ID()); !errors.Is(err, tokens.ErrUnknown) {
		t.Errorf("showing a token that is not: %v, want ErrUnknown", err)
	}
}

func testMintRefuses(t *testing.T, b *backend) {
	s := b.store(t, tokens.Options{Limits: tokens.Limits{MaxLife: time.Hour}})
	tests := []struct {
		name    string
		expires time.Duration
		field   string
	}{
		{"too long", time.Hour + time.Minute, "expires_at"},
		{"negative", -time.Second, "expires_at"},
		{"none", 0, "expires_at"},
	}
	for _, tt := range tests {
		token, _, err := s.Mint(t.Context(), tokens.Grant{Operation: tokens.Get, Bucket: "b", Key: "k"}, tt.expires)
		var field *tokens.FieldError
		if !errors.As(err, &field) || field.Field != tt.field || !token.IsZero() {
			t.Errorf("%s: got %v, want an error of %s", tt.name, err, tt.field)
		}
	}
	if keys := b.client(t).Keys(t.Context(), "*").Val(); len(keys) != 0 {
		t.Errorf("a refused mint leaves %q", keys)
	}
}

// testUses also shows that a use comes back only when it was refunded (T4).
func testUses(t *testing.T, b *backend) {
	ctx := t.Context()
	s := b.store(t, tokens.Options{})
	token := mint(t, s, 3)
	wantErr := func(want error) {
		t.Helper()
		if _, err := s.Redeem(ctx, token, tokens.Get); !errors.Is(err, want) {
			t.Errorf("redeeming: %v, want %v", err, want)
		}
	}
	first, second, third := redeem(t, s, token), redeem(t, s, token), redeem(t, s, token)
	if first.Mark() == second.Mark() || len(first.Mark()) != 26 || strings.Contains(first.Mark(), first.Nonce()) {
		t.Errorf("marks %q and %q", first.Mark(), second.Mark())
	}
	wantUses(t, s, token, 0, 3)
	wantErr(tokens.ErrInUse)

	if err := first.Charge(ctx); err != nil {
		t.Fatalf("charging: %v", err)
	}
	first.Commit(ctx)
	wantUses(t, s, token, 1, 2)
	first.Refund(ctx) // too late
	wantUses(t, s, token, 1, 2)

	second.Refund(ctx)
	second.Refund(ctx)
	second.Commit(ctx) // too late
	wantUses(t, s, token, 1, 1)

	third.Keep()
	third.Refund(ctx) // too late
	wantUses(t, s, token, 1, 1)

	fourth := redeem(t, s, token)
	fourth.Commit(ctx) // an upload is committed without being charged first
	wantUses(t, s, token, 2, 1)
	wantErr(tokens.ErrInUse) // the kept one may still come back

	gone, cancel := context.WithCancel(ctx)
	fifth := redeem(t, s, mint(t, s, 1))
	cancel()
	fifth.Refund(gone) // a client that went away
	if st, err := s.Show(ctx, fifth.Grant.ID); err != nil || st.InUse != 0 {
		t.Errorf("after a refund under a cancelled context: %+v, %v", st, err)
	}
}

func testCharge(t *testing.T, b *backend) {
	ctx := t.Context()
	s := b.store(t, tokens.Options{})
	token := mint(t, s, 1)
	use := redeem(t, s, token)
	for range 3 {
		if err := use.Charge(ctx); err != nil {
			t.Fatalf("charging: %v", err)
		}
		wantUses(t, s, token, 1, 0)
	}
	if _, err := s.Redeem(ctx, token, tokens.Get); !errors.Is(err, tokens.ErrUsed) {
		t.Errorf("redeeming what is charged: %v, want ErrUsed", err)
	}
	// Charged, but not a byte was given out.
	use.Refund(ctx)
	wantUses(t, s, token, 0, 0)
	if err := use.Charge(ctx); !errors.Is(err, tokens.ErrUnproven) {
		t.Errorf("charging after the refund: %v, want ErrUnproven", err)
	}
	wantUses(t, s, token, 0, 0)

	revoked := redeem(t, s, token)
	if err := s.Revoke(ctx, token.ID(), "", ""); err != nil {
		t.Fatal(err)
	}
	if err := revoked.Charge(ctx); !errors.Is(err, tokens.ErrRevoked) {
		t.Errorf("charging after the revocation: %v, want ErrRevoked", err)
	}
	revoked.Refund(ctx)

	forgotten := redeem(t, s, mint(t, s, 1))
	record, _, _, _ := tokens.Keys(forgotten.Grant.ID, "")
	b.client(t).Del(ctx, record)
	if err := forgotten.Charge(ctx); !errors.Is(err, tokens.ErrUnknown) {
		t.Errorf("charging without a record: %v, want ErrUnknown", err)
	}
}

func testLook(t *testing.T, b *backend) {
	ctx := t.Context()
	s := b.store(t, tokens.Options{})
	token := mint(t, s, 1)
	for range 3 {
		use, err := s.Look(ctx, token, tokens.Get)
		if err != nil || use.Grant.Key != "a/b.mp4" {
			t.Fatalf("looking: %+v, %v", use, err)
		}
		if err := use.Charge(ctx); !errors.Is(err, tokens.ErrUnproven) {
			t.Errorf("charging what was only looked at: %v, want ErrUnproven", err)
		}
		use.Commit(ctx)
		use.Refund(ctx)
		wantUses(t, s, token, 0, 0)
	}
	use := redeem(t, s, token)
	if _, err := s.Look(ctx, token, tokens.Get); !errors.Is(err, tokens.ErrInUse) {
		t.Errorf("looking at a token in use: %v, want ErrInUse", err)
	}
	use.Commit(ctx)
	refused, err := s.Look(ctx, token, tokens.Get)
	if !errors.Is(err, tokens.ErrUsed) {
		t.Errorf("looking at a used token: %v, want ErrUsed", err)
	}
	if err := refused.Charge(ctx); !errors.Is(err, tokens.ErrUnproven) {
		t.Errorf("charging a refused use: %v, want ErrUnproven", err)
	}
}

func testUnlimited(t *testing.T, b *backend) {
	ctx := t.Context()
	s := b.store(t, tokens.Options{})
	token := mint(t, s, 0)
	before := b.client(t).Keys(ctx, "*").Val()
	for range 5 {
		use := redeem(t, s, token)
		if err := use.Charge(ctx); err != nil {
			t.Fatal(err)
		}
		use.Commit(ctx)
		redeem(t, s, token).Refund(ctx)
	}
	wantUses(t, s, token, 0, 0)
	if after := b.client(t).Keys(ctx, "*").Val(); len(after) != len(before) {
		t.Errorf("keys %q, want only %q", after, before)
	}
}

// testRacers: of N+100 requests on three gates exactly N get a copy, also
// when some fail before their first byte and hand the use back (T1, T7).
func testRacers(t *testing.T, b *backend) {
	const n, racers = 20, 120
	ctx := t.Context()
	stores := make([]*tokens.Store, 3)
	for i := range stores {
		stores[i] = b.store(t, tokens.Options{BusyWait: 5 * time.Second})
	}
	token := mint(t, stores[0], n)
	var copies, flops atomic.Int64
	var wg sync.WaitGroup
	for i := range racers {
		wg.Go(func() {
			use, err := stores[i%3].Redeem(ctx, token, tokens.Get)
			if err != nil {
				if !errors.Is(err, tokens.ErrUsed) {
					t.Errorf("racer %d: %v, want ErrUsed", i, err)
				}
				return
			}
			if i%4 == 0 { // S3 failed
				flops.Add(1)
				use.Refund(ctx)
				return
			}
			if err := use.Charge(ctx); err != nil {
				t.Errorf("racer %d: charging: %v", i, err)
				return
			}
			copies.Add(1)
			use.Commit(ctx)
		})
	}
	wg.Wait()
	if got := copies.Load(); got != n {
		t.Errorf("%d copies given (and %d uses handed back), want %d", got, flops.Load(), n)
	}
	wantUses(t, stores[1], token, n, 0)
}

// testRacingCommits: uploads, which are charged when they are done (T7).
func testRacingCommits(t *testing.T, b *backend) {
	const n, racers = 10, 110
	ctx := t.Context()
	stores := []*tokens.Store{b.store(t, tokens.Options{}), b.store(t, tokens.Options{}), b.store(t, tokens.Options{})}
	token, _ := mintGrant(t, stores[0], tokens.Grant{Operation: tokens.Put, MaxUses: n}, time.Hour)
	var stored atomic.Int64
	var wg sync.WaitGroup
	for i := range racers {
		wg.Go(func() {
			use, err := stores[i%3].Redeem(ctx, token, tokens.Put)
			switch {
			case err == nil:
				stored.Add(1)
				use.Commit(ctx)
			case !errors.Is(err, tokens.ErrUsed) && !errors.Is(err, tokens.ErrInUse):
				t.Errorf("racer %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	if got := stored.Load(); got != n {
		t.Errorf("%d uploads stored, want %d", got, n)
	}
	wantUses(t, stores[0], token, n, 0)
}

// testReplay: a command that is sent twice, as a client does that lost the
// answer, has one effect (T2).
func testReplay(t *testing.T, b *backend) {
	ctx := t.Context()
	s, other := b.store(t, tokens.Options{}), b.store(t, tokens.Options{})
	token := mint(t, s, 2)
	nonce := tokens.NewNonce()
	var use *tokens.Use
	for range 5 {
		var err error
		if use, err = s.RedeemNonce(ctx, token.ID(), tokens.Get, nonce); err != nil {
			t.Fatal(err)
		}
		wantUses(t, s, token, 0, 1)
	}
	for range 5 {
		if err := s.SendCharge(ctx, token.ID(), nonce); err != nil {
			t.Fatal(err)
		}
		wantUses(t, s, token, 1, 0)
	}
	// Its use is charged: repeating the redemption takes no other.
	if err := other.SendRedeem(ctx, token.ID(), nonce); err != nil {
		t.Errorf("repeated redemption: %v", err)
	}
	for range 3 {
		if err := other.SendCommit(ctx, token.ID(), nonce); err != nil {
			t.Fatal(err)
		}
	}
	wantUses(t, s, token, 1, 0)
	use.Commit(ctx)
	redeem(t, s, token).Commit(ctx)
	wantUses(t, s, token, 2, 0)
	// Also when all uses are gone it is told what it was told before.
	if err := s.SendRedeem(ctx, token.ID(), nonce); err != nil {
		t.Errorf("repeated redemption: %v", err)
	}
	wantUses(t, s, token, 2, 0)
}

// testLateRedeem: a redemption that overtakes nothing and arrives after its
// refund takes no use, and neither does its charge.
func testLateRedeem(t *testing.T, b *backend) {
	ctx := t.Context()
	s := b.store(t, tokens.Options{})
	token := mint(t, s, 1)
	nonce := tokens.NewNonce()
	for range 2 {
		if err := s.SendRefund(ctx, token.ID(), nonce); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.SendRedeem(ctx, token.ID(), nonce); !errors.Is(err, tokens.ErrUnproven) {
		t.Errorf("late redemption: %v, want ErrUnproven", err)
	}
	if err := s.SendCharge(ctx, token.ID(), nonce); !errors.Is(err, tokens.ErrUnproven) {
		t.Errorf("late charge: %v, want ErrUnproven", err)
	}
	wantUses(t, s, token, 0, 0)
	redeem(t, s, token).Commit(ctx)
	wantUses(t, s, token, 1, 0)

	// The same after a redemption that was carried out: a late repetition.
	token = mint(t, s, 1)
	use := redeem(t, s, token)
	use.Refund(ctx)
	if err := s.SendRedeem(ctx, token.ID(), use.Nonce()); !errors.Is(err, tokens.ErrUnproven) {
		t.Errorf("late repetition: %v, want ErrUnproven", err)
	}
	wantUses(t, s, token, 0, 0)

	// A refund that is repeated after somebody else took the use takes it
	// from nobody.
	next := redeem(t, s, token)
	if err := s.SendRefund(ctx, token.ID(), use.Nonce()); err != nil {
		t.Fatal(err)
	}
	wantUses(t, s, token, 0, 1)
	next.Commit(ctx)
}

func testUnknownCommit(t *testing.T, b *backend) {
	ctx := t.Context()
	s := b.store(t, tokens.Options{})
	token := mint(t, s, 1)
	if err := s.SendCommit(ctx, token.ID(), tokens.NewNonce()); err != nil {
		t.Fatal(err)
	}
	wantUses(t, s, token, 1, 0)
	if _, err := s.Redeem(ctx, token, tokens.Get); !errors.Is(err, tokens.ErrUsed) {
		t.Errorf("redeeming: %v, want ErrUsed", err)
	}
	// One use too many was given out, which Redis forgot: it is counted too.
	if err := s.SendCommit(ctx, token.ID(), tokens.NewNonce()); err != nil {
		t.Fatal(err)
	}
	wantUses(t, s, token, 2, 0)
}

// testLostReservation: a primary that was rolled back has forgotten who holds
// a use.
func testLostReservation(t *testing.T, b *backend) {
	ctx := t.Context()
	s := b.store(t, tokens.Options{})
	rdb := b.client(t)
	token := mint(t, s, 1)
	_, reserved, _, _ := tokens.Keys(token.ID(), "")
	lose := func() *tokens.Use {
		use := redeem(t, s, token)
		if err := rdb.Del(ctx, reserved).Err(); err != nil {
			t.Fatal(err)
		}
		return use
	}
	taken := lose()
	other := redeem(t, s, token)
	if err := taken.Charge(ctx); !errors.Is(err, tokens.ErrUsed) {
		t.Errorf("charging what somebody else has reserved: %v, want ErrUsed", err)
	}
	wantUses(t, s, token, 0, 1)
	taken.Refund(ctx)
	if err := other.Charge(ctx); err != nil {
		t.Fatal(err)
	}
	other.Refund(ctx)
	wantUses(t, s, token, 0, 0)

	free := lose()
	if err := free.Charge(ctx); err != nil {
		t.Errorf("charging what nobody has taken: %v", err)
	}
	free.Commit(ctx)
	wantUses(t, s, token, 1, 0)
}

func testBusy(t *testing.T, b *backend) {
	ctx := t.Context()
	s := b.store(t, tokens.Options{BusyWait: 400 * time.Millisecond})
	token := mint(t, s, 1)
	holder := redeem(t, s, token)

	begin := time.Now()
	if _, err := s.Redeem(ctx, token, tokens.Get); !errors.Is(err, tokens.ErrInUse) {
		t.Errorf("while it is held: %v, want ErrInUse", err)
	}
	if took := time.Since(begin); took < 200*time.Millisecond {
		t.Errorf("gave up after %s, want it to wait", took)
	}
	gone, cancel := context.WithTimeout(ctx, 10*time.Millisecond)
	defer cancel()
	begin = time.Now()
	if _, err := s.Redeem(gone, token, tokens.Get); !errors.Is(err, tokens.ErrInUse) {
		t.Errorf("while it is held, client gone: %v, want ErrInUse", err)
	}
	if took := time.Since(begin); took > 200*time.Millisecond {
		t.Errorf("waited %s for a client that is gone", took)
	}

	time.AfterFunc(50*time.Millisecond, func() { holder.Refund(context.Background()) })
	next, err := s.Redeem(ctx, token, tokens.Get)
	if err != nil {
		t.Fatalf("once it came back: %v, want a use", err)
	}
	time.AfterFunc(50*time.Millisecond, func() { next.Commit(context.Background()) })
	if _, err := s.Redeem(ctx, token, tokens.Get); !errors.Is(err, tokens.ErrUsed) {
		t.Errorf("once it was charged: %v, want ErrUsed", err)
	}
}

func testNotBefore(t *testing.T, b *backend) {
	ctx := t.Context()
	s := b.store(t, tokens.Options{})
	now, err := s.Now(ctx)
	if err != nil {
		t.Fatal(err)
	}
	token, _ := mintGrant(t, s, tokens.Grant{NotBefore: now.Add(300 * time.Millisecond), MaxUses: 1}, time.Hour)
	if _, err := s.Redeem(ctx, token, tokens.Get); !errors.Is(err, tokens.ErrNotYet) {
		t.Errorf("before: %v, want ErrNotYet", err)
	}
	if st, _ := s.Show(ctx, token.ID()); st.State != tokens.Pending {
		t.Errorf("state %q, want pending", st.State)
	}
	wantUses(t, s, token, 0, 0)
	b.elapse(310 * time.Millisecond)
	redeem(t, s, token).Commit(ctx)
}

// testExpiry: a dead token is remembered for the retention, and then no more.
func testExpiry(t *testing.T, b *backend) {
	ctx := t.Context()
	s := b.store(t, tokens.Options{Retention: 300 * time.Millisecond})
	token, _ := mintGrant(t, s, tokens.Grant{MaxUses: 5}, 300*time.Millisecond)
	revoked, _ := mintGrant(t, s, tokens.Grant{}, 300*time.Millisecond)
	if err := s.Revoke(ctx, revoked.ID(), "a", "r"); err != nil {
		t.Fatal(err)
	}
	running, waiting := redeem(t, s, token), redeem(t, s, token)
	b.elapse(310 * time.Millisecond)
	if _, err := s.Redeem(ctx, token, tokens.Get); !errors.Is(err, tokens.ErrExpired) {
		t.Errorf("after expiry: %v, want ErrExpired", err)
	}
	if _, err := s.Redeem(ctx, token, tokens.Put); !errors.Is(err, tokens.ErrExpired) {
		t.Errorf("after expiry, other operation: %v, want ErrExpired", err)
	}
	if _, err := s.Redeem(ctx, revoked, tokens.Get); !errors.Is(err, tokens.ErrRevoked) {
		t.Errorf("revoked, after expiry: %v, want ErrRevoked", err)
	}
	if st, err := s.Show(ctx, token.ID()); err != nil || st.State != tokens.Expired {
		t.Errorf("shown as %q, %v; want expired", st.State, err)
	}
	// A transfer that began earlier goes on.
	if err := running.Charge(ctx); err != nil {
		t.Errorf("charging after expiry: %v", err)
	}
	running.Commit(ctx)
	wantUses(t, s, token, 1, 1)
	b.elapse(310 * time.Millisecond)
	for _, dead := range []tokens.Token{token, revoked} {
		if _, err := s.Redeem(ctx, dead, tokens.Get); !errors.Is(err, tokens.ErrUnknown) {
			t.Errorf("after the retention: %v, want ErrUnknown", err)
		}
		if _, err := s.Show(ctx, dead.ID()); !errors.Is(err, tokens.ErrUnknown) {
			t.Errorf("shown after the retention: %v, want ErrUnknown", err)
		}
	}
	waiting.Refund(ctx)
}

func testRevoke(t *testing.T, b *backend) {
	ctx := t.Context()
	s, other := b.store(t, tokens.Options{}), b.store(t, tokens.Options{})
	limited, unlimited := mint(t, s, 2), mint(t, s, 0)
	for _, token := range []tokens.Token{limited, unlimited} {
		redeem(t, s, token).Commit(ctx)
		if err := s.Revoke(ctx, token.ID(), "alice", "leaked"); err != nil {
			t.Fatal(err)
		}
		if err := other.Revoke(ctx, token.ID(), "bob", "again"); err != nil {
			t.Errorf("revoking twice: %v", err)
		}
		for _, gate := range []*tokens.Store{s, other} {
			if _, err := gate.Redeem(ctx, token, tokens.Get); !errors.Is(err, tokens.ErrRevoked) {
				t.Errorf("redeeming: %v, want ErrRevoked", err)
			}
			if _, err := gate.Look(ctx, token, tokens.Get); !errors.Is(err, tokens.ErrRevoked) {
				t.Errorf("looking: %v, want ErrRevoked", err)
			}
		}
		st, err := s.Show(ctx, token.ID())
		if err != nil || st.State != tokens.Revoked || st.Revocation == nil {
			t.Fatalf("shown as %+v, %v; want revoked", st, err)
		}
		now, _ := s.Now(ctx)
		if r := st.Revocation; r.Author != "alice" || r.Reason != "leaked" || now.Sub(r.At) > 10*time.Second || r.At.After(now) {
			t.Errorf("revoked %+v, want the first author and reason", r)
		}
	}
	unknown := tokens.Generate().ID()
	if err := s.Revoke(ctx, unknown, "", ""); !errors.Is(err, tokens.ErrUnknown) {
		t.Errorf("revoking what is not there: %v, want ErrUnknown", err)
	}
	if _, err := s.Show(ctx, unknown); !errors.Is(err, tokens.ErrUnknown) {
		t.Errorf("and then it is there: %v", err)
	}
}

func testRefusalsGiveGrant(t *testing.T, b *backend) {
	ctx := t.Context()
	s := b.store(t, tokens.Options{})
	now, err := s.Now(ctx)
	if err != nil {
		t.Fatal(err)
	}
	used, busy, revoked := mint(t, s, 1), mint(t, s, 1), mint(t, s, 1)
	redeem(t, s, used).Commit(ctx)
	held := redeem(t, s, busy)
	defer held.Refund(ctx)
	if err := s.Revoke(ctx, revoked.ID(), "", ""); err != nil {
		t.Fatal(err)
	}
	early, _ := mintGrant(t, s, tokens.Grant{NotBefore: now.Add(time.Minute), MaxUses: 1}, time.Hour)
	expired, _ := mintGrant(t, s, tokens.Grant{MaxUses: 1}, 50*time.Millisecond)
	b.elapse(60 * time.Millisecond)
	fresh := mint(t, s, 1)
	tests := []struct {
		name  string
		token tokens.Token
		op    tokens.Operation
		want  error
	}{
		{"used", used, tokens.Get, tokens.ErrUsed},
		{"busy", busy, tokens.Get, tokens.ErrInUse},
		{"revoked", revoked, tokens.Get, tokens.ErrRevoked},
		{"early", early, tokens.Get, tokens.ErrNotYet},
		{"expired", expired, tokens.Get, tokens.ErrExpired},
		{"other operation", fresh, tokens.Put, tokens.ErrOperation},
		{"no operation", fresh, "", tokens.ErrOperation},
		{"invented operation", fresh, "delete", tokens.ErrOperation},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			use, err := s.Redeem(ctx, tt.token, tt.op)
			if !errors.Is(err, tt.want) {
				t.Fatalf("got %v, want %v", err, tt.want)
			}
			if use == nil || use.Grant.ID != tt.token.ID() || use.Grant.Key != "a/b.mp4" || use.Grant.MaxUses != 1 {
				t.Fatalf("got %+v, want a use with the grant", use)
			}
			if err := use.Charge(ctx); !errors.Is(err, tokens.ErrUnproven) {
				t.Errorf("charging it: %v, want ErrUnproven", err)
			}
			use.Commit(ctx)
			use.Refund(ctx)
		})
	}
	wantUses(t, s, used, 1, 0)
	wantUses(t, s, busy, 0, 1)
	wantUses(t, s, fresh, 0, 0)
	if use, err := s.Redeem(ctx, tokens.Generate(), tokens.Get); !errors.Is(err, tokens.ErrUnknown) || use != nil {
		t.Errorf("an unknown token: %+v, %v; want nil, ErrUnknown", use, err)
	}
}

// testGrowth: every key of a token ends with its retention, and the marks of
// refunds much sooner.
func testGrowth(t *testing.T, b *backend) {
	ctx := t.Context()
	rdb := b.client(t)
	s := b.store(t, tokens.Options{Retention: time.Minute})
	token, _ := mintGrant(t, s, tokens.Grant{MaxUses: 9}, time.Minute)
	redeem(t, s, token).Commit(ctx)
	redeem(t, s, token).Keep()
	refunded := redeem(t, s, token)
	refunded.Refund(ctx)
	late := tokens.NewNonce()
	if err := s.SendRefund(ctx, token.ID(), late); err != nil {
		t.Fatal(err)
	}
	unheard := tokens.Generate().ID()
	if err := s.SendCommit(ctx, unheard, late); err != nil {
		t.Fatal(err)
	}
	record, reserved, charged, _ := tokens.Keys(token.ID(), "")
	_, _, orphaned, _ := tokens.Keys(unheard, "")
	_, _, _, heldMark := tokens.Keys(token.ID(), refunded.Nonce())
	_, _, _, lateMark := tokens.Keys(token.ID(), late)
	most := map[string]time.Duration{
		record: 2 * time.Minute, reserved: 2 * time.Minute, charged: 2 * time.Minute,
		orphaned: time.Minute, heldMark: time.Minute, lateMark: 10 * time.Minute,
	}
	for _, key := range rdb.Keys(ctx, "s3g:{*").Val() {
		want, known := most[key]
		if ttl := rdb.PTTL(ctx, key).Val(); !known || ttl > want || ttl < want-10*time.Second {
			t.Errorf("%q lives for %s, want %s", key, ttl, want)
		}
		delete(most, key)
	}
	if len(most) != 0 {
		t.Errorf("not found: %v", most)
	}
}

// testPersisted: a dump restored without times to live must not make charged
// uses disappear.
func testPersisted(t *testing.T, b *backend) {
	ctx := t.Context()
	s := b.store(t, tokens.Options{})
	token := mint(t, s, 2)
	record, _, _, _ := tokens.Keys(token.ID(), "")
	if err := b.client(t).Persist(ctx, record).Err(); err != nil {
		t.Fatal(err)
	}
	rdb := b.client(t)
	_, reserved, charged, _ := tokens.Keys(token.ID(), "")
	wantForever := func(key string) {
		t.Helper()
		if ttl := rdb.TTL(ctx, key).Val(); ttl != -1 {
			t.Errorf("%q has %s to live, want no end", key, ttl)
		}
	}
	first := redeem(t, s, token)
	wantForever(reserved)
	if err := first.Charge(ctx); err != nil {
		t.Fatal(err)
	}
	wantForever(charged)
	redeem(t, s, token).Commit(ctx)
	wantForever(charged)
	wantUses(t, s, token, 2, 0)
}

// testScriptFlush: a Redis that has forgotten the scripts is told them again,
// and each step has one effect (D6).
func testScriptFlush(t *testing.T, b *backend) {
	ctx := t.Context()
	rdb := b.client(t)
	s := b.store(t, tokens.Options{})
	flush := func() {
		t.Helper()
		if err := rdb.ScriptFlush(ctx).Err(); err != nil {
			t.Fatal(err)
		}
	}
	flush()
	token := mint(t, s, 2)
	flush()
	use := redeem(t, s, token)
	flush()
	if err := use.Charge(ctx); err != nil {
		t.Fatal(err)
	}
	use.Commit(ctx)
	other := redeem(t, s, token)
	flush()
	other.Refund(ctx)
	flush()
	wantUses(t, s, token, 1, 0)
	flush()
	if page, err := s.List(ctx, tokens.Query{}); err != nil || len(page.Tokens) != 1 {
		t.Errorf("listed %+v, %v", page, err)
	}
	flush()
	if err := s.Revoke(ctx, token.ID(), "", ""); err != nil {
		t.Error(err)
	}
}

// testUnreadable: a gate of an older version cannot honour a newer record. It
// must not keep the use that it reserved before it saw that.
func testUnreadable(t *testing.T, b *backend) {
	ctx := t.Context()
	rdb := b.client(t)
	s := b.store(t, tokens.Options{})
	token := mint(t, s, 1)
	record, _, _, _ := tokens.Keys(token.ID(), "")
	for _, tt := range []struct{ name, field, value string }{
		{"newer version", "g", "\x02"},
		{"unknown field", "g", "\x01\xf8\x06\x01"},
		{"operation", "o", "d"},
		{"uses", "m", "one"},
		{"uses with a fraction", "m", "1.5"},
	} {
		good := rdb.HGet(ctx, record, tt.field).Val()
		rdb.HSet(ctx, record, tt.field, tt.value)
		use, err := s.Redeem(ctx, token, tokens.Get)
		if tt.field == "o" {
			if !errors.Is(err, tokens.ErrUnproven) && !errors.Is(err, tokens.ErrOperation) {
				t.Errorf("%s: %v, want a refusal", tt.name, err)
			}
		} else if !errors.Is(err, tokens.ErrUnproven) || use != nil {
			t.Errorf("%s: %+v, %v; want nil, ErrUnproven", tt.name, use, err)
		}
		rdb.HSet(ctx, record, tt.field, good)
		eventually(t, tt.name+": the use is free again", func() bool {
			st, err := s.Show(ctx, token.ID())
			return err == nil && st.InUse == 0
		})
	}
	redeem(t, s, token).Commit(ctx)
}

// testDump: who steals a dump of Redis has no token and nothing to make one
// of (T13).
func testDump(t *testing.T, b *backend) {
	ctx := t.Context()
	s := b.store(t, tokens.Options{})
	rdb := b.client(t)
	var secrets []string
	for _, uses := range []int64{0, 1, 3} {
		token, _ := mintGrant(t, s, tokens.Grant{
			MaxUses: uses, Subject: "alice", Labels: map[string]string{"canary": "dump"},
		}, time.Hour)
		secrets = append(secrets, token.Reveal()[4:26])
		for range 2 {
			if use, err := s.Redeem(ctx, token, tokens.Get); err == nil {
				use.Commit(ctx)
			}
			s.Redeem(ctx, token, tokens.Put)
			if use, err := s.Redeem(ctx, token, tokens.Get); err == nil {
				use.Refund(ctx)
			}
		}
		if err := s.Revoke(ctx, token.ID(), "bob", "leaked"); err != nil {
			t.Fatal(err)
		}
	}
	dump := dumpAll(t, rdb)
	if !strings.Contains(dump, "canary") || len(dump) < 500 {
		t.Fatalf("this is no dump: %q", dump)
	}
	for _, secret := range secrets {
		if strings.Contains(dump, secret) {
			t.Errorf("the dump contains %q", secret)
		}
	}
}

// dumpAll returns the text of all keys and values.
func dumpAll(t *testing.T, rdb *redis.Client) string {
	t.Helper()
	ctx := t.Context()
	var out strings.Builder
	write := func(values []string, err error) {
		if err != nil {
			t.Fatal(err)
		}
		out.WriteString(strings.Join(values, "\n"))
	}
	for _, key := range rdb.Keys(ctx, "*").Val() {
		out.WriteString("\n" + key + "\n")
		switch kind := rdb.Type(ctx, key).Val(); kind {
		case "string":
			out.WriteString(rdb.Get(ctx, key).Val())
		case "hash":
			fields, err := rdb.HGetAll(ctx, key).Result()
			if err != nil {
				t.Fatal(err)
			}
			for name, value := range fields {
				out.WriteString(name + "=" + value + "\n")
			}
		case "set":
			write(rdb.SMembers(ctx, key).Result())
		case "zset":
			write(rdb.ZRange(ctx, key, 0, -1).Result())
		default:
			t.Fatalf("%q is a %s: say here how to read it", key, kind)
		}
	}
	return out.String()
}

// testSlots: every key but the index carries the ID as its hash tag.
func testSlots(t *testing.T, b *backend) {
	ctx := t.Context()
	s := b.store(t, tokens.Options{})
	rdb := b.client(t)
	token := mint(t, s, 5)
	redeem(t, s, token).Commit(ctx)
	redeem(t, s, token).Keep()
	for range 50 { // nonces are any bytes, braces too
		redeem(t, s, token).Refund(ctx)
	}
	tag := "s3g:{" + string(token.ID()) + "}:"
	keys := rdb.Keys(ctx, "*").Val()
	if len(keys) != 54 {
		t.Errorf("%d keys, want 54", len(keys))
	}
	for _, key := range keys {
		if key != "s3g:tokens" && !strings.HasPrefix(key, tag) {
			t.Errorf("key %q, want it to begin with %q", key, tag)
		}
	}
}

// collect lists all pages and checks that none is larger than limit.
func collect(t *testing.T, s *tokens.Store, q tokens.Query, between func()) []tokens.ID {
	t.Helper()
	var ids []tokens.ID
	for pages := 0; ; pages++ {
		page, err := s.List(t.Context(), q)
		if err != nil {
			t.Fatalf("listing: %v", err)
		}
		if q.Limit > 0 && len(page.Tokens) > q.Limit {
			t.Errorf("a page of %d, want at most %d", len(page.Tokens), q.Limit)
		}
		for _, st := range page.Tokens {
			ids = append(ids, st.ID)
		}
		if q.Cursor = page.Next; q.Cursor == "" {
			return ids
		}
		if pages > 10_000 {
			t.Fatal("the pages have no end")
		}
		if between != nil {
			between()
		}
	}
}

func testListPages(t *testing.T, b *backend) {
	s := b.store(t, tokens.Options{})
	if ids := collect(t, s, tokens.Query{}, nil); len(ids) != 0 {
		t.Errorf("in an empty Redis: %v", ids)
	}
	var want []tokens.ID // the one that expires last first
	for i := range 7 {
		token, _ := mintGrant(t, s, tokens.Grant{}, time.Hour+time.Duration(i)*time.Minute)
		want = append([]tokens.ID{token.ID()}, want...)
	}
	for _, limit := range []int{0, 1, 2, 3, 6, 7, 8, 1000} {
		if got := collect(t, s, tokens.Query{Limit: limit}, nil); !slices.Equal(got, want) {
			t.Errorf("limit %d: %v, want %v", limit, got, want)
		}
	}
	page, err := s.List(t.Context(), tokens.Query{Limit: 1})
	if err != nil || len(page.Tokens) != 1 {
		t.Fatalf("%+v, %v", page, err)
	}
	if st, err := s.Show(t.Context(), page.Tokens[0].ID); err != nil || !reflect.DeepEqual(st, page.Tokens[0]) {
		t.Errorf("listed %+v\nshown  %+v", page.Tokens[0], st)
	}
}

func testListWhileMinting(t *testing.T, b *backend) {
	s := b.store(t, tokens.Options{})
	var before []tokens.ID
	for i := range 30 {
		token, _ := mintGrant(t, s, tokens.Grant{}, time.Hour+time.Duration(i)*time.Second)
		before = append(before, token.ID())
	}
	minted := 0
	got := collect(t, s, tokens.Query{Limit: 4}, func() {
		if minted++; minted > 10 {
			return
		}
		for _, life := range []time.Duration{time.Minute, time.Hour + 15*time.Second, 2 * time.Hour} {
			mintGrant(t, s, tokens.Grant{}, life)
		}
	})
	seen := map[tokens.ID]int{}
	for _, id := range got {
		if seen[id]++; seen[id] > 1 {
			t.Errorf("%s is listed twice", id)
		}
	}
	for _, id := range before {
		if seen[id] == 0 {
			t.Errorf("%s is not listed", id)
		}
	}
}

func testListFilters(t *testing.T, b *backend) {
	ctx := t.Context()
	s := b.store(t, tokens.Options{})
	now, err := s.Now(ctx)
	if err != nil {
		t.Fatal(err)
	}
	ids := map[tokens.ID]string{}
	add := func(name string, g tokens.Grant, life time.Duration) tokens.Token {
		token, _ := mintGrant(t, s, g, life)
		ids[token.ID()] = name
		return token
	}
	add("active", tokens.Grant{Subject: "alice", Bucket: "media", Key: "a/1", MaxUses: 1}, time.Hour)
	add("pending", tokens.Grant{Subject: "alice", Bucket: "docs", Key: "a/2", NotBefore: now.Add(time.Minute)}, time.Hour)
	used := add("used", tokens.Grant{Subject: "bob", Bucket: "media", Key: "a/1/x", MaxUses: 1}, time.Hour)
	redeem(t, s, used).Commit(ctx)
	busy := add("busy", tokens.Grant{Subject: "bob", Bucket: "docs", Key: "b/1", MaxUses: 1}, time.Hour)
	held := redeem(t, s, busy)
	defer held.Refund(ctx)
	revoked := add("revoked", tokens.Grant{Subject: "bob", Bucket: "media", Key: "b*", MaxUses: 1}, 50*time.Millisecond)
	redeem(t, s, revoked).Commit(ctx)
	if err := s.Revoke(ctx, revoked.ID(), "", ""); err != nil {
		t.Fatal(err)
	}
	add("expired", tokens.Grant{Bucket: "media", Key: "a"}, 50*time.Millisecond)
	b.elapse(60 * time.Millisecond)
	tests := []struct {
		name string
		q    tokens.Query
		want []string
	}{
		{"all", tokens.Query{}, []string{"active", "busy", "expired", "pending", "revoked", "used"}},
		{"subject", tokens.Query{Subject: "alice"}, []string{"active", "pending"}},
		{"subject is the whole", tokens.Query{Subject: "ali"}, nil},
		{"bucket", tokens.Query{Bucket: "docs"}, []string{"busy", "pending"}},
		{"prefix", tokens.Query{Prefix: "a/1"}, []string{"active", "used"}},
		{"prefix is no pattern", tokens.Query{Prefix: "b*"}, []string{"revoked"}},
		{"active", tokens.Query{State: tokens.Active}, []string{"active", "busy"}},
		{"pending", tokens.Query{State: tokens.Pending}, []string{"pending"}},
		{"used", tokens.Query{State: tokens.Used}, []string{"used"}},
		{"revoked comes first", tokens.Query{State: tokens.Revoked}, []string{"revoked"}},
		{"expired", tokens.Query{State: tokens.Expired}, []string{"expired"}},
		{"invented state", tokens.Query{State: "lost"}, nil},
		{"all of them", tokens.Query{Subject: "bob", Bucket: "media", Prefix: "a/", State: tokens.Used}, []string{"used"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, limit := range []int{0, 1} {
				q := tt.q
				q.Limit = limit
				var got []string
				for _, id := range collect(t, s, q, nil) {
					got = append(got, ids[id])
				}
				slices.Sort(got)
				if !slices.Equal(got, tt.want) {
					t.Errorf("limit %d: %v, want %v", limit, got, tt.want)
				}
			}
		})
	}
}

// testListScan: a filter that selects next to nothing costs many cheap pages,
// not one dear one.
func testListScan(t *testing.T, b *backend) {
	ctx := t.Context()
	s := b.store(t, tokens.Options{})
	now, err := s.Now(ctx)
	if err != nil {
		t.Fatal(err)
	}
	rare, _ := mintGrant(t, s, tokens.Grant{Subject: "rare"}, time.Minute)
	for range 130 { // more than are read at once
		mintGrant(t, s, tokens.Grant{Subject: "common"}, time.Hour)
	}
	// And a thousand whose records are not there yet.
	var members []redis.Z
	for range 1000 {
		var m [22]byte
		rand.Read(m[:])
		binary.BigEndian.PutUint64(m[:], uint64(now.Add(30*time.Minute).UnixMilli())<<16)
		members = append(members, redis.Z{Member: string(m[:])})
	}
	if err := b.client(t).ZAdd(ctx, "s3g:tokens", members...).Err(); err != nil {
		t.Fatal(err)
	}
	page, err := s.List(ctx, tokens.Query{Subject: "rare"})
	if err != nil || len(page.Tokens) != 0 || page.Next == "" {
		t.Errorf("first page has %d tokens, next %q, %v; want none yet", len(page.Tokens), page.Next, err)
	}
	rest := collect(t, s, tokens.Query{Subject: "rare", Cursor: page.Next}, nil)
	if !slices.Equal(rest, []tokens.ID{rare.ID()}) {
		t.Errorf("found %v, want %s", rest, rare.ID())
	}
	if page, err = s.List(ctx, tokens.Query{Subject: "common", Limit: 120}); err != nil || len(page.Tokens) != 120 {
		t.Errorf("a page of %d, %v; want 120", len(page.Tokens), err)
	}
}

func testListOrphans(t *testing.T, b *backend) {
	ctx := t.Context()
	s := b.store(t, tokens.Options{Retention: time.Second})
	rdb := b.client(t)
	lose := func(life time.Duration) {
		token, _ := mintGrant(t, s, tokens.Grant{}, life)
		record, _, _, _ := tokens.Keys(token.ID(), "")
		if err := rdb.Del(ctx, record).Err(); err != nil {
			t.Fatal(err)
		}
	}
	lose(50 * time.Millisecond)
	lose(time.Hour) // as of a mint that is still under way
	kept, _ := mintGrant(t, s, tokens.Grant{}, 50*time.Millisecond)
	b.elapse(60 * time.Millisecond)
	if got := collect(t, s, tokens.Query{}, nil); !slices.Equal(got, []tokens.ID{kept.ID()}) {
		t.Errorf("listed %v, want %s", got, kept.ID())
	}
	if n := rdb.ZCard(ctx, "s3g:tokens").Val(); n != 2 {
		t.Errorf("the index has %d entries, want the one kept and the one under way", n)
	}
	// Minting forgets what is past its retention.
	b.elapse(1100 * time.Millisecond)
	mint(t, s, 0)
	if n := rdb.ZCard(ctx, "s3g:tokens").Val(); n != 2 {
		t.Errorf("the index has %d entries, want the new one and the one under way", n)
	}
}

func testListCursors(t *testing.T, b *backend) {
	s := b.store(t, tokens.Options{})
	mint(t, s, 0)
	for _, cursor := range []string{"x", "!!", "AAAA", strings.Repeat("A", 31), strings.Repeat("A", 1<<20), "+", "("} {
		if _, err := s.List(t.Context(), tokens.Query{Cursor: cursor}); !errors.Is(err, tokens.ErrCursor) {
			t.Errorf("cursor of %d bytes: %v, want ErrCursor", len(cursor), err)
		}
	}
	// One that is well-formed but was never given ends somewhere, quietly.
	if page, err := s.List(t.Context(), tokens.Query{Cursor: strings.Repeat("A", 30)}); err != nil || len(page.Tokens) != 0 {
		t.Errorf("%+v, %v", page, err)
	}
}
