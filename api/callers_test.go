package api_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"s3gate/auth"
)

// A route is a request that an administrator may make; {id} stands for the ID
// of a token.
type route struct{ method, target string }

var (
	mintRoute   = route{"POST", "/v1/tokens"}
	listRoute   = route{"GET", "/v1/tokens"}
	headList    = route{"HEAD", "/v1/tokens"}
	showRoute   = route{"GET", "/v1/tokens/{id}"}
	headShow    = route{"HEAD", "/v1/tokens/{id}"}
	revokeRoute = route{"DELETE", "/v1/tokens/{id}"}
	health      = route{"GET", "/healthz"}
	readiness   = route{"GET", "/readyz"}
	metrics     = route{"GET", "/metrics"}

	tokenRoutes = []route{mintRoute, listRoute, headList, showRoute, headShow, revokeRoute}
	openRoutes  = []route{health, readiness, metrics}
)

// A rule says what a caller is answered on a route.
type rule struct {
	caller string
	route
	status int
}

func rules(status int, caller string, on []route) (all []rule) {
	for _, r := range on {
		all = append(all, rule{caller, r, status})
	}
	return all
}

func allow(caller string, on ...route) []rule {
	all := rules(http.StatusOK, caller, on)
	for i := range all {
		if all[i].route == mintRoute {
			all[i].status = http.StatusCreated
		}
	}
	return all
}

// unproven is for callers that are nobody, forbid for somebody without the
// right.
func unproven(caller string, on ...route) []rule { return rules(http.StatusUnauthorized, caller, on) }
func forbid(caller string, on ...route) []rule   { return rules(http.StatusForbidden, caller, on) }

// callers are Authorization headers by what is wrong with them.
func callers(t *testing.T) map[string]string {
	t.Helper()
	claims := func(change func(jwt.MapClaims)) jwt.MapClaims {
		c := jwt.MapClaims{
			"iss": "https://id.example", "sub": "mallory", "s3gate": "admin", "exp": time.Now().Add(time.Hour).Unix(),
		}
		if change != nil {
			change(c)
		}
		return c
	}
	sign := func(m jwt.SigningMethod, k any, c jwt.MapClaims) string {
		text, err := jwt.NewWithClaims(m, c).SignedString(k)
		if err != nil {
			t.Fatal(err)
		}
		return "Bearer " + text
	}
	elliptic, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	hs := func(change func(jwt.MapClaims)) string { return sign(jwt.SigningMethodHS256, key, claims(change)) }
	admin := hs(nil)
	return map[string]string{
		"admin":           admin,
		"nobody":          "",
		"garbage":         "Bearer garbage",
		"another scheme":  "Basic bWFsbG9yeTpzZWNyZXQ=",
		"bare JWT":        strings.TrimPrefix(admin, "Bearer "),
		"expired":         hs(func(c jwt.MapClaims) { c["exp"] = time.Now().Add(-time.Hour).Unix() }),
		"never expiring":  hs(func(c jwt.MapClaims) { delete(c, "exp") }),
		"another issuer":  hs(func(c jwt.MapClaims) { c["iss"] = "https://evil.example" }),
		"another key":     sign(jwt.SigningMethodHS256, []byte(strings.Repeat("k", 32)), claims(nil)),
		"HS512":           sign(jwt.SigningMethodHS512, key, claims(nil)),
		"ES256":           sign(jwt.SigningMethodES256, elliptic, claims(nil)),
		"alg none":        sign(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, claims(nil)),
		"signature off":   admin[:strings.LastIndexByte(admin, '.')+1],
		"no role":         hs(func(c jwt.MapClaims) { delete(c, "s3gate") }),
		"another role":    hs(func(c jwt.MapClaims) { c["s3gate"] = "reader" }),
		"role of a kind":  hs(func(c jwt.MapClaims) { c["s3gate"] = map[string]bool{"admin": true} }),
		"admin in a list": hs(func(c jwt.MapClaims) { c["s3gate"] = []string{"reader", "admin"} }),
	}
}

