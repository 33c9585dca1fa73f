package gate_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"s3gate/internal/s3gatetest"
)

// A cache in front that keeps whatever it is not forbidden to keep keeps
// nothing of a link: not the object, not an error (C4).
func TestCacheInFrontKeepsNothing(t *testing.T) {
	w := newEmbedded(t)
	w.store("o", "text/plain", []byte("object"))
	g := w.gate(nil)
	naive := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("x")) }))
	t.Cleanup(naive.Close)
	nginx := s3gatetest.Nginx(t, `
    proxy_cache CACHE;
    proxy_cache_valid any 1h;
    proxy_cache_min_uses 1;
    add_header X-Cache $upstream_cache_status always;
    location /naive { proxy_pass `+naive.URL+`; }
    location / { proxy_pass `+g.LinksURL()+`; }`)

	do(t, "GET", nginx+"/naive", nil)
	if a := do(t, "GET", nginx+"/naive", nil); a.header.Get("X-Cache") != "HIT" {
		t.Fatalf("this cache does not work: %v", a.header)
	}
	token := g.mint("get", "o", nil)
	missing := g.mint("get", "nothing", nil)
	links := map[string]int{
		nginx + "/" + token.Token:                        200,
		nginx + "/" + missing.Token:                      404,
		nginx + "/" + g.mint("put", "up", nil).Token:     405,
		nginx + "/s3g_0000000000000000000000000000":      404,
		nginx + "/" + token.Token + "/o?a=b":             200,
		nginx + "/" + strings.Repeat("not-a-token", 100): 404,
	}
	for link, status := range links {
		for range 3 {
			a := do(t, "GET", link, nil)
			if a.status != status || a.header.Get("X-Cache") == "HIT" {
				t.Errorf("%d from cache %q, want %d from the gate", a.status, a.header.Get("X-Cache"), status)
			}
		}
	}
	if _, err := g.api.Revoke(t.Context(), token.ID, ""); err != nil {
		t.Fatal(err)
	}
	w.store("nothing", "text/plain", []byte("here it is"))
	if a := do(t, "GET", nginx+"/"+token.Token, nil); a.status != 410 {
		t.Errorf("after the revocation: %d, want 410", a.status)
	}
	if a := do(t, "GET", nginx+"/"+missing.Token, nil); a.status != 200 {
		t.Errorf("when the object is there: %d, want 200", a.status)
	}
}
