package api_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"s3gate/api"
)

// call sends a request as the administrator, and checks no more than its status.
func (g *gate) call(b *testing.B, method, target, body string, want int) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r.Header.Set("Authorization", g.admin)
	w := httptest.NewRecorder()
	g.handler.ServeHTTP(w, r)
	if w.Code != want {
		b.Fatalf("%s %s: %d %s", method, target, w.Code, w.Body)
	}
	return w
}

func quietGate(b *testing.B) *gate {
	return newGate(b, func(c *api.Config) { c.Logger = nil })
}

// BenchmarkMint is a call that mints a token, with what the embedded Redis costs.
func BenchmarkMint(b *testing.B) {
	g := quietGate(b)
	body := get(`"subject": "alice@example.com"`, `"labels": {"case": "4711"}`, `"max_uses": 3`)
	b.ReportAllocs()
	for b.Loop() {
		g.call(b, "POST", "/v1/tokens", body, http.StatusCreated)
	}
}

// BenchmarkRevoke is a call that revokes a token that is revoked already, and so has
// a rule more with each: it takes what the embedded Redis costs and until the gate
// itself has acknowledged the rule.
func BenchmarkRevoke(b *testing.B) {
	g := quietGate(b)
	id := g.mint(get()).ID
	b.ReportAllocs()
	for b.Loop() {
		g.call(b, "DELETE", "/v1/tokens/"+id, "", http.StatusOK)
	}
}
