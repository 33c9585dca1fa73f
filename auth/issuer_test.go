package auth_test

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"s3gate/auth"
)

const acme = "https://id.acme.example"

// Every algorithm is taken from the key that is for it, and no other one.
func TestAlgorithms(t *testing.T) {
	c := newClock()
	secret := strings.Repeat("s", 64)
	pems := pemOf(t, rsaKey().Public()) + pemOf(t, p256().Public()) + pemOf(t, p384().Public()) + pemOf(t, p521().Public()) + pemOf(t, ed().Public())
	signers := map[string]any{
		"HS256": []byte(secret), "HS384": []byte(secret), "HS512": []byte(secret),
		"RS256": rsaKey(), "RS384": rsaKey(), "RS512": rsaKey(), "PS256": rsaKey(), "PS384": rsaKey(), "PS512": rsaKey(),
		"ES256": p256(), "ES384": p384(), "ES512": p521(), "EdDSA": ed(),
	}
	for pinned := range signers {
		i := auth.Issuer{Issuer: acme, Algorithms: auth.Texts{pinned}, PublicKeys: pems}
		if strings.HasPrefix(pinned, "HS") {
			i.PublicKeys, i.Secret = "", secret
		}
		v := open(t, c, i)
		for alg, k := range signers {
			caller, err := v.Verify(signWith(t, alg, k, nil, claimsOf(c, acme, nil)))
			if want := alg == pinned; (err == nil) != want || want && (caller.Subject != "ada" || !caller.MayMint()) {
				t.Errorf("%s where %s is pinned: %+v, %v", alg, pinned, caller, err)
			}
		}
	}
}

