package tokens_test

import (
	"strconv"
	"testing"
	"time"

	"s3gate/tokens"
)

// testOpenHandedBack: a use comes back when none of its requests has given
// anything out, and none runs that may (T3, T4).
func testOpenHandedBack(t *testing.T, b *backend) {
	ctx := t.Context()
	s := b.store(t, tokens.Options{}.Sliced(8))
	token := mintOpen(t, s, 1, time.Minute, 20)
	for name, end := range map[string]func(*tokens.Use){
		"refund":                  func(u *tokens.Use) { u.Refund(ctx) },
		"end":                     func(u *tokens.Use) { u.End(ctx, 0) },
		"end of what could leave": func(u *tokens.Use) { u.Commit(ctx); u.End(ctx, 0) },
	} {
		use := start(t, s, token, object, whole)
		wantUses(t, s, token, 1, 0)
		end(use)
		end(use)
		wantUses(t, s, token, 0, 0)
		wantOpen(t, s, token)
		wantError(t, name+", and then pinned", use.Pin(ctx, object, 0, 1), tokens.ErrUnproven)
	}

	// The first gives nothing, while another runs.
	first := start(t, s, token, object, whole)
	second := start(t, s, token, object, tokens.Span{From: 10})
	late, err := ask(s, token, tokens.Span{From: 20})
	if err != nil || late.Open == nil {
		t.Fatal(err)
	}
	first.End(ctx, 0)
	wantUses(t, s, token, 1, 0)
	wantOpen(t, s, token, 8)
	second.End(ctx, 0)
	wantUses(t, s, token, 0, 0)
	wantError(t, "going on with what was handed back", late.Pin(ctx, object, 20, 80), tokens.ErrInUse)
	late.End(ctx, 0)
	wantUses(t, s, token, 0, 0)

	// The first gives nothing, and another does.
	first = start(t, s, token, object, whole)
	second = start(t, s, token, object, tokens.Span{From: 10})
	first.Refund(ctx)
	give(t, second, 5)
	wantUses(t, s, token, 1, 0)
	wantOpen(t, s, token, 5)
	third := start(t, s, token, object, tokens.Span{From: 10})
	third.End(ctx, 0)
	wantUses(t, s, token, 1, 0)
	wantOpen(t, s, token, 5)

	// A request that goes on with a use and is refused before it is pinned.
	refused, err := ask(s, token, tokens.Span{From: 10})
	if err != nil {
		t.Fatal(err)
	}
	refused.Refund(ctx)
	refused.Commit(ctx)
	wantOpen(t, s, token, 5)
}

// testOpenEmpty: the headers of an empty object are a copy of it, of which
// nothing is left.
func testOpenEmpty(t *testing.T, b *backend) {
	ctx := t.Context()
	s := b.store(t, tokens.Options{})
	empty := tokens.Object{ETag: `"empty"`}
	token := mintOpen(t, s, 1, time.Minute, 20)
	start(t, s, token, empty, whole).End(ctx, 0)
	wantUses(t, s, token, 0, 0)
	use := start(t, s, token, empty, whole)
	use.Commit(ctx)
	use.End(ctx, 0)
	wantUses(t, s, token, 1, 0)
	wantOpen(t, s, token)
	for _, span := range []tokens.Span{whole, {From: 1}, {From: -1}} {
		_, err := ask(s, token, span)
		wantError(t, "going on with an empty object", err, tokens.ErrUsed)
	}
}

// testOpenObject: no two objects are mixed in one use, and one that cannot be
// told from another is not resumed (S12).
func testOpenObject(t *testing.T, b *backend) {
	ctx := t.Context()
	s := b.store(t, tokens.Options{}.Sliced(8))
	token := mintOpen(t, s, 2, time.Minute, 20)
	give(t, start(t, s, token, object, whole), 50)
	for name, other := range map[string]tokens.Object{
		"size":    {Size: 99, ETag: object.ETag, VersionID: object.VersionID},
		"ETag":    {Size: 100, ETag: `"two"`, VersionID: object.VersionID},
		"version": {Size: 100, ETag: object.ETag},
		"nothing": {},
	} {
		use, err := ask(s, token, tokens.Span{From: 50})
		if err != nil {
			t.Fatal(err)
		}
		wantError(t, "another "+name, use.Pin(ctx, other, 50, 10), tokens.ErrChanged)
		use.End(ctx, 0)
		wantOpen(t, s, token, 50)
		wantUses(t, s, token, 1, 0)
	}
	// The whole is a new use, of another object.
	other := tokens.Object{Size: 30, ETag: `"two"`}
	use := start(t, s, token, other, whole)
	if use.Open != nil {
		t.Error("the whole goes on with a use, want a new one")
	}
	give(t, use, 30)
	wantOpen(t, s, token, 50, 30)

	for _, vague := range []tokens.Object{{Size: 100}, {Size: 100, ETag: `W/"weak"`}, {}} {
		token := mintOpen(t, s, 1, time.Minute, 20)
		use := start(t, s, token, vague, whole)
		if n, err := use.Allow(ctx, 1<<40); n != 1<<40 || err != nil {
			t.Errorf("%+v: allowed %d, %v; want no limit", vague, n, err)
		}
		use.Commit(ctx)
		if _, ended := use.End(ctx, 10); !ended {
			t.Errorf("%+v: the use is open, want it ended", vague)
		}
		_, err := ask(s, token, tokens.Span{From: 10})
		wantError(t, "going on with what has no name", err, tokens.ErrUsed)
		wantUses(t, s, token, 1, 0)
	}
}

