package proxy_test

import (
	"context"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"s3gate/tokens"
	"s3gate/uploads"
)

// journal are the uploads in the journal, each as it is named in Redis.
func (g *gate) journal() (keys []string) {
	for _, key := range g.redis.Keys() {
		if strings.Contains(key, "}:u:") {
			keys = append(keys, key)
		}
	}
	return keys
}

// What would be left behind if the gate died now is in the journal while an upload
// runs, and not after it.
func TestUploadIsInTheJournal(t *testing.T) {
	unlimited := tokens.Grant{Operation: tokens.Put, Bucket: "media", Key: canaryKey}
	for _, test := range []struct {
		name  string
		grant tokens.Grant
		size  int
		at    string // the request during which it is looked at
		state string // "" if the journal need not know it
		id    string
	}{
		{"one request", put(), testPart, "PUT", "uploading", ""},
		{"one request that costs nothing", unlimited, testPart, "PUT", "", ""},
		{"before the first part", put(), 3 * testPart, create, "uploading", ""},
		{"a part", put(), 3 * testPart, uploadPart, "uploading", "upload-1"},
		{"a part that costs nothing", unlimited, 3 * testPart, uploadPart, "uploading", "upload-1"},
		{"the last request", put(), 3 * testPart, complete, "completing", "upload-1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			g := newPartsGate(t, http1)
			looked := false
			g.s3.times(1, test.at, func(w http.ResponseWriter, r *http.Request) {
				looked = true
				state, id := "", ""
				for _, key := range g.journal() {
					state, id = g.redis.HGet(key, "s"), g.redis.HGet(key, "i")
				}
				if state != test.state || id != test.id {
					t.Errorf("in the journal as %q, of the ID %q", state, id)
				}
				g.s3.behave(w, r)
			})
			token := g.mint(test.grant)
			if a := g.put(token, noise(test.size)); a.StatusCode != 200 || !looked {
				t.Fatalf("%s %s, looked %v", a.Status, a.body, looked)
			}
			if left := g.journal(); left != nil {
				t.Errorf("left: %q", left)
			}
		})
	}
}

// What may have been stored, or could not be dropped, stays in the journal.
func TestJournalKeepsWhatIsOpen(t *testing.T) {
	for _, test := range []struct {
		name    string
		size    int
		answers map[string]http.HandlerFunc
		state   string
		use     string
	}{
		{"unknown outcome of one request", 1000, map[string]http.HandlerFunc{"PUT": reading(hangUp("")), "HEAD": refuse(503, "SlowDown")}, "uploading", "taken"},
		{"unknown outcome of Complete", 3 * testPart, map[string]http.HandlerFunc{complete: reading(hangUp(""))}, "completing", "taken"},
		{"parts that S3 does not drop", 3 * testPart, map[string]http.HandlerFunc{uploadPart: refuse(400, "InvalidRequest"), abort: refuse(500, "")}, "uploading", "free"},
		{"Create whose answer is lost", 3 * testPart, map[string]http.HandlerFunc{create: reading(hangUp(""))}, "dropped", "free"},
	} {
		t.Run(test.name, func(t *testing.T) {
			g := newPartsGate(t, http1)
			g.s3.answer(func(w http.ResponseWriter, r *http.Request) {
				if f := test.answers[kind(r.Method, r.RequestURI)]; f != nil {
					f(w, r)
				} else {
					g.s3.behave(w, r)
				}
			})
			token := g.mint(put())
			if a := g.put(token, noise(test.size)); a.StatusCode < 500 {
				t.Errorf("%s %s", a.Status, a.body)
			}
			g.wantCharge(token, test.use)
			left := g.journal()
			if len(left) != 1 || g.redis.HGet(left[0], "s") != test.state {
				t.Fatalf("the journal has %q", left)
			}
			if g.redis.HGet(left[0], "a") == "" || g.redis.HGet(left[0], "k") != canaryKey {
				t.Error("without the use, or the key")
			}
		})
	}
}

