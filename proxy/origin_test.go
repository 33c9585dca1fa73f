package proxy_test

import (
	"net/http"
	"strings"
	"testing"

	"s3gate/proxy"
	"s3gate/tokens"
)

const originSecret = "canary-origin-secret"

// Whoever has found a way past the front is refused before anything else is looked
// at: Redis is not asked, nobody hears of it, and it is no guess.
func TestOriginSecret(t *testing.T) {
	g := newGate(t, http1)
	g.Origin = proxy.NewOrigin("x-origin-secret", originSecret, "the one before")
	g.Guesses = proxy.NewGuesses(0.001, 1)
	g.Refused = func(r proxy.Refusal) { t.Errorf("it was told of %+v", r) }
	link := g.url(g.mint(unlimited(get())))
	g.redis.SetError("Redis was asked")
	for name, sent := range map[string][]string{
		"none": nil, "empty": {""}, "wrong": {"canary-origin-secreT"}, "a part": {originSecret[:19]},
		"more": {originSecret + "s"}, "twice": {originSecret, originSecret}, "in a list": {originSecret + ", x"},
	} {
		for _, request := range []struct{ method, url string }{
			{"GET", link}, {"HEAD", link}, {"PUT", link}, {"OPTIONS", link}, {"DELETE", link}, {"BREW", link},
			{"GET", g.url(tokens.Generate())}, {"GET", g.server.URL + "/"},
		} {
			a := g.fromOrigin(request.method, request.url, sent...)
			if a.StatusCode != http.StatusForbidden || request.method != "HEAD" && !strings.Contains(a.body, "OriginDenied") {
				t.Errorf("%s: %s is %d %s", name, request.method, a.StatusCode, a.body)
			}
			if a.Header.Get("Cache-Control") != "private, no-store" {
				t.Errorf("%s: the answer may be kept: %v", name, a.Header)
			}
		}
	}
	g.redis.SetError("")
	page := g.do(request(t, "GET", link, "Accept", "text/html"))
	if !strings.Contains(page.body, "This is not the way in") {
		t.Errorf("the page is %s", page.body)
	}
	for _, secret := range []string{originSecret, "the one before"} {
		if a := g.fromOrigin("GET", link, secret); a.StatusCode != http.StatusOK || a.body != content {
			t.Errorf("with the secret: %d %s", a.StatusCode, a.body)
		}
	}
	if text := g.metricsText(); !strings.Contains(text, "s3gate_origin_refusals_total 57\n") {
		t.Errorf("57 were refused, and the metrics say\n%s", text)
	}
}

// The secret stays between the front and the gate: S3 does not get it, and neither
// does a log.
func TestOriginSecretIsNotPassedOn(t *testing.T) {
	g := newGate(t, http1)
	// A header that uploads pass on, were it not taken out before.
	g.Origin = proxy.NewOrigin("Content-Type", originSecret)
	upload := g.mint(limited(tokens.Upload{Overwrite: true}))
	if a := g.put(upload, content, "Content-Type", originSecret); a.StatusCode != http.StatusOK {
		t.Fatalf("PUT: %d %s", a.StatusCode, a.body)
	}
	g.get(g.mint(get()), "Content-Type", originSecret)
	g.get(g.mint(get()), "Content-Type", originSecret+"?")
	g.s3.mu.Lock()
	defer g.s3.mu.Unlock()
	if len(g.s3.requests) < 2 {
		t.Errorf("S3 has got %d requests", len(g.s3.requests))
	}
	for _, r := range g.s3.requests {
		for name, values := range r.header {
			if strings.Contains(strings.Join(values, ""), originSecret) {
				t.Errorf("S3 has got %s: %s", name, values)
			}
		}
	}
	if strings.Contains(g.log.String(), originSecret) {
		t.Errorf("the log has it:\n%s", g.log.String())
	}
}

// fromOrigin sends a request with these values of the header.
func (g *gate) fromOrigin(method, url string, secrets ...string) answer {
	g.t.Helper()
	var header []string
	for _, secret := range secrets {
		header = append(header, "X-Origin-Secret", secret)
	}
	return g.do(request(g.t, method, url, header...))
}

func request(t testing.TB, method, url string, header ...string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	return r
}
