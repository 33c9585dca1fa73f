package tokens_test

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"s3gate/tokens"
)

// part is one part of what a Store promises.
type part struct {
	name string
	run  func(*testing.T, *backend)
}

// testStore is what a Store promises on any Redis. Each part gets an empty
// one from open.
func testStore(t *testing.T, open func(t *testing.T) *backend) {
	for _, part := range append([]part{
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
		{"a reservation lapses", testLapse},
		{"transfer slots", testOccupy},
		{"racers never have more slots than there are", testOccupyRacers},
		{"a slot is waited for", testOccupyWaits},
		{"a slot that nobody keeps lapses", testOccupyLapses},
		{"one nonce is one slot", testOccupyReplay},
		{"not before", testNotBefore},
		{"expiry and retention", testExpiry},
		{"an upload goes on", testAttempt},
		{"an upload goes on after its token's end", testLateAttempt},
		{"the use of a dead gate's upload", testRecover},
		{"the charged use of a dead gate's upload", testRecoverCharged},
		{"revoking", testRevoke},
		{"refusals give the grant", testRefusalsGiveGrant},
		{"canaries are unknown", testCanary},
		{"tries at a passcode", testTries},
		{"racing tries at a passcode", testRacingTries},
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
		{"listing of a subject", testSubjectIndex},
		{"quotas", testQuota},
		{"quotas of dead tokens", testQuotaDead},
		{"racing for a quota", testQuotaRacers},
		{"a quota that a failed mint holds", testQuotaLapses},
		{"a quota that a second try leaves alone", testQuotaAgain},
		{"listing refuses cursors", testListCursors},
	}, slices.Concat(openParts, changeParts, againParts)...) {
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
		if _, err := s.Redeem(ctx, token, tokens.Ask{Operation: tokens.Get}); !errors.Is(err, want) {
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
	if _, err := s.Redeem(ctx, token, tokens.Ask{Operation: tokens.Get}); !errors.Is(err, tokens.ErrUsed) {
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
		use, err := s.Look(ctx, token, tokens.Ask{Operation: tokens.Get})
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
	if _, err := s.Look(ctx, token, tokens.Ask{Operation: tokens.Get}); !errors.Is(err, tokens.ErrInUse) {
		t.Errorf("looking at a token in use: %v, want ErrInUse", err)
	}
	use.Commit(ctx)
	refused, err := s.Look(ctx, token, tokens.Ask{Operation: tokens.Get})
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
		stores[i] = b.store(t, tokens.Options{BusyWait: 30 * time.Second})
	}
	token := mint(t, stores[0], n)
	var copies, flops atomic.Int64
	var wg sync.WaitGroup
	for i := range racers {
		wg.Go(func() {
			use, err := stores[i%3].Redeem(ctx, token, tokens.Ask{Operation: tokens.Get})
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
			use, err := stores[i%3].Redeem(ctx, token, tokens.Ask{Operation: tokens.Put})
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
	if _, err := s.Redeem(ctx, token, tokens.Ask{Operation: tokens.Get}); !errors.Is(err, tokens.ErrUsed) {
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
	if _, err := s.Redeem(ctx, token, tokens.Ask{Operation: tokens.Get}); !errors.Is(err, tokens.ErrInUse) {
		t.Errorf("while it is held: %v, want ErrInUse", err)
	}
	if took := time.Since(begin); took < 200*time.Millisecond {
		t.Errorf("gave up after %s, want it to wait", took)
	}
	gone, cancel := context.WithTimeout(ctx, 100*time.Millisecond) // in a pause, not in a command
	defer cancel()
	begin = time.Now()
	// A busy machine may let it go in the middle of a command.
	if _, err := s.Redeem(gone, token, tokens.Ask{Operation: tokens.Get}); !errors.Is(err, tokens.ErrInUse) && !errors.Is(err, tokens.ErrUnproven) {
		t.Errorf("while it is held, client gone: %v, want ErrInUse", err)
	}
	if took := time.Since(begin); took > 300*time.Millisecond {
		t.Errorf("waited %s for a client that is gone", took)
	}

	time.AfterFunc(50*time.Millisecond, func() { holder.Refund(context.Background()) })
	next, err := s.Redeem(ctx, token, tokens.Ask{Operation: tokens.Get})
	if err != nil {
		t.Fatalf("once it came back: %v, want a use", err)
	}
	time.AfterFunc(50*time.Millisecond, func() { next.Commit(context.Background()) })
	if _, err := s.Redeem(ctx, token, tokens.Ask{Operation: tokens.Get}); !errors.Is(err, tokens.ErrUsed) {
		t.Errorf("once it was charged: %v, want ErrUsed", err)
	}
}

// A download that was reserved and never charged, as by a gate that died
// between the two, loses its use after a while, and can then not be charged
// any more. An upload keeps it: it may have been stored.
func testLapse(t *testing.T, b *backend) {
	s := b.store(t, tokens.Options{ReserveTimeout: 300 * time.Millisecond, BusyWait: -1})
	g := typicalGrant()
	g.ExpiresAt, g.MaxUses = time.Time{}, 1
	token, _, err := s.Mint(t.Context(), g, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	dead, err := s.Redeem(t.Context(), token, tokens.Ask{Operation: tokens.Get})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Redeem(t.Context(), token, tokens.Ask{Operation: tokens.Get}); !errors.Is(err, tokens.ErrInUse) {
		t.Errorf("at once: %v, want ErrInUse", err)
	}
	b.elapse(400 * time.Millisecond)
	heir, err := s.Redeem(t.Context(), token, tokens.Ask{Operation: tokens.Get})
	if err != nil {
		t.Fatalf("after the time: %v", err)
	}
	if err := dead.Charge(t.Context()); !errors.Is(err, tokens.ErrUsed) {
		t.Errorf("charging what has lapsed: %v, want ErrUsed", err)
	}
	dead.Refund(t.Context())
	if err := heir.Charge(t.Context()); err != nil {
		t.Errorf("charging what was taken over: %v", err)
	}
	b.elapse(400 * time.Millisecond)
	if _, err := s.Redeem(t.Context(), token, tokens.Ask{Operation: tokens.Get}); !errors.Is(err, tokens.ErrUsed) {
		t.Errorf("what is charged does not lapse: %v, want ErrUsed", err)
	}

	g = putGrant()
	g.ExpiresAt, g.MaxUses = time.Time{}, 1
	token, _, err = s.Mint(t.Context(), g, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	dead, err = s.Redeem(t.Context(), token, tokens.Ask{Operation: tokens.Put})
	if err != nil {
		t.Fatal(err)
	}
	b.elapse(400 * time.Millisecond)
	heir, err = s.Redeem(t.Context(), token, tokens.Ask{Operation: tokens.Put})
	if err != nil {
		t.Fatalf("an upload that has sent nothing: %v", err)
	}
	if err := dead.Stay(t.Context()); !errors.Is(err, tokens.ErrInUse) {
		t.Errorf("sending with what has lapsed: %v, want ErrInUse", err)
	}
	dead.Refund(t.Context())
	for range 2 {
		if err := heir.Stay(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	b.elapse(400 * time.Millisecond)
	if _, err := s.Redeem(t.Context(), token, tokens.Ask{Operation: tokens.Put}); !errors.Is(err, tokens.ErrInUse) {
		t.Errorf("an upload that stays: %v, want ErrInUse", err)
	}
	heir.Commit(t.Context())
	wantUses(t, s, token, 1, 0)
}

func testNotBefore(t *testing.T, b *backend) {
	ctx := t.Context()
	s := b.store(t, tokens.Options{})
	now, err := s.Now(ctx)
	if err != nil {
		t.Fatal(err)
	}
	token, _ := mintGrant(t, s, tokens.Grant{NotBefore: now.Add(600 * time.Millisecond), MaxUses: 1}, time.Hour)
	if _, err := s.Redeem(ctx, token, tokens.Ask{Operation: tokens.Get}); !errors.Is(err, tokens.ErrNotYet) {
		t.Errorf("before: %v, want ErrNotYet", err)
	}
	if st, _ := s.Show(ctx, token.ID()); st.State != tokens.Pending {
		t.Errorf("state %q, want pending", st.State)
	}
	wantUses(t, s, token, 0, 0)
	b.elapse(610 * time.Millisecond)
	redeem(t, s, token).Commit(ctx)
}

// testExpiry: a dead token is remembered for the retention, and then no more.
func testExpiry(t *testing.T, b *backend) {
	ctx := t.Context()
	s := b.store(t, tokens.Options{Retention: 800 * time.Millisecond})
	token, _ := mintGrant(t, s, tokens.Grant{MaxUses: 5}, 800*time.Millisecond)
	revoked, _ := mintGrant(t, s, tokens.Grant{}, 800*time.Millisecond)
	if err := s.Revoke(ctx, revoked.ID(), "a", "r"); err != nil {
		t.Fatal(err)
	}
	running, waiting := redeem(t, s, token), redeem(t, s, token)
	b.elapse(810 * time.Millisecond)
	if _, err := s.Redeem(ctx, token, tokens.Ask{Operation: tokens.Get}); !errors.Is(err, tokens.ErrExpired) {
		t.Errorf("after expiry: %v, want ErrExpired", err)
	}
	if _, err := s.Redeem(ctx, token, tokens.Ask{Operation: tokens.Put}); !errors.Is(err, tokens.ErrExpired) {
		t.Errorf("after expiry, other operation: %v, want ErrExpired", err)
	}
	if _, err := s.Redeem(ctx, revoked, tokens.Ask{Operation: tokens.Get}); !errors.Is(err, tokens.ErrRevoked) {
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
	b.elapse(810 * time.Millisecond)
	for _, dead := range []tokens.Token{token, revoked} {
		if _, err := s.Redeem(ctx, dead, tokens.Ask{Operation: tokens.Get}); !errors.Is(err, tokens.ErrUnknown) {
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
			if _, err := gate.Redeem(ctx, token, tokens.Ask{Operation: tokens.Get}); !errors.Is(err, tokens.ErrRevoked) {
				t.Errorf("redeeming: %v, want ErrRevoked", err)
			}
			if _, err := gate.Look(ctx, token, tokens.Ask{Operation: tokens.Get}); !errors.Is(err, tokens.ErrRevoked) {
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
	for range 2 {
		if err := other.Restore(ctx, unlimited.ID()); err != nil {
			t.Errorf("restoring: %v", err)
		}
	}
	if st, err := s.Show(ctx, unlimited.ID()); err != nil || st.State != tokens.Active || st.Revocation != nil {
		t.Errorf("restored: %+v, %v", st, err)
	}
	redeem(t, s, unlimited)
	unknown := tokens.Generate().ID()
	if err := s.Restore(ctx, unknown); !errors.Is(err, tokens.ErrUnknown) {
		t.Errorf("restoring what is not there: %v, want ErrUnknown", err)
	}
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
			use, err := s.Redeem(ctx, tt.token, tokens.Ask{Operation: tt.op})
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
	if use, err := s.Redeem(ctx, tokens.Generate(), tokens.Ask{Operation: tokens.Get}); !errors.Is(err, tokens.ErrUnknown) || use != nil {
		t.Errorf("an unknown token: %+v, %v; want nil, ErrUnknown", use, err)
	}
}
