package rounds_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"s3gate/guard"
	"s3gate/guard/rounds"
)

// memory is a board in memory, by the clock of the test.
type memory struct {
	mu       sync.Mutex
	claims   map[string]time.Time
	findings map[string]rounds.Finding
	away     bool
}

func newMemory() *memory {
	return &memory{claims: map[string]time.Time{}, findings: map[string]rounds.Finding{}}
}

func (m *memory) err() error {
	if m.away {
		return rounds.ErrBoard
	}
	return nil
}

func (m *memory) Claim(_ context.Context, bucket string, life time.Duration) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.away || time.Now().Before(m.claims[bucket]) {
		return false, m.err()
	}
	m.claims[bucket] = time.Now().Add(life)
	return true, nil
}

func (m *memory) Note(_ context.Context, bucket string, f rounds.Finding, again time.Duration) (rounds.State, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.away {
		return "", m.err()
	}
	before := m.findings[bucket].State
	m.findings[bucket] = f
	m.claims[bucket] = time.Now().Add(again)
	return before, nil
}

func (m *memory) Read(_ context.Context, bucket string) (rounds.Finding, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f, ok := m.findings[bucket]
	if !ok {
		f = rounds.Finding{State: rounds.Unknown}
	}
	return f, m.err()
}

// store is what verifications find.
type store struct {
	mu     sync.Mutex
	report guard.Report
	err    error
	asked  []time.Time
}

func (s *store) set(r guard.Report, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.report, s.err = r, err
}

func (s *store) verify(context.Context) (guard.Report, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, time.Now())
	return s.report, s.err
}

func (s *store) bucket() rounds.Bucket {
	return rounds.Bucket{Alias: "docs", Signing: "header", Verify: s.verify}
}

// at returns when rounds were made.
func (s *store) at() []time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.asked)
}

// told are the changes that were told, over all gates.
type told struct {
	mu   sync.Mutex
	list []string
}

func (t *told) hear(before rounds.State, f rounds.Finding) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.list = append(t.list, fmt.Sprintf("%s>%s", before, f.State))
}

func (t *told) forget() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.list = nil
}

func (t *told) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.Join(t.list, " ")
}

var (
	locked  = guard.Report{Locked: true, Signing: "header"}
	limited = guard.Report{Limited: true, Signing: "query"}
	open    = guard.Report{Checks: []guard.Check{
		{Name: "header-signed GET", Want: "allowed", Got: "allowed (200)", OK: true},
		{Name: "presigned GET", Want: "refused", Got: "allowed (200)", Cause: "the bucket has no policy"},
	}}
	mayNotWrite = guard.Report{Checks: []guard.Check{
		{Name: "header-signed PUT", Want: "allowed", Got: "refused (403 AccessDenied)", Cause: "no permission"},
		{Name: "presigned GET", Want: "refused", Got: "failed (404 NoSuchKey)"},
	}}
	errAway = errors.New("no answer from s3")
)

// inBubble runs gates on one board, under a clock of their own.
func inBubble(t *testing.T, gates int, interval time.Duration, test func(t *testing.T, s *store, b *memory, all []*rounds.Rounds, heard *told)) {
	synctest.Test(t, func(t *testing.T) {
		s, b, heard := &store{report: locked}, newMemory(), &told{}
		ctx, cancel := context.WithCancel(t.Context())
		var all []*rounds.Rounds
		var wg sync.WaitGroup
		for n := range gates {
			r := &rounds.Rounds{Buckets: []rounds.Bucket{s.bucket()}, Board: b, Interval: interval, Gate: fmt.Sprint("gate", n), Told: heard.hear}
			all = append(all, r)
			wg.Go(func() { r.Run(ctx) })
		}
		synctest.Wait()
		test(t, s, b, all, heard)
		cancel()
		wg.Wait()
	})
}

// However many gates there are, one of them makes a round at the start and in
// each interval, and all know what it has found.
func TestGatesShareRounds(t *testing.T) {
	inBubble(t, 5, time.Hour, func(t *testing.T, s *store, _ *memory, all []*rounds.Rounds, heard *told) {
		if len(s.at()) != 1 {
			t.Fatalf("%d rounds at the start, want 1", len(s.at()))
		}
		time.Sleep(20 * time.Second)
		for i, r := range all {
			if unsafe := r.Unsafe(); unsafe != nil {
				t.Errorf("gate %d takes %q for unsafe", i, unsafe)
			}
		}
		time.Sleep(24 * time.Hour)
		if n := len(s.at()); n < 24 || n > 28 {
			t.Errorf("%d rounds in a day, want about one in an hour", n)
		}
		for i, at := range s.at()[1:] {
			if gap := at.Sub(s.at()[i]); gap < 54*time.Minute || gap > 61*time.Minute {
				t.Errorf("%s between two rounds", gap)
			}
		}
		if heard.String() != ">locked" {
			t.Errorf("told %s, want that it is locked, once", heard)
		}
	})
}

