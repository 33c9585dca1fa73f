package uploads_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/redis/go-redis/v9"

	"s3gate/internal/s3gatetest"
	"s3gate/s3client"
	"s3gate/tokens"
	"s3gate/uploads"
)

// world is a bucket, a Redis whose time the test tells, and a gate that sweeps.
type world struct {
	t       *testing.T
	bucket  *hooked
	rdb     *redis.Client
	elapse  func(time.Duration)
	store   *tokens.Store
	journal *uploads.Journal
	sweeper *uploads.Sweeper

	mu    sync.Mutex
	ended []tokens.Receipt
}

// hooked is a bucket whose answers the test may replace or lose.
type hooked struct {
	*s3client.Bucket
	hook func(r *s3client.Request, send func() (*http.Response, error)) (*http.Response, error)
}

func (h *hooked) Do(ctx context.Context, r *s3client.Request) (*http.Response, error) {
	send := func() (*http.Response, error) { return h.Bucket.Do(ctx, r) }
	if h.hook != nil {
		return h.hook(r, send)
	}
	return send()
}

var errLost = errors.New("answer lost")

func newWorld(t *testing.T) *world {
	t.Helper()
	s3 := s3gatetest.DevS3(t)
	b, err := s3client.Open(t.Context(), s3client.Config{
		Name: "sweep-test", Region: s3.Region, Endpoint: s3.URL, PathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(s3.AccessKey, s3.Secret, ""),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	if err := b.Create(t.Context()); err != nil {
		t.Fatal(err)
	}
	m := miniredis.RunT(t)
	now := time.Now()
	m.SetTime(now)
	w := &world{t: t, bucket: &hooked{Bucket: b}, rdb: connect(t, m.Addr())}
	w.elapse = func(d time.Duration) { now = now.Add(d); m.SetTime(now) }
	w.store = tokens.New(w.rdb, tokens.Options{})
	t.Cleanup(func() { w.store.Close(context.Background()) })
	w.journal = uploads.New(w.rdb, uploads.Options{})
	w.sweeper = w.newSweeper()
	return w
}

func (w *world) newSweeper() *uploads.Sweeper {
	return &uploads.Sweeper{
		Journal: w.journal, Buckets: map[string]uploads.Upstream{"docs": w.bucket}, Recover: w.store.Recover,
		TempPrefix: ".tmp/", Retry: uploads.Retry{Tries: 2, Backoff: time.Millisecond},
		Ended: func(r tokens.Receipt) { w.mu.Lock(); w.ended = append(w.ended, r); w.mu.Unlock() },
	}
}

// lostUpload is an upload whose gate dies.
type lostUpload struct {
	*uploads.Held
	token tokens.Token
	use   *tokens.Use
}

const key = "in/file"

func (w *world) begin(resumable bool) *lostUpload {
	w.t.Helper()
	ctx := w.t.Context()
	box := tokens.Grant{Operation: tokens.Put, Bucket: "docs", Prefix: "in/", Upload: tokens.Upload{KeyTemplate: "in/{filename}"}, MaxUses: 1}
	token, _, err := w.store.Mint(ctx, box, time.Hour)
	if err != nil {
		w.t.Fatal(err)
	}
	use, err := w.store.Redeem(ctx, token, tokens.Ask{Operation: tokens.Put})
	if err != nil {
		w.t.Fatal(err)
	}
	if err := use.Stay(ctx); err != nil {
		w.t.Fatal(err)
	}
	use.Keep()
	h, err := w.journal.Begin(ctx, uploads.Entry{
		Token: token.ID(), Attempt: use.Attempt(), Bucket: "docs", Key: key, Size: 3,
	}, resumable)
	if err != nil {
		w.t.Fatal(err)
	}
	return &lostUpload{h, token, use}
}

func (w *world) must(r *s3client.Request) *http.Response {
	w.t.Helper()
	resp, err := w.bucket.Bucket.Do(w.t.Context(), r)
	if err != nil || resp.StatusCode > 299 {
		w.t.Fatal(resp, err)
	}
	w.t.Cleanup(func() { resp.Body.Close() })
	return resp
}

func (w *world) put(key, mark string) {
	w.t.Helper()
	w.must(&s3client.Request{
		Method: "PUT", Key: key, Header: http.Header{uploads.UseMark: {mark}}, Body: io.NopCloser(strings.NewReader("abc")), Size: 3,
	})
}

// create begins a multipart upload for the object of an upload.
func (w *world) create(u *lostUpload) *s3client.Upload {
	w.t.Helper()
	id, err := s3client.ReadUploadID(w.must(s3client.NewUploadRequest(key, http.Header{uploads.UseMark: {u.use.Mark()}}, "")))
	if err != nil {
		w.t.Fatal(err)
	}
	return &s3client.Upload{Key: key, ID: id}
}

func (w *world) part(u *s3client.Upload) []s3client.Part {
	w.t.Helper()
	etag, err := s3client.ReadPart(w.must(u.PartRequest(1, io.NopCloser(bytes.NewReader([]byte("abc"))), 3)))
	if err != nil {
		w.t.Fatal(err)
	}
	return []s3client.Part{{Number: 1, ETag: etag}}
}

// multipart is what a gate does up to the last word.
func (w *world) multipart(u *lostUpload) (*s3client.Upload, []s3client.Part) {
	w.t.Helper()
	ctx := w.t.Context()
	up := w.create(u)
	if err := errors.Join(u.Creating(ctx), u.Created(ctx, up.ID)); err != nil {
		w.t.Fatal(err)
	}
	return up, w.part(up)
}

func (w *world) completing(u *lostUpload, parts []s3client.Part) {
	w.t.Helper()
	if err := u.Completing(w.t.Context(), parts); err != nil {
		w.t.Fatal(err)
	}
}

// uploads are the multipart uploads that are neither completed nor aborted.
func (w *world) uploads() []string {
	w.t.Helper()
	found, err := s3client.ReadUploads(w.must(s3client.NewListUploadsRequest("", "")))
	if err != nil {
		w.t.Fatal(err)
	}
	var ids []string
	for _, u := range found {
		ids = append(ids, u.ID)
	}
	return ids
}

// recover is the use of an upload for whoever ends it.
func (w *world) recover(u *lostUpload) *tokens.Use {
	w.t.Helper()
	use, _ := w.store.Recover(w.t.Context(), u.Token, u.Attempt)
	if use == nil {
		w.t.Fatal("no use")
	}
	return use
}

// state is "used", "free" or "held": what the use of an upload has become.
func (w *world) state(u *lostUpload) string {
	w.t.Helper()
	st, err := w.store.Show(w.t.Context(), u.Token)
	switch {
	case err != nil:
		w.t.Fatal(err)
	case st.Uses > 0:
		return "used"
	case st.InUse > 0:
		return "held"
	}
	return "free"
}

// A gate that dies in the middle of an upload leaves nothing behind for long, and
// S3 decides what becomes of the use.
func TestSweep(t *testing.T) {
	const hour = time.Hour
	for _, test := range []struct {
		name      string
		resumable bool
		before    func(w *world, u *lostUpload)
		after     time.Duration
		want      string // what the use has become
		object    bool   // whether the object is there, and the upload's
		left      int    // multipart uploads
	}{
		{name: "one request that did not arrive", after: hour, want: "free"},
		{name: "one request that was stored", after: hour, want: "used", object: true,
			before: func(w *world, u *lostUpload) { w.put(key, u.use.Mark()) }},
		{name: "another object is there", after: hour, want: "free",
			before: func(w *world, u *lostUpload) { w.put(key, "another") }},
		{name: "not before its time", after: time.Minute, want: "held", left: 1,
			before: func(w *world, u *lostUpload) { w.multipart(u) }},
		{name: "parts", after: hour, want: "free",
			before: func(w *world, u *lostUpload) { w.multipart(u) }},
		{name: "parts that were dropped already", after: hour, want: "free",
			before: func(w *world, u *lostUpload) {
				up, _ := w.multipart(u)
				w.must(up.AbortRequest())
			}},
		{name: "Complete was not sent", after: hour, want: "used", object: true,
			before: func(w *world, u *lostUpload) {
				_, parts := w.multipart(u)
				w.completing(u, parts)
			}},
		{name: "Complete was carried out", after: hour, want: "used", object: true,
			before: func(w *world, u *lostUpload) {
				up, parts := w.multipart(u)
				w.completing(u, parts)
				w.must(up.CompleteRequest(parts, nil))
			}},
		{name: "Complete was carried out, and the object deleted since", after: hour, want: "free",
			before: func(w *world, u *lostUpload) {
				up, parts := w.multipart(u)
				w.completing(u, parts)
				w.must(up.CompleteRequest(parts, nil))
				w.must(&s3client.Request{Method: "DELETE", Key: key})
			}},
		{name: "charged, and the object moved since", after: hour, want: "used",
			before: func(w *world, u *lostUpload) { w.recover(u).Commit(w.t.Context()) }},
		{name: "handed back before Complete", after: hour, want: "free",
			before: func(w *world, u *lostUpload) {
				_, parts := w.multipart(u)
				w.completing(u, parts)
				w.recover(u).Refund(w.t.Context())
			}},
		{name: "an object came before Complete", after: hour, want: "free",
			before: func(w *world, u *lostUpload) {
				_, parts := w.multipart(u)
				w.completing(u, parts)
				w.put(key, "another")
			}},
		{name: "other parts than those that were complete", after: hour, want: "free",
			before: func(w *world, u *lostUpload) {
				w.multipart(u)
				w.completing(u, []s3client.Part{{Number: 1, ETag: `"other"`}})
			}},
		{name: "revoked before Complete", after: hour, want: "free",
			before: func(w *world, u *lostUpload) {
				_, parts := w.multipart(u)
				w.completing(u, parts)
				if err := w.store.Revoke(w.t.Context(), u.Token, "a", "r"); err != nil {
					w.t.Fatal(err)
				}
			}},
		{name: "Create whose answer was lost", after: hour, want: "free",
			before: func(w *world, u *lostUpload) {
				if err := u.Creating(w.t.Context()); err != nil {
					w.t.Fatal(err)
				}
				w.create(u)
			}},
		{name: "one of two Creates was lost", after: hour, want: "free",
			before: func(w *world, u *lostUpload) {
				w.create(u)
				u.Astray()
				w.multipart(u)
			}},
		{name: "somebody else's parts", after: hour, want: "free", left: 1,
			before: func(w *world, u *lostUpload) {
				if err := u.Creating(w.t.Context()); err != nil {
					w.t.Fatal(err)
				}
				w.part(w.create(u))
			}},
		{name: "a client may go on", resumable: true, after: hour, want: "held", left: 1,
			before: func(w *world, u *lostUpload) { w.multipart(u) }},
		{name: "a client might go on, and the token was revoked", resumable: true, after: hour, want: "free",
			before: func(w *world, u *lostUpload) {
				w.multipart(u)
				w.put((&uploads.Temp{Prefix: ".tmp/", Entry: &u.Entry}).Key(3, 1), "")
				if err := w.store.Revoke(w.t.Context(), u.Token, "a", "r"); err != nil {
					w.t.Fatal(err)
				}
			}},
		{name: "no client went on", resumable: true, after: 25 * hour, want: "free",
			before: func(w *world, u *lostUpload) {
				w.multipart(u)
				temp := uploads.Temp{Prefix: ".tmp/", Entry: &u.Entry}
				w.put(temp.Key(3, 1), "")
				w.put(temp.Key(3, 2), "")
			}},
		{name: "resumable, and nothing sent", resumable: true, after: 25 * hour, want: "free"},
		{name: "resumable, completing", resumable: true, after: hour, want: "used", object: true,
			before: func(w *world, u *lostUpload) {
				_, parts := w.multipart(u)
				w.completing(u, parts)
			}},
		{name: "resumable, stored by one request", resumable: true, after: hour, want: "used", object: true,
			before: func(w *world, u *lostUpload) {
				w.completing(u, nil)
				w.put(key, u.use.Mark())
			}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			u := w.begin(test.resumable)
			if test.before != nil {
				test.before(w, u)
			}
			u.Die()
			w.elapse(test.after)
			ended := w.sweeper.Sweep(t.Context())
			if got := w.state(u); got != test.want {
				t.Errorf("the use is %s, want %s", got, test.want)
			}
			if want := map[bool]int{true: 0, false: 1}[test.want == "held"]; ended != want {
				t.Errorf("ended %d uploads, want %d", ended, want)
			}
			stored, err := u.Object().Find(t.Context(), w.bucket)
			if err != nil || (stored != nil) != test.object {
				t.Errorf("stored: %v, %v; want %v", stored != nil, err, test.object)
			}
			if left := w.uploads(); len(left) != test.left {
				t.Errorf("multipart uploads left: %q, want %d", left, test.left)
			}
			if tails, err := (&uploads.Temp{Prefix: ".tmp/", Entry: &u.Entry}).List(t.Context(), w.bucket); err != nil || len(tails) > 0 {
				t.Errorf("temporary objects left: %v, %v", tails, err)
			}
			if test.object && (len(w.ended) != 1 || w.ended[0].Size != 3 || w.ended[0].ETag == "" || w.ended[0].Use != u.use.Mark() || w.ended[0].Key != key) {
				t.Errorf("told of %+v", w.ended)
			}
			if n := w.sweeper.Sweep(t.Context()); n != 0 {
				t.Errorf("%d ended once more", n)
			}
		})
	}
}

// An upload that is completing waits for S3 however long it is away.
func TestSweepWaitsForS3(t *testing.T) {
	w := newWorld(t)
	u := w.begin(false)
	up, parts := w.multipart(u)
	w.completing(u, parts)
	w.must(up.CompleteRequest(parts, nil))
	u.Die()
	w.bucket.hook = func(*s3client.Request, func() (*http.Response, error)) (*http.Response, error) { return nil, errLost }
	for range 50 {
		w.elapse(24 * time.Hour)
		if n := w.sweeper.Sweep(t.Context()); n != 0 || w.state(u) != "held" {
			t.Fatalf("%d ended, the use is %s", n, w.state(u))
		}
	}
	w.bucket.hook = nil
	w.elapse(24 * time.Hour)
	if n := w.sweeper.Sweep(t.Context()); n != 1 || w.state(u) != "used" {
		t.Errorf("%d ended, the use is %s", n, w.state(u))
	}
}

// What a client was told that S3 has of an upload stays there when the request was
// lost that should have stored it: the client may go on.
func TestSweepKeepsWhatWasAcknowledged(t *testing.T) {
	w := newWorld(t)
	u := w.begin(true)
	tail := (&uploads.Temp{Prefix: ".tmp/", Entry: &u.Entry}).Key(0, 1)
	w.put(tail, "")
	w.completing(u, nil)
	u.Die()
	w.elapse(time.Hour)
	if n := w.sweeper.Sweep(t.Context()); n != 0 || w.state(u) != "held" {
		t.Errorf("%d ended, the use is %s", n, w.state(u))
	}
	w.must(&s3client.Request{Method: "HEAD", Key: tail})
	h, err := w.journal.Take(t.Context(), u.Token, u.Name)
	if err != nil || h.State != uploads.Uploading {
		t.Fatalf("taking it: %v, %v", h, err)
	}
	h.Release(t.Context())
	w.elapse(25 * time.Hour)
	if n := w.sweeper.Sweep(t.Context()); n != 1 || w.state(u) != "free" {
		t.Errorf("at the end: %d ended, the use is %s", n, w.state(u))
	}
}

// Whether an upload may be completed is asked right before, so that a revocation
// comes before that or finds it; while nobody can say, the upload waits.
func TestSweepAsksLast(t *testing.T) {
	for _, test := range []struct {
		name   string
		answer error
		want   string // what the use has become
	}{
		{"yes", nil, "used"},
		{"no", tokens.ErrRevoked, "free"},
		{"nobody knows", tokens.ErrUnproven, "held"},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t)
			u := w.begin(false)
			_, parts := w.multipart(u)
			w.completing(u, parts)
			u.Die()
			var story []string
			w.sweeper.Commit = func(_ context.Context, id string, g *tokens.Grant) (func(), error) {
				if id == "" || g.ID != u.Token {
					t.Errorf("asked for %q, %q", id, g.ID)
				}
				story = append(story, "asked")
				return func() { story = append(story, "done") }, test.answer
			}
			w.bucket.hook = func(r *s3client.Request, send func() (*http.Response, error)) (*http.Response, error) {
				story = append(story, r.Method)
				return send()
			}
			w.elapse(time.Hour)
			w.sweeper.Sweep(t.Context())
			if got := w.state(u); got != test.want {
				t.Errorf("the use is %s, want %s", got, test.want)
			}
			if text := strings.Join(story, " "); test.answer == nil && !strings.Contains(text, "asked POST done") || strings.Count(text, "asked") != 1 {
				t.Error(text)
			}
			w.bucket.hook = nil
			if left := len(w.uploads()); (left == 1) != (test.want == "held") {
				t.Errorf("%d multipart uploads left", left)
			}
		})
	}
}

