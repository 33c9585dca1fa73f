package tokens_test

import (
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"s3gate/tokens"
)

func redisZ(score float64, member string) redis.Z { return redis.Z{Score: score, Member: member} }

// reports collects what stores report.
type reports struct {
	mu  sync.Mutex
	all []tokens.Receipt
}

func (r *reports) add(receipt tokens.Receipt) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, receipt)
}

func (r *reports) list() []tokens.Receipt {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.all)
}

// idle are options of a store that reports to r, when it is told to.
func (r *reports) idle() tokens.Options {
	return tokens.Options{Ended: r.add}.Hasty(time.Hour, time.Hour).Sliced(8)
}

// testReceipts: a use that may be resumed has one receipt when its window has
// closed, for all its requests.
func testReceipts(t *testing.T, b *backend) {
	ctx := t.Context()
	var told reports
	s := b.store(t, told.idle())
	grant := tokens.Grant{MaxUses: 3, ResumeWindow: tokens.Duration(time.Minute), ResumeSlack: 50, Subject: "alice"}
	token, grant := mintGrant(t, s, grant, time.Hour)

	// Ranges that overlap, touch and come out of order, one that gave nothing,
	// and one whose gate has died.
	for _, test := range []struct {
		name    string
		spans   []tokens.Span
		die     bool
		outcome tokens.Outcome
		bytes   int64
		ranges  [][2]int64
	}{
		{"complete", []tokens.Span{{From: 70}, {To: 40}, {From: 40, To: 80}}, false, tokens.Complete, 110, [][2]int64{{0, 100}}},
		{"aborted", []tokens.Span{{From: -10}, {From: 5, To: 9}, {To: 5}}, false, tokens.Aborted, 19, [][2]int64{{0, 9}, {90, 100}}},
		// All of it was given out, by others than the one that died.
		{"died", []tokens.Span{{To: 100}}, true, tokens.Complete, 108, [][2]int64{{0, 100}}},
	} {
		use := start(t, s, token, object, whole)
		for _, span := range test.spans {
			next := start(t, s, token, object, span)
			if next.Mark() != use.Mark() {
				t.Fatalf("%s: goes on with another use", test.name)
			}
			_, length := place(span, object.Size)
			give(t, next, length)
		}
		if test.die {
			backdate(t, b, token, use, 26*time.Hour)
		} else {
			use.End(ctx, 0)
		}
		report(t, b, s, expire(t, b, token, use))
		all := told.list()
		got := all[len(all)-1]
		if got.Outcome != test.outcome || got.Bytes != test.bytes || !reflect.DeepEqual(got.Ranges, test.ranges) ||
			got.Requests != int64(1+len(test.spans)) || got.Use != use.Mark() {
			t.Errorf("%s: %+v", test.name, got)
		}
		if got.Token != grant.ID || got.Key != grant.Key || got.Bucket != grant.Bucket || got.Subject != "alice" || got.Operation != tokens.Get ||
			got.Size != 100 || got.ETag != object.ETag || got.VersionID != "v1" || got.Request != "req" || got.Client != "192.0.2.1" {
			t.Errorf("%s: %+v, want all that is known", test.name, got)
		}
		if got.Ended.Before(got.Began) || got.DurationMS != got.Ended.Sub(got.Began).Milliseconds() {
			t.Errorf("%s: began %s, ended %s, %d ms", test.name, got.Began, got.Ended, got.DurationMS)
		}
		st, err := s.Show(ctx, token.ID())
		if err != nil || st.Unreported != 0 || len(st.Open) != 0 || !slices.ContainsFunc(st.Receipts, func(r tokens.Receipt) bool { return reflect.DeepEqual(r, got) }) {
			t.Errorf("%s: shown %+v, %v; want %+v in it", test.name, st, err, got)
		}
	}
	if n := s.Sweep(ctx); n != 0 || len(told.list()) != 3 {
		t.Errorf("%d more reported, %d in all; want 3", n, len(told.list()))
	}
}