// The corpus of forged tokens (J1) and misdirected ones (J5).
func TestIssuerRefuses(t *testing.T) {
	c := newClock()
	p := newProvider(t, jwks(jwk(rsaKey(), "one", nil)))
	v := open(t, c, auth.Issuer{Issuer: p.URL, Leeway: 5 * time.Second})
	rs := func(header map[string]any, change jwt.MapClaims) string {
		if header == nil {
			header = map[string]any{"kid": "one"}
		}
		return signWith(t, "RS256", rsaKey(), header, claimsOf(c, p.URL, change))
	}
	at := func(d time.Duration) int64 { return c.now().Add(d).Unix() }
	good := rs(nil, nil)
	if _, err := v.Verify(good); err != nil {
		t.Fatalf("the good one: %v", err)
	}
	public := []byte(pemOf(t, rsaKey().Public()))
	kid := map[string]any{"kid": "one"}
	none := func(alg string) string {
		b64 := base64.RawURLEncoding.EncodeToString
		claims, _ := json.Marshal(claimsOf(c, p.URL, nil))
		return "Bearer " + b64([]byte(`{"kid":"one","alg":"`+alg+`"}`)) + "." + b64(claims) + "."
	}
	tests := []struct{ name, header string }{
		{"J1 alg none", none("none")},
		{"J1 alg None", none("None")},
		{"J1 alg of nothing", none("")},
		{"J1 signature off", good[:strings.LastIndexByte(good, '.')+1]},
		{"J1 HS256 with the public key", signWith(t, "HS256", public, kid, claimsOf(c, p.URL, nil))},
		{"J1 HS256 with the modulus", signWith(t, "HS256", rsaKey().N.Bytes(), kid, claimsOf(c, p.URL, nil))},
		{"J1 PS256 of the same key", signWith(t, "PS256", rsaKey(), kid, claimsOf(c, p.URL, nil))},
		{"J1 another key under that kid", signWith(t, "RS256", otherRSAKey(), kid, claimsOf(c, p.URL, nil))},
		{"J1 another key without kid", signWith(t, "RS256", otherRSAKey(), nil, claimsOf(c, p.URL, nil))},
		{"J1 kid that leaves a directory", rs(map[string]any{"kid": "../../../../dev/null"}, nil)},
		{"J1 kid of SQL", rs(map[string]any{"kid": "' UNION SELECT 'secret' --"}, nil)},
		{"J1 kid that is a number", rs(map[string]any{"kid": 1}, nil)},
		{"J1 kid that is empty", rs(map[string]any{"kid": ""}, nil)},
		{"J1 critical header", rs(map[string]any{"kid": "one", "crit": []string{"b64"}}, nil)},
		{"J5 another issuer", rs(nil, jwt.MapClaims{"iss": "https://evil.example"})},
		{"J5 issuer with a slash more", rs(nil, jwt.MapClaims{"iss": p.URL + "/"})},
		{"J5 issuer that is a list", rs(nil, jwt.MapClaims{"iss": []string{p.URL}})},
		{"J5 no issuer", rs(nil, jwt.MapClaims{"iss": nil})},
		{"J5 another audience", rs(nil, jwt.MapClaims{"aud": "billing"})},
		{"J5 no audience", rs(nil, jwt.MapClaims{"aud": nil})},
		{"J5 audience that begins so", rs(nil, jwt.MapClaims{"aud": "s3gate.evil.example"})},
		{"J5 no exp", rs(nil, jwt.MapClaims{"exp": nil})},
		{"J5 exp that is a text", rs(nil, jwt.MapClaims{"exp": "tomorrow"})},
		{"J5 expired", rs(nil, jwt.MapClaims{"exp": at(-6 * time.Second)})},
		{"J5 nbf to come", rs(nil, jwt.MapClaims{"nbf": at(7 * time.Second)})},
		{"J5 iat to come", rs(nil, jwt.MapClaims{"iat": at(7 * time.Second)})},
		{"J5 sub that is a number", rs(nil, jwt.MapClaims{"sub": 1})},
		{"J6 dots", "Bearer " + strings.Repeat(".", 16<<10)},
		{"J6 a million dots", "Bearer " + strings.Repeat(".", 1_000_000)},
	}
	for _, tt := range tests {
		caller, err := v.Verify(tt.header)
		if !errors.Is(err, auth.ErrUnauthenticated) || caller != (auth.Caller{}) {
			t.Errorf("%s: Verify = %+v, %v; want ErrUnauthenticated", tt.name, caller, err)
		}
		for part := range strings.SplitSeq(strings.TrimPrefix(tt.header, "Bearer "), ".") {
			if err != nil && len(part) > 20 && strings.Contains(err.Error(), part[:20]) {
				t.Errorf("%s: the error repeats the token", tt.name)
			}
		}
	}
	for name, change := range map[string]jwt.MapClaims{
		"expired within the leeway":  {"exp": at(-3 * time.Second)},
		"nbf within the leeway":      {"nbf": at(3 * time.Second)},
		"iat within the leeway":      {"iat": at(3 * time.Second)},
		"one audience of several":    {"aud": []string{"billing", "s3gate"}},
		"claims that nobody expects": {"s3gate": "admin", "jku": "https://evil.example"},
	} {
		caller, err := v.Verify(rs(nil, change))
		if err != nil || caller.Admin {
			t.Errorf("%s: %+v, %v", name, caller, err)
		}
	}
}

// A bearer of dots costs next to nothing, whether it is refused for its length or
// not (J6).
func TestDotsAreCheap(t *testing.T) {
	v := newVerifier(t)
	for _, n := range []int{16 << 10, 1 << 20} {
		header := "Bearer " + strings.Repeat(".", n)
		if got := testing.AllocsPerRun(10, func() { _, _ = v.Verify(header) }); got > 50 {
			t.Errorf("%d dots cost %.0f allocations", n, got)
		}
	}
}

