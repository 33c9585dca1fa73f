package tokens_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"s3gate/tokens"
)

// openParts are the parts of testStore about uses that may be resumed.
var openParts = []part{
	{"an open use goes on", testOpenGoesOn},
	{"which open use a request goes on with", testOpenChoice},
	{"parts asked for side by side share a use", testOpenSideBySide},
	{"an open use has a budget", testOpenBudget},
	{"budgets are exact for the largest objects", testOpenLargest},
	{"a use of which nothing was given comes back", testOpenHandedBack},
	{"an empty object is a use", testOpenEmpty},
	{"an open use is of one object", testOpenObject},
	{"the window of an open use", testOpenWindow},
	{"an open use that is given out slowly", testOpenSlowly},
	{"an open use ends after a day", testOpenDay},
	{"an open use after expiry", testOpenExpiry},
	{"an open use of a revoked token", testOpenRevoked},
	{"an open use has so many requests", testOpenRequests},
	{"many open uses", testOpenMany},
	{"open uses: commands repeated", testOpenReplays},
	{"open uses: commands late", testOpenLate},
	{"open uses: Redis rolled back", testOpenRolledBack},
	{"open uses: nothing outlives its token", testOpenGrowth},
	{"open uses: keys, dump and flushed scripts", testOpenKeys},
	{"200 racers for one use", testRaceForOne},
	{"racers for the bytes of seven uses", testRaceForBytes},
	{"receipts", testReceipts},
	{"receipts of uses that end at once", testStrictReceipts},
	{"two stores report a use once", testSweepOnce},
	{"a use that two stores report", testSweepTwice},
	{"the report of a store that dies", testSweepAfterDeath},
	{"a use that is slow to be charged is reported", testSweepSlowPin},
	{"a use is reported a day after its gate has died", testSweepDeadGate},
}

// bg is for what goes on when the client has left.
var bg = context.Background()

var (
	whole  = tokens.Span{}
	object = tokens.Object{Size: 100, ETag: `"one"`, VersionID: "v1"}
)

// mintOpen mints a token whose uses may be resumed.
func mintOpen(t testing.TB, s *tokens.Store, uses int64, window time.Duration, slack int64) tokens.Token {
	t.Helper()
	token, _ := mintGrant(t, s, tokens.Grant{MaxUses: uses, ResumeWindow: tokens.Duration(window), ResumeSlack: slack}, time.Hour)
	return token
}

// ask redeems for a span.
func ask(s *tokens.Store, token tokens.Token, span tokens.Span) (*tokens.Use, error) {
	return s.Redeem(bg, token, tokens.Ask{Operation: tokens.Get, Span: span, Request: "req", Client: "192.0.2.1"})
}

// start expects a use for a span, and pins it to the object.
func start(t testing.TB, s *tokens.Store, token tokens.Token, o tokens.Object, span tokens.Span) *tokens.Use {
	t.Helper()
	use, err := ask(s, token, span)
	if err != nil {
		t.Fatalf("redeeming %v: %v", span, err)
	}
	first, length := place(span, o.Size)
	if err := use.Pin(bg, o, first, length); err != nil {
		t.Fatalf("pinning %v: %v", span, err)
	}
	return use
}

// place is the first byte and the length of a span.
func place(span tokens.Span, size int64) (first, length int64) {
	end := size
	if span.To > 0 {
		end = min(span.To, size)
	}
	first = span.From
	if first < 0 {
		first = max(0, size+first)
	}
	return first, end - first
}

// give gives out up to so many bytes in all, and ends the request.
func give(t testing.TB, use *tokens.Use, total int64) int64 {
	t.Helper()
	given, err := use.Allow(bg, total)
	if err != nil {
		t.Fatalf("allowing %d: %v", total, err)
	}
	use.Commit(bg)
	use.End(bg, given)
	return given
}

// wantOpen compares the bytes of the open uses, the last begun first.
func wantOpen(t testing.TB, s *tokens.Store, token tokens.Token, bytes ...int64) {
	t.Helper()
	st, err := s.Show(bg, token.ID())
	if err != nil {
		t.Fatal(err)
	}
	var got []int64
	for _, o := range st.Open {
		got = append(got, o.Bytes)
		if o.Left != o.Budget-o.Bytes || !o.Until.After(o.Began) {
			t.Errorf("open use %+v", o)
		}
	}
	if !sameBytes(got, bytes) {
		t.Errorf("open uses have given %v, want %v", got, bytes)
	}
}

func sameBytes(a, b []int64) bool {
	if len(a) != len(b) {
		return false
	}
	sum := map[int64]int{}
	for i := range a {
		sum[a[i]]++
		sum[b[i]]--
	}
	for _, n := range sum {
		if n != 0 {
			return false
		}
	}
	return true
}

