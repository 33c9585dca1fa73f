package proxy_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"s3gate/tokens"
)

func randomBytes(n int) []byte {
	data := make([]byte, n)
	rand.NewChaCha8([32]byte{1}).Read(data)
	return data
}

func (g *gate) openUse(token tokens.Token) tokens.OpenStatus {
	g.t.Helper()
	status, err := g.store.Show(g.t.Context(), token.ID())
	if err != nil || status.Uses != 1 || len(status.Open) != 1 {
		g.t.Fatalf("%+v, %v; want one open use", status, err)
	}
	return status.Open[0]
}

// patient gives the gate a store that waits for uses.
func (g *gate) patient() {
	rdb := redis.NewClient(&redis.Options{Addr: g.redis.Addr(), MaxRetries: -1})
	g.store = tokens.New(rdb, tokens.Options{BusyWait: soon})
	g.Tokens = g.store
	g.t.Cleanup(func() {
		g.store.Close(context.Background())
		rdb.Close()
	})
}

// A client that loses its connection again and again takes the download up
// where it broke off, until it has all of it, on one use (T4, T8).
func TestBrokenDownloadGoesOn(t *testing.T) {
	for _, proto := range protocols {
		t.Run(proto.name, func(t *testing.T) {
			g := newGate(t, proto)
			data := randomBytes(24 << 20)
			g.s3.store(canaryKey, string(data))
			token := g.mint(resumable(1 << 30))
			var got bytes.Buffer
			for range 2 {
				resp := g.goOn(token, got.Len())
				if _, err := io.CopyN(&got, resp.Body, 3<<20); err != nil {
					t.Fatal(err)
				}
				resp.Body.Close()
				eventually(t, "the gate has noticed", func() bool { return g.transfers.Len() == 0 })
			}
			resp := g.goOn(token, got.Len())
			defer resp.Body.Close()
			if _, err := io.Copy(&got, resp.Body); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got.Bytes(), data) {
				t.Errorf("got %d bytes that are not the object", got.Len())
			}
			eventually(t, "no transfer is left", func() bool { return g.transfers.Len() == 0 })
			if o := g.openUse(token); o.Bytes < int64(len(data)) || o.Bytes > o.Budget || o.Running != 0 {
				t.Errorf("the use: %+v", o)
			}
		})
	}
}

// goOn asks for what comes after so many bytes.
func (g *gate) goOn(token tokens.Token, from int) *http.Response {
	g.t.Helper()
	r, want := g.request("GET", token, nil), 200
	if from > 0 {
		r.Header.Set("Range", fmt.Sprintf("bytes=%d-", from))
		r.Header.Set("If-Range", etag)
		want = 206
	}
	resp, err := g.client.Do(r)
	if err != nil {
		g.t.Fatal(err)
	}
	if resp.StatusCode != want {
		g.t.Fatalf("from %d: %s, want %d", from, resp.Status, want)
	}
	return resp
}

// A downloader that fetches four parts side by side completes on one use.
func TestPartsSideBySide(t *testing.T) {
	for _, proto := range protocols {
		t.Run(proto.name, func(t *testing.T) {
			g := newGate(t, proto)
			g.patient()
			data := randomBytes(20<<20 + 3)
			g.s3.store(canaryKey, string(data))
			token := g.mint(resumable(0))
			if a := g.do(g.request("HEAD", token, nil)); a.StatusCode != 200 || a.ContentLength != int64(len(data)) || a.Header.Get("Accept-Ranges") != "bytes" {
				t.Fatalf("HEAD: %s %v", a.Status, a.Header)
			}
			got := make([]byte, len(data))
			part := len(data)/4 + 1
			var wg sync.WaitGroup
			for from := 0; from < len(data); from += part {
				to := min(from+part, len(data))
				wg.Go(func() {
					a := g.get(token, "Range", fmt.Sprintf("bytes=%d-%d", from, to-1))
					if a.StatusCode != 206 || a.err != nil || copy(got[from:to], a.body) != to-from {
						t.Errorf("%d to %d: %s, %d bytes, %v", from, to, a.Status, len(a.body), a.err)
					}
				})
			}
			wg.Wait()
			if !bytes.Equal(got, data) {
				t.Error("the parts are not the object")
			}
			eventually(t, "no transfer is left", func() bool { return g.transfers.Len() == 0 })
			if o := g.openUse(token); o.Bytes != int64(len(data)) || o.Left != 0 {
				t.Errorf("the use: %+v, want every byte given out once", o)
			}
			if a := g.get(token, "Range", "bytes=0-0"); a.StatusCode != 410 {
				t.Errorf("one byte more: %s", a.Status)
			}
		})
	}
}