// A change is told once, over all gates; what stays is not told again.
func TestChangesAreToldOnce(t *testing.T) {
	inBubble(t, 3, 10*time.Minute, func(t *testing.T, s *store, _ *memory, all []*rounds.Rounds, heard *told) {
		for _, step := range []struct {
			report guard.Report
			err    error
			unsafe bool
			want   string
		}{
			{locked, nil, false, ">locked"},
			{open, nil, true, "locked>unlocked"},
			{open, nil, true, ""},
			{locked, nil, false, "unlocked>locked"},
			// Nobody knows, so what was known counts on.
			{guard.Report{}, errAway, false, "locked>unknown"},
			{mayNotWrite, nil, false, ""},
			{limited, nil, false, "unknown>limited"},
			{open, nil, true, "limited>unlocked"},
			{guard.Report{}, errAway, true, "unlocked>unknown"},
			{open, nil, true, "unknown>unlocked"},
		} {
			heard.forget()
			s.set(step.report, step.err)
			time.Sleep(30 * time.Minute)
			if heard.String() != step.want && (step.want != ">locked" || heard.String() != "") {
				t.Errorf("%+v: told %q, want %q", step, heard, step.want)
			}
			for _, r := range all {
				if got := r.Unsafe() != nil; got != step.unsafe {
					t.Errorf("%+v: unsafe %v", step, got)
				}
			}
		}
	})
}

// A round that came to nothing is made again soon, one with a result is not.
func TestRoundsThatFailAreMadeAgain(t *testing.T) {
	inBubble(t, 2, time.Hour, func(t *testing.T, s *store, b *memory, all []*rounds.Rounds, _ *told) {
		s.set(guard.Report{}, errAway)
		time.Sleep(time.Second)
		f, err := all[0].Verify(t.Context(), "docs")
		if err != nil || f.State != rounds.Unknown || f.Error != "no answer from s3" || f.Report == nil || !f.Report.Locked || f.VerifiedAt.Equal(f.TriedAt) {
			t.Errorf("%+v, %v: want what was known before, and why nothing is known now", f, err)
		}
		before := len(s.at())
		time.Sleep(10 * time.Minute)
		if n := len(s.at()) - before; n < 7 || n > 11 {
			t.Errorf("%d rounds in ten minutes, want about one in a minute", n)
		}
		s.set(locked, nil)
		time.Sleep(2 * time.Minute)
		before = len(s.at())
		time.Sleep(30 * time.Minute)
		if n := len(s.at()) - before; n != 0 {
			t.Errorf("%d rounds after one with a result", n)
		}
		if f, _ := b.Read(t.Context(), "docs"); f.State != rounds.Locked || f.Error != "" {
			t.Errorf("%+v", f)
		}
	})
}

// Without Redis there are no rounds, and what is known counts for two intervals.
func TestWithoutABoard(t *testing.T) {
	inBubble(t, 1, 10*time.Minute, func(t *testing.T, s *store, b *memory, all []*rounds.Rounds, heard *told) {
		b.mu.Lock()
		b.away = true
		b.mu.Unlock()
		s.set(open, nil)
		time.Sleep(19 * time.Minute)
		if len(s.at()) != 1 || all[0].Unsafe() != nil || heard.String() != ">locked" {
			t.Errorf("%d rounds, unsafe %q, told %s", len(s.at()), all[0].Unsafe(), heard)
		}
		time.Sleep(2 * time.Minute)
		if !slices.Equal(all[0].Unsafe(), []string{"docs"}) {
			t.Errorf("after two intervals unsafe are %q", all[0].Unsafe())
		}
		if _, err := all[0].Verify(t.Context(), "docs"); !errors.Is(err, rounds.ErrBoard) {
			t.Errorf("verify: %v, want ErrBoard", err)
		}
		if _, err := all[0].Verify(t.Context(), "other"); !errors.Is(err, rounds.ErrBucket) {
			t.Errorf("verify: %v, want ErrBucket", err)
		}
	})
}

