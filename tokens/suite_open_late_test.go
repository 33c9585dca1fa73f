package tokens_test

import (
	"testing"
	"time"

	"s3gate/tokens"
)

// attemptOf sends the commands of one request one by one.
type attemptOf struct {
	t          *testing.T
	s          *tokens.Store
	id         tokens.ID
	nonce, use string
}

func (a attemptOf) redeem(span tokens.Span) error {
	_, _, err := a.s.SendAsk(bg, a.id, a.nonce, span)
	return err
}

func (a attemptOf) pin(want int64) {
	a.t.Helper()
	if n, err := a.s.SendPin(bg, a.id, a.nonce, a.use, object, object.Size); n != want || err != nil {
		a.t.Errorf("pinning allows %d, %v; want %d", n, err, want)
	}
}

func (a attemptOf) pinFails(want error) {
	a.t.Helper()
	_, err := a.s.SendPin(bg, a.id, a.nonce, a.use, object, object.Size)
	wantError(a.t, "pinning", err, want)
}

func (a attemptOf) extend(wanted, want int64) {
	a.t.Helper()
	if n, err := a.s.SendExtend(bg, a.id, a.nonce, a.use, wanted); n != want || err != nil {
		a.t.Errorf("extending to %d allows %d, %v; want %d", wanted, n, err, want)
	}
}

func (a attemptOf) extendFails(want error) {
	a.t.Helper()
	_, err := a.s.SendExtend(bg, a.id, a.nonce, a.use, 50)
	wantError(a.t, "extending", err, want)
}

func (a attemptOf) end(bytes int64) {
	a.t.Helper()
	if err := a.s.SendEnd(bg, a.id, a.nonce, a.use, 0, bytes, bytes > 0); err != nil {
		a.t.Errorf("ending: %v", err)
	}
}

// testOpenReplays: each command may be carried out any number of times, and
// has one effect (T2).
func testOpenReplays(t *testing.T, b *backend) {
	s := b.store(t, tokens.Options{}.Sliced(8))
	token := mintOpen(t, s, 1, time.Minute, 20)
	first := attemptOf{t, s, token.ID(), "first", "first"}
	next := attemptOf{t, s, token.ID(), "next", "first"}
	thrice := func(do func()) {
		for range 3 {
			do()
		}
	}
	thrice(func() {
		if err := first.redeem(whole); err != nil {
			t.Error(err)
		}
	})
	wantUses(t, s, token, 0, 1)
	thrice(func() { first.pin(8) })
	wantUses(t, s, token, 1, 0)
	wantOpen(t, s, token, 8)
	// A repeated redemption of the first finds its use, not one to go on with.
	if use, _, err := s.SendAsk(bg, token.ID(), "first", tokens.Span{From: 3}); use != "" || err != nil {
		t.Errorf("redeemed once more: goes on with %q, %v", use, err)
	}
	thrice(func() { first.extend(20, 20) })
	first.extend(12, 20) // an earlier one that comes late
	first.pin(20)
	wantOpen(t, s, token, 20)
	thrice(func() { next.pin(8) })
	wantOpen(t, s, token, 28)
	thrice(func() { first.end(15) })
	wantOpen(t, s, token, 23)
	thrice(func() { next.end(0) })
	wantOpen(t, s, token, 15)
	wantUses(t, s, token, 1, 0)

	back := mintOpen(t, s, 1, time.Minute, 20)
	gone := attemptOf{t, s, back.ID(), "gone", "gone"}
	if err := gone.redeem(whole); err != nil {
		t.Fatal(err)
	}
	gone.pin(8)
	thrice(func() { gone.end(0) })
	wantUses(t, s, back, 0, 0)
	heir := start(t, s, back, object, whole)
	thrice(func() { gone.end(0) }) // takes it from nobody
	wantUses(t, s, back, 1, 0)
	give(t, heir, 9)
	thrice(func() { gone.end(0) })
	wantOpen(t, s, back, 9)
}