// Where the store does not heed a condition the sweeper looks by itself, and does
// not replace what is there.
func TestSweepChecks(t *testing.T) {
	for _, there := range []bool{false, true} {
		w := newWorld(t)
		u := w.begin(false)
		_, parts := w.multipart(u)
		w.completing(u, parts)
		u.Die()
		if there {
			w.put(key, "another")
		}
		w.sweeper.Check = map[string]bool{"docs": true}
		w.bucket.hook = func(r *s3client.Request, send func() (*http.Response, error)) (*http.Response, error) {
			if r.Header.Get("If-None-Match") != "" {
				t.Error("sent a condition")
				r.Header.Del("If-None-Match")
			}
			return send()
		}
		w.elapse(time.Hour)
		w.sweeper.Sweep(t.Context())
		mark, want := u.use.Mark(), "used"
		if there {
			mark, want = "another", "free"
		}
		if got := w.must(&s3client.Request{Method: "HEAD", Key: key}).Header.Get(uploads.UseMark); got != mark || w.state(u) != want {
			t.Errorf("there %v: the object is %q, the use %s", there, got, w.state(u))
		}
	}
}

// A multipart upload that another request has just begun, and of which no part has
// come yet, is not taken for a stray one.
func TestSweepLeavesTheYoung(t *testing.T) {
	w := newWorld(t)
	u := w.begin(true)
	if err := u.Creating(t.Context()); err != nil {
		t.Fatal(err)
	}
	u.Unheard()
	u.Release(t.Context())
	w.create(u)
	w.elapse(3 * time.Minute)
	if n := w.sweeper.Sweep(t.Context()); n != 0 || len(w.uploads()) != 1 {
		t.Errorf("%d ended, left %q", n, w.uploads())
	}
	w.elapse(15 * time.Minute)
	if n := w.sweeper.Sweep(t.Context()); n != 1 || len(w.uploads()) != 0 {
		t.Errorf("%d ended, left %q", n, w.uploads())
	}
}