// A token is held against the keys of the issuer that it names (J5, J7).
func TestIssuersAreKeptApart(t *testing.T) {
	c := newClock()
	const other = "https://id.other.example"
	config := func(issuer string, public any, rule string) auth.Issuer {
		rules := uploaders()
		rules[0].Name = rule
		return auth.Issuer{Issuer: issuer, Audience: auth.Texts{"s3gate"}, PublicKeys: pemOf(t, public), Rules: rules}
	}
	v, err := auth.New(auth.Config{
		Keys: [][]byte{key}, Now: c.now,
		Issuers: []auth.Issuer{config(acme, rsaKey().Public(), "acme"), config(other, otherRSAKey().Public(), "other")},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, token, rule string
		ok, admin         bool
	}{
		{"acme", signWith(t, "RS256", rsaKey(), nil, claimsOf(c, acme, nil)), "acme", true, false},
		{"other", signWith(t, "RS256", otherRSAKey(), nil, claimsOf(c, other, nil)), "other", true, false},
		{"acme with other's key", signWith(t, "RS256", otherRSAKey(), nil, claimsOf(c, acme, nil)), "", false, false},
		{"other with acme's key", signWith(t, "RS256", rsaKey(), nil, claimsOf(c, other, nil)), "", false, false},
		{"acme with the gate's key", signWith(t, "HS256", key, nil, claimsOf(c, acme, jwt.MapClaims{"s3gate": "admin"})), "", false, false},
		{"the gate with acme's key", signWith(t, "RS256", rsaKey(), nil, claimsOf(c, "", jwt.MapClaims{"s3gate": "admin"})), "", false, false},
		{"the gate", signWith(t, "HS256", key, nil, claimsOf(c, "ops", jwt.MapClaims{"s3gate": "admin"})), "", true, true},
		{"acme as admin by the claim of the gate", signWith(t, "RS256", rsaKey(), nil, claimsOf(c, acme, jwt.MapClaims{"s3gate": "admin"})), "acme", true, false},
	} {
		caller, err := v.Verify(tt.token)
		if (err == nil) != tt.ok || caller.Admin != tt.admin {
			t.Errorf("%s: %+v, %v", tt.name, caller, err)
			continue
		}
		if tt.rule != "" && (len(caller.Rights.Allowances) != 1 || caller.Rights.Allowances[0].Rule != tt.rule) {
			t.Errorf("%s: rights %+v", tt.name, caller.Rights)
		}
	}
}

// What a token's header says of where its key is is not read (J2).
func TestHeadersThatNameKeysAreIgnored(t *testing.T) {
	var dialled atomic.Int64
	evil := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		dialled.Add(1)
		io.WriteString(w, jwks(jwk(otherRSAKey(), "evil", nil)))
	}))
	defer evil.Close()
	c := newClock()
	p := newProvider(t, jwks(jwk(rsaKey(), "one", nil)))
	v := open(t, c, auth.Issuer{Issuer: p.URL})
	for name, value := range map[string]any{"jku": evil.URL, "x5u": evil.URL, "jwk": jwk(otherRSAKey(), "evil", nil), "x5c": []string{"AAAA"}} {
		for _, kid := range []string{"evil", "one"} {
			header := map[string]any{"kid": kid, name: value}
			if _, err := v.Verify(signWith(t, "RS256", otherRSAKey(), header, claimsOf(c, p.URL, nil))); !errors.Is(err, auth.ErrUnauthenticated) {
				t.Errorf("%s with kid %s: %v", name, kid, err)
			}
		}
	}
	if n := dialled.Load(); n != 0 {
		t.Errorf("the address was asked %d times", n)
	}
}

// Tokens with unknown keys make one request for keys in an interval, and a key
// that is new is found by everybody at once (J3).
func TestUnknownKeysAreLookedForOnce(t *testing.T) {
	c := newClock()
	p := newProvider(t, jwks(jwk(rsaKey(), "one", nil)))
	v := open(t, c, auth.Issuer{Issuer: p.URL})
	verify := func(k string) error {
		_, err := v.Verify(signWith(t, "RS256", rsaKey(), map[string]any{"kid": k}, claimsOf(c, p.URL, nil)))
		return err
	}
	if err := verify("one"); err != nil {
		t.Fatal(err)
	}
	c.advance(11 * time.Second)
	for n := range 200 {
		if err := verify(fmt.Sprint("unknown", n)); !errors.Is(err, auth.ErrUnauthenticated) {
			t.Fatal(err)
		}
	}
	if n := p.hits.Load(); n != 2 {
		t.Errorf("%d requests for keys, want the first and one for 200 unknown kids", n)
	}
	// The issuer changes its key.
	c.advance(11 * time.Second)
	p.serve(func(w http.ResponseWriter, _ *http.Request) {
		time.Sleep(20 * time.Millisecond) // so that all wait for it
		io.WriteString(w, jwks(jwk(rsaKey(), "one", nil), jwk(rsaKey(), "two", nil)))
	})
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if err := verify("two"); err != nil {
				t.Errorf("the new key: %v", err)
			}
		})
	}
	wg.Wait()
	if n := p.hits.Load(); n != 3 {
		t.Errorf("%d requests for keys, want one for the new one", n)
	}
}