func wantError(t testing.TB, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: %v, want %v", what, err, want)
	}
}

// wantSpent expects a refusal that names the bytes left.
func wantSpent(t testing.TB, what string, err error, left int64) {
	t.Helper()
	var spent *tokens.SpentError
	if !errors.As(err, &spent) || spent.Left != left || !errors.Is(err, tokens.ErrUsed) {
		t.Errorf("%s: %v, want a SpentError with %d left", what, err, left)
	}
}

// testOpenGoesOn: a broken download goes on with a part, as the same use (T4,
// T8).
func testOpenGoesOn(t *testing.T, b *backend) {
	s, other := b.store(t, tokens.Options{}), b.store(t, tokens.Options{})
	token := mintOpen(t, s, 1, time.Minute, 10)
	first := start(t, s, token, object, whole)
	if first.Open != nil {
		t.Error("the first request goes on with something")
	}
	wantUses(t, s, token, 1, 0)
	give(t, first, 60)
	wantOpen(t, s, token, 60)

	rest, err := ask(other, token, tokens.Span{From: 60})
	if err != nil || rest.Open == nil || rest.Open.Object != object || rest.Open.Left != 50 || rest.Mark() != first.Mark() {
		t.Fatalf("the rest: %+v, %v; want it to go on with the use", rest, err)
	}
	if err := rest.Pin(bg, object, 60, 40); err != nil {
		t.Fatal(err)
	}
	give(t, rest, 40)
	wantOpen(t, s, token, 100)
	wantUses(t, s, token, 1, 0)

	_, err = ask(s, token, whole)
	wantSpent(t, "a second whole", err, 10)
	_, err = s.Look(bg, token, tokens.Ask{Operation: tokens.Get})
	wantSpent(t, "looking", err, 10)
	// Looking at a part finds the use, and takes nothing.
	look, err := s.Look(bg, token, tokens.Ask{Operation: tokens.Get, Span: tokens.Span{From: -5}})
	if err != nil || look.Open == nil {
		t.Fatalf("looking at a part: %+v, %v", look, err)
	}
	wantError(t, "pinning what was looked at", look.Pin(bg, object, 95, 5), tokens.ErrUnproven)
	wantOpen(t, s, token, 100)
	give(t, start(t, s, token, object, tokens.Span{From: -10}), 10)
	for _, span := range []tokens.Span{whole, {From: 1}, {From: -1}, {To: 1}, {From: 100}, {From: 99, To: 500}} {
		_, err := ask(s, token, span)
		wantError(t, "after the budget", err, tokens.ErrUsed)
	}
	wantUses(t, s, token, 1, 0)
}

// testOpenSideBySide: parts that come before the first of them is charged wait
// for it, and take no other use; when it does not come to that, they do.
func testOpenSideBySide(t *testing.T, b *backend) {
	s := b.store(t, tokens.Options{BusyWait: time.Second})
	token := mintOpen(t, s, 3, time.Minute, 10)
	first, err := ask(s, token, tokens.Span{From: 0, To: 25})
	if err != nil {
		t.Fatal(err)
	}
	type result struct {
		use *tokens.Use
		err error
	}
	others := make(chan result, 3)
	for i := range int64(3) {
		go func() {
			use, err := ask(s, token, tokens.Span{From: 25 + 25*i, To: 50 + 25*i})
			others <- result{use, err}
		}()
	}
	time.Sleep(100 * time.Millisecond) // they are waiting
	if err := first.Pin(bg, object, 0, 25); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if r := <-others; r.err != nil || r.use.Open == nil || r.use.Mark() != first.Mark() {
			t.Errorf("%+v, %v; want it to go on with the first", r.use, r.err)
		}
	}
	wantUses(t, s, token, 1, 0)

	hasty := b.store(t, tokens.Options{})
	token = mintOpen(t, hasty, 2, time.Minute, 10)
	for range 2 {
		if use, err := ask(hasty, token, tokens.Span{From: 5}); err != nil || use.Open != nil {
			t.Errorf("%+v, %v; want a use of its own", use, err)
		}
	}
	wantUses(t, hasty, token, 0, 2)
}

