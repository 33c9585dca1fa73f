package tokens_test

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"s3gate/tokens"
)

// patient returns a store that waits for a busy machine.
func (b *backend) patient(t testing.TB, opts tokens.Options) *tokens.Store {
	t.Helper()
	rdb := redis.NewClient(&redis.Options{
		Addr: b.addr, MaxRetries: -1, PoolSize: 20, ReadTimeout: time.Minute, WriteTimeout: time.Minute, PoolTimeout: time.Minute, DialTimeout: time.Minute,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
	t.Cleanup(func() { rdb.Close() })
	opts.BusyWait = time.Minute
	return newStore(t, rdb, opts)
}

// testRaceForOne: of 200 racers on five gates for the only use of a token one
// gets it, and all the rest are told that it is used (T1). An order of the
// requests in which a single use behaves like that always exists if exactly
// one succeeds and none is refused before the winner has asked, which is so
// because a use that is never handed back is refused only once it is charged.
func testRaceForOne(t *testing.T, b *backend) {
	const racers = 200
	stores := make([]*tokens.Store, 5)
	for i := range stores {
		stores[i] = b.patient(t, tokens.Options{})
	}
	token := mint(t, stores[0], 1)
	var won, used atomic.Int64
	var charged atomic.Bool // set before the charge is sent
	var wg sync.WaitGroup
	for i := range racers {
		wg.Go(func() {
			use, err := stores[i%len(stores)].Redeem(bg, token, tokens.Ask{Operation: tokens.Get})
			switch {
			case errors.Is(err, tokens.ErrUsed):
				used.Add(1)
				if !charged.Load() {
					t.Error("refused before anybody has charged the use")
				}
				return
			case err != nil:
				t.Errorf("racer %d: %v", i, err)
				return
			}
			charged.Store(true)
			if err := use.Pin(bg, object, 0, object.Size); err != nil {
				t.Errorf("racer %d: charging: %v", i, err)
				return
			}
			won.Add(1)
			use.Commit(bg)
			use.End(bg, object.Size)
		})
	}
	wg.Wait()
	if won.Load() != 1 || used.Load() != racers-1 {
		t.Errorf("%d racers won and %d were told that it is used; want 1 and %d", won.Load(), used.Load(), racers-1)
	}
	wantUses(t, stores[0], token, 1, 0)
}

// testRaceForBytes: 240 requests for wholes and parts on four gates share
// seven uses. No use yields more than its budget, no more than seven are
// begun, and what Redis counts is what was given out, to the byte (T7, T8).
func testRaceForBytes(t *testing.T, b *backend) {
	const uses, racers, slack = 7, 240, 30
	stores := make([]*tokens.Store, 4)
	for i := range stores {
		stores[i] = b.patient(t, tokens.Options{}.Sliced(8))
	}
	token := mintOpen(t, stores[0], uses, time.Minute, slack)
	given := map[string]int64{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for i := range racers {
		wg.Go(func() {
			mark, n, err := race(stores[i%len(stores)], token, i)
			if err != nil {
				t.Errorf("racer %d: %v", i, err)
			}
			mu.Lock()
			defer mu.Unlock()
			given[mark] += n
		})
	}
	wg.Wait()
	delete(given, "")
	st, err := stores[0].Show(bg, token.ID())
	if err != nil {
		t.Fatal(err)
	}
	n := int64(len(given))
	if n < 1 || n > uses || st.Uses != n || st.InUse != 0 || len(st.Open) != int(n) {
		t.Errorf("%d uses were begun, %d charged, %d open, %d reserved; want at most %d and none reserved", n, st.Uses, len(st.Open), st.InUse, uses)
	}
	for _, o := range st.Open {
		if n := given[o.Use]; n != o.Bytes || n > object.Size+slack || o.Running != 0 {
			t.Errorf("use %s has given out %d bytes; Redis has %+v", o.Use, n, o)
		}
	}
}

// race is one request: for the whole or a part, of which some leave early and
// some get nothing. It returns the use, and what it has given out of it.
func race(s *tokens.Store, token tokens.Token, i int) (mark string, given int64, err error) {
	from := int64(i*37) % 90
	span := []tokens.Span{whole, {From: from}, {From: from, To: from + 25}, {From: -40}}[i%4]
	use, err := ask(s, token, span)
	if errors.Is(err, tokens.ErrUsed) {
		return "", 0, nil
	}
	if err != nil {
		return "", 0, err
	}
	first, length := place(span, object.Size)
	if err := use.Pin(bg, object, first, length); err != nil {
		use.End(bg, 0)
		if errors.Is(err, tokens.ErrUsed) || errors.Is(err, tokens.ErrInUse) {
			err = nil
		}
		return "", 0, err
	}
	switch i % 10 {
	case 3:
		use.End(bg, 0) // S3 failed after all
		return "", 0, nil
	case 7:
		length = max(1, length/2) // the client leaves
	}
	use.Commit(bg)
	for given < length {
		total := min(given+11, length)
		allowed, err := use.Allow(bg, total)
		if err != nil {
			return "", 0, fmt.Errorf("allowing %d: %w", total, err)
		}
		given = min(total, allowed)
		if given < total {
			break
		}
	}
	use.End(bg, given)
	if given == 0 {
		return "", 0, nil
	}
	return use.Mark(), given, nil
}