// A key set that cannot be had is used while it is not too old, then nothing is
// known of a token (J4).
func TestKeySetsThatCannotBeHad(t *testing.T) {
	evil := newProvider(t, jwks(jwk(rsaKey(), "one", nil)))
	for name, broken := range map[string]http.HandlerFunc{
		"down": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) },
		"huge": func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, strings.TrimSuffix(jwks(jwk(rsaKey(), "one", nil)), "}")+`,"x":"`+strings.Repeat("x", 2<<20)+`"}`)
		},
		"redirecting": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, evil.URL+"/keys", http.StatusFound) },
		"no JSON":     func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<html>") },
		"broken off": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			io.WriteString(w, `{"keys":[`)
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := newClock()
			p := newProvider(t, jwks(jwk(rsaKey(), "one", nil)))
			v := open(t, c, auth.Issuer{Issuer: p.URL, Refresh: time.Minute, MaxStale: 10 * time.Minute})
			verify := func() error {
				_, err := v.Verify(signWith(t, "RS256", rsaKey(), map[string]any{"kid": "one"}, claimsOf(c, p.URL, nil)))
				return err
			}
			p.serve(broken)
			if err := verify(); !errors.Is(err, auth.ErrUnavailable) || errors.Is(err, auth.ErrUnauthenticated) {
				t.Errorf("before the first: %v, want ErrUnavailable", err)
			}
			p.serve(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, jwks(jwk(rsaKey(), "one", nil))) })
			c.advance(11 * time.Second)
			if err := verify(); err != nil {
				t.Errorf("when it is there: %v", err)
			}
			p.serve(broken)
			c.advance(9 * time.Minute)
			if err := verify(); err != nil {
				t.Errorf("an old one: %v", err)
			}
			c.advance(2 * time.Minute)
			if err := verify(); !errors.Is(err, auth.ErrUnavailable) {
				t.Errorf("one that is too old: %v, want ErrUnavailable", err)
			}
		})
	}
	if n := evil.hits.Load(); n != 0 {
		t.Errorf("a redirect was followed %d times", n)
	}
}

// A key that the issuer has withdrawn is not taken once the set is due.
func TestWithdrawnKeys(t *testing.T) {
	c := newClock()
	p := newProvider(t, jwks(jwk(rsaKey(), "one", nil)))
	v := open(t, c, auth.Issuer{Issuer: p.URL, Refresh: time.Minute})
	token := signWith(t, "RS256", rsaKey(), map[string]any{"kid": "one"}, claimsOf(c, p.URL, nil))
	if _, err := v.Verify(token); err != nil {
		t.Fatal(err)
	}
	p.serve(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, jwks(jwk(otherRSAKey(), "two", nil))) })
	c.advance(61 * time.Second)
	if _, err := v.Verify(token); !errors.Is(err, auth.ErrUnauthenticated) {
		t.Errorf("a withdrawn key: %v", err)
	}
}

