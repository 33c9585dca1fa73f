package tokens_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"s3gate/tokens"
)

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
		use, err := s.Redeem(ctx, token, tokens.Ask{Operation: tokens.Get})
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
			if use, err := s.Redeem(ctx, token, tokens.Ask{Operation: tokens.Get}); err == nil {
				use.Commit(ctx)
			}
			s.Redeem(ctx, token, tokens.Ask{Operation: tokens.Put})
			if use, err := s.Redeem(ctx, token, tokens.Ask{Operation: tokens.Get}); err == nil {
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
	occupy(t, s, token, 1)
	for range 50 { // nonces are any bytes, braces too
		redeem(t, s, token).Refund(ctx)
	}
	tag := "s3g:{" + string(token.ID()) + "}:"
	keys := rdb.Keys(ctx, "*").Val()
	if len(keys) != 55 {
		t.Errorf("%d keys, want 55", len(keys))
	}
	for _, key := range keys {
		if key != "s3g:tokens" && !strings.HasPrefix(key, tag) {
			t.Errorf("key %q, want it to begin with %q", key, tag)
		}
	}
}