// A gate that ends in the middle of a round says nothing of the bucket.
func TestARoundThatIsCutShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		board, heard := newMemory(), &told{}
		r := &rounds.Rounds{
			Buckets: []rounds.Bucket{{Alias: "docs", Verify: func(ctx context.Context) (guard.Report, error) {
				cancel()
				return guard.Report{}, ctx.Err()
			}}},
			Board: board, Interval: time.Hour, Told: heard.hear,
		}
		r.Run(ctx)
		if len(board.findings) != 0 || heard.String() != "" || !slices.Equal(r.Unsafe(), []string{"docs"}) {
			t.Errorf("found %+v, told %s, unsafe %q", board.findings, heard, r.Unsafe())
		}
	})
}

// A gate that ends in a round, or dies in one, leaves it to the others, who do
// not wait an interval for it.
func TestARoundThatIsCutShortIsMadeByOthers(t *testing.T) {
	inBubble(t, 1, time.Hour, func(t *testing.T, s *store, b *memory, all []*rounds.Rounds, _ *told) {
		dying, cancel := context.WithCancel(t.Context())
		gate := func(verify func(ctx context.Context) (guard.Report, error)) *rounds.Rounds {
			return &rounds.Rounds{Buckets: []rounds.Bucket{{Alias: "media", Verify: verify}}, Board: b, Interval: time.Hour}
		}
		gate(func(context.Context) (guard.Report, error) { cancel(); return guard.Report{}, dying.Err() }).Run(dying)
		ctx, stop := context.WithCancel(t.Context())
		second := gate(s.verify)
		var wg sync.WaitGroup
		wg.Go(func() { second.Run(ctx) })
		time.Sleep(2 * time.Minute)
		if second.Unsafe() != nil {
			t.Errorf("two minutes later unsafe are %q", second.Unsafe())
		}
		stop()
		wg.Wait()
	})
}

// What was found of one bucket is not said of another that has its alias now.
func TestFindingsOfAnotherBucketUnderTheAlias(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		board, s := newMemory(), &store{report: locked}
		gate := func(key string) *rounds.Rounds {
			return &rounds.Rounds{Buckets: []rounds.Bucket{{Alias: "docs", Key: key, Verify: s.verify}}, Board: board, Interval: time.Hour}
		}
		if _, err := gate("docs.1").Verify(t.Context(), "docs"); err != nil {
			t.Fatal(err)
		}
		moved := gate("docs.2")
		if f, err := moved.Finding(t.Context(), "docs"); err != nil || f.State != rounds.Unknown || f.Bucket != "docs" {
			t.Errorf("%+v, %v", f, err)
		}
		s.set(open, nil)
		ctx, stop := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { moved.Run(ctx) })
		synctest.Wait()
		if f, err := moved.Finding(t.Context(), "docs"); err != nil || f.State != rounds.Unlocked || moved.Unsafe() == nil {
			t.Errorf("%+v, %v", f, err)
		}
		stop()
		wg.Wait()
	})
}

// What got through counts, also if a later request got no answer.
func TestAnOpenBucketWhoseRoundBreaksOff(t *testing.T) {
	s := &store{report: open, err: errAway}
	r := &rounds.Rounds{Buckets: []rounds.Bucket{s.bucket()}, Board: newMemory(), Interval: time.Hour}
	f, err := r.Verify(t.Context(), "docs")
	if err != nil || f.State != rounds.Unlocked || f.Error != "" || f.Report == nil {
		t.Errorf("%+v, %v", f, err)
	}
}

// A gate that is to end when it has noted something still tells it.
func TestAGateThatEndsWhileItNotes(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	heard := &told{}
	s := &store{report: locked}
	r := &rounds.Rounds{Buckets: []rounds.Bucket{s.bucket()}, Board: ending{newMemory(), cancel}, Interval: time.Hour, Told: heard.hear}
	if _, err := r.Verify(ctx, "docs"); err != nil || heard.String() != ">locked" {
		t.Errorf("told %q, %v", heard, err)
	}
}

// ending is a board whose gate ends before it can note anything.
type ending struct {
	*memory
	end func()
}

func (e ending) Note(ctx context.Context, of string, f rounds.Finding, again time.Duration) (rounds.State, error) {
	e.end()
	if ctx.Err() != nil {
		return "", rounds.ErrBoard
	}
	return e.memory.Note(ctx, of, f, again)
}

