package tokens_test

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"s3gate/tokens"
)

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
	add("active", tokens.Grant{Subject: "alice", Bucket: "media", Key: "a/1", MaxUses: 1, Labels: map[string]string{"team": "a", "x": ""}}, time.Hour)
	add("pending", tokens.Grant{Subject: "alice", Bucket: "docs", Key: "a/2", NotBefore: now.Add(time.Minute), Issuer: "https://id.example", IssuedBy: "shop"}, 2*time.Hour)
	used := add("used", tokens.Grant{Subject: "bob", Bucket: "media", Key: "a/1/x", MaxUses: 1}, time.Hour)
	redeem(t, s, used).Commit(ctx)
	busy := add("busy", tokens.Grant{Subject: "bob", Bucket: "docs", Key: "b/1", MaxUses: 1}, time.Hour)
	held := redeem(t, s, busy)
	defer held.Refund(ctx)
	revoked := add("revoked", tokens.Grant{Subject: "bob", Bucket: "media", Key: "b*", MaxUses: 1}, 500*time.Millisecond)
	redeem(t, s, revoked).Commit(ctx)
	if err := s.Revoke(ctx, revoked.ID(), "", ""); err != nil {
		t.Fatal(err)
	}
	add("expired", tokens.Grant{Bucket: "media", Key: "z/a/1"}, 500*time.Millisecond)
	b.elapse(510 * time.Millisecond)
	tests := []struct {
		name string
		q    tokens.Query
		want []string
	}{
		{"all", tokens.Query{}, []string{"active", "busy", "expired", "pending", "revoked", "used"}},
		{"subject", tokens.Query{Subject: "alice"}, []string{"active", "pending"}},
		{"subject is the whole", tokens.Query{Subject: "ali"}, nil},
		{"nobody's subject", tokens.Query{Subject: "carol"}, nil},
		{"issuer", tokens.Query{Issuer: "https://id.example"}, []string{"pending"}},
		{"caller", tokens.Query{IssuedBy: "shop"}, []string{"pending"}},
		{"label", tokens.Query{Labels: map[string]string{"team": "a"}}, []string{"active"}},
		{"labels", tokens.Query{Labels: map[string]string{"team": "a", "x": ""}}, []string{"active"}},
		{"label that is not there", tokens.Query{Labels: map[string]string{"y": ""}}, nil},
		{"expires from", tokens.Query{ExpiresFrom: now.Add(90 * time.Minute)}, []string{"pending"}},
		{"expires before", tokens.Query{ExpiresBefore: now.Add(30 * time.Minute)}, []string{"expired", "revoked"}},
		{"expires between", tokens.Query{Subject: "alice", ExpiresFrom: now.Add(30 * time.Minute), ExpiresBefore: now.Add(90 * time.Minute)}, []string{"active"}},
		{"expires never", tokens.Query{ExpiresFrom: now.Add(90 * time.Minute), ExpiresBefore: now.Add(30 * time.Minute)}, nil},
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
	rare, _ := mintGrant(t, s, tokens.Grant{Bucket: "rare"}, time.Minute)
	for range 130 { // more than are read at once
		mintGrant(t, s, tokens.Grant{Bucket: "common"}, time.Hour)
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
	page, err := s.List(ctx, tokens.Query{Bucket: "rare"})
	if err != nil || len(page.Tokens) != 0 || page.Next == "" {
		t.Errorf("first page has %d tokens, next %q, %v; want none yet", len(page.Tokens), page.Next, err)
	}
	rest := collect(t, s, tokens.Query{Bucket: "rare", Cursor: page.Next}, nil)
	if !slices.Equal(rest, []tokens.ID{rare.ID()}) {
		t.Errorf("found %v, want %s", rest, rare.ID())
	}
	if page, err = s.List(ctx, tokens.Query{Bucket: "common", Limit: 120}); err != nil || len(page.Tokens) != 120 {
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

// testSubjectIndex: a subject's tokens are found without looking at others, and
// what is past its retention leaves nothing behind, also where nobody mints any
// more.
func testSubjectIndex(t *testing.T, b *backend) {
	ctx := t.Context()
	s := b.store(t, tokens.Options{Retention: time.Second})
	rdb := b.client(t)
	long, _ := mintGrant(t, s, tokens.Grant{Subject: "ada"}, 1500*time.Millisecond)
	short, _ := mintGrant(t, s, tokens.Grant{Subject: "ada"}, 50*time.Millisecond)
	others := make([]redis.Z, 1100) // more than one page looks at
	for i := range others {
		others[i].Member = "\xff" + rand.Text()[:21]
	}
	if err := rdb.ZAdd(ctx, "s3g:tokens", others...).Err(); err != nil {
		t.Fatal(err)
	}
	page, err := s.List(ctx, tokens.Query{Subject: "ada"})
	if err != nil || len(page.Tokens) != 2 || page.Tokens[0].ID != long.ID() || page.Tokens[1].ID != short.ID() || page.Next != "" {
		t.Errorf("listed %+v, %v", page, err)
	}
	b.elapse(1200 * time.Millisecond) // the first is gone, and the next mint forgets it
	mintGrant(t, s, tokens.Grant{Subject: "ada"}, 50*time.Millisecond)
	keys, err := rdb.Keys(ctx, "s3g:subject:*").Result()
	if err != nil || len(keys) != 1 {
		t.Fatalf("indexes %v, %v", keys, err)
	}
	if strings.Contains(keys[0], "ada") {
		t.Errorf("the key %s names somebody", keys[0])
	}
	if n := rdb.ZCard(ctx, keys[0]).Val(); n != 2 {
		t.Errorf("the index has %d entries, want 2", n)
	}
	b.elapse(1500 * time.Millisecond)
	if left := rdb.Keys(ctx, "s3g:*").Val(); len(left) != 0 {
		t.Errorf("left are %q", left)
	}
}
