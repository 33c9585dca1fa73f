package gate_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"s3gate/client"
	"s3gate/tokens"
)

// The data path on devs3 and on MinIO must be the same.
func TestDownload(t *testing.T) {
	eachWorld(t, func(w *world) {
		body := make([]byte, 3<<20)
		rand.Read(body)
		w.store("dir/file.bin", "application/x-test", body)
		g := w.gate(nil)
		link := g.mint("get", "dir/file.bin", nil).URL
		etag := do(w.t, "HEAD", link, nil).header.Get("Etag")
		modified := do(w.t, "HEAD", link, nil).header.Get("Last-Modified")
		tests := []struct {
			name    string
			method  string
			headers []string
			status  int
			body    []byte
			want    []string // headers of the answer
		}{
			{"whole", "GET", nil, 200, body, []string{"Content-Type: application/x-test", "Accept-Ranges: bytes",
				`Content-Disposition: attachment; filename="file.bin"; filename*=UTF-8''file.bin`}},
			{"head", "HEAD", nil, 200, []byte{}, []string{"Content-Length: 3145728", "Accept-Ranges: bytes"}},
			{"head ignores a range", "HEAD", []string{"Range: bytes=0-9"}, 200, []byte{}, []string{"Content-Length: 3145728"}},
			{"first bytes", "GET", []string{"Range: bytes=0-99"}, 206, body[:100], []string{"Content-Range: bytes 0-99/3145728"}},
			{"from the middle", "GET", []string{"Range: bytes=3145000-"}, 206, body[3145000:], nil},
			{"last bytes", "GET", []string{"Range: bytes=-10"}, 206, body[len(body)-10:], nil},
			{"past the end", "GET", []string{"Range: bytes=3145728-"}, 416, nil, nil},
			{"two ranges are one whole", "GET", []string{"Range: bytes=0-1,5-6"}, 200, body, nil},
			{"two range headers", "GET", []string{"Range: bytes=0-1", "Range: bytes=2-3"}, 400, nil, nil},
			{"another unit", "GET", []string{"Range: lines=1-2"}, 200, body, nil},
			{"none match", "GET", []string{"If-None-Match: " + etag}, 304, []byte{}, nil},
			{"none match, another", "GET", []string{`If-None-Match: "x"`}, 200, body, nil},
			{"match", "GET", []string{"If-Match: " + etag, "Range: bytes=5-5"}, 206, body[5:6], nil},
			{"match, another", "GET", []string{`If-Match: "x"`}, 412, nil, nil},
			{"not modified since", "GET", []string{"If-Modified-Since: " + modified}, 304, []byte{}, nil},
			{"modified since", "GET", []string{"If-Unmodified-Since: Mon, 01 Jan 2001 00:00:00 GMT"}, 412, nil, nil},
			{"head, none match", "HEAD", []string{"If-None-Match: " + etag}, 304, []byte{}, nil},
			{"if range, same", "GET", []string{"If-Range: " + etag, "Range: bytes=7-9"}, 206, body[7:10], nil},
			{"if range, another", "GET", []string{`If-Range: "x"`, "Range: bytes=7-9"}, 200, body, nil},
			{"if range, weak", "GET", []string{"If-Range: W/" + etag, "Range: bytes=7-9"}, 200, body, nil},
			{"if range, date", "GET", []string{"If-Range: " + modified, "Range: bytes=7-9"}, 206, body[7:10], nil},
			{"if range, another date", "GET", []string{"If-Range: Mon, 01 Jan 2035 00:00:00 GMT", "Range: bytes=7-9"}, 200, body, nil},
		}
		for _, tt := range tests {
			a := do(w.t, tt.method, link, nil, tt.headers...)
			if a.status != tt.status || a.err != nil {
				w.t.Errorf("%s: status %d (%v), want %d", tt.name, a.status, a.err, tt.status)
			}
			if tt.body != nil && !bytes.Equal(a.body, tt.body) {
				w.t.Errorf("%s: %d bytes, want %d", tt.name, len(a.body), len(tt.body))
			}
			for _, h := range tt.want {
				name, value, _ := strings.Cut(h, ": ")
				if got := a.header.Get(name); got != value {
					w.t.Errorf("%s: %s is %q, want %q", tt.name, name, got, value)
				}
			}
		}
	})
}