// A store that hangs does not keep a round for ever.
func TestAStoreThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &rounds.Rounds{
			Buckets: []rounds.Bucket{{Alias: "docs", Verify: func(ctx context.Context) (guard.Report, error) {
				<-ctx.Done()
				return guard.Report{}, ctx.Err()
			}}},
			Board: newMemory(), Interval: time.Hour,
		}
		begin := time.Now()
		if f, err := r.Verify(t.Context(), "docs"); err != nil || f.State != rounds.Unknown || time.Since(begin) > time.Minute {
			t.Errorf("after %s: %+v, %v", time.Since(begin), f, err)
		}
	})
}

func TestMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reg := prometheus.NewRegistry()
		s := &store{}
		r := &rounds.Rounds{Buckets: []rounds.Bucket{s.bucket()}, Board: newMemory(), Interval: time.Hour, Metrics: rounds.NewMetrics(reg, "docs")}
		at := time.Now().Unix()
		for _, step := range []struct {
			report guard.Report
			err    error
			want   string
		}{
			{guard.Report{}, errAway, "errors 1"},
			{locked, nil, fmt.Sprintf("locked 1 limited 0 at %d errors 1", at)},
			{guard.Report{}, errAway, fmt.Sprintf("locked 1 limited 0 at %d errors 2", at)},
			{open, nil, fmt.Sprintf("locked 0 limited 0 at %d errors 2", at)},
			{limited, nil, fmt.Sprintf("locked 0 limited 1 at %d errors 2", at)},
		} {
			s.set(step.report, step.err)
			if _, err := r.Verify(t.Context(), "docs"); err != nil {
				t.Fatal(err)
			}
			if got := shown(t, reg); got != step.want {
				t.Errorf("%+v: %s, want %s", step.report, got, step.want)
			}
		}
		// Nothing is shown of which nothing was heard for long.
		r.Board.(*memory).away = true
		ctx, stop := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { r.Run(ctx) })
		time.Sleep(2*time.Hour + time.Minute)
		stop()
		wg.Wait()
		if got := shown(t, reg); !strings.HasPrefix(got, fmt.Sprintf("at %d errors", at)) {
			t.Errorf("after two intervals without Redis: %s", got)
		}
	})
}

// shown are the metrics of the bucket in a line.
func shown(t *testing.T, reg *prometheus.Registry) string {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]string{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if m.GetLabel()[0].GetValue() == "docs" {
				values[f.GetName()] = fmt.Sprintf("%.0f", m.GetGauge().GetValue()+m.GetCounter().GetValue())
			}
		}
	}
	var words []string
	for _, name := range []string{"s3gate_bucket_locked", "s3gate_bucket_limited", "s3gate_bucket_verified_timestamp_seconds", "s3gate_bucket_verify_errors_total"} {
		if v, ok := values[name]; ok {
			word := map[string]string{"s3gate_bucket_locked": "locked", "s3gate_bucket_limited": "limited", "s3gate_bucket_verified_timestamp_seconds": "at", "s3gate_bucket_verify_errors_total": "errors"}[name]
			words = append(words, word+" "+v)
		}
	}
	return strings.Join(words, " ")
}

// What a round that proves nothing says is why.
func TestErrorsOfAFinding(t *testing.T) {
	s := &store{report: mayNotWrite}
	r := &rounds.Rounds{Buckets: []rounds.Bucket{s.bucket()}, Board: newMemory(), Interval: time.Hour}
	f, err := r.Verify(t.Context(), "docs")
	want := rounds.Finding{
		Bucket: "docs", Signing: "header", Watched: true, State: rounds.Unknown, TriedAt: f.TriedAt,
		Error: "header-signed PUT: refused (403 AccessDenied): no permission; presigned GET: failed (404 NoSuchKey)",
	}
	if err != nil || !reflect.DeepEqual(f, want) {
		t.Errorf("%+v, %v\nwant %+v", f, err, want)
	}
}

// A bucket that is not to be verified is not, and nothing is said of it.
func TestBucketsThatAreNotVerified(t *testing.T) {
	r := &rounds.Rounds{Buckets: []rounds.Bucket{{Alias: "media", Signing: "query"}}, Board: newMemory(), Interval: time.Hour}
	r.Run(t.Context()) // returns, there is nothing to do
	if r.Unsafe() != nil {
		t.Errorf("unsafe: %q", r.Unsafe())
	}
	if f, err := r.Finding(t.Context(), "media"); err != nil || f.Watched || f.Signing != "query" || f.State != rounds.Unknown {
		t.Errorf("%+v, %v", f, err)
	}
	if _, err := r.Verify(t.Context(), "media"); !errors.Is(err, rounds.ErrBucket) {
		t.Errorf("got %v, want ErrBucket", err)
	}
}