// An upload that no sweeper can end is forgotten some day.
func TestSweepDoesNotKeepAnEntry(t *testing.T) {
	w := newWorld(t)
	u := w.begin(false)
	u.Die()
	w.sweeper.Buckets = nil
	w.rdb.PExpire(t.Context(), uploads.EntryKey(u.Token, u.Name), time.Hour)
	w.elapse(time.Hour - time.Minute)
	if n := w.sweeper.Sweep(t.Context()); n != 0 {
		t.Fatalf("%d ended", n)
	}
	if left := w.rdb.PTTL(t.Context(), uploads.EntryKey(u.Token, u.Name)).Val(); left > time.Hour {
		t.Errorf("it is kept for %s more", left)
	}
}

// An upload that has ended is not on the agenda any more.
func TestDropClearsTheAgenda(t *testing.T) {
	w := newWorld(t)
	u := w.begin(false)
	u.Drop(t.Context())
	if left, err := w.rdb.ZRange(t.Context(), uploads.AgendaKey, 0, -1).Result(); err != nil || len(left) > 0 {
		t.Errorf("left %q, %v", left, err)
	}
}

// An upload that S3 completes while it is asked about it counts as stored.
func TestSweepDuringComplete(t *testing.T) {
	w := newWorld(t)
	u := w.begin(false)
	up, parts := w.multipart(u)
	w.completing(u, parts)
	u.Die()
	w.bucket.hook = func(r *s3client.Request, send func() (*http.Response, error)) (*http.Response, error) {
		resp, err := send()
		if r.Method == "HEAD" {
			w.bucket.hook = nil
			w.must(up.CompleteRequest(parts, nil))
		}
		return resp, err
	}
	w.elapse(time.Hour)
	if n := w.sweeper.Sweep(t.Context()); n != 1 || w.state(u) != "used" {
		t.Errorf("%d ended, the use is %s", n, w.state(u))
	}
}