func TestUpload(t *testing.T) {
	eachWorld(t, func(w *world) {
		g := w.gate(nil)
		body := make([]byte, 1<<20)
		rand.Read(body)

		put := g.mint("put", "up/a.bin", nil)
		if a := do(w.t, "GET", put.URL, nil); a.status != 405 || a.header.Get("Allow") != "PUT, POST, PATCH, HEAD, DELETE, OPTIONS" {
			w.t.Errorf("GET on an upload link: %d, Allow %q", a.status, a.header.Get("Allow"))
		}
		a := do(w.t, "PUT", put.URL, body, "Content-Type: application/x-up")
		if a.status != 200 || len(a.body) != 0 || !strings.HasPrefix(a.header.Get("Etag"), `"`) {
			w.t.Fatalf("PUT: %d %q", a.status, a.body)
		}
		if !bytes.Equal(w.stored("up/a.bin"), body) {
			w.t.Error("what was stored is not what was sent")
		}
		if a := do(w.t, "PUT", put.URL, body); a.status != 410 {
			w.t.Errorf("the second PUT: %d, want 410", a.status)
		}
		again := g.mint("put", "up/a.bin", nil)
		if a := do(w.t, "PUT", again.URL, []byte("other")); a.status != 412 {
			w.t.Errorf("PUT over an object: %d, want 412", a.status)
		}
		if !bytes.Equal(w.stored("up/a.bin"), body) {
			w.t.Error("the object was replaced")
		}
		over := g.mint("put", "up/a.bin", func(r *client.MintRequest) { r.Upload = &client.Upload{Overwrite: true} })
		if a := do(w.t, "PUT", over.URL, []byte("other")); a.status != 200 || string(w.stored("up/a.bin")) != "other" {
			w.t.Errorf("PUT with overwrite: %d", a.status)
		}
		empty := g.mint("put", "up/empty", nil)
		if a := do(w.t, "PUT", empty.URL, nil, "Content-Length: 0"); a.status != 200 {
			w.t.Errorf("PUT of nothing: %d %s", a.status, a.body)
		}
		if got := w.stored("up/empty"); got == nil || len(got) != 0 {
			w.t.Errorf("PUT of nothing stored %d bytes", len(got))
		}
		sum := g.mint("put", "up/sum", nil)
		if a := do(w.t, "PUT", sum.URL, []byte("x"), "Content-MD5: 1B2M2Y8AsgTpgAmY7PhCfg=="); a.status != 400 || w.stored("up/sum") != nil {
			w.t.Errorf("PUT with a wrong checksum: %d", a.status)
		}
		if a := do(w.t, "PUT", sum.URL, []byte("x")); a.status != 200 {
			w.t.Errorf("PUT after a refused one: %d %s", a.status, a.body)
		}
	})
}

// oddKeys returns legal keys that something on the way likes to clean up.
func oddKeys() []string {
	return []string{
		"plain", "with space", "+plus", "a+b", "per%cent", "%2F", "a%2Fb", "a/b", "a//b", "//a", "/lead", "trail/", "a/b/",
		"..", "../up", "a/../b", "a/./b", ".", "./a", "ünï", "n\u0303", "\u00f1", "日本語/ファイル", "emoji 😀",
		"q?x=1", "h#f", "a&b=c", "semi;colon", "comma,", "at@", "dollar$", "colon:", "quote'\"", "back\\slash", "tilde~", "pipe|",
		"(paren)", "[bracket]", "{brace}", "<angle>", "star*", "excl!", "caret^", "back`tick", "=eq", "-dash", "_under",
		"policy?policy", "?versionId=x", "x?uploads", strings.Repeat("k", 200) + "/" + strings.Repeat("é", 400),
	}
}

// Any legal key works byte for byte, and no two are confused (S1). A store may
// refuse a key, as MinIO does; then nothing is stored under another.
func TestKeys(t *testing.T) {
	keys := oddKeys()
	eachWorld(t, func(w *world) {
		g := w.gate(nil)
		refused := 0
		for _, key := range keys {
			body := []byte("object " + key)
			a := do(w.t, "PUT", g.mint("put", key, nil).URL, body)
			switch {
			case a.status == 200:
			case a.status >= 400 && w.s3.Gate.AccessKey == "": // not devs3
				refused++
				continue
			default:
				w.t.Errorf("PUT %q: %d %s", key, a.status, a.body)
				continue
			}
			got := do(w.t, "GET", g.mint("get", key, nil).URL, nil)
			if got.status != 200 || !bytes.Equal(got.body, body) {
				w.t.Errorf("GET %q: %d %q", key, got.status, got.body)
			}
			if !bytes.Equal(w.stored(key), body) {
				w.t.Errorf("%q is not stored as it was sent", key)
			}
		}
		w.t.Logf("%d keys, %d refused by the store", len(keys), refused)
		if refused > len(keys)/3 {
			w.t.Errorf("%d of %d keys refused", refused, len(keys))
		}
	})
}