// testStrictReceipts: a use that cannot be resumed is reported when its
// request ends. The last ones are kept, and those that never came counted.
func testStrictReceipts(t *testing.T, b *backend) {
	ctx := t.Context()
	s := b.store(t, tokens.Options{Receipts: 3})
	token := mint(t, s, 9)
	for i := range int64(5) {
		use := redeem(t, s, token)
		if err := use.Pin(ctx, object, 0, object.Size); err != nil {
			t.Fatal(err)
		}
		use.Commit(ctx)
		given := 100 - i%2
		r, ended := use.End(ctx, given)
		outcome := tokens.Complete
		if given < 100 {
			outcome = tokens.Aborted
		}
		if !ended || r.Bytes != given || r.Outcome != outcome || !reflect.DeepEqual(r.Ranges, [][2]int64{{0, given}}) || r.Requests != 1 {
			t.Errorf("%+v, %v", r, ended)
		}
		if again, ended := use.End(ctx, given); ended {
			t.Errorf("ended twice: %+v", again)
		}
		// Receipts are in the order of their ends. An embedded Redis has a time
		// of its own, to which the duration of a use is added.
		b.elapse(50 * time.Millisecond)
	}
	free := redeem(t, s, token)
	if r, ended := free.End(ctx, 0); ended || r.Use != "" {
		t.Errorf("a use that was handed back is reported: %+v", r)
	}
	running := redeem(t, s, token)
	if err := running.Charge(ctx); err != nil {
		t.Fatal(err)
	}
	st, err := s.Show(ctx, token.ID())
	if err != nil || len(st.Receipts) != 3 || st.Unreported != 1 || st.Receipts[0].Outcome != tokens.Complete {
		t.Errorf("shown %d receipts, %d unreported, %v; want 3 and 1", len(st.Receipts), st.Unreported, err)
	}
	running.Commit(ctx)
	running.End(ctx, 1)
	if st, err = s.Show(ctx, token.ID()); err != nil || st.Unreported != 0 || st.Receipts[0].Bytes != 1 {
		t.Errorf("afterwards: %+v, %v", st, err)
	}
	unlimited := redeem(t, s, mint(t, s, 0))
	unlimited.Commit(ctx)
	if r, ended := unlimited.End(ctx, 7); !ended || r.Bytes != 7 {
		t.Errorf("without limit: %+v, %v", r, ended)
	}
}

// testSweepOnce: of many uses that close, each is reported once by the stores
// that look at the same time.
func testSweepOnce(t *testing.T, b *backend) {
	const uses = 250 // more than are taken at a time
	var told reports
	token := mintOpen(t, b.store(t, tokens.Options{}), uses, time.Hour, 0)
	stores := []*tokens.Store{b.store(t, told.idle()), b.store(t, told.idle()), b.store(t, told.idle())}
	rdb := b.client(t)
	for range uses {
		give(t, start(t, stores[0], token, object, whole), 100)
	}
	open, _, _ := tokens.OpenKeys(token.ID(), "")
	for _, key := range []string{open, "s3g:open"} {
		for _, member := range rdb.ZRange(bg, key, 0, -1).Val() {
			rdb.ZAdd(bg, key, redisZ(1, member))
		}
	}
	var wg sync.WaitGroup
	for _, s := range append(stores, stores...) {
		wg.Go(func() { s.Sweep(bg) })
	}
	wg.Wait()
	marks := map[string]int{}
	for _, r := range told.list() {
		marks[r.Use]++
	}
	if len(told.list()) != uses || len(marks) != uses {
		t.Errorf("%d reports of %d uses, want %d", len(told.list()), len(marks), uses)
	}
	st, err := stores[0].Show(bg, token.ID())
	if err != nil || st.Unreported != 0 || len(st.Receipts) != 100 {
		t.Errorf("%d receipts, %d unreported, %v; want 100 and none", len(st.Receipts), st.Unreported, err)
	}
}

// testSweepAfterDeath: what a store has taken to report, and then died, is
// reported by another after a while.
func testSweepAfterDeath(t *testing.T, b *backend) {
	dead := b.store(t, tokens.Options{Ended: func(tokens.Receipt) {}}.Hasty(time.Hour, 300*time.Millisecond))
	token := mintOpen(t, dead, 1, time.Second, 0)
	use := start(t, dead, token, object, whole)
	give(t, use, 100)
	expire(t, b, token, use)
	rdb := b.client(t)
	member := rdb.ZRange(bg, "s3g:open", 0, -1).Val()[0]
	if !strings.HasSuffix(member, use.Nonce()) {
		t.Fatalf("the index has %q", member)
	}
	rdb.ZAdd(bg, "s3g:open", redisZ(1, member))
	if n := len(dead.Due(bg)); n != 1 { // and here it dies
		t.Fatalf("%d uses are due, want 1", n)
	}
	var told reports
	s := b.store(t, tokens.Options{Ended: told.add}.Hasty(20*time.Millisecond, 300*time.Millisecond))
	if n := s.Sweep(bg); n != 0 || len(told.list()) != 0 {
		t.Errorf("%d reported while another is at it", n)
	}
	b.elapse(310 * time.Millisecond)
	eventually(t, "another reports it, by itself", func() bool { return len(told.list()) == 1 })
	b.elapse(310 * time.Millisecond)
	time.Sleep(100 * time.Millisecond)
	if all := told.list(); len(all) != 1 || all[0].Use != use.Mark() || all[0].Bytes != 100 {
		t.Errorf("reported %+v, want once", all)
	}
}