// An upload that nobody has come for since it was begun ends soon: its client may
// never have heard of it, and the use of the link is not to be lost for a day.
func TestSweepUnheard(t *testing.T) {
	w := newWorld(t)
	u := w.begin(true)
	u.Unheard()
	u.Release(t.Context())
	heard := w.begin(true)
	heard.Release(t.Context())
	w.elapse(3 * time.Minute)
	if n := w.sweeper.Sweep(t.Context()); n != 1 || w.state(u) != "free" || w.state(heard) != "held" {
		t.Errorf("%d ended, the use is %s, of the other one %s", n, w.state(u), w.state(heard))
	}
}

// Many gates sweep, and an upload is ended once.
func TestSweepersDoNotMeet(t *testing.T) {
	w := newWorld(t)
	for range 20 {
		u := w.begin(true)
		w.multipart(u)
		u.Die()
	}
	w.elapse(25 * time.Hour)
	var all sync.WaitGroup
	counts := make([]int, 3)
	for i := range counts {
		all.Go(func() { counts[i] = w.newSweeper().Sweep(t.Context()) })
	}
	all.Wait()
	if n := counts[0] + counts[1] + counts[2]; n != 20 {
		t.Errorf("ended %v", counts)
	}
	if left := w.uploads(); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
}

// A sweeper leaves a bucket to the gates that know it, and says so.
func TestSweepOtherBucket(t *testing.T) {
	w := newWorld(t)
	u := w.begin(false)
	u.Die()
	w.elapse(time.Hour)
	w.sweeper.Buckets = nil
	if n := w.sweeper.Sweep(t.Context()); n != 0 || w.state(u) != "held" {
		t.Errorf("%d ended, the use is %s", n, w.state(u))
	}
	w.elapse(time.Hour)
	if n := w.newSweeper().Sweep(t.Context()); n != 1 || w.state(u) != "free" {
		t.Errorf("%d ended, the use is %s", n, w.state(u))
	}
}