// However many ask at the same time, in whatever way: a small object does not
// leave in more than two copies (T8).
func TestNeverMoreThanTwoCopies(t *testing.T) {
	for _, proto := range []protocol{http1, http2} {
		t.Run(proto.name, func(t *testing.T) {
			g := newGate(t, proto)
			g.patient()
			g.s3.store(canaryKey, string(randomBytes(4<<10)))
			token := g.mint(resumable(1 << 20))
			var received atomic.Int64
			var wg sync.WaitGroup
			for i := range 60 {
				wg.Go(func() {
					var header []string
					switch i % 4 {
					case 1:
						header = []string{"Range", "bytes=" + strconv.Itoa(i*50) + "-"}
					case 2:
						header = []string{"Range", "bytes=-700"}
					case 3:
						header = []string{"Range", "bytes=0-99"}
					}
					resp, err := g.client.Do(g.request("GET", token, nil, header...))
					if err != nil {
						return // it broke off before its first byte
					}
					defer resp.Body.Close()
					n, _ := io.Copy(io.Discard, resp.Body)
					if resp.StatusCode < 300 {
						received.Add(n)
					}
				})
			}
			wg.Wait()
			eventually(t, "no transfer is left", func() bool { return g.transfers.Len() == 0 })
			if o := g.openUse(token); received.Load() > 8<<10 || o.Bytes > 8<<10 || received.Load() > o.Bytes || o.Bytes < 7<<10 {
				t.Errorf("%d bytes received; the use: %+v", received.Load(), o)
			}
		})
	}
}

// A request that is larger than what is left gets what is left, and sees that
// it is not all; the whole is refused, with what is left (T8).
func TestEndOfTheBudget(t *testing.T) {
	for _, proto := range []protocol{http1, http2} {
		t.Run(proto.name, func(t *testing.T) {
			g := newGate(t, proto)
			data := randomBytes(1 << 20)
			g.s3.store(canaryKey, string(data))
			token := g.mint(resumable(1000))
			if a := g.get(token); a.StatusCode != 200 || a.err != nil {
				t.Fatalf("%s, %v", a.Status, a.err)
			}
			if a := g.get(token); a.StatusCode != 410 || !strings.Contains(a.body, "1,000 bytes are left") {
				t.Errorf("the whole: %s %s", a.Status, a.body)
			}
			a := g.get(token, "Range", "bytes=0-1999")
			if a.err == nil || len(a.body) > 1000 || !strings.HasPrefix(string(data), a.body) {
				t.Errorf("a part: %s, %d bytes, %v; want it cut", a.Status, len(a.body), a.err)
			}
			eventually(t, "all is given out", func() bool { return g.openUse(token).Left == 0 })
		})
	}
}

// When the object is replaced, no byte of the new one goes where the old one
// was begun; also if S3 does not keep to the condition (S12).
func TestReplacedObjectIsNotMixed(t *testing.T) {
	for _, test := range []struct {
		name   string
		answer http.HandlerFunc
	}{
		{"S3 keeps to If-Match", nil},
		{"S3 does not", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("ETag", `"new"`)
			w.Header().Set("Content-Range", "bytes 2-24/25")
			w.Header().Set("Content-Length", "23")
			w.WriteHeader(206)
			io.WriteString(w, strings.ToUpper(content[2:]))
		}},
		{"S3 answers another size", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("ETag", etag)
			w.Header().Set("Content-Range", "bytes 2-24/26")
			w.Header().Set("Content-Length", "23")
			w.WriteHeader(206)
			io.WriteString(w, strings.ToUpper(content[2:]))
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			g := newGate(t, http1)
			token := g.mint(resumable(10))
			if a := g.get(token, "Range", "bytes=0-1"); a.body != content[:2] {
				t.Fatalf("%s %q", a.Status, a.body)
			}
			swapped(g, token)
			g.s3.answer(test.answer)
			if a := g.get(token, "Range", "bytes=2-"); a.StatusCode != 412 || !strings.Contains(a.body, "ObjectChanged") {
				t.Errorf("%s %s; want 412 ObjectChanged", a.Status, a.body)
			}
			if o := g.openUse(token); o.Bytes != 2 {
				t.Errorf("the use: %+v, want it to cost nothing", o)
			}
		})
	}
}

