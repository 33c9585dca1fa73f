package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"s3gate/api"
	"s3gate/auth"
	"s3gate/revocation"
	"s3gate/tokens"
)

func TestRoutesThatAreNotThere(t *testing.T) {
	g := newGate(t)
	for _, tt := range []struct {
		method, path string
		status       int
		allow        string
	}{
		{"GET", "/", 404, ""},
		{"GET", "/v1", 404, ""},
		{"GET", "/v1/", 404, ""},
		{"GET", "/v2/tokens", 404, ""},
		{"GET", "/v1/token", 404, ""},
		{"GET", "/v1/Tokens", 404, ""},
		{"GET", "/v1/tokens/", 404, ""},
		{"DELETE", "/v1/tokens/", 404, ""},
		{"GET", "/v1/tokens/a/b", 404, ""},
		{"GET", "/healthz/", 404, ""},
		{"GET", "/debug/pprof/", 404, ""},

		{"GET", "//v1/tokens", 404, ""},
		{"POST", "/v1//tokens", 404, ""},
		{"POST", "/v1/./tokens", 404, ""},
		{"DELETE", "/v1/tokens/../tokens", 404, ""},
		{"GET", "/v1/tokens/.", 404, ""},
		{"GET", "/v1/tokens/..", 404, ""},
		{"GET", "/..//evil.example/", 404, ""},

		{"PUT", "/v1/tokens", 405, "GET, HEAD, POST"},
		{"DELETE", "/v1/tokens", 405, "GET, HEAD, POST"},
		{"OPTIONS", "/v1/tokens", 405, "GET, HEAD, POST"},
		{"post", "/v1/tokens", 405, "GET, HEAD, POST"},
		{"POST", "/v1/tokens/x", 405, "DELETE, GET, HEAD, PATCH"},
		{"POST", "/v1/tokens/x:", 404, ""},
		{"POST", "/v1/tokens/x:reissu", 404, ""},
		{"POST", "/v1/tokens/x/:reissue", 404, ""},
		{"POST", "/v1/tokens/x/y:reissue", 404, ""},
		{"POST", "/v1/tokens/:reissue", 404, ""},
		{"GET", "/v1/tokens/x:reissue", 405, "POST"},
		{"GET", "/v1/tokens:batch", 405, "POST"},
		{"POST", "/v1/tokens:batc", 404, ""},
		{"TRACE", "/v1/tokens/x", 405, "DELETE, GET, HEAD, PATCH"},
		{"POST", "/healthz", 405, "GET, HEAD"},
		{"DELETE", "/readyz", 405, "GET, HEAD"},
		{"POST", "/metrics", 405, "GET, HEAD"},
		{"CONNECT", "/v1/tokens", 405, "GET, HEAD, POST"},
		{"CONNECT", "", 404, ""},
		{"GET", "*", 404, ""},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Method, r.URL, r.RequestURI = tt.method, &url.URL{Path: tt.path}, tt.path
		r.Header.Set("Authorization", g.admin)
		a := send(t, g.handler, r)
		if a.status != tt.status || a.header.Get("Allow") != tt.allow || a.header.Get("Location") != "" {
			t.Errorf("%s %s: %d, Allow %q, Location %q; want %d, %q", tt.method, tt.path,
				a.status, a.header.Get("Allow"), a.header.Get("Location"), tt.status, tt.allow)
		}
	}
}

// HEAD answers as GET does, without the body, over a real connection.
func TestHeadAnswersLikeGet(t *testing.T) {
	g := newGate(t)
	id := g.mint(get()).ID
	server := httptest.NewServer(g.handler)
	defer server.Close()
	for _, path := range []string{"/healthz", "/readyz", "/metrics", "/v1/tokens", "/v1/tokens/" + id, "/v1/tokens/x", "/nowhere"} {
		var headers [2]http.Header
		var statuses [2]int
		for i, method := range []string{"GET", "HEAD"} {
			r, _ := http.NewRequest(method, server.URL+path, nil)
			r.Header.Set("Authorization", g.admin)
			resp, err := server.Client().Do(r)
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			if method == "HEAD" && len(body) > 0 {
				t.Errorf("HEAD %s has a body", path)
			}
			statuses[i], headers[i] = resp.StatusCode, resp.Header
		}
		if statuses[0] != statuses[1] || headers[0].Get("Content-Type") != headers[1].Get("Content-Type") {
			t.Errorf("%s: GET %d %s, HEAD %d %s", path, statuses[0], headers[0].Get("Content-Type"), statuses[1], headers[1].Get("Content-Type"))
		}
	}
}