// testSweepTwice: of two stores that report the same use, because one was slow,
// the receipt of the first is kept, whatever the other says.
func testSweepTwice(t *testing.T, b *backend) {
	s := b.store(t, tokens.Options{})
	token := mintOpen(t, s, 2, time.Minute, 0)
	use := start(t, s, token, object, whole)
	give(t, use, 50)
	for i := range 3 {
		receipt := `{"use":"` + use.Mark() + `","bytes":` + string(rune('1'+i)) + `}`
		if err := s.SendReceipt(bg, token.ID(), use.Nonce(), time.UnixMilli(int64(1+i)), receipt); err != nil {
			t.Fatal(err)
		}
	}
	st, err := s.Show(bg, token.ID())
	if err != nil || len(st.Receipts) != 1 || st.Receipts[0].Bytes != 1 || st.Unreported != 0 || st.Uses != 1 {
		t.Errorf("shown %+v, %v; want the first receipt", st, err)
	}
	// A second use, that runs, is not taken for reported.
	start(t, s, token, tokens.Object{ETag: `"empty"`}, whole).Keep()
	if st, err = s.Show(bg, token.ID()); err != nil || st.Unreported != 1 {
		t.Errorf("%d unreported, %v; want 1", st.Unreported, err)
	}
}

// testSweepSlowPin: a use is announced before it is charged; a sweep that
// comes in between does not lose it.
func testSweepSlowPin(t *testing.T, b *backend) {
	ctx := t.Context()
	var told reports
	s := b.store(t, told.idle())
	token := mintOpen(t, s, 1, time.Second, 0)
	use, err := ask(s, token, whole)
	if err != nil {
		t.Fatal(err)
	}
	if err := use.Watch(ctx); err != nil {
		t.Fatal(err)
	}
	rdb := b.client(t)
	member := rdb.ZRange(ctx, "s3g:open", 0, -1).Val()[0]
	rdb.ZAdd(ctx, "s3g:open", redisZ(1, member))
	if n := s.Sweep(ctx); n != 0 {
		t.Errorf("%d reported before it was charged", n)
	}
	if _, err := s.SendPin(ctx, token.ID(), use.Nonce(), use.Nonce(), object, 100); err != nil {
		t.Fatal(err)
	}
	if err := s.SendEnd(ctx, token.ID(), use.Nonce(), use.Nonce(), 0, 8, true); err != nil {
		t.Fatal(err)
	}
	report(t, b, s, expire(t, b, token, use))

	// One that was handed back is forgotten.
	token = mintOpen(t, s, 1, time.Second, 0)
	use = start(t, s, token, object, whole)
	use.End(ctx, 0)
	member = rdb.ZRange(ctx, "s3g:open", 0, -1).Val()[0]
	rdb.ZAdd(ctx, "s3g:open", redisZ(1, member), redisZ(1, "short"))
	if n := s.Sweep(ctx); n != 0 || rdb.ZCard(ctx, "s3g:open").Val() != 0 {
		t.Errorf("%d reported, and the index still has %q", n, rdb.ZRange(ctx, "s3g:open", 0, -1).Val())
	}
	if len(told.list()) != 1 {
		t.Errorf("reported %+v, want one", told.list())
	}
}

// testSweepDeadGate: while a request runs its use is not reported, but for a
// day at most, since its gate may have died (T6).
func testSweepDeadGate(t *testing.T, b *backend) {
	var told reports
	s := b.store(t, told.idle())
	token := mintOpen(t, s, 1, time.Minute, 0)
	use := start(t, s, token, object, whole)
	expire(t, b, token, use)
	rdb := b.client(t)
	due := func() {
		for _, member := range rdb.ZRange(bg, "s3g:open", 0, -1).Val() {
			rdb.ZAdd(bg, "s3g:open", redisZ(1, member))
		}
	}
	for _, step := range []struct {
		age  time.Duration
		want int
	}{{0, 0}, {25*time.Hour - 10*time.Second, 0}, {20 * time.Second, 1}, {0, 0}} {
		due()
		if step.age > 0 {
			backdate(t, b, token, use, step.age)
		}
		if n := s.Sweep(bg); n != step.want {
			t.Errorf("after %s more: %d reported, want %d", step.age, n, step.want)
		}
	}
	// What was reserved for it is counted as given out.
	all := told.list()
	if len(all) != 1 || all[0].Bytes != 8 || all[0].Outcome != tokens.Aborted || all[0].Ranges != nil {
		t.Errorf("reported %+v", all)
	}
	_, err := use.Allow(bg, 50)
	wantError(t, "if its gate lives after all", err, tokens.ErrUsed)
	wantUses(t, s, token, 1, 0)
}
