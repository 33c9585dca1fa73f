package rounds_test

import (
	"context"
	"errors"
	"io"
	"reflect"
	"strings"
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
			got, err := b.Note(ctx, "docs", report, time.Hour)
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

// A claim is short, and what was noted says when the next round is.
func TestNotesSayWhenTheNextRoundIs(t *testing.T) {
	eachBoard(t, func(t *testing.T, b rounds.Board) {
		if _, err := b.Note(t.Context(), "docs", rounds.Finding{Bucket: "docs", State: rounds.Locked}, time.Hour); err != nil || claim(t, b, "docs", time.Hour) {
			t.Errorf("there is another round at once (%v)", err)
		}
	})
	// Time only passes by hand here.
	m := miniredis.RunT(t)
	rdb := redis.NewClient(&redis.Options{Addr: m.Addr()})
	defer rdb.Close()
	b := rounds.NewBoard(rdb)
	claim(t, b, "docs", time.Minute)
	m.FastForward(61 * time.Second)
	if !claim(t, b, "docs", time.Minute) {
		t.Error("a claim of which nothing came stays")
	}
	if _, err := b.Note(t.Context(), "docs", rounds.Finding{Bucket: "docs", State: rounds.Unknown}, 5*time.Minute); err != nil {
		t.Fatal(err)
	}
	m.FastForward(299 * time.Second)
	early := claim(t, b, "docs", time.Hour)
	m.FastForward(2 * time.Second)
	if early || !claim(t, b, "docs", time.Hour) {
		t.Errorf("claimed before the five minutes are over: %v", early)
	}
}

func TestBoardThatIsAway(t *testing.T) {
	rdb := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1", MaxRetries: -1, DialerRetries: 1})
	defer rdb.Close()
	b := rounds.NewBoard(rdb)
	_, claimErr := b.Claim(t.Context(), "docs", time.Hour)
	_, noteErr := b.Note(t.Context(), "docs", rounds.Finding{Bucket: "docs"}, time.Hour)
	_, readErr := b.Read(t.Context(), "docs")
	for _, err := range []error{claimErr, noteErr, readErr} {
		if !errors.Is(err, rounds.ErrBoard) {
			t.Errorf("got %v, want ErrBoard", err)
		}
	}
}

// An answer that is lost is asked for again: what was there before is said by the
// first that comes.
func TestNotesWhoseAnswersAreLost(t *testing.T) {
	m := miniredis.RunT(t)
	rdb := redis.NewClient(&redis.Options{Addr: m.Addr(), MaxRetries: -1})
	defer rdb.Close()
	losing := &loses{left: 2}
	rdb.AddHook(losing)
	b := rounds.NewBoard(rdb)
	for i, want := range []rounds.State{"", rounds.Locked} {
		losing.left = 2
		state := []rounds.State{rounds.Locked, rounds.Unlocked}[i]
		if before, err := b.Note(t.Context(), "docs", rounds.Finding{State: state}, time.Hour); err != nil || before != want {
			t.Errorf("before was %q (%v), want %q", before, err, want)
		}
	}
}

// loses loses the answers to scripts that have run.
type loses struct {
	redis.Hook
	left int
}

func (l *loses) DialHook(next redis.DialHook) redis.DialHook { return next }

func (l *loses) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (l *loses) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		if err == nil && l.left > 0 && strings.HasPrefix(cmd.Name(), "eval") {
			l.left--
			err = io.ErrUnexpectedEOF
			cmd.SetErr(err)
		}
		return err
	}
}
