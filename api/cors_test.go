package api_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"s3gate/api"
)

// Pages of configured origins may call the API; others get what everybody gets.
func TestPagesOfConfiguredOriginsMayCall(t *testing.T) {
	const app, evil = "https://app.example", "https://app.example.evil"
	g := newGate(t, func(c *api.Config) { c.Origins = []string{"http://localhost:5173", app} })
	closed := newGate(t)
	id := g.mint(get()).ID
	for _, tt := range []struct {
		name           string
		on             *gate
		method, target string
		body, origin   string
		asks           string // Access-Control-Request-Method
		status         int
		allowed        bool
		methods        string
	}{
		{"mint", g, "POST", "/v1/tokens", get(), app, "", 201, true, ""},
		{"error", g, "POST", "/v1/tokens", "{}", app, "", 400, true, ""},
		{"unknown path", g, "GET", "/v1/nothing", "", app, "", 404, true, ""},
		{"wrong method", g, "PUT", "/v1/tokens", "", app, "", 405, true, ""},
		{"document", g, "GET", "/openapi.yaml", "", app, "", 200, true, ""},
		{"preflight", g, "OPTIONS", "/v1/tokens", "", app, "POST", 204, true, "GET, HEAD, POST"},
		{"preflight from the other", g, "OPTIONS", "/v1/tokens/" + id, "", "http://localhost:5173", "DELETE", 204, true, "DELETE, GET, HEAD, PATCH"},
		{"preflight of nothing", g, "OPTIONS", "/v1/nothing", "", app, "POST", 404, true, ""},
		{"OPTIONS without a question", g, "OPTIONS", "/v1/tokens", "", app, "", 405, true, ""},
		{"another origin", g, "POST", "/v1/tokens", get(), evil, "", 201, false, ""},
		{"preflight of another", g, "OPTIONS", "/v1/tokens", "", evil, "POST", 405, false, ""},
		{"another scheme", g, "OPTIONS", "/v1/tokens", "", "http://app.example", "POST", 405, false, ""},
		{"another case", g, "OPTIONS", "/v1/tokens", "", "https://APP.example", "POST", 405, false, ""},
		{"null", g, "OPTIONS", "/v1/tokens", "", "null", "POST", 405, false, ""},
		{"no origin", g, "POST", "/v1/tokens", get(), "", "", 201, false, ""},
		{"none configured", closed, "OPTIONS", "/v1/tokens", "", app, "POST", 405, false, ""},
		{"none configured, no origin", closed, "POST", "/v1/tokens", get(), "", "", 201, false, ""},
	} {
		r := newRequest(tt.on, tt.method, tt.target, tt.body)
		if tt.origin != "" {
			r.Header.Set("Origin", tt.origin)
		}
		if tt.asks != "" {
			r.Header.Set("Access-Control-Request-Method", tt.asks)
			r.Header.Set("Access-Control-Request-Headers", "authorization,content-type,idempotency-key")
			r.Header.Del("Authorization")
		}
		a := send(t, tt.on.handler, r)
		h := a.header
		want := ""
		if tt.allowed {
			want = tt.origin
		}
		if a.status != tt.status || h.Get("Access-Control-Allow-Origin") != want || h.Get("Access-Control-Allow-Methods") != tt.methods || h.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%s: %d %v", tt.name, a.status, h)
		}
		if (h.Get("Vary") == "Origin") != (tt.on == g) {
			t.Errorf("%s: Vary is %q", tt.name, h.Get("Vary"))
		}
		if exposed := h.Get("Access-Control-Expose-Headers"); (exposed == "ETag, Idempotency-Replayed, Location, RateLimit, RateLimit-Policy, Retry-After, X-Request-Id") != tt.allowed {
			t.Errorf("%s: exposed are %q", tt.name, exposed)
		}
		if tt.methods != "" && (h.Get("Access-Control-Allow-Headers") != "Authorization, Content-Type, Idempotency-Key, If-Match" || h.Get("Access-Control-Max-Age") != "600" || a.body != "") {
			t.Errorf("%s: %v %s", tt.name, h, a.body)
		}
	}
	// The strangers' errors are readable too.
	r := newRequest(g, "GET", "/v1/tokens", "")
	r.Header.Set("Origin", app)
	r.Header.Del("Authorization")
	if a := send(t, g.handler, r); a.status != http.StatusUnauthorized || a.header.Get("Access-Control-Allow-Origin") != app {
		t.Errorf("without a JWT: %d %v", a.status, a.header)
	}
}

// newRequest is a request of the administrator.
func newRequest(g *gate, method, target, body string) *http.Request {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r.Header.Set("Authorization", g.admin)
	return r
}