// testOpenWindow: the window begins anew with each request that begins, ends,
// or takes more, and only then; when it has closed the use cannot go on.
func testOpenWindow(t *testing.T, b *backend) {
	const window = 1500 * time.Millisecond
	ctx := t.Context()
	s := b.store(t, tokens.Options{}.Sliced(8))
	token := mintOpen(t, s, 1, window, 20)
	use := start(t, s, token, object, whole)
	b.elapse(window - 500*time.Millisecond)
	give(t, use, 8)
	b.elapse(window - 500*time.Millisecond)
	use = start(t, s, token, object, tokens.Span{From: 8})
	b.elapse(window - 500*time.Millisecond)
	if _, err := use.Allow(ctx, 20); err != nil {
		t.Fatal(err)
	}
	b.elapse(window - 500*time.Millisecond)
	if _, err := ask(s, token, tokens.Span{From: 8}); err != nil {
		t.Fatalf("inside the window: %v", err)
	}
	b.elapse(510 * time.Millisecond)
	_, err := ask(s, token, tokens.Span{From: 8})
	wantError(t, "after the window", err, tokens.ErrUsed)
	// The request that still runs opens it once more.
	give(t, use, 20)
	if _, err := ask(s, token, tokens.Span{From: 28}); err != nil {
		t.Fatalf("after it has ended: %v", err)
	}
	wantUses(t, s, token, 1, 0)
}

// testOpenSlowly: also a request that gives out little at a time keeps its use
// open.
func testOpenSlowly(t *testing.T, b *backend) {
	const half = 550 * time.Millisecond // of the window, and a little
	s := b.store(t, tokens.Options{})
	token := mintOpen(t, s, 1, time.Second, 20)
	use := start(t, s, token, object, whole)
	for i := range int64(3) {
		begin := time.Now()
		b.elapse(half)
		time.Sleep(half - time.Since(begin)) // a gate measures by its own clock
		if n, err := use.Allow(bg, 1+i); n != 1+i || err != nil {
			t.Fatalf("allowed %d, %v", n, err)
		}
	}
	if _, err := ask(s, token, tokens.Span{From: 50}); err != nil {
		t.Errorf("while one runs: %v", err)
	}
	wantOpen(t, s, token, 100) // and nothing more was reserved
}

// testOpenDay: a use is open for a day at most.
func testOpenDay(t *testing.T, b *backend) {
	ctx := t.Context()
	s := b.store(t, tokens.Options{}.Sliced(8))
	for _, test := range []struct {
		name string
		age  time.Duration
		want error
	}{
		{"shortly before", 24*time.Hour - 10*time.Second, nil},
		{"after", 24*time.Hour + time.Second, tokens.ErrUsed},
	} {
		token := mintOpen(t, s, 1, time.Hour, 20)
		use := start(t, s, token, object, whole)
		running := start(t, s, token, object, tokens.Span{From: 10})
		backdate(t, b, token, use, test.age)
		if _, err := running.Allow(ctx, 10); err != nil {
			t.Errorf("%s a day: a request that runs: %v", test.name, err)
		}
		_, err := ask(s, token, tokens.Span{From: 10})
		wantError(t, test.name+" a day, one runs", err, test.want)
		give(t, use, 8)
		_, err = ask(s, token, tokens.Span{From: 10})
		wantError(t, test.name+" a day", err, test.want)
	}
}

// backdate makes a use look as if it was begun earlier.
func backdate(t testing.TB, b *backend, token tokens.Token, use *tokens.Use, age time.Duration) {
	t.Helper()
	_, one, _ := tokens.OpenKeys(token.ID(), use.Nonce())
	if err := b.client(t).HIncrBy(bg, one, "f", -age.Milliseconds()).Err(); err != nil {
		t.Fatal(err)
	}
}