func TestReadiness(t *testing.T) {
	for _, tt := range []struct {
		name   string
		break_ func(*gate)
		status int
		words  string
	}{
		{"in order", func(*gate) {}, 200, ""},
		{"shutting down", func(g *gate) { g.setReady(api.ErrDraining) }, 503, "shutting down"},
		{"Redis down", func(g *gate) { g.redis.Close() }, 503, "Redis cannot be reached"},
		{"Redis full", func(g *gate) { g.redis.SetError("OOM command not allowed") }, 503, "Redis cannot be reached"},
		{"something else", func(g *gate) { g.setReady(errors.New("canary")) }, 500, "Something went wrong"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := newGate(t)
			tt.break_(g)
			a := g.as("", "GET", "/readyz", nil)
			if a.status != tt.status || !strings.Contains(a.body, tt.words) || strings.Contains(a.body, "canary") {
				t.Errorf("%d %s, want %d … %s …", a.status, a.body, tt.status, tt.words)
			}
			if a := g.as("", "GET", "/healthz", nil); a.status != http.StatusOK {
				t.Errorf("healthz: %d, want 200 whatever is wrong elsewhere", a.status)
			}
		})
	}
}

// What cannot be proven is never said to be done or not there.
func TestWithoutRedisEverythingIsUnproven(t *testing.T) {
	for _, tt := range []struct {
		name   string
		break_ func(*gate)
	}{
		{"down", func(g *gate) { g.redis.Close() }},
		{"full", func(g *gate) { g.redis.SetError("OOM command not allowed when used memory > 'maxmemory'") }},
		{"read only", func(g *gate) { g.redis.SetError("READONLY You can't write against a read only replica") }},
		{"loading", func(g *gate) { g.redis.SetError("LOADING Redis is loading the dataset in memory") }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := newGate(t)
			id := g.mint(get()).ID
			tt.break_(g)
			for _, r := range tokenRoutes {
				a := g.do(r.method, strings.Replace(r.target, "{id}", id, 1), get())
				unproven := strings.Contains(a.problem().Detail, "may or may not have been done") || a.problem().Outcome == revocation.NotMade
				if a.status != http.StatusServiceUnavailable || !unproven {
					t.Errorf("%s %s: %d %s", r.method, r.target, a.status, a.body)
				}
				if !strings.Contains(g.log.String(), a.header.Get("X-Request-Id")) {
					t.Errorf("%s %s: the log does not name the request", r.method, r.target)
				}
			}
			// Nothing that is wrong with the request needs Redis to be told.
			if a := g.do("GET", "/v1/tokens/x", ""); a.status != http.StatusNotFound {
				t.Errorf("a malformed ID: %d, want 404", a.status)
			}
			if a := g.as("", "GET", "/v1/tokens/"+id, nil); a.status != http.StatusUnauthorized {
				t.Errorf("nobody: %d, want 401", a.status)
			}
		})
	}
}

// What went wrong inside is for the log only.
func TestInnerErrorsStayInside(t *testing.T) {
	g := newGate(t, func(c *api.Config) { c.Tokens, c.Revoker, c.Verifier = broken{}, broken{}, trusting{} })
	for _, r := range tokenRoutes {
		a := g.do(r.method, strings.Replace(r.target, "{id}", "tok_aaaaaaaaaaaaaaaaaaaaaaaaaa", 1), get())
		if a.status != http.StatusInternalServerError || strings.Contains(a.body, "canary") {
			t.Errorf("%s %s: %d %s", r.method, r.target, a.status, a.body)
		}
	}
	if n := strings.Count(g.log.String(), "canary"); n != len(tokenRoutes) {
		t.Errorf("the log has the cause %d times, want %d", n, len(tokenRoutes))
	}
	// A verifier that cannot tell lets nobody in.
	g = newGate(t, func(c *api.Config) { c.Verifier = broken{} })
	if a := g.do("GET", "/v1/tokens", ""); a.status != http.StatusInternalServerError {
		t.Errorf("a broken verifier: %d", a.status)
	}
}

var errCanary = errors.New("canary: 10.0.0.7:6379 refused")

type broken struct{}