// An upload whose gate lives is left alone.
func TestSweepLeavesTheLiving(t *testing.T) {
	w := newWorld(t)
	w.journal = uploads.New(w.rdb, uploads.Options{}.Hasty(time.Minute, 10*time.Millisecond, time.Second))
	u := w.begin(false)
	w.multipart(u)
	for range 5 {
		w.elapse(40 * time.Second)
		for until := time.Now().Add(2 * time.Second); ; time.Sleep(10 * time.Millisecond) {
			held, err := w.rdb.HGet(t.Context(), uploads.EntryKey(u.Token, u.Name), "t").Int64()
			now, _ := w.rdb.Time(t.Context()).Result()
			if err != nil || time.Now().After(until) {
				t.Fatal("the hold is not kept:", err)
			}
			if held >= now.Add(time.Minute).UnixMilli() {
				break
			}
		}
	}
	w.elapse(15 * time.Minute) // since it was last heard of: not quite
	if n := w.sweeper.Sweep(t.Context()); n != 0 || len(w.uploads()) != 1 {
		t.Errorf("%d ended, left %q", n, w.uploads())
	}
	u.Drop(t.Context())
}

// What can be read of the agenda and means nothing is taken off it.
func TestSweepDropsNonsense(t *testing.T) {
	w := newWorld(t)
	for _, member := range []string{"", "x", "tok_x/y", string(tokens.Generate().ID()) + "/gone"} {
		w.rdb.ZAdd(t.Context(), uploads.AgendaKey, redis.Z{Member: member})
	}
	w.sweeper.Sweep(t.Context())
	if left, err := w.rdb.ZRange(t.Context(), uploads.AgendaKey, 0, -1).Result(); err != nil || len(left) > 0 {
		t.Errorf("left %q, %v", left, err)
	}
}