// Who may do what: without a proven caller 401, without the role 403 (J1, J5).
func TestOnlyAdminsGetIn(t *testing.T) {
	g := newGate(t)
	who := callers(t)
	table := slices.Concat(
		allow("admin", tokenRoutes...),
		allow("admin in a list", tokenRoutes...),
		forbid("no role", tokenRoutes...),
		forbid("another role", tokenRoutes...),
	)
	for _, caller := range []string{
		"nobody", "garbage", "another scheme", "bare JWT", "expired", "never expiring", "another issuer",
		"another key", "HS512", "ES256", "alg none", "signature off", "role of a kind",
	} {
		table = append(table, unproven(caller, tokenRoutes...)...)
	}
	for caller := range who {
		table = append(table, allow(caller, openRoutes...)...)
	}
	for _, tt := range table {
		t.Run(fmt.Sprintf("%s/%s_%s", tt.caller, tt.method, tt.target), func(t *testing.T) {
			authorization, known := who[tt.caller]
			if !known {
				t.Fatal("no such caller")
			}
			id := g.mint(get()).ID
			before := len(g.redis.Keys())
			body := &countingReader{Reader: strings.NewReader(get())}
			a := g.as(authorization, tt.method, strings.Replace(tt.target, "{id}", id, 1), body)
			if a.status != tt.status {
				t.Fatalf("%d, want %d: %s", a.status, tt.status, a.body)
			}
			if tt.status < 400 {
				return
			}
			if body.n > 0 {
				t.Errorf("%d bytes of the body were read", body.n)
			}
			if state := g.do("GET", "/v1/tokens/"+id, "").object(t)["state"]; state != "active" {
				t.Errorf("the token is %s", state)
			}
			if after := len(g.redis.Keys()); after != before {
				t.Errorf("Redis has %d keys, had %d", after, before)
			}
		})
	}
}

type countingReader struct {
	io.Reader
	n int
}

func (r *countingReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	r.n += n
	return n, err
}

// Who asks comes before whether it is there or well-formed.
func TestStrangersLearnNothing(t *testing.T) {
	g := newGate(t)
	for _, r := range []route{
		{"GET", "/v1/tokens/tok_aaaaaaaaaaaaaaaaaaaaaaaaaa"},
		{"DELETE", "/v1/tokens/nonsense"},
		{"GET", "/v1/tokens?state=nonsense"},
		{"DELETE", "/v1/tokens/nonsense?nonsense=1"},
		{"POST", "/v1/tokens?a=%zz"},
	} {
		if a := g.as("", r.method, r.target, strings.NewReader("nonsense")); a.status != http.StatusUnauthorized {
			t.Errorf("%s %s: %d, want 401", r.method, r.target, a.status)
		}
	}
}

// Why a caller was refused is for the log, and there without the JWT (T14).
func TestRefusalsAreLoggedWithTheirReason(t *testing.T) {
	g := newGate(t)
	a := g.as(callers(t)["expired"], "GET", "/v1/tokens", nil)
	if strings.Contains(a.body, "expired") {
		t.Errorf("the answer gives the reason: %s", a.body)
	}
	if log := g.log.String(); !strings.Contains(log, "token is expired") || !strings.Contains(log, a.header.Get("X-Request-Id")) {
		t.Errorf("the log does not: %s", log)
	}
}

// The mint records who asked.
func TestMintNamesTheCaller(t *testing.T) {
	g := newGate(t)
	ada := bearer(t, auth.Caller{Issuer: "https://id.example", Subject: "ada", Admin: true})
	m := g.as(ada, "POST", "/v1/tokens", strings.NewReader(get())).object(t)
	if m["issued_by"] != "ada" || m["issuer"] != "https://id.example" {
		t.Errorf("issued by %v of %v", m["issued_by"], m["issuer"])
	}
}
