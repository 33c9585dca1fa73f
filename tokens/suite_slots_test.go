package tokens_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"s3gate/tokens"
)

// occupy expects a slot, which the test gives back.
func occupy(t testing.TB, s *tokens.Store, token tokens.Token, max int64) *tokens.Slot {
	t.Helper()
	slot, err := s.Occupy(t.Context(), token.ID(), max)
	if err != nil {
		t.Fatalf("occupying: %v", err)
	}
	t.Cleanup(sync.OnceFunc(func() { slot.Release(context.Background()) }))
	return slot
}

func wantNoSlot(t testing.TB, s *tokens.Store, token tokens.Token, max int64) {
	t.Helper()
	if _, err := s.Occupy(t.Context(), token.ID(), max); !errors.Is(err, tokens.ErrTooMany) {
		t.Errorf("occupying: %v, want ErrTooMany", err)
	}
}

func testOccupy(t *testing.T, b *backend) {
	s, other := b.store(t, tokens.Options{}), b.store(t, tokens.Options{})
	token, apart := mint(t, s, 0), mint(t, s, 0)
	occupy(t, s, token, 2)
	second, err := other.Occupy(t.Context(), token.ID(), 2)
	if err != nil {
		t.Fatal(err)
	}
	wantNoSlot(t, s, token, 2)
	wantNoSlot(t, other, token, 2)
	occupy(t, s, apart, 1) // another token's slots are its own

	gone, cancel := context.WithCancel(t.Context())
	cancel()
	second.Release(gone) // a client that went away
	third, err := s.Occupy(gone, token.ID(), 2)
	if err != nil {
		t.Fatalf("under a context that is done: %v", err)
	}
	wantNoSlot(t, s, token, 2)
	third.Release(gone)

	unlimited, err := s.Occupy(t.Context(), token.ID(), 0)
	if err != nil || unlimited != nil {
		t.Errorf("without a limit: %v, %v", unlimited, err)
	}
	unlimited.Release(t.Context())
	if n := b.client(t).ZCard(t.Context(), tokens.SlotsKey(token.ID())).Val(); n != 1 {
		t.Errorf("%d slots are taken, want 1", n)
	}
}

// testOccupyRacers: over several gates, never more than max at a time, and
// everybody has a turn.
func testOccupyRacers(t *testing.T, b *backend) {
	const most, racers = 4, 100
	var stores []*tokens.Store
	for range 3 {
		stores = append(stores, b.store(t, tokens.Options{BusyWait: 20 * time.Second}))
	}
	token := mint(t, stores[0], 0)
	var running, peak atomic.Int64
	var wg sync.WaitGroup
	for i := range racers {
		wg.Go(func() {
			slot, err := stores[i%len(stores)].Occupy(t.Context(), token.ID(), most)
			if err != nil {
				t.Errorf("racer %d: %v", i, err)
				return
			}
			n := running.Add(1)
			for seen := peak.Load(); n > seen && !peak.CompareAndSwap(seen, n); seen = peak.Load() {
			}
			time.Sleep(time.Millisecond)
			running.Add(-1)
			slot.Release(t.Context())
		})
	}
	wg.Wait()
	if peak.Load() > most || peak.Load() < 2 {
		t.Errorf("%d at a time, want up to %d", peak.Load(), most)
	}
	if n := b.client(t).Exists(t.Context(), tokens.SlotsKey(token.ID())).Val(); n != 0 {
		t.Error("slots are left")
	}
}

func testOccupyWaits(t *testing.T, b *backend) {
	s := b.store(t, tokens.Options{BusyWait: 10 * time.Second})
	token := mint(t, s, 0)
	first, err := s.Occupy(t.Context(), token.ID(), 1)
	if err != nil {
		t.Fatal(err)
	}
	released := make(chan struct{})
	time.AfterFunc(100*time.Millisecond, func() { first.Release(context.Background()); close(released) })
	occupy(t, s, token, 1)
	<-released

	gone, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	begin := time.Now()
	if _, err := s.Occupy(gone, token.ID(), 1); !errors.Is(err, tokens.ErrTooMany) || time.Since(begin) > 5*time.Second {
		t.Errorf("a client that goes away while it waits: %v after %s", err, time.Since(begin))
	}
}

// testOccupyLapses: what a gate that has died held comes back after ten
// seconds, and not before; what is kept stays.
func testOccupyLapses(t *testing.T, b *backend) {
	ctx := t.Context()
	s := b.store(t, tokens.Options{})
	token := mint(t, s, 0)
	dead, kept := tokens.NewNonce(), tokens.NewNonce()
	for _, nonce := range []string{dead, kept} {
		if err := s.SendOccupy(ctx, token.ID(), nonce, 2); err != nil {
			t.Fatal(err)
		}
	}
	b.elapse(6 * time.Second)
	if err := s.SendOccupy(ctx, token.ID(), kept, 0); err != nil {
		t.Fatal(err)
	}
	wantNoSlot(t, s, token, 2)
	b.elapse(5 * time.Second)
	heir := tokens.NewNonce()
	if err := s.SendOccupy(ctx, token.ID(), heir, 2); err != nil {
		t.Errorf("after a slot has lapsed: %v", err)
	}
	wantNoSlot(t, s, token, 2)

	// A gate that was only slow goes on, and counts.
	if err := s.SendOccupy(ctx, token.ID(), dead, 0); err != nil {
		t.Errorf("keeping what has lapsed: %v", err)
	}
	wantNoSlot(t, s, token, 3)
}

// testOccupyReplay: a command that the client or the network repeats takes
// one slot.
func testOccupyReplay(t *testing.T, b *backend) {
	s := b.store(t, tokens.Options{})
	token := mint(t, s, 0)
	nonce := tokens.NewNonce()
	for range 3 {
		if err := s.SendOccupy(t.Context(), token.ID(), nonce, 1); err != nil {
			t.Fatal(err)
		}
	}
	wantNoSlot(t, s, token, 1)
	occupy(t, s, token, 2)
	key := tokens.SlotsKey(token.ID())
	if ttl := b.client(t).PTTL(t.Context(), key).Val(); ttl <= 0 || ttl > 10*time.Second {
		t.Errorf("%q lives for %s", key, ttl)
	}
}
