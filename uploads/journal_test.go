package uploads_test

import (
	"context"
	"errors"
	"net/http"
	"reflect"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"s3gate/internal/s3gatetest"
	"s3gate/s3client"
	"s3gate/tokens"
	"s3gate/uploads"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The times of the tests: a hold lapses in half a second.
var hasty = uploads.Options{Grace: time.Second, Resume: 2 * time.Second}.Hasty(500*time.Millisecond, 50*time.Millisecond, 2*time.Second)

func connect(t *testing.T, addr string) *redis.Client {
	t.Helper()
	rdb := redis.NewClient(&redis.Options{Addr: addr})
	t.Cleanup(func() { rdb.Close() })
	return rdb
}

// eachRedis runs a test on the embedded Redis and on a real one.
func eachRedis(t *testing.T, test func(t *testing.T, rdb *redis.Client)) {
	t.Run("miniredis", func(t *testing.T) { test(t, connect(t, miniredis.RunT(t).Addr())) })
	t.Run("Redis", func(t *testing.T) { test(t, connect(t, s3gatetest.Redis(t))) })
}

// entry is an upload that stands for all.
func entry() uploads.Entry {
	return uploads.Entry{
		Token: tokens.Generate().ID(), Attempt: "\x00attempt\xff", Bucket: "docs", Key: "a/b ü", Overwrite: true, Size: 42,
		Header: http.Header{"Content-Type": {"text/plain"}},
	}
}

func begin(t *testing.T, j *uploads.Journal, e uploads.Entry, resumable bool) *uploads.Held {
	t.Helper()
	h, err := j.Begin(t.Context(), e, resumable)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func take(t *testing.T, j *uploads.Journal, h *uploads.Held) *uploads.Held {
	t.Helper()
	taken, err := j.Take(t.Context(), h.Token, h.Name)
	if err != nil {
		t.Fatal(err)
	}
	return taken
}

// What one request notes the next one reads, through any gate.
func TestTake(t *testing.T) {
	eachRedis(t, func(t *testing.T, rdb *redis.Client) {
		ctx := t.Context()
		j, other := uploads.New(rdb, hasty), uploads.New(rdb, hasty)
		first := begin(t, j, entry(), true)
		parts := []s3client.Part{{Number: 1, ETag: `"x"`}}
		if err := errors.Join(first.Creating(ctx), first.Created(ctx, "upload-1"), first.Completing(ctx, parts)); err != nil {
			t.Fatal(err)
		}
		first.Release(ctx)
		second := take(t, other, first)
		want := entry()
		want.Token, want.Name, want.Began, want.Expires = first.Token, first.Name, second.Began, second.Expires
		want.State, want.Multipart, want.UploadID, want.Parts = uploads.Completing, true, "upload-1", uploads.Fingerprint(parts)
		got := second.Entry
		if !sameEntry(got, want) {
			t.Errorf("taken\n%+v, want\n%+v", got, want)
		}
		if d := second.Expires.Sub(second.Began); second.Began.IsZero() || d < 2*time.Second || d > 4*time.Second {
			t.Errorf("began %s, expires %s", second.Began, second.Expires)
		}
		if second.Fence() <= first.Fence() {
			t.Errorf("fence %d after %d", second.Fence(), first.Fence())
		}
		if err := first.Created(ctx, "late"); !errors.Is(err, uploads.ErrTaken) {
			t.Errorf("note of the first holder: %v, want ErrTaken", err)
		}
		second.Drop(ctx)
		if _, err := j.Take(ctx, first.Token, first.Name); !errors.Is(err, uploads.ErrGone) {
			t.Errorf("dropped: %v, want ErrGone", err)
		}
		if _, err := j.Take(ctx, first.Token, "another"); !errors.Is(err, uploads.ErrGone) {
			t.Errorf("unknown: %v, want ErrGone", err)
		}
	})
}

// sameEntry compares what other packages can see.
func sameEntry(a, b uploads.Entry) bool {
	va, vb := reflect.ValueOf(a), reflect.ValueOf(b)
	for i := range va.NumField() {
		if va.Type().Field(i).IsExported() && !reflect.DeepEqual(va.Field(i).Interface(), vb.Field(i).Interface()) {
			return false
		}
	}
	return true
}

// A newer request takes an upload from an older one, which hears of it.
func TestPreempt(t *testing.T) {
	eachRedis(t, func(t *testing.T, rdb *redis.Client) {
		j := uploads.New(rdb, hasty)
		first := begin(t, j, entry(), true)
		left := make(chan error)
		go func() {
			<-first.Context().Done()
			err := context.Cause(first.Context())
			first.Release(t.Context())
			left <- err
		}()
		second := take(t, j, first)
		if err := <-left; !errors.Is(err, uploads.ErrTaken) {
			t.Errorf("the first holder heard %v, want ErrTaken", err)
		}
		if second.Context().Err() != nil {
			t.Error("the second holder has lost it at once")
		}
		second.Drop(t.Context())
	})
}

// Who does not let go keeps it, as long as it lives.
func TestBusy(t *testing.T) {
	eachRedis(t, func(t *testing.T, rdb *redis.Client) {
		j, hurried := uploads.New(rdb, hasty), uploads.New(rdb, hasty.Hasty(500*time.Millisecond, 50*time.Millisecond, 200*time.Millisecond))
		alone := begin(t, j, entry(), false)
		if _, err := hurried.Take(t.Context(), alone.Token, alone.Name); !errors.Is(err, uploads.ErrBusy) {
			t.Errorf("held: %v, want ErrBusy", err)
		}
		alone.Release(t.Context())
		if _, err := j.Take(t.Context(), alone.Token, alone.Name); !errors.Is(err, uploads.ErrGone) {
			t.Errorf("not to be resumed: %v, want ErrGone", err)
		}
		// A gate that has died lets go when its hold has lapsed.
		dead := begin(t, j, entry(), true)
		dead.Die()
		if _, err := hurried.Take(t.Context(), dead.Token, dead.Name); !errors.Is(err, uploads.ErrBusy) {
			t.Errorf("at once: %v, want ErrBusy", err)
		}
		take(t, j, dead).Drop(t.Context())
	})
}

// What is done is told to everybody who asks, until it is forgotten.
func TestDone(t *testing.T) {
	eachRedis(t, func(t *testing.T, rdb *redis.Client) {
		ctx := t.Context()
		j := uploads.New(rdb, hasty)
		h := begin(t, j, entry(), true)
		result := http.Header{"Etag": {`"e"`}, "X-Amz-Version-Id": {"v"}}
		h.Done(ctx, result)
		for range 2 {
			done := take(t, j, h)
			if done.State != uploads.Done || !reflect.DeepEqual(done.Result, result) || done.Size != 42 {
				t.Errorf("done: %+v", done.Entry)
			}
			done.Release(ctx)
		}
		alone := begin(t, j, entry(), false)
		alone.Done(ctx, result)
		if n, err := rdb.Exists(ctx, uploads.EntryKey(alone.Token, alone.Name)).Result(); n != 0 || err != nil {
			t.Errorf("one that ends with its request is remembered: %v", err)
		}
	})
}

// A Redis that is away is an error, and nothing is taken for noted.
func TestJournalAway(t *testing.T) {
	m := miniredis.RunT(t)
	ctx, j := t.Context(), uploads.New(connect(t, m.Addr()), hasty)
	h := begin(t, j, entry(), true)
	m.SetError("LOADING")
	if _, err := j.Begin(ctx, entry(), true); !errors.Is(err, uploads.ErrJournal) {
		t.Errorf("beginning: %v", err)
	}
	if _, err := j.Take(ctx, h.Token, h.Name); !errors.Is(err, uploads.ErrJournal) {
		t.Errorf("taking: %v", err)
	}
	if err := h.Completing(ctx, nil); !errors.Is(err, uploads.ErrJournal) {
		t.Errorf("noting: %v", err)
	}
	m.SetError("")
	if h.Context().Err() != nil {
		t.Error("the holder gave up")
	}
	h.Drop(ctx)
}

// Of a nil Held nothing is noted.
func TestNotInTheJournal(t *testing.T) {
	var h *uploads.Held
	ctx := t.Context()
	if err := errors.Join(h.Creating(ctx), h.Created(ctx, "x"), h.Completing(ctx, nil), h.Context().Err()); err != nil {
		t.Error(err)
	}
	h.Astray()
	h.Done(ctx, nil)
	h.Drop(ctx)
	h.Release(ctx)
}

// The owner of an upload learns that a sweeper has it when it was not heard of for
// long, and asks nobody otherwise.
func TestMine(t *testing.T) {
	rdb := connect(t, s3gatetest.Redis(t))
	for _, test := range []struct {
		grace time.Duration
		want  error
	}{{time.Nanosecond, uploads.ErrTaken}, {time.Hour, nil}} {
		h := begin(t, uploads.New(rdb, uploads.Options{Grace: test.grace}), entry(), false)
		if err := errors.Join(h.Mine(t.Context()), h.Abandon(t.Context())); err != nil {
			t.Fatal(err)
		}
		rdb.HSet(t.Context(), uploads.EntryKey(h.Token, h.Name), "f", 99)
		if err := h.Mine(t.Context()); !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", test.grace, err, test.want)
		}
		h.Die()
	}
}

// An upload that was completing goes on being that for a sweeper until its owner has
// noted that it comes to nothing.
func TestAbandon(t *testing.T) {
	rdb := connect(t, s3gatetest.Redis(t))
	h := begin(t, uploads.New(rdb, uploads.Options{}), entry(), false)
	if err := errors.Join(h.Completing(t.Context(), nil), h.Abandon(t.Context())); err != nil {
		t.Fatal(err)
	}
	key := uploads.EntryKey(h.Token, h.Name)
	if state := rdb.HGet(t.Context(), key, "s").Val(); state != "uploading" {
		t.Errorf("the journal says %q", state)
	}
	rdb.HSet(t.Context(), key, "f", 99)
	if err := h.Completing(t.Context(), nil); !errors.Is(err, uploads.ErrTaken) {
		t.Fatal(err)
	}
	if err := h.Abandon(t.Context()); !errors.Is(err, uploads.ErrTaken) {
		t.Errorf("of another's upload: %v", err)
	}
	h.Die()
}
