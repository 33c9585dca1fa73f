package tokens_test

import (
	"strings"
	"testing"
	"time"

	"s3gate/tokens"
)

// testOpenGrowth: every key of an open use ends with its token, or sooner.
func testOpenGrowth(t *testing.T, b *backend) {
	ctx := t.Context()
	rdb := b.client(t)
	s := b.store(t, tokens.Options{Retention: time.Minute}.Sliced(8))
	grant := tokens.Grant{MaxUses: 9, ResumeWindow: tokens.Duration(time.Hour), ResumeSlack: 20}
	token, _ := mintGrant(t, s, grant, time.Minute)
	use := start(t, s, token, object, whole)
	open, one, receipts := tokens.OpenKeys(token.ID(), use.Nonce())
	record, reserved, charged, mark := tokens.Keys(token.ID(), use.Nonce())
	most := map[string]time.Duration{record: 2 * time.Minute, charged: 2 * time.Minute, open: 2 * time.Minute, one: 2 * time.Minute}
	check := func(after string) {
		t.Helper()
		for _, key := range rdb.Keys(ctx, "s3g:{*").Val() {
			want, known := most[key]
			if ttl := rdb.PTTL(ctx, key).Val(); !known || ttl > want || ttl < want-20*time.Second {
				t.Errorf("after %s: %q lives for %s, want %s", after, key, ttl, want)
			}
		}
	}
	check("pinning")
	// Nor do keys that Redis lost in between come back for ever.
	rdb.Del(ctx, open)
	if _, err := use.Allow(ctx, 20); err != nil {
		t.Fatal(err)
	}
	check("more")
	rdb.Del(ctx, open)
	most[mark] = time.Minute
	give(t, use, 20)
	check("the end")
	if err := s.SendEnd(ctx, token.ID(), use.Nonce(), use.Nonce(), 0, 20, true); err != nil {
		t.Fatal(err)
	}
	check("another end")
	held, err := s.Redeem(ctx, token, tokens.Ask{Operation: tokens.Get})
	if err != nil {
		t.Fatal(err)
	}
	held.Keep()
	most[reserved], most[receipts] = 2*time.Minute, 2*time.Minute
	rdb.ZRem(ctx, open, use.Nonce())
	report(t, b, s, use)
	check("the receipt")
	if n := rdb.Exists(ctx, open, one).Val(); n != 0 {
		t.Error("the reported use is there")
	}
	if n := rdb.ZCard(ctx, "s3g:open").Val(); n != 0 {
		t.Errorf("%d entries in the index, want none", n)
	}

	// A long token keeps its uses for two days and no longer.
	long, _ := mintGrant(t, s, grant, 100*24*time.Hour)
	use = start(t, s, long, object, whole)
	_, one, _ = tokens.OpenKeys(long.ID(), use.Nonce())
	for range 2 {
		if ttl := rdb.PTTL(ctx, one).Val(); ttl > 48*time.Hour || ttl < 47*time.Hour {
			t.Errorf("an open use lives for %s, want 48h", ttl)
		}
		if _, err := use.Allow(ctx, 30); err != nil {
			t.Fatal(err)
		}
	}

	// An end that comes when the token is forgotten.
	use = start(t, s, token, object, whole)
	open, one, _ = tokens.OpenKeys(token.ID(), use.Nonce())
	rdb.Del(ctx, record, charged, open)
	give(t, use, 5)
	for key, most := range map[string]time.Duration{charged: time.Minute, one: 2 * time.Minute} {
		if ttl := rdb.PTTL(ctx, key).Val(); ttl <= 0 || ttl > most {
			t.Errorf("%q lives for %s, want at most %s", key, ttl, most)
		}
	}
	if n := rdb.Exists(ctx, open).Val(); n != 0 {
		t.Error("an open use of a forgotten token")
	}
}

// report lets the index of open uses be due now, and reports.
func report(t testing.TB, b *backend, s *tokens.Store, use *tokens.Use) {
	t.Helper()
	rdb := b.client(t)
	for _, member := range rdb.ZRange(bg, "s3g:open", 0, -1).Val() {
		if strings.HasSuffix(member, use.Nonce()) {
			rdb.ZIncrBy(bg, "s3g:open", -1e12, member)
		}
	}
	if n := s.Sweep(bg); n != 1 {
		t.Errorf("%d uses reported, want 1", n)
	}
}

// testOpenKeys: the keys of open uses are in their token's slot, whatever the
// bytes of a nonce, hold no secret, and scripts that Redis has forgotten are
// told it again (T13, D6).
func testOpenKeys(t *testing.T, b *backend) {
	ctx := t.Context()
	rdb := b.client(t)
	s := b.store(t, tokens.Options{}.Sliced(8))
	flush := func() {
		t.Helper()
		if err := rdb.ScriptFlush(ctx).Err(); err != nil {
			t.Fatal(err)
		}
	}
	token := mintOpen(t, s, 60, time.Minute, 20)
	tag := "s3g:{" + string(token.ID()) + "}:"
	for range 50 {
		flush()
		use := start(t, s, token, object, whole)
		flush()
		if n, err := use.Allow(ctx, 20); n != 20 || err != nil {
			t.Fatalf("allowed %d, %v", n, err)
		}
		flush()
		give(t, use, 20)
		flush()
		report(t, b, s, expire(t, b, token, use))
	}
	flush()
	use := start(t, s, token, object, whole)
	give(t, use, 30)
	wantOpen(t, s, token, 30)
	wantUses(t, s, token, 51, 0)
	indexes := map[string]bool{"s3g:tokens": true, "s3g:open": true}
	for _, key := range rdb.Keys(ctx, "*").Val() {
		if !indexes[key] && !strings.HasPrefix(key, tag) {
			t.Errorf("key %q, want it to begin with %q", key, tag)
		}
		delete(indexes, key)
	}
	if len(indexes) != 0 {
		t.Errorf("not found: %v", indexes)
	}
	dump := dumpAll(t, rdb)
	if !strings.Contains(dump, use.Nonce()) {
		t.Error("this is no dump: the open use is not in it")
	}
	if strings.Contains(dump, token.Reveal()[4:26]) {
		t.Error("the token is in the dump")
	}
}

// expire closes the window of a use.
func expire(t testing.TB, b *backend, token tokens.Token, use *tokens.Use) *tokens.Use {
	t.Helper()
	open, _, _ := tokens.OpenKeys(token.ID(), "")
	name := use.Nonce()
	if err := b.client(t).ZAddXX(bg, open, redisZ(1, name)).Err(); err != nil {
		t.Fatal(err)
	}
	return use
}
