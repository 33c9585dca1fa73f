package proxy_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"s3gate/proxy"
	"s3gate/revocation"
	"s3gate/tokens"
)

// counting knows no token, and counts how often it was asked.
type counting struct{ asked atomic.Int64 }

func (c *counting) Redeem(context.Context, tokens.Token, tokens.Ask) (*tokens.Use, error) {
	c.asked.Add(1)
	return nil, tokens.ErrUnknown
}

func (c *counting) Look(ctx context.Context, t tokens.Token, ask tokens.Ask) (*tokens.Use, error) {
	return c.Redeem(ctx, t, ask)
}

func (c *counting) Occupy(context.Context, tokens.ID, int64) (*tokens.Slot, error) {
	c.asked.Add(1)
	return nil, tokens.ErrUnproven
}

// Guessing well-formed tokens is limited by network, and Redis is spared;
// what cannot be a token is never asked for and never counted (T11).
func TestGuessing(t *testing.T) {
	store := &counting{}
	h := &proxy.Handler{
		Tokens: store, Transfers: &revocation.Transfers{},
		Client:  proxy.ClientAddress{Trusted: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}},
		Guesses: proxy.NewGuesses(0.001, 5),
	}
	ask := func(path, client string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(http.MethodGet, path, nil)
		r.RemoteAddr = "10.0.0.1:1234"
		r.Header.Set("X-Forwarded-For", client)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w
	}
	guess := func(client string) int { return ask("/"+tokens.Generate().Reveal(), client).Code }

	for range 100 {
		for _, path := range []string{"/favicon.ico", "/", "/s3g_short", "/robots.txt"} {
			if got := ask(path, "192.0.2.1").Code; got != http.StatusNotFound {
				t.Fatalf("%s: %d", path, got)
			}
		}
	}
	if n := store.asked.Load(); n != 0 {
		t.Errorf("Redis was asked %d times for what cannot be a token", n)
	}
	for i := range 5 {
		if got := guess("192.0.2." + strconv.Itoa(i)); got != http.StatusNotFound {
			t.Fatalf("guess %d: %d", i, got)
		}
	}
	for range 50 {
		if got := guess("192.0.2.77"); got != http.StatusTooManyRequests {
			t.Fatalf("a guess over the limit: %d", got)
		}
	}
	if n := store.asked.Load(); n != 5 {
		t.Errorf("Redis was asked %d times, want 5", n)
	}
	if w := ask("/"+tokens.Generate().Reveal(), "192.0.2.1"); w.Header().Get("Retry-After") == "" || !strings.Contains(w.Body.String(), "SlowDown") {
		t.Errorf("answer over the limit: %v %s", w.Header(), w.Body)
	}
	if got := guess("192.0.3.1"); got != http.StatusNotFound {
		t.Errorf("another network: %d", got)
	}
	for _, client := range []string{"2001:db8::1", "2001:db8::2", "2001:db8::3", "2001:db8::4", "2001:db8::5"} {
		guess(client)
	}
	if got := guess("2001:db8::ffff:1"); got != http.StatusTooManyRequests {
		t.Errorf("the same /64: %d", got)
	}
	if got := guess("2001:db8:0:1::1"); got != http.StatusNotFound {
		t.Errorf("another /64: %d", got)
	}
}
