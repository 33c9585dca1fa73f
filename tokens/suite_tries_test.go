package tokens_test

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"s3gate/tokens"
)

// testTries: a wrong try counts for the window and for its token only, over
// all gates; a right one does not count.
func testTries(t *testing.T, b *backend) {
	ctx := t.Context()
	opts := tokens.Options{PasscodeTries: 3, PasscodeWindow: 600 * time.Millisecond}
	s, other := b.store(t, opts), b.store(t, opts)
	id := tokens.Generate().ID()
	for range 5 {
		try, err := s.Try(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 { // as a client repeats it that lost the answer
			if err := try.Passed(ctx); err != nil {
				t.Fatal(err)
			}
		}
	}
	right, err := other.Try(ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	for _, gate := range []*tokens.Store{s, other} {
		if _, err := gate.Try(ctx, id); err != nil {
			t.Fatal(err)
		}
	}
	var tries *tokens.TriesError
	for _, gate := range []*tokens.Store{s, other} {
		_, err := gate.Try(ctx, id)
		if !errors.As(err, &tries) || tries.Wait <= 0 || tries.Wait > opts.PasscodeWindow {
			t.Fatalf("one try more: %v, want a TriesError with a wait", err)
		}
	}
	if _, err := s.Try(ctx, tokens.Generate().ID()); err != nil {
		t.Errorf("another token: %v", err)
	}
	// One that passed makes room for one, and forgets no other.
	if err := right.Passed(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Try(ctx, id); err != nil {
		t.Errorf("after one passed: %v", err)
	}
	if _, err := s.Try(ctx, id); !errors.As(err, &tries) {
		t.Errorf("and then: %v, want a TriesError", err)
	}
	rdb := b.client(t)
	key := "s3g:{" + string(id) + "}:p"
	if ttl := rdb.PTTL(ctx, key).Val(); ttl <= 0 || ttl > opts.PasscodeWindow {
		t.Errorf("%s lives for %s, want at most %s", key, ttl, opts.PasscodeWindow)
	}
	b.elapse(610 * time.Millisecond)
	if _, err := s.Try(ctx, id); err != nil {
		t.Errorf("after the window: %v", err)
	}
}

// testRacingTries: guesses that race over several gates are not more than are
// allowed.
func testRacingTries(t *testing.T, b *backend) {
	const most = 5
	stores := make([]*tokens.Store, 3)
	for i := range stores {
		stores[i] = b.store(t, tokens.Options{PasscodeTries: most})
	}
	id := tokens.Generate().ID()
	var allowed atomic.Int64
	var wg sync.WaitGroup
	for i := range 60 {
		wg.Go(func() {
			var tries *tokens.TriesError
			switch _, err := stores[i%3].Try(t.Context(), id); {
			case err == nil:
				allowed.Add(1)
			case !errors.As(err, &tries):
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := allowed.Load(); n != most {
		t.Errorf("%d tries, want %d", n, most)
	}
}