// At most as many copies as there are uses leave, over several gates on one
// Redis (T1, T7).
func TestUsesAreExact(t *testing.T) {
	eachWorld(t, func(w *world) {
		body := []byte(strings.Repeat("one copy ", 1000))
		w.store("limited", "text/plain", body)
		gates := []*testGate{w.gate(nil), w.gate(nil), w.gate(nil)}
		for _, n := range []int64{1, 7} {
			token := gates[0].mint("get", "limited", uses(n))
			const racers = 90
			var mu sync.Mutex
			count := map[int]int64{}
			var wg sync.WaitGroup
			for i := range racers {
				wg.Go(func() {
					link := gates[i%len(gates)].LinksURL() + "/" + token.Token
					a, err := try(w.t.Context(), http.DefaultTransport, "GET", link, nil)
					if err != nil || a.err != nil {
						w.t.Error(err, a.err)
						return
					}
					mu.Lock()
					defer mu.Unlock()
					count[a.status]++
					if a.status == 200 && !bytes.Equal(a.body, body) {
						w.t.Error("a copy is not whole")
					}
				})
			}
			wg.Wait()
			if count[200] != n || count[200]+count[410]+count[409] != racers {
				w.t.Errorf("max_uses %d: answers %v", n, count)
			}
			status, err := gates[1].api.Show(w.t.Context(), token.ID)
			if err != nil || status.State != "used" || status.Uses != n || status.InUse != 0 {
				w.t.Errorf("max_uses %d: %+v, %v", n, status, err)
			}
		}
	})
}

// What is not there, or not to be had, is a status and not a mystery.
func TestTrouble(t *testing.T) {
	eachWorld(t, func(w *world) {
		w.store("object-7f3a", "text/plain", []byte("x"))
		g := w.gate(nil)
		used := g.mint("get", "object-7f3a", uses(1))
		do(w.t, "GET", used.URL, nil)
		revoked := g.mint("get", "object-7f3a", nil)
		if _, err := g.api.Revoke(w.t.Context(), revoked.ID, ""); err != nil {
			w.t.Fatal(err)
		}
		link := g.mint("get", "object-7f3a", nil).URL
		absent := g.mint("get", "object-0000", uses(1))
		tests := []struct {
			name, method, url string
			status            int
			code              string
			headers           []string
		}{
			{"absent", "GET", absent.URL, 404, "NotFound", nil},
			{"absent costs nothing", "GET", absent.URL, 404, "NotFound", nil},
			{"absent, head", "HEAD", absent.URL, 404, "", nil},
			{"used", "GET", used.URL, 410, "LinkUsed", nil},
			{"revoked", "GET", revoked.URL, 410, "LinkRevoked", nil},
			{"unknown", "GET", g.LinksURL() + "/" + tokens.Generate().Reveal(), 404, "NotFound", nil},
			{"malformed", "GET", g.LinksURL() + "/favicon.ico", 404, "NotFound", nil},
			{"root", "GET", g.LinksURL() + "/", 404, "NotFound", nil},
			{"delete", "DELETE", link, 405, "MethodNotAllowed", nil},
			{"post", "POST", link, 405, "MethodNotAllowed", nil},
			{"put on a download link", "PUT", link, 405, "MethodNotAllowed", []string{"Content-Length: 0"}},
			{"header bomb", "GET", link, 431, "", []string{"X-Bomb: " + strings.Repeat("b", 64<<10)}},
		}
		for _, tt := range tests {
			a := do(w.t, tt.method, tt.url, nil, tt.headers...)
			if a.status != tt.status || !bytes.Contains(a.body, []byte(tt.code)) {
				w.t.Errorf("%s: %d %s, want %d %s", tt.name, a.status, a.body, tt.status, tt.code)
			}
			for _, secret := range []string{bucketName, "object-", w.s3.AccessKey} {
				if bytes.Contains(a.body, []byte(secret)) {
					w.t.Errorf("%s: the answer names %q", tt.name, secret)
				}
			}
		}
		if a := do(w.t, "GET", link, nil); a.status != 200 {
			w.t.Errorf("after all that: %d", a.status)
		}
	})
}

// A bearer that is no admin's and a client error come out as the API's error.
func TestAPIError(t *testing.T) {
	w := newEmbedded(t)
	g := w.gate(nil)
	_, err := g.api.Mint(t.Context(), client.MintRequest{Operation: "get", Bucket: "elsewhere", Key: "k"})
	var problem *client.Error
	if !errors.As(err, &problem) || problem.Status != 400 || problem.Field != "bucket" {
		t.Errorf("Mint = %v", err)
	}
	_, err = client.New(g.APIURL(), "nonsense").Mint(context.Background(), client.MintRequest{})
	if !errors.As(err, &problem) || problem.Status != 401 || strings.Contains(fmt.Sprint(err), "nonsense") {
		t.Errorf("Mint = %v", err)
	}
}
