package tokens_test

import (
	"errors"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"s3gate/tokens"
)

// changeParts are about grants that change, and tokens that another one takes the
// place of.
var changeParts = []part{
	{"a grant becomes narrower", testNarrow},
	{"nothing makes a grant wider", testNarrowRefuses},
	{"a change is for one version", testNarrowVersions},
	{"dead tokens do not change", testNarrowDead},
	{"a record of any length changes", testNarrowLong},
	{"what is reserved beyond the limit is not charged", testNarrowReserved},
	{"a lower limit holds against racers", testNarrowRacers},
	{"a moved token is listed once", testNarrowListed},
	{"one successor takes a token's place", testRetire},
	{"what was changed is not replaced by what it was", testRetireChanged},
	{"two tokens never have more uses than one", testReissueRacers},
}

// narrow changes a token.
func narrow(t testing.TB, s *tokens.Store, id tokens.ID, n tokens.Narrowing) (tokens.Grant, error) {
	t.Helper()
	st, err := s.Show(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	to, err := s.Narrow(t.Context(), st.Grant, n)
	if err != nil {
		return to, err
	}
	return to, s.Replace(t.Context(), st.Grant, to)
}

func ptr[T any](v T) *T { return &v }

func testNarrow(t *testing.T, b *backend) {
	ctx := t.Context()
	s, other := b.store(t, tokens.Options{}), b.store(t, tokens.Options{})
	token, minted := mintGrant(t, s, tokens.Grant{MaxUses: 9, Labels: map[string]string{"a": "1", "b": "2", "c": "3"}}, time.Hour)
	if minted.Version != 1 {
		t.Errorf("version %d of a new grant, want 1", minted.Version)
	}
	redeem(t, s, token).Commit(ctx)
	earlier := minted.ExpiresAt.Add(-30 * time.Minute)
	got, err := narrow(t, s, token.ID(), tokens.Narrowing{ExpiresAt: earlier, MaxUses: ptr(int64(2)), Labels: map[string]*string{"a": nil, "b": ptr("4"), "d": ptr("5")}})
	if err != nil {
		t.Fatal(err)
	}
	want := minted
	want.Version, want.ExpiresAt, want.MaxUses, want.Labels = 2, earlier, 2, map[string]string{"b": "4", "c": "3", "d": "5"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("changed to %+v, want %+v", got, want)
	}
	if minted.Labels["a"] != "1" || len(minted.Labels) != 3 {
		t.Errorf("the labels of the old grant became %v", minted.Labels)
	}
	// Every store sees it, and the use that was charged counts.
	use := redeem(t, other, token)
	if !reflect.DeepEqual(use.Grant, want) {
		t.Errorf("redeemed %+v, want %+v", use.Grant, want)
	}
	use.Commit(ctx)
	if _, err := other.Redeem(ctx, token, tokens.Ask{Operation: tokens.Get}); !errors.Is(err, tokens.ErrUsed) {
		t.Errorf("after 2 of 2: %v, want ErrUsed", err)
	}
	// Below what is charged it is used up, and no use comes back.
	if _, err := narrow(t, s, token.ID(), tokens.Narrowing{MaxUses: ptr(int64(1)), NoLabels: true}); err != nil {
		t.Fatal(err)
	}
	st, err := s.Show(ctx, token.ID())
	if err != nil || st.State != tokens.Used || st.Uses != 2 || st.Version != 3 || st.Labels != nil {
		t.Errorf("%+v, %v; want it used up in version 3", st, err)
	}

	// Of a token without limit uses count from now on, and no store serves it from
	// memory any more without being told.
	free := mint(t, s, 0)
	redeem(t, s, free).Commit(ctx)
	if _, err := narrow(t, s, free.ID(), tokens.Narrowing{MaxUses: ptr(int64(1))}); err != nil {
		t.Fatal(err)
	}
	redeem(t, s, free).Commit(ctx)
	if _, err := s.Redeem(ctx, free, tokens.Ask{Operation: tokens.Get}); !errors.Is(err, tokens.ErrUsed) {
		t.Errorf("after 1 of 1: %v, want ErrUsed", err)
	}

	short := mint(t, s, 0)
	if _, err := narrow(t, s, short.ID(), tokens.Narrowing{ExpiresIn: 40 * time.Millisecond}); err != nil {
		t.Fatal(err)
	}
	b.elapse(50 * time.Millisecond)
	if _, err := s.Redeem(ctx, short, tokens.Ask{Operation: tokens.Get}); !errors.Is(err, tokens.ErrExpired) {
		t.Errorf("after its new end: %v, want ErrExpired", err)
	}
}

func testNarrowRefuses(t *testing.T, b *backend) {
	s := b.store(t, tokens.Options{Limits: tokens.Limits{MaxLabels: 2, MaxText: 10}})
	now, err := s.Now(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	token, g := mintGrant(t, s, tokens.Grant{MaxUses: 3, NotBefore: now.Add(10 * time.Minute), Labels: map[string]string{"a": "1"}}, time.Hour)
	record, _, _, _ := tokens.Keys(token.ID(), "")
	before := b.client(t).HGetAll(t.Context(), record).Val()
	for _, tt := range []struct {
		name, want string
		n          tokens.Narrowing
	}{
		{"later", "expires_at: can only become earlier: it expires at ", tokens.Narrowing{ExpiresAt: g.ExpiresAt.Add(time.Second)}},
		{"longer", "expires_in: can only become earlier", tokens.Narrowing{ExpiresIn: 2 * time.Hour}},
		{"past", "expires_at: is in the past", tokens.Narrowing{ExpiresAt: now.Add(-time.Second)}},
		{"before it begins", "expires_in: must be later than not_before", tokens.Narrowing{ExpiresIn: time.Minute}},
		{"more uses", "max_uses: can only become less: it is 3, got 4", tokens.Narrowing{MaxUses: ptr(int64(4))}},
		{"no limit", "max_uses: can only become less: it is 3, got 0", tokens.Narrowing{MaxUses: ptr(int64(0))}},
		{"negative", "max_uses: must not be less than 0, got -1", tokens.Narrowing{MaxUses: ptr(int64(-1))}},
		{"many labels", "labels: has 3 entries, at most 2", tokens.Narrowing{Labels: map[string]*string{"b": ptr("2"), "c": ptr("3")}}},
		{"long label", "labels.b: is 11 bytes long, at most 10", tokens.Narrowing{Labels: map[string]*string{"b": ptr("01234567890")}}},
	} {
		_, err := narrow(t, s, token.ID(), tt.n)
		var field *tokens.FieldError
		if !errors.As(err, &field) || !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %s", tt.name, err, tt.want)
		}
	}
	if after := b.client(t).HGetAll(t.Context(), record).Val(); !maps.Equal(after, before) {
		t.Errorf("refusals have changed the record from %q to %q", before, after)
	}
	// Redis refuses by itself what a caller has computed badly.
	for name, spoil := range map[string]func(*tokens.Grant){
		"expiry": func(g *tokens.Grant) { g.ExpiresAt = g.ExpiresAt.Add(time.Hour) },
		"uses":   func(g *tokens.Grant) { g.MaxUses = 4 },
		"limit":  func(g *tokens.Grant) { g.MaxUses = 0 },
	} {
		to := g
		to.Version++
		spoil(&to)
		if err := s.Replace(t.Context(), g, to); !errors.Is(err, tokens.ErrVersion) {
			t.Errorf("a wider %s: %v, want a refusal", name, err)
		}
	}
}

func testNarrowVersions(t *testing.T, b *backend) {
	ctx := t.Context()
	s := b.store(t, tokens.Options{})
	_, g := mintGrant(t, s, tokens.Grant{MaxUses: 9}, time.Hour)
	first, err := s.Narrow(ctx, g, tokens.Narrowing{MaxUses: ptr(int64(5))})
	if err != nil {
		t.Fatal(err)
	}
	second, err := s.Narrow(ctx, g, tokens.Narrowing{MaxUses: ptr(int64(4))})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // a command that the client repeats is the same change
		if err := s.Replace(ctx, g, first); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Replace(ctx, g, second); !errors.Is(err, tokens.ErrVersion) {
		t.Errorf("a change of the version before: %v, want ErrVersion", err)
	}
	if st, err := s.Show(ctx, g.ID); err != nil || st.MaxUses != 5 || st.Version != 2 {
		t.Errorf("%+v, %v; want the first change", st, err)
	}
	// Of many who change one version, one does.
	st, _ := s.Show(ctx, g.ID)
	var done atomic.Int64
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			to, err := s.Narrow(ctx, st.Grant, tokens.Narrowing{Labels: map[string]*string{"racer": ptr(string(rune('a' + i)))}})
			if err == nil {
				err = s.Replace(ctx, st.Grant, to)
			}
			switch {
			case err == nil:
				done.Add(1)
			case !errors.Is(err, tokens.ErrVersion):
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if done.Load() != 1 {
		t.Errorf("%d changes of one version", done.Load())
	}
}

func testNarrowDead(t *testing.T, b *backend) {
	ctx := t.Context()
	s := b.store(t, tokens.Options{})
	try := func(g tokens.Grant) error {
		to := g
		to.Version++
		return s.Replace(ctx, g, to)
	}
	_, revoked := mintGrant(t, s, tokens.Grant{}, time.Hour)
	if err := s.Revoke(ctx, revoked.ID, "", ""); err != nil {
		t.Fatal(err)
	}
	if err := try(revoked); !errors.Is(err, tokens.ErrRevoked) {
		t.Errorf("a revoked token: %v, want ErrRevoked", err)
	}
	_, expired := mintGrant(t, s, tokens.Grant{}, 20*time.Millisecond)
	b.elapse(30 * time.Millisecond)
	if err := try(expired); !errors.Is(err, tokens.ErrExpired) {
		t.Errorf("an expired token: %v, want ErrExpired", err)
	}
	unknown := revoked
	unknown.ID = tokens.Generate().ID()
	if err := try(unknown); !errors.Is(err, tokens.ErrUnknown) {
		t.Errorf("a token that is not: %v, want ErrUnknown", err)
	}
}

// testNarrowLong: records are kept in pieces up to a length.
func testNarrowLong(t *testing.T, b *backend) {
	s := b.store(t, tokens.Options{})
	token, _ := mintGrant(t, s, tokens.Grant{Subject: "ada"}, time.Hour)
	for _, n := range []int{10, 60, 100, 1, 255, 0, 250, 251} {
		labels := map[string]*string{"a": ptr(strings.Repeat("x", n)), "b": ptr(strings.Repeat("y", n))}
		want, err := narrow(t, s, token.ID(), tokens.Narrowing{Labels: labels, ExpiresIn: time.Hour - time.Duration(n)*time.Second - time.Minute*time.Duration(1+n%7)})
		var field *tokens.FieldError
		if errors.As(err, &field) { // not earlier than the one before
			want, err = narrow(t, s, token.ID(), tokens.Narrowing{Labels: labels})
		}
		if err != nil {
			t.Fatal(err)
		}
		if use := redeem(t, s, token); !reflect.DeepEqual(use.Grant, want) {
			t.Errorf("%d: redeemed %+v, want %+v", n, use.Grant, want)
		}
	}
	for _, q := range []tokens.Query{{}, {Subject: "ada"}} {
		if ids := collect(t, s, q, nil); !slices.Equal(ids, []tokens.ID{token.ID()}) {
			t.Errorf("%+v lists %v", q, ids)
		}
	}
}

func testNarrowReserved(t *testing.T, b *backend) {
	ctx := t.Context()
	s := b.store(t, tokens.Options{})
	token := mint(t, s, 3)
	first, second, third := redeem(t, s, token), redeem(t, s, token), redeem(t, s, token)
	if _, err := narrow(t, s, token.ID(), tokens.Narrowing{MaxUses: ptr(int64(1))}); err != nil {
		t.Fatal(err)
	}
	if err := first.Charge(ctx); err != nil {
		t.Errorf("one use is left: %v", err)
	}
	if err := first.Charge(ctx); err != nil {
		t.Errorf("charging the same use again: %v", err)
	}
	if err := second.Charge(ctx); !errors.Is(err, tokens.ErrUsed) {
		t.Errorf("beyond the new limit: %v, want ErrUsed", err)
	}
	first.Commit(ctx)
	second.Refund(ctx)
	third.Refund(ctx)
	wantUses(t, s, token, 1, 0)

	open := mintOpen(t, s, 2, time.Hour, 0)
	object := tokens.Object{Size: 10, ETag: `"one"`}
	a, err := s.Redeem(ctx, open, tokens.Ask{Operation: tokens.Get})
	if err != nil {
		t.Fatal(err)
	}
	c, err := s.Redeem(ctx, open, tokens.Ask{Operation: tokens.Get})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := narrow(t, s, open.ID(), tokens.Narrowing{MaxUses: ptr(int64(1))}); err != nil {
		t.Fatal(err)
	}
	if err := a.Pin(ctx, object, 0, 10); err != nil {
		t.Errorf("one use is left: %v", err)
	}
	if err := c.Pin(ctx, object, 0, 10); !errors.Is(err, tokens.ErrUsed) {
		t.Errorf("beyond the new limit: %v, want ErrUsed", err)
	}
	a.End(ctx, 0)
	c.End(ctx, 0)
}

// testNarrowRacers: requests race a change of the limit. When the change has
// returned no more are charged than it says, or were by then (T7).
func testNarrowRacers(t *testing.T, b *backend) {
	const was, is, racers = 40, 10, 120
	ctx := t.Context()
	stores := []*tokens.Store{b.store(t, tokens.Options{}), b.store(t, tokens.Options{}), b.store(t, tokens.Options{})}
	token := mint(t, stores[0], was)
	var copies atomic.Int64
	var wg sync.WaitGroup
	for i := range racers {
		wg.Go(func() {
			use, err := stores[i%3].Redeem(ctx, token, tokens.Ask{Operation: tokens.Get})
			if err != nil {
				return
			}
			if err := use.Charge(ctx); err != nil {
				if !errors.Is(err, tokens.ErrUsed) {
					t.Errorf("racer %d: %v", i, err)
				}
				use.Refund(ctx)
				return
			}
			copies.Add(1)
			use.Commit(ctx)
		})
	}
	if _, err := narrow(t, stores[1], token.ID(), tokens.Narrowing{MaxUses: ptr(int64(is))}); err != nil {
		t.Error(err)
	}
	st, err := stores[2].Show(ctx, token.ID())
	if err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	if got, most := copies.Load(), max(is, st.Uses); got > most {
		t.Errorf("%d copies, want %d at most", got, most)
	}
}

func testNarrowListed(t *testing.T, b *backend) {
	ctx := t.Context()
	s := b.store(t, tokens.Options{})
	late, _ := mintGrant(t, s, tokens.Grant{}, 3*time.Hour)
	middle, _ := mintGrant(t, s, tokens.Grant{}, 2*time.Hour)
	want := func(what string, ids ...tokens.ID) {
		t.Helper()
		if got := collect(t, s, tokens.Query{}, nil); !slices.Equal(got, ids) {
			t.Errorf("%s: listed %v, want %v", what, got, ids)
		}
	}
	want("before", late.ID(), middle.ID())
	members := b.client(t).ZRange(ctx, "s3g:tokens", 0, -1).Val()
	if _, err := narrow(t, s, late.ID(), tokens.Narrowing{ExpiresIn: time.Hour}); err != nil {
		t.Fatal(err)
	}
	want("after", middle.ID(), late.ID())
	// As after a gate that died before it could take the old place away.
	for _, m := range members {
		b.client(t).ZAdd(ctx, "s3g:tokens", z(m))
	}
	want("with a place that is left over", middle.ID(), late.ID())
}

func testRetire(t *testing.T, b *backend) {
	ctx := t.Context()
	stores := []*tokens.Store{b.store(t, tokens.Options{}), b.store(t, tokens.Options{})}
	s := stores[0]
	token := mint(t, s, 2)
	held := redeem(t, s, token)
	successors := map[tokens.ID]bool{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			id := tokens.Generate().ID()
			for range 2 {
				switch err := stores[i%2].Retire(ctx, firstOf(token), id, "ops", "leaked"); {
				case err == nil:
					mu.Lock()
					successors[id] = true
					mu.Unlock()
				case !errors.Is(err, tokens.ErrRevoked):
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if len(successors) != 1 {
		t.Errorf("%d take the token's place", len(successors))
	}
	st, err := s.Show(ctx, token.ID())
	if err != nil || st.State != tokens.Revoked || st.Revocation.Author != "ops" || st.Revocation.Reason != "leaked" || !successors[st.ReissuedAs] {
		t.Errorf("%+v, %v; want it revoked for one of %v", st, err, slices.Collect(maps.Keys(successors)))
	}
	if err := held.Charge(ctx); !errors.Is(err, tokens.ErrRevoked) {
		t.Errorf("charging what was reserved: %v, want ErrRevoked", err)
	}
	held.Refund(ctx)
	if err := s.Restore(ctx, token.ID()); !errors.Is(err, tokens.ErrReissued) {
		t.Errorf("restoring it: %v, want ErrReissued", err)
	}
	if _, err := s.Redeem(ctx, token, tokens.Ask{Operation: tokens.Get}); !errors.Is(err, tokens.ErrRevoked) {
		t.Errorf("redeeming it: %v, want ErrRevoked", err)
	}
	revoked := mint(t, s, 1)
	if err := s.Revoke(ctx, revoked.ID(), "", ""); err != nil {
		t.Fatal(err)
	}
	if err := s.Retire(ctx, firstOf(revoked), tokens.Generate().ID(), "", ""); !errors.Is(err, tokens.ErrRevoked) {
		t.Errorf("what was revoked: %v, want ErrRevoked", err)
	}
	if err := s.Retire(ctx, firstOf(tokens.Generate()), token.ID(), "", ""); !errors.Is(err, tokens.ErrUnknown) {
		t.Errorf("a token that is not: %v, want ErrUnknown", err)
	}
}

// firstOf is as much of the grant of a token that was never changed as says which it
// is.
func firstOf(t tokens.Token) tokens.Grant { return tokens.Grant{ID: t.ID(), Version: 1} }

// testRetireChanged: what was changed since it was read is not replaced by what it
// was, and once it is retired it stays as it is.
func testRetireChanged(t *testing.T, b *backend) {
	ctx := t.Context()
	s := b.store(t, tokens.Options{})
	token := mint(t, s, 5)
	st, err := s.Show(ctx, token.ID())
	if err != nil {
		t.Fatal(err)
	}
	from, next := st.Grant, tokens.Generate().ID()
	one := int64(1)
	to, err := s.Narrow(ctx, from, tokens.Narrowing{MaxUses: &one})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Replace(ctx, from, to); err != nil {
		t.Fatal(err)
	}
	if err := s.Retire(ctx, from, next, "", ""); !errors.Is(err, tokens.ErrVersion) {
		t.Errorf("as it was: %v, want ErrVersion", err)
	}
	if st, err := s.Show(ctx, token.ID()); err != nil || st.State != tokens.Active {
		t.Errorf("%+v, %v; want it active", st, err)
	}
	if err := s.Retire(ctx, to, next, "", ""); err != nil {
		t.Errorf("as it is: %v", err)
	}
	last, err := s.Narrow(ctx, to, tokens.Narrowing{ExpiresIn: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Replace(ctx, to, last); !errors.Is(err, tokens.ErrRevoked) {
		t.Errorf("changing it afterwards: %v, want ErrRevoked", err)
	}
}

// testReissueRacers: a token is reissued with what it has left while requests race
// for it, and for the new one (I2).
func testReissueRacers(t *testing.T, b *backend) {
	const n, racers = 20, 90
	ctx := t.Context()
	stores := []*tokens.Store{b.store(t, tokens.Options{}), b.store(t, tokens.Options{}), b.store(t, tokens.Options{})}
	old := mint(t, stores[0], n)
	var current atomic.Pointer[tokens.Token]
	current.Store(&old)
	var copies atomic.Int64
	var wg sync.WaitGroup
	for i := range racers {
		wg.Go(func() {
			for range 3 {
				use, err := stores[i%3].Redeem(ctx, *current.Load(), tokens.Ask{Operation: tokens.Get})
				if err != nil {
					continue
				}
				if use.Charge(ctx) == nil {
					copies.Add(1)
					use.Commit(ctx)
				} else {
					use.Refund(ctx)
				}
			}
		})
	}
	next := tokens.Generate()
	if err := stores[0].Retire(ctx, firstOf(old), next.ID(), "", ""); err != nil {
		t.Fatal(err)
	}
	st, err := stores[0].Show(ctx, old.ID())
	if err != nil {
		t.Fatal(err)
	}
	g := st.Grant
	if g.MaxUses -= st.Uses + st.InUse; g.MaxUses > 0 {
		if _, err := stores[0].MintAll(ctx, []tokens.Minting{{Grant: g, Token: next}}); err != nil {
			t.Fatal(err)
		}
		current.Store(&next)
	}
	wg.Wait()
	for range n { // whatever the racers have left
		if use, err := stores[1].Redeem(ctx, next, tokens.Ask{Operation: tokens.Get}); err == nil && use.Charge(ctx) == nil {
			copies.Add(1)
			use.Commit(ctx)
		}
	}
	if got := copies.Load(); got > n {
		t.Errorf("%d copies over both, want %d at most", got, n)
	}
}