// testOpenChoice: a part goes on with the use of which it leaves least, or
// else with the one that has most left; the whole is a new use while there is
// one, and then one into which it fits.
func testOpenChoice(t *testing.T, b *backend) {
	s := b.store(t, tokens.Options{})
	token := mintOpen(t, s, 3, time.Minute, 100)
	marks := map[string]int64{}
	for _, given := range []int64{150, 190, 100} {
		use := start(t, s, token, object, whole)
		if use.Open != nil {
			t.Fatal("the whole is no new use")
		}
		give(t, use, 100)
		if more := given - 100; more > 0 {
			rest, err := ask(s, token, tokens.Span{To: more})
			if err != nil || rest.Mark() != use.Mark() {
				t.Fatalf("more of the same: %v", err)
			}
			if err := rest.Pin(bg, object, 0, more); err != nil {
				t.Fatal(err)
			}
			give(t, rest, more)
		}
		marks[use.Mark()] = 200 - given
	}
	for _, test := range []struct {
		span tokens.Span
		left int64
	}{
		{tokens.Span{To: 5}, 10}, {tokens.Span{To: 10}, 10}, {tokens.Span{To: 11}, 50}, {tokens.Span{From: -30}, 50},
		{tokens.Span{From: 20, To: 500}, 100}, {tokens.Span{From: 1}, 100}, {tokens.Span{From: -500}, 100},
		{whole, 100}, {tokens.Span{From: 100}, 10}, {tokens.Span{From: 500, To: 600}, 10},
	} {
		use, err := ask(s, token, test.span)
		if err != nil || use.Open == nil || use.Open.Left != test.left || marks[use.Mark()] != test.left {
			t.Errorf("%v: %+v, %v; want the use with %d left", test.span, use.Open, err, test.left)
		}
	}
}

// testOpenBudget: however requests share a use, together they give out what
// the object has and the slack, and never more; what one does not use, another
// may (T8).
func testOpenBudget(t *testing.T, b *backend) {
	ctx := t.Context()
	s, other := b.store(t, tokens.Options{}.Sliced(8)), b.store(t, tokens.Options{}.Sliced(8))
	token := mintOpen(t, s, 1, time.Minute, 20)
	first := start(t, s, token, object, whole)
	wantOpen(t, s, token, 8) // a slice is reserved
	second := start(t, other, token, object, tokens.Span{From: 20})
	wantOpen(t, s, token, 16)
	for total, reserved := range map[int64]int64{8: 8, 1: 8} {
		if n, err := first.Allow(ctx, total); n != total || err != nil {
			t.Errorf("allowed %d, %v; want %d", n, err, total)
		}
		wantOpen(t, s, token, reserved+8)
	}
	if n, err := first.Allow(ctx, 30); n != 30 || err != nil { // more than a slice at once
		t.Errorf("allowed %d, %v; want 30", n, err)
	}
	wantOpen(t, s, token, 38)
	if n, err := second.Allow(ctx, 80); n != 80 || err != nil {
		t.Errorf("allowed %d, %v; want 80", n, err)
	}
	wantOpen(t, s, token, 110)
	if n, err := first.Allow(ctx, 50); n != 40 || err != nil {
		t.Errorf("at the end of the budget: allowed %d, %v; want 40", n, err)
	}
	_, err := ask(s, token, tokens.Span{To: 1})
	wantError(t, "nothing is left", err, tokens.ErrUsed)
	second.Commit(ctx)
	second.End(ctx, 70) // ten of its bytes flow back
	wantOpen(t, s, token, 110)
	if n, err := first.Allow(ctx, 60); n != 50 || err != nil {
		t.Errorf("with what flowed back: allowed %d, %v; want 50", n, err)
	}
	first.Commit(ctx)
	first.End(ctx, 50)
	first.End(ctx, 50)
	wantOpen(t, s, token, 120)
	wantUses(t, s, token, 1, 0)
}

// testOpenLargest: twice the largest object of S3, to the byte.
func testOpenLargest(t *testing.T, b *backend) {
	const tib = int64(1) << 40
	s := b.store(t, tokens.Options{}.Sliced(5*tib))
	o := tokens.Object{Size: 5*tib - 1, ETag: `"big"`}
	token := mintOpen(t, s, 1, time.Minute, 1<<30)
	give(t, start(t, s, token, o, whole), o.Size)
	wantOpen(t, s, token, o.Size)
	rest := start(t, s, token, o, tokens.Span{From: -(1 << 30)})
	if rest.Open.Object != o || rest.Open.Left != 1<<30 {
		t.Errorf("goes on with %+v", rest.Open)
	}
	give(t, rest, 1<<30-1)
	wantOpen(t, s, token, o.Size+1<<30-1)
	last := start(t, s, token, o, tokens.Span{From: o.Size - 1})
	if last.Open.Left != 1 || give(t, last, 1) != 1 {
		t.Errorf("the last byte: %+v", last.Open)
	}
	_, err := ask(s, token, tokens.Span{From: o.Size - 1})
	wantError(t, "one byte too many", err, tokens.ErrUsed)
}