// An upload that cannot be entered into the journal does not begin.
func TestUploadWithoutAJournal(t *testing.T) {
	away := miniredis.RunT(t)
	rdb := redis.NewClient(&redis.Options{Addr: away.Addr(), MaxRetries: -1})
	defer rdb.Close()
	away.SetError("LOADING")
	for _, size := range []int{1000, 3 * testPart} {
		g := newPartsGate(t, http1)
		g.Journal = uploads.New(rdb, uploads.Options{})
		token := g.mint(put())
		if a := g.put(token, noise(size)); a.StatusCode != 503 || a.Header.Get("Retry-After") == "" {
			t.Errorf("%d bytes: %s %s", size, a.Status, a.body)
		}
		g.wantNothing(token)
		if kinds := g.s3.kinds(); slices.Contains(kinds, "PUT") || slices.Contains(kinds, create) {
			t.Errorf("s3 got %q", kinds)
		}
	}
}

// What a sweeper has taken, because this gate stood still for long, is not stored
// any more, and the use is the sweeper's to end.
func TestUploadAfterASleep(t *testing.T) {
	for _, test := range []struct {
		name string
		size int
		at   string // the request during which the gate stands still
		then http.HandlerFunc
		want int
	}{
		{"before the last byte", testPart, "PUT", nil, 423},
		{"before Complete", 3 * testPart, uploadPart, nil, 423},
		{"during Complete", 3 * testPart, complete, refuse(404, "NoSuchUpload"), 502},
	} {
		t.Run(test.name, func(t *testing.T) {
			g := newPartsGate(t, http1)
			g.Journal = uploads.New(g.rdb, uploads.Options{Grace: time.Nanosecond})
			slept, wake := context.WithCancel(t.Context())
			g.s3.times(1, test.at, func(w http.ResponseWriter, r *http.Request) {
				for _, key := range g.journal() {
					g.redis.HSet(key, "f", "99")
				}
				wake()
				if test.then != nil {
					test.then(w, r)
					return
				}
				g.s3.behave(w, r)
			})
			if test.at == complete {
				wake() // it comes after the last byte
			}
			token, body := g.mint(put()), noise(test.size)
			most, last := body[:test.size-1], body[test.size-1:]
			r := g.request("PUT", token, io.MultiReader(strings.NewReader(most), until(slept), strings.NewReader(last)))
			r.ContentLength = int64(test.size)
			if a := g.do(r); a.StatusCode != test.want {
				t.Errorf("%s %s", a.Status, a.body)
			}
			g.wantCharge(token, "taken")
			if data, ok := g.s3.object(); ok {
				t.Errorf("stored %d bytes", len(data))
			}
		})
	}
}

// until is a reader of nothing that ends with ctx.
func until(ctx context.Context) io.Reader {
	r, w := io.Pipe()
	context.AfterFunc(ctx, func() { w.Close() })
	return r
}

// Parts that S3 refused to complete, and to drop, are not completed later: their use
// has come back.
func TestUploadThatIsNotDropped(t *testing.T) {
	g := newPartsGate(t, http1)
	g.s3.answer(func(w http.ResponseWriter, r *http.Request) {
		switch kind(r.Method, r.RequestURI) {
		case complete, abort:
			refuse(503, "SlowDown")(w, r)
		default:
			g.s3.behave(w, r)
		}
	})
	token := g.mint(put())
	if a := g.put(token, noise(3*testPart)); a.StatusCode != 503 {
		t.Errorf("%s %s", a.Status, a.body)
	}
	g.wantCharge(token, "free")
	if left := g.journal(); len(left) != 1 || g.redis.HGet(left[0], "s") != "uploading" {
		t.Errorf("the journal has %q", left)
	}
}

// An upload that another gate has taken over, because this one was silent for too
// long, is not gone on with.
func TestUploadThatWasTakenOver(t *testing.T) {
	g := newPartsGate(t, http1)
	g.Multipart.Concurrency = 1
	g.s3.times(1, uploadPart, func(w http.ResponseWriter, r *http.Request) {
		for _, key := range g.journal() {
			g.redis.HSet(key, "f", "99")
		}
		io.Copy(io.Discard, r.Body)
		<-r.Context().Done() // until the gate hears of it
	})
	token := g.mint(put())
	if a := g.put(token, noise(3*testPart)); a.StatusCode != 423 {
		t.Errorf("%s %s", a.Status, a.body)
	}
	if data, ok := g.s3.object(); ok {
		t.Errorf("stored %d bytes", len(data))
	}
	if left := g.journal(); len(left) != 1 {
		t.Errorf("the journal has %q", left)
	}
}
