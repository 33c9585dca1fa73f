package gate_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"s3gate/client"
	"s3gate/tokens"
)

// zeal makes nginx keep whatever it may: every status, for an hour, at the first time,
// and stale ones too.
const zeal = `proxy_cache CACHE;
        proxy_buffering on;
        proxy_set_header Range $http_range;
        proxy_cache_valid any 1h;
        proxy_cache_valid 200 206 301 302 400 403 404 405 410 416 429 500 502 503 504 1h;
        proxy_cache_min_uses 1;
        proxy_cache_revalidate on;
        proxy_cache_use_stale error timeout invalid_header updating http_500 http_502 http_503 http_504 http_403 http_404 http_429;
        proxy_cache_methods GET HEAD POST;
        proxy_cache_key $uri;
        add_header X-Cache $upstream_cache_status always;`

// A cache in front of the gate that keeps what it may keeps no answer to a link: none
// lies in its directory, and the gate sees every request (C4).
func TestFrontsCacheNothing(t *testing.T) {
	w := newEmbedded(t)
	w.store("o", "text/plain", []byte("object"))
	w.store("dir/o", "text/plain", []byte("object"))
	w.store("page", "text/html", []byte("<p>object"))
	g := w.gate(nil)
	without := *w
	without.redis = "127.0.0.1:1" // a gate that can serve nothing
	unproven := without.gate(nil)
	naive := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("x")) }))
	t.Cleanup(naive.Close)

	const pass = "proxy_buffering off;\n        proxy_cache off;"
	other := behind{strings.TrimPrefix(naive.URL, "http://"), "127.0.0.1:1"}
	working := nginxFront(t, other, other, pass, zeal)
	tr := working.transport(t, false, "127.0.0.1")
	for _, want := range []string{"MISS", "HIT"} {
		if a, err := try(t.Context(), tr, "GET", working.url+"/naive", nil); err != nil || a.header.Get("X-Cache") != want {
			t.Fatalf("this cache does not work: %v %v", a.header, err)
		}
	}
	if len(working.kept(t)) == 0 {
		t.Fatal("this cache keeps nothing at all")
	}

	f := nginxFront(t, g.behind(), g.behind(), pass, zeal)
	down := nginxFront(t, unproven.behind(), unproven.behind(), pass, zeal)
	revoked, passcode := g.mint("get", "o", nil), g.mint("get", "o", func(r *client.MintRequest) { r.Passcode = "1234" })
	if _, err := g.api.Revoke(t.Context(), revoked.ID, ""); err != nil {
		t.Fatal(err)
	}
	folder := g.mint("get", "", func(r *client.MintRequest) { r.Prefix, r.List = "dir/", true })
	for _, tt := range []struct {
		name, link string
		header     string
		status     int
	}{
		{"an object", f.link(g.mint("get", "o", nil)), "", 200},
		{"an object with a name", f.link(g.mint("get", "o", nil)) + "/o.txt?a=b", "", 200},
		{"a page of a bucket", f.link(g.mint("get", "page", nil)), "", 200},
		{"a part", f.link(g.mint("get", "o", nil)), "Range: bytes=1-2", 206},
		{"no such part", f.link(g.mint("get", "o", nil)), "Range: bytes=9-", 416},
		{"nothing there", f.link(g.mint("get", "nothing", nil)), "", 404},
		{"no link", f.url + "/" + tokens.Generate().Reveal(), "", 404},
		{"no link, as a page", f.url + "/" + tokens.Generate().Reveal(), "Accept: text/html", 404},
		{"no token", f.url + "/favicon.ico", "", 404},
		{"another method", f.link(g.mint("put", "up", nil)), "", 405},
		{"revoked", f.link(revoked), "", 410},
		{"revoked, as a page", f.link(revoked), "Accept: text/html", 410},
		{"a passcode", f.link(passcode), "", 401},
		{"a passcode, as a page", f.link(passcode), "Accept: text/html", 401},
		{"a listing", f.link(folder) + "/", "Accept: text/html", 200},
		{"no Redis", down.link(g.mint("get", "o", nil)), "", 503},
		{"no Redis, as a page", down.link(g.mint("get", "o", nil)), "Accept: text/html", 503},
	} {
		tr := f.transport(t, false, "127.0.0.1")
		if strings.HasPrefix(tt.link, down.url) {
			tr = down.transport(t, false, "127.0.0.1")
		}
		var header []string
		if tt.header != "" {
			header = append(header, tt.header)
		}
		before := requestsOf(w, "")
		for range 3 {
			a, err := try(t.Context(), tr, "GET", tt.link, nil, header...)
			if err != nil || a.status != tt.status || a.header.Get("X-Cache") == "HIT" || a.header.Get("X-Cache") == "" {
				t.Errorf("%s: %d from cache %q, %v, want %d from the gate", tt.name, a.status, a.header.Get("X-Cache"), err, tt.status)
			}
		}
		awaitRequests(t, w, tt.name, before+3)
	}
	for _, f := range []*front{f, down} {
		if kept := f.kept(t); len(kept) > 0 {
			t.Errorf("the cache has kept %q", kept)
		}
	}
}

// awaitRequests waits until the gates have logged so many requests.
func awaitRequests(t *testing.T, w *world, name string, n int) {
	t.Helper()
	eventually(t, name+": the gate sees every request", func() bool { return requestsOf(w, "") >= n })
}

// kept are the files in the cache, as they begin.
func (f *front) kept(t *testing.T) (found []string) {
	t.Helper()
	_ = filepath.WalkDir(filepath.Join(f.dir, "cache"), func(path string, e os.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			raw, _ := os.ReadFile(path)
			found = append(found, string(raw[:min(len(raw), 300)]))
		}
		return nil
	})
	return found
}
