package rounds_test

import (
	"errors"
	"reflect"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"s3gate/guard/rounds"
	"s3gate/internal/s3gatetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// eachBoard runs a test on the embedded Redis and on a real one.
func eachBoard(t *testing.T, test func(t *testing.T, b rounds.Board)) {
	for name, start := range map[string]func(t *testing.T) string{
		"miniredis": func(t *testing.T) string { return miniredis.RunT(t).Addr() },
		"redis":     func(t *testing.T) string { return s3gatetest.Redis(t) },
	} {
		t.Run(name, func(t *testing.T) {
			rdb := redis.NewUniversalClient(&redis.UniversalOptions{Addrs: []string{start(t)}})
			t.Cleanup(func() { rdb.Close() })
			test(t, rounds.NewBoard(rdb))
		})
	}
}

func claim(t *testing.T, b rounds.Board, bucket string, life time.Duration) bool {
	t.Helper()
	mine, err := b.Claim(t.Context(), bucket, life)
	if err != nil {
		t.Fatal(err)
	}
	return mine
}

func TestClaims(t *testing.T) {
	eachBoard(t, func(t *testing.T, b rounds.Board) {
		var won atomic.Int64
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				if mine, err := b.Claim(t.Context(), "docs", time.Hour); err != nil {
					t.Error(err)
				} else if mine {
					won.Add(1)
				}
			})
		}
		wg.Wait()
		if won.Load() != 1 {
			t.Errorf("%d gates have won, want 1", won.Load())
		}
		if !claim(t, b, "media", time.Hour) || claim(t, b, "media", time.Hour) {
			t.Error("another bucket has claims of its own")
		}
	})
}

func TestFindings(t *testing.T) {
	eachBoard(t, func(t *testing.T, b rounds.Board) {
		ctx := t.Context()
		f, err := b.Read(ctx, "docs")
		if err != nil || f.State != rounds.Unknown || f.Report != nil || !f.TriedAt.IsZero() {
			t.Errorf("before all: %+v, %v", f, err)
		}
		var before rounds.State
		for _, report := range []rounds.Finding{
			{State: rounds.Locked, Report: &locked}, {State: rounds.Locked, Report: &locked},
			{State: rounds.Unknown, Report: &locked, Error: "no answer from s3"}, {State: rounds.Unlocked, Report: &open},
		} {
			report.Bucket, report.Gate, report.TriedAt = "docs", "gate", time.Now().UTC().Truncate(time.Second)
			got, err := b.Note(ctx, report, 0)
			if err != nil || got != before {
				t.Errorf("before was %q (%v), want %q", got, err, before)
			}
			before = report.State
			if f, err := b.Read(ctx, "docs"); err != nil || !reflect.DeepEqual(f, report) {
				t.Errorf("%+v, %v\nwant %+v", f, err, report)
			}
		}
		if f, err := b.Read(ctx, "media"); err != nil || f.State != rounds.Unknown {
			t.Errorf("of another bucket: %+v, %v", f, err)
		}
	})
}

// A finding can ask for another round before the claim ends, and does not
// otherwise.
func TestNotesBringRoundsForward(t *testing.T) {
	eachBoard(t, func(t *testing.T, b rounds.Board) {
		claim(t, b, "docs", time.Hour)
		if _, err := b.Note(t.Context(), rounds.Finding{Bucket: "docs", State: rounds.Locked}, 0); err != nil || claim(t, b, "docs", time.Hour) {
			t.Errorf("the claim ended (%v)", err)
		}
		if _, err := b.Note(t.Context(), rounds.Finding{Bucket: "docs", State: rounds.Unknown}, time.Hour); err != nil || claim(t, b, "docs", time.Hour) {
			t.Errorf("the claim ended (%v)", err)
		}
	})
	// Time only passes by hand here.
	m := miniredis.RunT(t)
	rdb := redis.NewClient(&redis.Options{Addr: m.Addr()})
	defer rdb.Close()
	b := rounds.NewBoard(rdb)
	claim(t, b, "docs", time.Hour)
	if _, err := b.Note(t.Context(), rounds.Finding{Bucket: "docs", State: rounds.Unknown}, time.Minute); err != nil {
		t.Fatal(err)
	}
	m.FastForward(59 * time.Second)
	early := claim(t, b, "docs", time.Hour)
	m.FastForward(2 * time.Second)
	if early || !claim(t, b, "docs", time.Hour) {
		t.Errorf("claimed before the minute is over: %v", early)
	}
}

func TestBoardThatIsAway(t *testing.T) {
	rdb := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1", MaxRetries: -1, DialerRetries: 1})
	defer rdb.Close()
	b := rounds.NewBoard(rdb)
	_, claimErr := b.Claim(t.Context(), "docs", time.Hour)
	_, noteErr := b.Note(t.Context(), rounds.Finding{Bucket: "docs"}, 0)
	_, readErr := b.Read(t.Context(), "docs")
	for _, err := range []error{claimErr, noteErr, readErr} {
		if !errors.Is(err, rounds.ErrBoard) {
			t.Errorf("got %v, want ErrBoard", err)
		}
	}
}