func (broken) Mint(context.Context, tokens.Grant, time.Duration, ...tokens.Quota) (t tokens.Token, g tokens.Grant, err error) {
	return t, g, errCanary
}
func (broken) Show(context.Context, tokens.ID) (tokens.Status, error) {
	return tokens.Status{}, errCanary
}
func (broken) List(context.Context, tokens.Query) (tokens.Page, error) {
	return tokens.Page{}, errCanary
}
func (broken) Check(context.Context, tokens.Grant, time.Duration) error { return errCanary }
func (broken) CheckAll(context.Context, []tokens.Minting) error         { return errCanary }
func (broken) MintAll(context.Context, []tokens.Minting) ([]tokens.Minted, error) {
	return nil, errCanary
}
func (broken) Reserve(context.Context, tokens.Request) (*tokens.Reservation, error) {
	return nil, errCanary
}
func (broken) Narrow(context.Context, tokens.Grant, tokens.Narrowing) (g tokens.Grant, err error) {
	return g, errCanary
}
func (broken) Replace(context.Context, tokens.Grant, tokens.Grant) error { return errCanary }
func (broken) Retire(context.Context, tokens.Grant, tokens.ID, string, string) error {
	return errCanary
}
func (broken) Now(context.Context) (time.Time, error) { return time.Time{}, errCanary }
func (broken) Revoke(context.Context, revocation.Rule) (revocation.Receipt, error) {
	return revocation.Receipt{}, errCanary
}
func (broken) Lift(context.Context, string, string, string) (revocation.Receipt, error) {
	return revocation.Receipt{}, errCanary
}
func (broken) Change(context.Context, *tokens.Grant, *tokens.Grant, string) (revocation.Receipt, error) {
	return revocation.Receipt{}, errCanary
}
func (broken) Verify(string) (auth.Caller, error) { return auth.Caller{}, errCanary }

type trusting struct{}

func (trusting) Verify(string) (auth.Caller, error) { return auth.Caller{Admin: true}, nil }

func TestMetricsAreThereOnlyIfGiven(t *testing.T) {
	if a := newGate(t).as("", "GET", "/metrics", nil); a.status != http.StatusOK || a.body != "up 1\n" {
		t.Errorf("%d %q", a.status, a.body)
	}
	g := newGate(t, func(c *api.Config) { c.Metrics = nil })
	if a := g.as("", "GET", "/metrics", nil); a.status != http.StatusNotFound {
		t.Errorf("%d, want 404", a.status)
	}
}

// Each call is one line in the log, with the route and not the path.
func TestCallsAreLogged(t *testing.T) {
	g := newGate(t)
	id := g.mint(get()).ID
	for _, tt := range []struct{ method, target, want string }{
		{"GET", "/v1/tokens/" + id, `route="GET /v1/tokens/{id}" status=200`},
		{"DELETE", "/v1/tokens/x?reason=canary", `route="DELETE /v1/tokens/{id}" status=404`},
		{"GET", "/canary", `route="" status=404`},
		{"PUT", "/v1/tokens", `route="" status=405`},
	} {
		a := g.do(tt.method, tt.target, "")
		for line := range strings.Lines(g.log.String()) {
			if strings.Contains(line, a.header.Get("X-Request-Id")) && (!strings.Contains(line, tt.want) || strings.Contains(line, "canary")) {
				t.Errorf("%s %s was logged as %s", tt.method, tt.target, line)
			}
		}
	}
	if n := strings.Count(g.log.String(), "api request"); n != 5 {
		t.Errorf("%d lines for 5 calls", n)
	}
}

// The secret leaves the gate in the answer to the mint and nowhere else (T13,
// T14).
func TestTheTokenIsGivenOutOnce(t *testing.T) {
	g := newGate(t)
	m := g.mint(get(`"max_uses": 2`))
	if !tokenForm.MatchString(m.Token) || strings.Count(m.URL, m.Token) != 1 {
		t.Fatalf("minted %+v", m)
	}
	var outputs []string
	for _, r := range []route{showRoute, listRoute, revokeRoute, showRoute, listRoute, metrics} {
		a := g.do(r.method, strings.Replace(r.target, "{id}", m.ID, 1), "")
		header, _ := json.Marshal(a.header)
		outputs = append(outputs, a.body, string(header))
	}
	// Somebody takes the token for its ID.
	for _, method := range []string{"GET", "DELETE"} {
		outputs = append(outputs, g.do(method, "/v1/tokens/"+m.Token, "").body)
	}
	outputs = append(outputs, g.log.String(), g.redis.Dump())
	for _, o := range outputs {
		if strings.Contains(o, m.Token[4:26]) {
			t.Errorf("the token is in %s", o)
		}
	}
}