// testOpenExpiry: a use that was begun goes on after its token has expired,
// and no other begins; unless the grant cuts at expiry.
func testOpenExpiry(t *testing.T, b *backend) {
	s := b.store(t, tokens.Options{})
	grant := tokens.Grant{MaxUses: 2, ResumeWindow: tokens.Duration(2 * time.Second), ResumeSlack: 20}
	token, _ := mintGrant(t, s, grant, 600*time.Millisecond)
	unused, _ := mintGrant(t, s, grant, 600*time.Millisecond)
	grant.CutAtExpiry = true
	cut, _ := mintGrant(t, s, grant, 600*time.Millisecond)
	for cutting, token := range map[bool]tokens.Token{false: token, true: cut} {
		use := start(t, s, token, object, whole)
		if use.Grant.CutAtExpiry != cutting || use.ExpiresIn <= 0 || use.ExpiresIn > 600*time.Millisecond {
			t.Errorf("cut %v, in %s", use.Grant.CutAtExpiry, use.ExpiresIn)
		}
		give(t, use, 70)
	}
	b.elapse(610 * time.Millisecond)
	rest := start(t, s, token, object, tokens.Span{From: 70})
	if rest.Open == nil || rest.ExpiresIn >= 0 {
		t.Errorf("after expiry: %+v", rest)
	}
	give(t, rest, 30)
	_, err := ask(s, token, whole)
	wantSpent(t, "the whole after expiry", err, 20)
	_, err = s.Redeem(bg, token, tokens.Ask{Operation: tokens.Put})
	wantError(t, "another operation after expiry", err, tokens.ErrExpired)
	for name, dead := range map[string]tokens.Token{"not begun": unused, "cut at expiry": cut} {
		for _, span := range []tokens.Span{whole, {From: 70}} {
			_, err := ask(s, dead, span)
			wantError(t, name, err, tokens.ErrExpired)
		}
	}
	b.elapse(2010 * time.Millisecond)
	_, err = ask(s, token, tokens.Span{From: 90})
	wantError(t, "after expiry and window", err, tokens.ErrExpired)
	wantUses(t, s, token, 1, 0)
}

// testOpenRevoked: a revocation ends open uses too, also for requests that
// were let in before it.
func testOpenRevoked(t *testing.T, b *backend) {
	ctx := t.Context()
	s := b.store(t, tokens.Options{}.Sliced(8))
	token := mintOpen(t, s, 1, time.Minute, 20)
	running := start(t, s, token, object, whole)
	waiting, err := ask(s, token, tokens.Span{From: 8})
	if err != nil {
		t.Fatal(err)
	}
	fresh := mintOpen(t, s, 1, time.Minute, 20)
	reserved, err := ask(s, fresh, whole)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []tokens.ID{token.ID(), fresh.ID()} {
		if err := s.Revoke(ctx, id, "", ""); err != nil {
			t.Fatal(err)
		}
	}
	_, err = running.Allow(ctx, 9)
	wantError(t, "more", err, tokens.ErrRevoked)
	wantError(t, "pinning what goes on", waiting.Pin(ctx, object, 8, 8), tokens.ErrRevoked)
	wantError(t, "pinning", reserved.Pin(ctx, object, 0, 8), tokens.ErrRevoked)
	_, err = ask(s, token, tokens.Span{From: 8})
	wantError(t, "asking", err, tokens.ErrRevoked)
	running.Commit(ctx)
	running.End(ctx, 3)
	waiting.End(ctx, 0)
	reserved.End(ctx, 0)
	wantOpen(t, s, token, 3)
	wantUses(t, s, token, 1, 0)
	wantUses(t, s, fresh, 0, 0)
}

// testOpenRequests: what Redis keeps of a use is bounded by the number of its
// requests.
func testOpenRequests(t *testing.T, b *backend) {
	ctx := t.Context()
	s := b.store(t, tokens.Options{})
	token := mintOpen(t, s, 1, time.Minute, 20)
	first := start(t, s, token, object, whole)
	give(t, first, 1)
	_, one, _ := tokens.OpenKeys(token.ID(), first.Nonce())
	b.client(t).HSet(ctx, one, "j", strconv.Itoa(tokens.MaxOpenRequests-1))
	give(t, start(t, s, token, object, tokens.Span{From: 1}), 1)
	use, err := ask(s, token, tokens.Span{From: 2})
	if err != nil {
		t.Fatal(err)
	}
	wantError(t, "one request too many", use.Pin(ctx, object, 2, 98), tokens.ErrUsed)
	use.End(ctx, 0)
	wantOpen(t, s, token, 2)
}

// testOpenMany: a request looks at no more than 64 open uses, those that were
// used last.
func testOpenMany(t *testing.T, b *backend) {
	s := b.store(t, tokens.Options{})
	token := mintOpen(t, s, 70, time.Minute, 0)
	var uses []*tokens.Use
	for i := range 70 {
		use := start(t, s, token, object, whole)
		give(t, use, int64(99-i))
		uses = append(uses, use)
		b.elapse(2 * time.Millisecond) // so that one is later than the other
	}
	// The smallest that fits is among the six oldest, which are not seen.
	use, err := ask(s, token, tokens.Span{From: -1})
	if err != nil || use.Mark() != uses[6].Mark() {
		t.Errorf("goes on with %+v, %v; want the use with 7 left", use.Open, err)
	}
	if _, err = ask(s, token, tokens.Span{From: -70}); err != nil {
		t.Errorf("the largest: %v", err)
	}
	wantUses(t, s, token, 70, 0)
}
