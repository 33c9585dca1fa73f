package proxy_test

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"s3gate/proxy"
	"s3gate/revocation"
	"s3gate/tokens"
	"s3gate/web"
)

// What is adjusted stands in for the fields, all of them.
func TestAdjust(t *testing.T) {
	h := &proxy.Handler{
		Tokens: &counting{}, Transfers: &revocation.Transfers{},
		Look: web.Look{Contact: "old@example.com"}, Guesses: proxy.NewGuesses(0.001, 1),
	}
	guess := func(client string) (int, string) {
		r := httptest.NewRequest(http.MethodGet, "/"+tokens.Generate().Reveal(), nil)
		r.RemoteAddr = "10.0.0.1:1234"
		r.Header.Set("X-Forwarded-For", client)
		r.Header.Set("Accept", "text/html")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Code, w.Body.String()
	}
	if code, page := guess("192.0.2.1"); code != http.StatusNotFound || !strings.Contains(page, "old@example.com") {
		t.Errorf("%d %s", code, page)
	}
	if code, _ := guess("198.51.100.1"); code != http.StatusTooManyRequests {
		t.Errorf("two guesses of one proxy that nobody trusts: %d", code)
	}
	h.Adjust(proxy.Adjustable{
		Client:  proxy.ClientAddress{Trusted: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}},
		Guesses: proxy.NewGuesses(0.001, 1), Look: web.Look{Contact: "new@example.com"},
	})
	for _, client := range []string{"192.0.2.1", "198.51.100.1"} {
		if code, page := guess(client); code != http.StatusNotFound || !strings.Contains(page, "new@example.com") {
			t.Errorf("%s: %d %s", client, code, page)
		}
	}
	if code, _ := guess("198.51.100.1"); code != http.StatusTooManyRequests {
		t.Errorf("two guesses of one client: %d", code)
	}
}