// Where S3 keeps versions, the one that the use was begun with goes on, also
// when there is a newer one (S12).
func TestVersionGoesOn(t *testing.T) {
	g := newGate(t, http1)
	g.s3.objects[canaryKey].header.Set("X-Amz-Version-Id", "v1")
	token := g.mint(resumable(10))
	g.get(token, "Range", "bytes=0-1")
	if a := g.get(token, "Range", "bytes=2-"); a.body != content[2:] {
		t.Errorf("%s %q", a.Status, a.body)
	}
	requests := g.s3.log()
	if first := requests[0]; strings.Contains(first.target, "versionId") || first.header.Get("If-Match") != "" {
		t.Errorf("the first request: %s %v", first.target, first.header)
	}
	if last := requests[len(requests)-1]; !strings.HasSuffix(last.target, "?versionId=v1") || last.header.Get("If-Match") != etag {
		t.Errorf("the last request: %s %v; want the version and its ETag", last.target, last.header)
	}
}

// expiring mints a token that soon expires, and cuts then.
func (g *gate) expiring(grant tokens.Grant) tokens.Token {
	g.t.Helper()
	grant.CutAtExpiry = true
	token, _, err := g.store.Mint(g.t.Context(), grant, 500*time.Millisecond)
	if err != nil {
		g.t.Fatal(err)
	}
	return token
}

// A download that runs when its token expires ends visibly, if the grant says
// so, and the link answers that it has expired.
func TestExpiryCutsADownload(t *testing.T) {
	t.Parallel()
	for _, proto := range protocols {
		for name, grant := range map[string]tokens.Grant{"resumable": resumable(10), "strict": get(), "unlimited": unlimited(get())} {
			t.Run(name+" "+proto.name, func(t *testing.T) {
				t.Parallel()
				g := newGate(t, proto)
				g.s3.answer(func(w http.ResponseWriter, r *http.Request) {
					w.Header().Set("ETag", etag)
					endless(w, r)
				})
				token := g.expiring(grant)
				resp, err := g.client.Do(g.request("GET", token, nil))
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				ended := make(chan error, 1)
				go func() {
					_, err := io.Copy(io.Discard, resp.Body)
					ended <- err
				}()
				if err := receive(t, "the client sees it", ended); err == nil || resp.StatusCode != 200 {
					t.Errorf("%s, and the download ended cleanly", resp.Status)
				}
				if a := g.get(token); a.StatusCode != 410 || !strings.Contains(a.body, "LinkExpired") {
					t.Errorf("afterwards: %s %s", a.Status, a.body)
				}
				eventually(t, "no transfer is left", func() bool { return g.transfers.Len() == 0 })
			})
		}
	}
}

// An upload that runs then is not stored, and its use comes back.
func TestExpiryCutsAnUpload(t *testing.T) {
	t.Parallel()
	for _, proto := range protocols {
		t.Run(proto.name, func(t *testing.T) {
			t.Parallel()
			g := newGate(t, proto)
			g.s3.clear()
			token := g.expiring(put())
			body, w := io.Pipe()
			defer w.Close()
			go io.WriteString(w, strings.Repeat("x", 64<<10))
			r := g.request("PUT", token, body)
			r.ContentLength = 1 << 20
			answered := make(chan int, 1)
			go func() {
				resp, err := g.client.Do(r)
				if err != nil {
					answered <- 0
					return
				}
				resp.Body.Close()
				answered <- resp.StatusCode
			}()
			if status := receive(t, "an end", answered); status != 410 && status != 0 {
				t.Errorf("status %d, want 410 or none", status)
			}
			g.wantCharge(token, "free")
			if data, ok := g.s3.object(); ok {
				t.Errorf("%d bytes are stored", len(data))
			}
		})
	}
}
