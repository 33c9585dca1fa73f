package leakwatch_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/prometheus/client_golang/prometheus"

	"s3gate/events"
	"s3gate/guard/leakwatch"
	"s3gate/internal/s3gatetest"
	"s3gate/s3client"
)

// logBucket is an empty bucket for logs.
func logBucket(t *testing.T) *s3client.Bucket {
	t.Helper()
	e := s3gatetest.DevS3(t)
	b, err := s3client.Open(t.Context(), s3client.Config{
		Name: "logs", Region: e.Region, Endpoint: e.URL, PathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(e.AccessKey, e.Secret, ""),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	if err := b.Create(t.Context()); err != nil {
		t.Fatal(err)
	}
	return b
}

func deliver(t *testing.T, b *s3client.Bucket, key string, body []byte) {
	t.Helper()
	resp, err := b.Do(t.Context(), &s3client.Request{Method: http.MethodPut, Key: key, Body: io.NopCloser(bytes.NewReader(body)), Size: int64(len(body))})
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("delivering %s: %v, %v", key, resp, err)
	}
	resp.Body.Close()
}

// attempt is a log of one presigned request for a key.
func attempt(key string) []byte {
	text, _ := io.ReadAll(lines(request{}, request{key: key, auth: "QueryString", query: credential}))
	return text
}

func gzipped(text []byte) []byte {
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	z.Write(text)
	z.Close()
	return out.Bytes()
}

// keysFound are the keys that findings name.
func keysFound(t *testing.T, s leakwatch.Store) (keys []string) {
	t.Helper()
	for _, f := range findings(t, s) {
		keys = append(keys, fmt.Sprint(f.Key, f.Count))
	}
	slices.Sort(keys)
	return keys
}

// requests counts what is read of a bucket.
type requests struct {
	leakwatch.Logs
	read []string
	fail string
}

func (r *requests) Do(ctx context.Context, q *s3client.Request) (*http.Response, error) {
	if q.Key != "" {
		if q.Key == r.fail {
			return nil, errors.New("broken")
		}
		r.read = append(r.read, q.Key)
	}
	return r.Logs.Do(ctx, q)
}

func TestLogsOfABucketAreReadOnceAndLateOnesToo(t *testing.T) {
	b := logBucket(t)
	for name, store := range stores(t) {
		t.Run(name, func(t *testing.T) {
			prefix := name + "/vault/"
			counted := &requests{Logs: b}
			once := func(late time.Duration) {
				t.Helper()
				// Each time as another process.
				l := &leakwatch.LogBucket{Logs: counted, Name: "logs", Prefix: prefix, Late: late}
				if _, err := l.Once(t.Context(), &leakwatch.Watch{Store: store}); err != nil {
					t.Fatal(err)
				}
			}
			deliver(t, b, name+"/other", attempt("no"))
			deliver(t, b, prefix+"2026-11-22-10-20-00-B", gzipped(attempt("b")))
			once(time.Hour)
			// One that was delivered late, one that was not.
			deliver(t, b, prefix+"2026-11-22-10-10-00-A", attempt("a"))
			deliver(t, b, prefix+"2026/11/22/C", attempt("c"))
			once(time.Hour)
			once(time.Hour)
			if got := keysFound(t, store); !slices.Equal(got, []string{"a1", "b1", "c1"}) || len(counted.read) != 3 {
				t.Errorf("found %q, read %q", got, counted.read)
			}
			// When nothing can come late any more it looks behind the last only.
			once(time.Nanosecond)
			at, err := store.Position(t.Context(), "s3://logs/"+prefix)
			if err != nil || at != `{"floors":{"":"`+prefix+`2026/11/22/C"},"read":{}}` {
				t.Errorf("%s, %v", at, err)
			}
			deliver(t, b, prefix+"2026-11-22-10-00-00-0", attempt("too late"))
			deliver(t, b, prefix+"2026/11/23/D", attempt("d"))
			once(time.Hour)
			if got := keysFound(t, store); !slices.Equal(got, []string{"a1", "b1", "c1", "d1"}) {
				t.Errorf("found %q", got)
			}
		})
	}
}

func TestALogThatCannotBeReadDoesNotStopTheOthers(t *testing.T) {
	b, store := logBucket(t), memory(t)
	for _, key := range []string{"1", "2", "3"} {
		deliver(t, b, key, attempt("k"+key))
	}
	whole := gzipped(bytes.Repeat(attempt("k4"), 1000))
	deliver(t, b, "4", whole[:len(whole)-9])
	deliver(t, b, "5", []byte("{\"Records\": [{]}"))
	counted := &requests{Logs: b, fail: "2"}
	l := &leakwatch.LogBucket{Logs: counted, Name: "logs", Late: time.Nanosecond}
	w := &leakwatch.Watch{Store: store}
	if _, err := l.Once(t.Context(), w); err == nil || !strings.Contains(err.Error(), "s3://logs/2") {
		t.Errorf("%v", err)
	}
	counted.fail = ""
	for range 2 {
		if _, err := l.Once(t.Context(), w); err != nil {
			t.Error(err)
		}
	}
	if got := keysFound(t, store); len(got) != 4 || !slices.Equal(got[:3], []string{"k11", "k21", "k31"}) || !strings.HasPrefix(got[3], "k4") {
		t.Errorf("found %q", got)
	}
	// What was damaged is not read for ever.
	if slices.Sort(counted.read); !slices.Equal(counted.read, []string{"1", "2", "3", "4", "5"}) {
		t.Errorf("read %q", counted.read)
	}
}

// Under one prefix there may be the logs of several buckets and regions. Each goes on
// by itself, also from the one place that was saved before they were told apart.
func TestEachPrefixBeforeTheDateIsReadOn(t *testing.T) {
	b, store := logBucket(t), memory(t)
	counted := &requests{Logs: b}
	once := func() {
		t.Helper()
		if _, err := (&leakwatch.LogBucket{Logs: counted, Name: "logs", Prefix: "all/", Late: time.Nanosecond}).Once(t.Context(), &leakwatch.Watch{Store: store}); err != nil {
			t.Fatal(err)
		}
	}
	deliver(t, b, "all/b/2026-11-22-10-00-00-A", attempt("b1"))
	if err := store.SavePosition(t.Context(), "s3://logs/all/", `{"floor":"all/b/2026-11-22-10-00-00-A","read":{}}`); err != nil {
		t.Fatal(err)
	}
	deliver(t, b, "all/a/2026-11-22-10-00-00-A", attempt("a1"))
	once()
	deliver(t, b, "all/a/2026-11-22-11-00-00-A", attempt("a2"))
	deliver(t, b, "all/b/2026-11-22-11-00-00-A", attempt("b2"))
	deliver(t, b, "all/1/eu-west-1/vault/2026/11/22/A", attempt("c1"))
	once()
	once()
	if got := keysFound(t, store); !slices.Equal(got, []string{"a11", "a21", "b21", "c11"}) || len(counted.read) != 4 {
		t.Errorf("found %q, read %q", got, counted.read)
	}
}

// A log that can never be read is left out in the end, if others can be.
func TestALogIsGivenUpThatCanNeverBeRead(t *testing.T) {
	b, store, registry := logBucket(t), memory(t), prometheus.NewRegistry()
	w := &leakwatch.Watch{Store: store, Metrics: leakwatch.NewMetrics(registry)}
	counted := &requests{Logs: b, fail: "0"}
	l := &leakwatch.LogBucket{Logs: counted, Name: "logs", Late: time.Nanosecond}
	deliver(t, b, "0", attempt("bad"))
	failures := 0
	look := func() {
		if _, err := l.Once(t.Context(), w); err != nil {
			failures++
		}
	}
	for range 30 { // nothing else comes: it may be the store
		look()
	}
	for i := range 30 {
		deliver(t, b, fmt.Sprint(100+i), nil)
		look()
	}
	if failures != 30+20 {
		t.Errorf("it was tried %d times", failures)
	}
	look()
	if at, err := store.Position(t.Context(), "s3://logs/"); err != nil || at != `{"floors":{"":"129"},"read":{}}` {
		t.Errorf("%s, %v", at, err)
	}
	families, err := registry.Gather()
	given := 0.0
	for _, f := range families {
		if f.GetName() == "s3gate_leak_logs_given_up_total" {
			given = f.GetMetric()[0].GetCounter().GetValue()
		}
	}
	if err != nil || given != 1 {
		t.Errorf("%v were counted, %v", given, err)
	}
}

// away is a store that is gone after a while.
type away struct {
	leakwatch.Store
	gone bool
}

func (a *away) Record(_ context.Context, f leakwatch.Finding, _ string) (leakwatch.Finding, bool, error) {
	a.gone = true
	return f, false, errors.New("away")
}

func (a *away) Position(ctx context.Context, source string) (string, error) {
	if a.gone {
		return "", errors.New("away")
	}
	return a.Store.Position(ctx, source)
}

// What cannot be stored need not be read.
func TestReadingStopsWhileFindingsCannotBeStored(t *testing.T) {
	b := logBucket(t)
	for i := range 5 {
		deliver(t, b, fmt.Sprint(i), attempt("a"))
	}
	counted := &requests{Logs: b}
	if _, err := (&leakwatch.LogBucket{Logs: counted, Name: "logs"}).Once(t.Context(), &leakwatch.Watch{Store: &away{Store: memory(t)}}); err == nil || len(counted.read) != 1 {
		t.Errorf("%v, read %q", err, counted.read)
	}
}

func TestManyLogsArePagedAndTheMemoryOfThemIsBounded(t *testing.T) {
	b, store := logBucket(t), memory(t)
	for i := range 1010 {
		deliver(t, b, fmt.Sprintf("%05d", i), nil)
	}
	deliver(t, b, "99999", attempt("last"))
	l := &leakwatch.LogBucket{Logs: b, Name: "logs", Most: 100}
	if _, err := l.Once(t.Context(), &leakwatch.Watch{Store: store}); err != nil {
		t.Fatal(err)
	}
	at, _ := store.Position(t.Context(), "s3://logs/")
	if got := keysFound(t, store); !slices.Equal(got, []string{"last1"}) || strings.Count(at, ":")-2 > 100 || !strings.Contains(at, `"99999"`) {
		t.Errorf("%q, %s", got, at)
	}
}

// Whoever is killed in the middle has told of what it has read, and the next goes
// on from what was saved; nothing is lost or counted twice.
func TestReadingGoesOnAfterAKill(t *testing.T) {
	b, store := logBucket(t), &leakwatch.Redis{RDB: newRedis(t)}
	var want []string
	for i := range 20 {
		deliver(t, b, fmt.Sprintf("%02d", i), append(attempt(fmt.Sprintf("k%02d", i)), attempt("all")...))
		want = append(want, fmt.Sprintf("k%02d1", i))
	}
	want = append([]string{"all20"}, want...)
	for kills := 0; ; kills++ {
		ctx, kill := context.WithCancel(t.Context())
		var reports atomic.Int64
		w := &leakwatch.Watch{Store: &killing{store, &reports, kill}}
		_, err := (&leakwatch.LogBucket{Logs: b, Name: "logs"}).Once(ctx, w)
		kill()
		if err == nil {
			if kills == 0 {
				t.Error("nobody was killed")
			}
			break
		}
		if kills > 5 {
			// Nothing is saved within two seconds, so each begins at the beginning.
			if _, err := (&leakwatch.LogBucket{Logs: b, Name: "logs"}).Once(t.Context(), &leakwatch.Watch{Store: store}); err != nil {
				t.Fatal(err)
			}
			break
		}
	}
	if got := keysFound(t, store); !slices.Equal(got, want) {
		t.Errorf("found %q\nwant  %q", got, want)
	}
}

// killing ends its process after some findings.
type killing struct {
	leakwatch.Store
	n    *atomic.Int64
	kill context.CancelFunc
}

func (k *killing) Record(ctx context.Context, f leakwatch.Finding, part string) (leakwatch.Finding, bool, error) {
	if k.n.Add(1) > 7 {
		k.kill()
		return f, false, errors.New("killed")
	}
	return k.Store.Record(ctx, f, part)
}

func TestFilesAndDirectories(t *testing.T) {
	dir, store := t.TempDir(), memory(t)
	for name, text := range map[string][]byte{"a.log": attempt("a"), "sub/b.gz": gzipped(attempt("b")), "c.json": []byte(`{"Records":[]}`), "empty": nil} {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, text, 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	w := &leakwatch.Watch{Store: store}
	for range 2 {
		if s, err := w.Files(t.Context(), dir); err != nil || s.Found != 2 || s.Lines != 4 {
			t.Errorf("%+v, %v", s, err)
		}
	}
	if s, err := w.Files(t.Context(), filepath.Join(dir, "a.log")); err != nil || s.Found != 1 {
		t.Errorf("%+v, %v", s, err)
	}
	if got := keysFound(t, store); !slices.Equal(got, []string{"a1", "b1"}) {
		t.Errorf("%q", got)
	}
	if _, err := w.Files(t.Context(), filepath.Join(dir, "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
}

// said is a stream of events.
type said struct{ entries []events.Entry }

func (s *said) add(t *testing.T, minute int, kind events.Type, data any) {
	t.Helper()
	e := events.New(kind, "g", "", data)
	e.Time = at(minute)
	raw, err := (&events.Record{Event: e}).JSON()
	if err != nil {
		t.Fatal(err)
	}
	s.entries = append(s.entries, events.Entry{Position: fmt.Sprintf("%d-%d", e.Time.UnixMilli(), len(s.entries)), Raw: raw, Type: kind})
}

func (s *said) Read(_ context.Context, after string, most int) (events.Page, error) {
	page := events.Page{Next: after}
	from, _, _ := strings.Cut(after, "-")
	for i, e := range s.entries {
		at, _, _ := strings.Cut(e.Position, "-")
		if (len(at) > len(from) || at >= from) && e.Position != after && !slices.ContainsFunc(s.entries[i:], func(o events.Entry) bool { return o.Position == after }) {
			page.Entries, page.Next = append(page.Entries, e), e.Position
		}
	}
	return page, nil
}

func (s *said) use(t *testing.T, minute int, token, client string) {
	t.Helper()
	s.add(t, minute, events.TokenRedeemed, events.Redeemed{Grant: events.Grant{Token: token, Bucket: "v", Key: "a", Subject: "alice"}, Client: client})
}

func TestALinkThatIsUsedFromManyNetworksIsFoundOnce(t *testing.T) {
	var log said
	for i := range 4 {
		log.use(t, i, "tok_shared", fmt.Sprintf("192.0.%d.1", i))
		log.use(t, i, "tok_one", "192.0.2.7")
		log.use(t, 100*i, "tok_slow", fmt.Sprintf("192.0.%d.1", i))
		log.use(t, i, "tok_hidden", "")
	}
	store := memory(t)
	told := 0
	w := &leakwatch.Watch{Store: store, Act: func(_ context.Context, f leakwatch.Finding) []leakwatch.Taken { told++; return nil }}
	source := &leakwatch.GateEvents{Log: &log, Networks: 3}
	for range 2 {
		for n := -1; n != 0; {
			var err error
			if n, err = source.Once(t.Context(), w); err != nil {
				t.Fatal(err)
			}
		}
		source = &leakwatch.GateEvents{Log: &log, Networks: 3} // as another gate
	}
	all := findings(t, store)
	if len(all) != 1 || told != 1 {
		t.Fatalf("told %d times: %+v", told, all)
	}
	f := all[0]
	if f.Kind != leakwatch.Shared || f.Outcome != leakwatch.Allowed || f.Token != "tok_shared" || f.Subject != "alice" || len(f.Networks) != 4 || f.Count != 1 {
		t.Errorf("%+v", f)
	}
}

func TestTheLinksThatAreWatchedAreBounded(t *testing.T) {
	var log said
	for i := range 3 {
		for token := range 5 {
			log.use(t, i, fmt.Sprint("tok_", token), fmt.Sprintf("192.0.%d.1", i))
		}
	}
	for i, want := range map[int]int{2: 0, 5: 5} {
		store := memory(t)
		if _, err := (&leakwatch.GateEvents{Log: &log, Networks: 2, Tokens: i}).Once(t.Context(), &leakwatch.Watch{Store: store}); err != nil {
			t.Fatal(err)
		}
		if got := len(findings(t, store)); got != want {
			t.Errorf("%d links watched: %d found, want %d", i, got, want)
		}
	}
}

func TestTouchedCanariesAreFound(t *testing.T) {
	var log said
	refused := events.Refused{Grant: events.Grant{Token: "tok_canary", Subject: "trap"}, Reason: "NotFound", Status: 404, Client: "192.0.2.1", Count: 1}
	log.add(t, 1, events.TokenRefused, refused)
	refused.Canary = true
	log.add(t, 2, events.TokenRefused, refused)
	refused.Count = 4
	log.add(t, 3, events.TokenRefused, refused)
	store := memory(t)
	if _, err := (&leakwatch.GateEvents{Log: &log}).Once(t.Context(), &leakwatch.Watch{Store: store, Window: 1000 * time.Hour}); err != nil {
		t.Fatal(err)
	}
	all := findings(t, store)
	if len(all) != 1 || all[0].Kind != leakwatch.Canary || all[0].Outcome != leakwatch.Refused || all[0].Token != "tok_canary" || all[0].Count != 5 || all[0].Client != "192.0.2.1" {
		t.Errorf("%+v", all)
	}
}

// One leads at a time, and when it has died another does.
func TestOneGateReads(t *testing.T) {
	rdb := newRedis(t)
	lead := &leakwatch.Lead{RDB: rdb, For: 1500 * time.Millisecond}
	var leading, most atomic.Int64
	seen := make(chan int, 100)
	run := func(ctx context.Context, i int, done chan<- struct{}) {
		defer close(done)
		lead.Run(ctx, func(ctx context.Context) {
			if n := leading.Add(1); n > most.Load() {
				most.Store(n)
			}
			seen <- i
			<-ctx.Done()
			leading.Add(-1)
		})
	}
	first, endFirst := context.WithCancel(t.Context())
	second, endSecond := context.WithCancel(t.Context())
	doneFirst, doneSecond := make(chan struct{}), make(chan struct{})
	go run(first, 1, doneFirst)
	if <-seen != 1 {
		t.Fatal("the first does not lead")
	}
	go run(second, 2, doneSecond)
	// Somebody else takes the lead away: the first notices, and stops.
	if err := rdb.Set(t.Context(), "s3g:{leaks}:leader", "other", 1600*time.Millisecond).Err(); err != nil {
		t.Fatal(err)
	}
	again := <-seen
	if again == 1 {
		endFirst()
		<-doneFirst
		if <-seen != 2 {
			t.Error("the second does not lead")
		}
	}
	endFirst()
	endSecond()
	<-doneFirst
	<-doneSecond
	if most.Load() != 1 || leading.Load() != 0 {
		t.Errorf("%d lead at a time", most.Load())
	}
	if n := rdb.Exists(t.Context(), "s3g:{leaks}:leader").Val(); n != 0 {
		t.Error("the lead was not given up")
	}
}