// Keys are for what they say: one for encryption or another algorithm is none.
func TestKeysOfASetAreForTheirUse(t *testing.T) {
	c := newClock()
	enc := map[string]string{"use": "enc", "alg": "RSA-OAEP"}
	for name, tt := range map[string]struct {
		set string
		ok  bool
	}{
		"signing":                {jwks(jwk(rsaKey(), "one", nil), jwk(otherRSAKey(), "enc", enc)), true},
		"use unsaid":             {jwks(jwk(rsaKey(), "one", map[string]string{"use": "", "alg": ""})), true},
		"encryption":             {jwks(jwk(rsaKey(), "one", enc)), false},
		"encryption, alg unsaid": {jwks(jwk(rsaKey(), "one", map[string]string{"use": "enc", "alg": ""})), false},
		"another algorithm":      {jwks(jwk(rsaKey(), "one", map[string]string{"alg": "PS256"})), false},
	} {
		v := open(t, c, auth.Issuer{Issuer: acme, JWKS: tt.set})
		_, err := v.Verify(signWith(t, "RS256", rsaKey(), map[string]any{"kid": "one"}, claimsOf(c, acme, nil)))
		if (err == nil) != tt.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A key that is too short for its algorithm is none, though it has signed.
func TestShortKeysOfASet(t *testing.T) {
	short, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	c := newClock()
	v := open(t, c, auth.Issuer{Issuer: acme, JWKS: jwks(jwk(short, "one", nil))})
	if _, err := v.Verify(signWith(t, "RS256", short, map[string]any{"kid": "one"}, claimsOf(c, acme, nil))); !errors.Is(err, auth.ErrUnauthenticated) {
		t.Errorf("1024 bits: %v", err)
	}
}

// A discovery document is the issuer's own, and leads to https only.
func TestDiscovery(t *testing.T) {
	c := newClock()
	for name, tt := range map[string]struct {
		issuer, uri string
		ok          bool
	}{
		"its own":                     {"", "", true},
		"a document of another":       {"/tenant", "", false},
		"keys over http elsewhere":    {"", "http://192.0.2.1/keys", false},
		"keys on a file":              {"", "file:///etc/passwd", false},
		"keys at an address with @":   {"", "https://a:b@127.0.0.1/keys", false},
		"keys at nothing of the kind": {"", "keys", false},
	} {
		p := newProvider(t, jwks(jwk(rsaKey(), "one", nil)))
		p.jwksURI = tt.uri
		v := open(t, c, auth.Issuer{Issuer: p.URL + tt.issuer})
		_, err := v.Verify(signWith(t, "RS256", rsaKey(), map[string]any{"kid": "one"}, claimsOf(c, p.URL+tt.issuer, nil)))
		if tt.ok != (err == nil) || err != nil && !errors.Is(err, auth.ErrUnavailable) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Amazon Cognito's access tokens have a client_id and no aud.
func TestClientIDAndTokenUse(t *testing.T) {
	c := newClock()
	v := open(t, c, auth.Issuer{Issuer: acme, PublicKeys: pemOf(t, rsaKey().Public()), ClientIDs: auth.Texts{"app", "cli"}, TokenUse: "access"})
	for name, tt := range map[string]struct {
		change jwt.MapClaims
		ok     bool
	}{
		"access":            {jwt.MapClaims{"client_id": "cli", "token_use": "access"}, true},
		"another client":    {jwt.MapClaims{"client_id": "game", "token_use": "access"}, false},
		"no client":         {jwt.MapClaims{"token_use": "access"}, false},
		"ID token":          {jwt.MapClaims{"client_id": "app", "token_use": "id"}, false},
		"without token_use": {jwt.MapClaims{"client_id": "app"}, false},
	} {
		if _, err := v.Verify(signWith(t, "RS256", rsaKey(), nil, claimsOf(c, acme, tt.change))); (err == nil) != tt.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Settings that cannot work are refused, by their names.
func TestNewRefusesIssuers(t *testing.T) {
	good := func() auth.Issuer {
		return auth.Issuer{Issuer: acme, Audience: auth.Texts{"s3gate"}, Rules: uploaders()}
	}
	for want, change := range map[string]func(*auth.Issuer){
		"issuers[0].issuer: is required":                                  func(i *auth.Issuer) { i.Issuer = "" },
		"issuers[0].issuer: must begin with https://":                     func(i *auth.Issuer) { i.Issuer = "http://id.example" },
		"issuers[0].jwks_url: must begin with https://":                   func(i *auth.Issuer) { i.JWKSURL = "http://id.example/keys" },
		"issuers[0].audience: is required, or client_ids":                 func(i *auth.Issuer) { i.Audience = nil },
		"issuers[0].leeway: must be at most 30s, got 31s":                 func(i *auth.Issuer) { i.Leeway = 31 * time.Second },
		"issuers[0].max_stale: must be at least refresh":                  func(i *auth.Issuer) { i.MaxStale = time.Second },
		`issuers[0].algorithms: "HS256" is none that takes a public key`:  func(i *auth.Issuer) { i.Algorithms = auth.Texts{"RS256", "HS256"} },
		`issuers[0].algorithms: "none" is none that takes a public key`:   func(i *auth.Issuer) { i.Algorithms = auth.Texts{"none"} },
		`issuers[0].algorithms: "RS256" is none that takes a secret`:      func(i *auth.Issuer) { i.Secret, i.Algorithms = strings.Repeat("s", 32), auth.Texts{"RS256"} },
		"issuers[0].secret: must have at least 32 bytes, got 31":          func(i *auth.Issuer) { i.Secret = strings.Repeat("s", 31) },
		"issuers[0].secret: must have at least 64 bytes, got 63":          func(i *auth.Issuer) { i.Secret, i.Algorithms = strings.Repeat("s", 63), auth.Texts{"HS512"} },
		"issuers[0].previous_secret: must have at least 32 bytes, got 3":  func(i *auth.Issuer) { i.Secret, i.PreviousSecret = strings.Repeat("s", 32), "old" },
		"issuers[0].previous_secret: needs secret":                        func(i *auth.Issuer) { i.PreviousSecret = strings.Repeat("s", 32) },
		"issuers[0].secret: public_keys, jwks and jwks_url exclude":       func(i *auth.Issuer) { i.Secret, i.JWKSURL = strings.Repeat("s", 32), acme },
		"issuers[0].public_keys: holds no PEM block":                      func(i *auth.Issuer) { i.PublicKeys = "key" },
		"issuers[0].public_keys: none is for RS256":                       func(i *auth.Issuer) { i.PublicKeys = pemOf(t, p256().Public()) },
		"issuers[0].public_keys: block 1: is neither a public key nor":    func(i *auth.Issuer) { i.PublicKeys = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n" },
		"issuers[0].jwks: holds no key":                                   func(i *auth.Issuer) { i.JWKS = `{"keys": []}` },
		"issuers[0].rules: are required":                                  func(i *auth.Issuer) { i.Rules = nil },
		"issuers[0].rules[0].when: must name at least one claim":          func(i *auth.Issuer) { i.Rules[0].When = nil },
		`issuers[0].rules[0].when: claim "groups" must have values`:       func(i *auth.Issuer) { i.Rules[0].When["groups"] = auth.Texts{""} },
		"issuers[0].rules[0].allow.operations: or another permission":     func(i *auth.Issuer) { i.Rules[0].Allow = auth.Allow{MaxUses: 1} },
		`issuers[0].rules[0].allow.operations: are get and put`:           func(i *auth.Issuer) { i.Rules[0].Allow.Operations = auth.Texts{"delete"} },
		"issuers[0].rules[0].allow.operations: and buckets go together":   func(i *auth.Issuer) { i.Rules[0].Allow.Buckets = nil },
		"issuers[0].rules[0].allow.max_life: max_bytes and max_uses must": func(i *auth.Issuer) { i.Rules[0].Allow.MaxBytes = -1 },
		`issuers[0].rules[0].allow.list: must be own, issuer, all or`:     func(i *auth.Issuer) { i.Rules[0].Allow.List = "mine" },
		"issuers[0].rules[0].allow.revoke_by_rule: needs revoke issuer":   func(i *auth.Issuer) { i.Rules[0].Allow.RevokeByRule = true },
		`issuers[0].rules[0].allow.buckets.inbox: must have a list`:       func(i *auth.Issuer) { i.Rules[0].Allow.Buckets["inbox"] = nil },
		`issuers[0].rules[0].allow.labels.user: "{sub" has a {`:           func(i *auth.Issuer) { i.Rules[0].Allow.Labels = map[string]string{"user": "{sub"} },
	} {
		i := good()
		change(&i)
		if _, err := auth.New(auth.Config{Issuers: []auth.Issuer{i}}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("New: %v\nwant %s", err, want)
		}
	}
	if _, err := auth.New(auth.Config{Issuers: []auth.Issuer{good(), good()}}); err == nil || !strings.Contains(err.Error(), "is there twice") {
		t.Errorf("the same issuer twice: %v", err)
	}
	if _, err := auth.New(auth.Config{Keys: [][]byte{key}, Issuer: acme, Issuers: []auth.Issuer{good()}}); err == nil {
		t.Error("the issuer of the gate's own key again: New succeeded")
	}
	if _, err := auth.New(auth.Config{Issuers: []auth.Issuer{good()}}); err != nil {
		t.Errorf("the good one: %v", err)
	}
}