// testOpenLate: a command that arrives when its request has ended does
// nothing.
func testOpenLate(t *testing.T, b *backend) {
	s := b.store(t, tokens.Options{}.Sliced(8))
	token := mintOpen(t, s, 2, time.Minute, 20)
	first := attemptOf{t, s, token.ID(), "first", "first"}
	first.end(0)
	wantError(t, "redeeming late", first.redeem(whole), tokens.ErrUnproven)
	first.pinFails(tokens.ErrUnproven)
	first.extendFails(tokens.ErrUnproven)
	wantUses(t, s, token, 0, 0)

	use := start(t, s, token, object, whole)
	next := attemptOf{t, s, token.ID(), "next", use.Nonce()}
	next.end(0)
	next.pinFails(tokens.ErrUnproven)
	next.extendFails(tokens.ErrUnproven)
	wantOpen(t, s, token, 8)
	other := attemptOf{t, s, token.ID(), "other", use.Nonce()}
	other.pin(8)
	other.end(8)
	for _, a := range []attemptOf{next, other} {
		a.pinFails(tokens.ErrUnproven)
		a.extendFails(tokens.ErrUnproven)
		if a.redeem(whole) == nil {
			t.Error("redeemed after its end")
		}
	}
	wantOpen(t, s, token, 16)
	// Also when Redis has forgotten the mark, what has given something out is
	// known to have ended.
	_, _, _, mark := tokens.Keys(token.ID(), "other")
	b.client(t).Del(bg, mark)
	other.pinFails(tokens.ErrUnproven)
	other.extendFails(tokens.ErrUnproven)
	wantOpen(t, s, token, 16)
	give(t, use, 8)

	// Once the use was reported, a request of it that ends late counts
	// nothing twice, and one that wants more gets nothing.
	slow := attemptOf{t, s, token.ID(), "slow", use.Nonce()}
	slow.pin(8)
	_, one, _ := tokens.OpenKeys(token.ID(), use.Nonce())
	b.client(t).Del(bg, one)
	slow.extendFails(tokens.ErrUsed)
	slow.end(8)
	wantUses(t, s, token, 1, 0)
	if n := b.client(t).Exists(bg, one).Val(); n != 0 {
		t.Error("the use is there again")
	}
}

// testOpenRolledBack: a primary that has forgotten the last commands. What it
// forgot is not given out for free where the gate still knows of it.
func testOpenRolledBack(t *testing.T, b *backend) {
	ctx := t.Context()
	s := b.store(t, tokens.Options{}.Sliced(8))
	rdb := b.client(t)

	// Of a running request: the next time that it asks, it is counted.
	token := mintOpen(t, s, 1, time.Minute, 20)
	use := start(t, s, token, object, whole)
	_, one, _ := tokens.OpenKeys(token.ID(), use.Nonce())
	if n, err := use.Allow(ctx, 40); n != 40 || err != nil {
		t.Fatalf("allowed %d, %v", n, err)
	}
	rdb.HSet(ctx, one, "n", 8, "a"+use.Nonce(), 8)
	if n, err := use.Allow(ctx, 41); n != 41 || err != nil {
		t.Errorf("allowed %d, %v; want 41", n, err)
	}
	wantOpen(t, s, token, 48)
	rdb.HSet(ctx, one, "n", 0)
	rdb.HDel(ctx, one, "a"+use.Nonce())
	give(t, use, 45)
	wantOpen(t, s, token, 45)

	// Of more than the budget: the rest is nothing, and not less.
	rdb.HSet(ctx, one, "n", 500)
	_, err := ask(s, token, tokens.Span{To: 1})
	wantError(t, "past the budget", err, tokens.ErrUsed)

	// The use itself: it stays charged, and does not go on.
	token = mintOpen(t, s, 1, time.Minute, 20)
	use = start(t, s, token, object, whole)
	next, err := ask(s, token, tokens.Span{From: 8})
	if err != nil {
		t.Fatal(err)
	}
	_, one, _ = tokens.OpenKeys(token.ID(), use.Nonce())
	rdb.Del(ctx, one)
	wantError(t, "going on", next.Pin(ctx, object, 8, 8), tokens.ErrUsed)
	next.End(ctx, 0)
	_, err = use.Allow(ctx, 9)
	wantError(t, "more", err, tokens.ErrUsed)
	use.Commit(ctx)
	use.End(ctx, 8)
	wantUses(t, s, token, 1, 0)

	// That it was charged: a gate that has given something out charges it.
	token = mintOpen(t, s, 1, time.Minute, 20)
	use = start(t, s, token, object, whole)
	_, one, _ = tokens.OpenKeys(token.ID(), use.Nonce())
	_, _, charged, _ := tokens.Keys(token.ID(), "")
	rdb.Del(ctx, one, charged)
	give(t, use, 8)
	wantUses(t, s, token, 1, 0)

	// The reservation, which somebody else took.
	token = mintOpen(t, s, 1, time.Minute, 20)
	use, err = ask(s, token, whole)
	if err != nil {
		t.Fatal(err)
	}
	_, reserved, _, _ := tokens.Keys(token.ID(), "")
	rdb.Del(ctx, reserved)
	heir := start(t, s, token, object, whole)
	wantError(t, "pinning what somebody else has", use.Pin(ctx, object, 0, 8), tokens.ErrUsed)
	use.End(ctx, 0)
	give(t, heir, 8)
	wantUses(t, s, token, 1, 0)
}
