package leakwatch_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"s3gate/guard/leakwatch"
	"s3gate/internal/s3gatetest"
)

// stores are those that must act alike.
func stores(t *testing.T) map[string]leakwatch.Store {
	return map[string]leakwatch.Store{"memory": memory(t), "redis": &leakwatch.Redis{RDB: newRedis(t)}}
}

func newRedis(t *testing.T) redis.UniversalClient {
	t.Helper()
	rdb := redis.NewClient(&redis.Options{Addr: s3gatetest.Redis(t)})
	t.Cleanup(func() { rdb.Close() })
	return rdb
}

func at(minutes int) time.Time {
	return time.Now().UTC().Truncate(time.Second).Add(time.Duration(minutes-1000) * time.Minute)
}

func TestStoresListTheLatestFirst(t *testing.T) {
	for name, store := range stores(t) {
		for i := range 5 {
			f := leakwatch.Finding{ID: fmt.Sprint("leak_", i), Kind: leakwatch.Presigned, Bucket: fmt.Sprint("b", i%2), First: at(i), Last: at(i), Count: 1}
			if i == 4 {
				f.Kind = leakwatch.Form
			}
			if _, told, err := store.Record(t.Context(), f, "log"); err != nil || told {
				t.Fatal(name, told, err)
			}
		}
		for _, test := range []struct {
			q    leakwatch.Query
			want string
		}{
			{leakwatch.Query{}, "43210"},
			{leakwatch.Query{Limit: 2}, "43"},
			{leakwatch.Query{Bucket: "b1"}, "31"},
			{leakwatch.Query{Kind: leakwatch.Form}, "4"},
			{leakwatch.Query{Since: at(3)}, "43"},
			{leakwatch.Query{Since: at(5)}, ""},
		} {
			all, err := store.Findings(t.Context(), test.q)
			got := ""
			for _, f := range all {
				got += f.ID[5:]
			}
			if err != nil || got != test.want {
				t.Errorf("%s: %+v: %q, %v, want %q", name, test.q, got, err, test.want)
			}
		}
	}
}

func TestStoresMergeParts(t *testing.T) {
	for name, store := range stores(t) {
		f := leakwatch.Finding{ID: "leak_x", Key: "a", First: at(5), Last: at(5), Count: 2}
		earlier, later := f, f
		earlier.First, earlier.Count = at(1), 3
		later.Last, later.Count = at(9), 5
		for _, step := range []struct {
			f    leakwatch.Finding
			part string
			want int64
		}{{f, "1", 2}, {earlier, "2", 5}, {later, "1", 8}, {later, "1", 8}} {
			whole, _, err := store.Record(t.Context(), step.f, step.part)
			if err != nil || whole.Count != step.want {
				t.Errorf("%s: %+v, %v, want %d", name, whole, err, step.want)
			}
		}
		all, _ := store.Findings(t.Context(), leakwatch.Query{})
		if len(all) != 1 || !all[0].First.Equal(at(1)) || !all[0].Last.Equal(at(9)) {
			t.Errorf("%s: %+v", name, all)
		}
	}
}

func TestStoresAreBounded(t *testing.T) {
	rdb := newRedis(t)
	m := memory(t)
	m.Most = 10
	for name, store := range map[string]leakwatch.Store{"memory": m, "redis": &leakwatch.Redis{RDB: rdb, Most: 10}} {
		for i := range 30 {
			f := leakwatch.Finding{ID: fmt.Sprint("leak_", i), First: at(i), Last: at(i), Count: 1}
			if _, _, err := store.Record(t.Context(), f, "log"); err != nil {
				t.Fatal(err)
			}
		}
		all, err := store.Findings(t.Context(), leakwatch.Query{})
		if err != nil || len(all) > 10 || len(all) < 8 || all[0].ID != "leak_29" {
			t.Errorf("%s: %d findings, %v", name, len(all), err)
		}
		for range 300 {
			if err := store.Malformed(t.Context(), "log", []byte("x")); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n := len(m.MalformedLines()); n != 100 {
		t.Errorf("%d malformed lines are kept in memory", n)
	}
	keys, err := rdb.Keys(t.Context(), "*").Result()
	if err != nil || len(keys) != 13 { // ten findings, the index, the order, malformed lines
		t.Errorf("%q, %v", keys, err)
	}
	if n := rdb.LLen(t.Context(), "s3g:{leaks}:malformed").Val(); n != 100 {
		t.Errorf("%d malformed lines are kept in Redis", n)
	}
	for _, key := range keys {
		if ttl := rdb.PTTL(t.Context(), key).Val(); strings.HasPrefix(key, "s3g:{leaks}:f:") && ttl <= 0 {
			t.Errorf("%s does not expire", key)
		}
	}
}

func TestOldFindingsAreForgotten(t *testing.T) {
	store := &leakwatch.Redis{RDB: newRedis(t), MaxAge: 12 * time.Hour}
	for i, minutes := range []int{0, 990} {
		f := leakwatch.Finding{ID: fmt.Sprint("leak_", i), First: at(minutes), Last: at(minutes), Count: 1}
		if _, _, err := store.Record(t.Context(), f, "log"); err != nil {
			t.Fatal(err)
		}
	}
	if all := findings(t, store); len(all) != 1 || all[0].ID != "leak_1" {
		t.Errorf("%+v", all)
	}
}

// refused is a finding that everybody can cause.
func refused(i int) leakwatch.Finding {
	return leakwatch.Finding{ID: fmt.Sprint("leak_refused", i), Kind: leakwatch.Presigned, Outcome: leakwatch.Refused, First: at(i), Last: at(i), Count: 1}
}

// Whoever makes a flood of refused requests drives out nothing but other refused
// ones, and first of all his own.
func TestAFloodHidesNoFindings(t *testing.T) {
	rdb := newRedis(t)
	store := &leakwatch.Redis{RDB: rdb, Most: 10}
	record := func(f leakwatch.Finding) bool {
		t.Helper()
		_, told, err := store.Record(t.Context(), f, "log")
		if err == nil && !told {
			err = store.Told(t.Context(), f.ID, nil)
		}
		if err != nil {
			t.Fatal(err)
		}
		return told
	}
	real := []leakwatch.Finding{
		{ID: "leak_allowed", Kind: leakwatch.Presigned, Outcome: leakwatch.Allowed, Requester: developer},
		{ID: "leak_canary", Kind: leakwatch.Canary, Outcome: leakwatch.Refused},
		{ID: "leak_signed", Kind: leakwatch.Presigned, Outcome: leakwatch.Refused, Requester: developer},
	}
	for _, f := range real {
		f.First, f.Last = at(0), at(0)
		record(f)
	}
	for i := range 50 {
		record(refused(i + 1))
	}
	for _, f := range real {
		f.First, f.Last = at(0), at(0)
		if !record(f) {
			t.Errorf("%s is told again", f.ID)
		}
	}
	all := findings(t, store)
	if len(all) != 10 {
		t.Errorf("%d findings are kept", len(all))
	}
	for _, f := range real {
		if !slices.ContainsFunc(all, func(g leakwatch.Finding) bool { return g.ID == f.ID }) {
			t.Errorf("%s is gone", f.ID)
		}
	}
	for i := range 50 {
		if !record(refused(i + 1)) {
			t.Errorf("what was told and forgotten is told again: %d", i)
		}
	}
	if keys := rdb.Keys(t.Context(), "s3g:{leaks}:f:*").Val(); len(keys) != 10 {
		t.Errorf("%d findings are in Redis", len(keys))
	}
	for i := range 200 {
		record(refused(1000 - i)) // each is forgotten before the next
	}
	if n := rdb.ZCard(t.Context(), "s3g:{leaks}:buried").Val(); n == 0 || n > 100 {
		t.Errorf("%d IDs of findings are kept", n)
	}
}

func TestWhatIsForgottenBeforeItWasToldDoesNotComeBack(t *testing.T) {
	rdb := newRedis(t)
	store := &leakwatch.Redis{RDB: rdb, Most: 1}
	for _, f := range []leakwatch.Finding{refused(1), refused(2)} {
		if _, _, err := store.Record(t.Context(), f, "log"); err != nil {
			t.Fatal(err)
		}
	}
	if err := store.Told(t.Context(), refused(1).ID, nil); err != nil {
		t.Fatal(err)
	}
	if keys := rdb.Keys(t.Context(), "s3g:{leaks}:f:*").Val(); len(keys) != 1 {
		t.Errorf("%q", keys)
	}
	if _, told, err := store.Record(t.Context(), refused(1), "log"); err != nil || !told {
		t.Errorf("it is told again: %v", err)
	}
}

// What is too old to be kept is not told either, and leaves nothing behind.
func TestFindingsThatAreTooOldAreNotTold(t *testing.T) {
	rdb := newRedis(t)
	store := &leakwatch.Redis{RDB: rdb, MaxAge: 12 * time.Hour}
	if _, told, err := store.Record(t.Context(), refused(0), "log"); err != nil || !told {
		t.Errorf("told: %t, %v", told, err)
	}
	young := refused(999)
	if _, told, err := store.Record(t.Context(), young, "log"); err != nil || told {
		t.Errorf("told: %t, %v", told, err)
	}
	// As time goes on, its key goes with its place in the index.
	later := &leakwatch.Redis{RDB: rdb, MaxAge: time.Millisecond}
	next := refused(0)
	next.Last = time.Now().Add(time.Hour)
	if _, _, err := later.Record(t.Context(), next, "log"); err != nil {
		t.Fatal(err)
	}
	if n := rdb.Exists(t.Context(), "s3g:{leaks}:f:"+young.ID).Val(); n != 0 {
		t.Error("what is out of the index is still in Redis")
	}
}

func TestTheFirstStartIsKept(t *testing.T) {
	store := &leakwatch.Redis{RDB: newRedis(t)}
	before := time.Now().Add(-time.Millisecond)
	first, err := store.Begin(t.Context())
	if err != nil || first.Before(before) || first.After(time.Now()) {
		t.Fatalf("%v, %v", first, err)
	}
	for time.Since(first) < 2*time.Millisecond {
	}
	if again, err := store.Begin(t.Context()); err != nil || !again.Equal(first) {
		t.Errorf("%v and then %v, %v", first, again, err)
	}
}

// What failed, or was held back, is tried again later and later, for a day.
func TestWhatIsPendingIsTriedAgain(t *testing.T) {
	store := &leakwatch.Redis{RDB: newRedis(t)}
	start := time.Now().UTC().Truncate(time.Millisecond)
	now, tries, works := start, []float64(nil), false // tries are after so many minutes
	w := &leakwatch.Watch{Store: store, Act: func(_ context.Context, f leakwatch.Finding) []leakwatch.Taken {
		if f.Taken == nil {
			return []leakwatch.Taken{{Action: leakwatch.Lock, Error: "away", Pending: true, At: start}, {Action: leakwatch.RevokeKey, At: start}}
		}
		tries = append(tries, now.Sub(start).Minutes())
		if works {
			f.Taken[0] = leakwatch.Taken{Action: leakwatch.Lock, At: now}
		}
		return f.Taken
	}}
	retries := &leakwatch.Retries{Store: store, Clock: func() time.Time { return now }}
	until := func(d time.Duration) {
		for ; now.Before(start.Add(d)); now = now.Add(time.Minute) {
			if _, err := retries.Once(t.Context(), w); err != nil {
				t.Fatal(err)
			}
		}
	}
	one := request{auth: "QueryString", query: credential, at: start.Format("02/Jan/2006:15:04:05 -0700")}
	read(t, w, "log", lines(one))
	until(5 * time.Hour)
	if want := []float64{2, 4, 8, 16, 32, 64, 124, 184, 244}; !slices.Equal(tries, want) {
		t.Errorf("tried after %v minutes, want %v", tries, want)
	}
	until(72 * time.Hour)
	if n := len(tries); n < 25 || n > 40 || tries[n-1] > 25*60 {
		t.Errorf("tried %d times, at last after %v minutes", n, tries[n-1])
	}

	one.key, tries, works, start = "b", nil, true, now
	one.at = time.Now().UTC().Format("02/Jan/2006:15:04:05 -0700")
	read(t, w, "log2", lines(one))
	until(5 * time.Hour)
	if len(tries) != 1 {
		t.Errorf("what was done is done again: %v", tries)
	}
	if n := store.RDB.ZCard(t.Context(), "s3g:{leaks}:pending").Val(); n != 0 {
		t.Errorf("%d are pending", n)
	}
}

func TestPositionsAndFindingsAreKeptInAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.json")
	m, err := leakwatch.OpenMemory(path)
	if err != nil {
		t.Fatal(err)
	}
	read(t, &leakwatch.Watch{Store: m}, "log", lines(request{auth: "QueryString", query: credential}))
	if err := m.SavePosition(t.Context(), "s3://logs/", "here"); err != nil {
		t.Fatal(err)
	}
	again, err := leakwatch.OpenMemory(path)
	if err != nil {
		t.Fatal(err)
	}
	told := 0
	w := &leakwatch.Watch{Store: again, Act: func(_ context.Context, _ leakwatch.Finding) []leakwatch.Taken { told++; return nil }}
	read(t, w, "log", lines(request{auth: "QueryString", query: credential}))
	at, err := again.Position(t.Context(), "s3://logs/")
	if all := findings(t, again); at != "here" || err != nil || told != 0 || len(all) != 1 || all[0].Count != 1 {
		t.Errorf("%q, %v, told %d times, %+v", at, err, told, all)
	}
	if _, err := leakwatch.OpenMemory(t.TempDir()); err == nil {
		t.Error("a directory is a state")
	}
}

// What a finding remembers of the logs that it stands in is bounded.
func TestPartsAreBoundedInMemory(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.json")
	m, err := leakwatch.OpenMemory(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 1101 {
		// The first comes again, and counts once.
		if _, _, err := m.Record(t.Context(), leakwatch.Finding{ID: "leak_x", First: at(1), Last: at(1), Count: 1}, fmt.Sprint("part ", i%1100)); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.Save(); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(path)
	if n := strings.Count(string(raw), `"part `); n != 1000 || err != nil || findings(t, m)[0].Count != 1100 {
		t.Errorf("%d parts are remembered, %v, %+v", n, err, findings(t, m))
	}
}

// between does something before each page of a list.
type between struct {
	redis.Hook
	do func()
}

func (between) DialHook(next redis.DialHook) redis.DialHook { return next }
func (between) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (b between) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if strings.HasPrefix(cmd.Name(), "z") {
			b.do()
		}
		return next(ctx, cmd)
	}
}

// What is found while a list is read moves nothing in it.
func TestAListHasEachFindingOnce(t *testing.T) {
	rdb := newRedis(t)
	store, n := &leakwatch.Redis{RDB: rdb}, 0
	record := func(minute int) {
		f := leakwatch.Finding{ID: fmt.Sprintf("leak_%05d", n), First: at(minute), Last: at(minute), Count: 1}
		if _, _, err := store.Record(t.Context(), f, "log"); err != nil {
			t.Fatal(err)
		}
		n++
	}
	for i := range 1200 {
		record(i / 700) // 700 of one moment, 500 of another
	}
	listing := redis.NewClient(&redis.Options{Addr: rdb.(*redis.Client).Options().Addr})
	defer listing.Close()
	listing.AddHook(between{do: func() {
		for range 50 {
			record(10)
		}
	}})
	all, err := (&leakwatch.Redis{RDB: listing}).Findings(t.Context(), leakwatch.Query{Limit: 10_000})
	seen := map[string]bool{}
	for _, f := range all {
		if seen[f.ID] {
			t.Fatalf("%s is listed twice", f.ID)
		}
		seen[f.ID] = true
	}
	for i := range 1200 {
		if id := fmt.Sprintf("leak_%05d", i); !seen[id] {
			t.Fatalf("%s is not listed: %d, %v", id, len(all), err)
		}
	}
}
