package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"s3gate/api"
	"s3gate/auth"
	"s3gate/tokens"
)

const replayed = "Idempotency-Replayed"

// keyed sends a request with an Idempotency-Key as the administrator.
func (g *gate) keyed(key, target, body string) answer {
	g.Helper()
	return g.with(g.admin, "POST", target, strings.NewReader(body), "Idempotency-Key: "+key)
}

// A request that comes again with its key has the same answer, to the last byte,
// whatever became of the token since.
func TestMintAgain(t *testing.T) {
	for name, body := range map[string]string{
		"get": get(`"max_uses": 1`, `"subject": "<ada> & co"`), "put": put(`"upload": {"max_bytes": 10}`),
		"passcode": get(`"passcode": "canary 1234"`), "fixed end": get(`"expires_at": "2030-01-31T12:00:01Z"`),
	} {
		t.Run(name, func(t *testing.T) {
			g := newGate(t)
			first := g.keyed("k", "/v1/tokens", body)
			if first.status != http.StatusCreated || first.header.Get(replayed) != "" || first.header.Get("ETag") != `"1"` {
				t.Fatalf("%d %v %s", first.status, first.header, first.body)
			}
			var m minted
			if err := json.Unmarshal([]byte(first.body), &m); err != nil || !tokenForm.MatchString(m.Token) || !strings.HasPrefix(m.URL, publicURL+"/"+m.Token) {
				t.Fatalf("%+v, %v", m, err)
			}
			same := func(when string) {
				t.Helper()
				a := g.keyed("k", "/v1/tokens", body)
				if a.status != http.StatusCreated || a.body != first.body || a.header.Get(replayed) != "true" ||
					a.header.Get("Location") != first.header.Get("Location") || a.header.Get("ETag") != `"1"` {
					t.Errorf("%s: %d %v %s; want %s", when, a.status, a.header, a.body, first.body)
				}
			}
			same("at once")
			// The same request, written otherwise.
			spaced := strings.Replace(strings.Replace(body, `"bucket"`, ` "bucket" `, 1), "{", "{\n", 1)
			if a := g.keyed("k", "/v1/tokens", spaced); a.body != first.body {
				t.Errorf("in other words: %d %s", a.status, a.body)
			}
			if a := g.do("DELETE", "/v1/tokens/"+m.ID, ""); a.status != http.StatusOK {
				t.Fatal(a.body)
			}
			same("revoked")
			g.redis.SetTime(start.Add(2 * 3600e9))
			same("expired")
			if list := g.list(nil); len(list.Tokens) != 1 {
				t.Errorf("%d tokens, want one", len(list.Tokens))
			}
			for _, secret := range []string{m.Token[4:26], mintSecret, "canary 1234"} {
				if strings.Contains(g.redis.Dump(), secret) {
					t.Errorf("Redis has %q", secret)
				}
			}
		})
	}
}

func TestIdempotencyKeysRefused(t *testing.T) {
	g := newGate(t)
	if a := g.keyed("taken", "/v1/tokens", get()); a.status != http.StatusCreated {
		t.Fatal(a.body)
	}
	for _, tt := range []struct {
		name, key, body, words string
		status                 int
	}{
		{"another body", "taken", get(`"max_uses": 1`), "asked for something else", 422},
		{"empty", "", get(), "must have 1 to 255 bytes, got 0", 400},
		{"long", strings.Repeat("k", 256), get(), "must have 1 to 255 bytes, got 256", 400},
		{"longest", strings.Repeat("k", 255), get(), "", 201},
		{"not ASCII", "ключ", get(), "must be printable US-ASCII", 400},
		{"a tab", "a\tb", get(), "must be printable US-ASCII", 400},
	} {
		a := g.keyed(tt.key, "/v1/tokens", tt.body)
		if a.status != tt.status || !strings.Contains(a.problem().Detail, tt.words) || tt.status == 400 && a.problem().Field != "Idempotency-Key" {
			t.Errorf("%s: %d %s, want %d", tt.name, a.status, a.body, tt.status)
		}
	}
	twice := g.with(g.admin, "POST", "/v1/tokens", strings.NewReader(get()), "Idempotency-Key: a", "Idempotency-Key: b")
	if twice.status != 400 {
		t.Errorf("given twice: %d", twice.status)
	}
	if a := g.keyed("taken", "/v1/tokens:batch", `{"tokens": [`+get()+`]}`); a.status != 422 {
		t.Errorf("another call: %d %s", a.status, a.body)
	}
	// The key is another caller's own.
	bob := bearer(t, auth.Caller{Issuer: "https://id.example", Subject: "bob", Admin: true})
	a := g.with(bob, "POST", "/v1/tokens", strings.NewReader(get()), "Idempotency-Key: taken")
	if a.status != 201 || a.header.Get(replayed) != "" {
		t.Errorf("another caller: %d %s", a.status, a.body)
	}
	// What was wrong can be put right under the same key.
	if a := g.keyed("fresh", "/v1/tokens", get(`"max_uses": -1`)); a.status != 400 {
		t.Errorf("%d %s", a.status, a.body)
	}
	if a := g.keyed("fresh", "/v1/tokens", get(`"max_uses": 1`)); a.status != 201 {
		t.Errorf("put right: %d %s", a.status, a.body)
	}
	none := newGate(t, func(c *api.Config) { c.Tokens = keyless{c.Tokens} })
	if a := none.keyed("k", "/v1/tokens", get()); a.status != 400 || !strings.Contains(a.body, "tokens.mint_secret") {
		t.Errorf("without a secret: %d %s", a.status, a.body)
	}
}

// keyless has no mint secret.
type keyless struct{ api.Tokens }

func (keyless) Reserve(context.Context, tokens.Request) (*tokens.Reservation, error) {
	return nil, tokens.ErrNoSecret
}

// One request that is sent many times at once is minted once.
func TestMintAtOnce(t *testing.T) {
	g := newGate(t)
	var mu sync.Mutex
	bodies, busy := map[string]int{}, 0
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			a := g.keyed("k", "/v1/tokens", get())
			mu.Lock()
			defer mu.Unlock()
			switch a.status {
			case 201:
				bodies[a.body]++
			case 409:
				busy++
			default:
				t.Errorf("%d %s", a.status, a.body)
			}
		})
	}
	wg.Wait()
	if len(bodies) != 1 || len(g.list(nil).Tokens) != 1 {
		t.Errorf("%d answers (%d busy), %d tokens", len(bodies), busy, len(g.list(nil).Tokens))
	}
}

// dying stops minting at a step, as a gate does that loses Redis.
type dying struct {
	api.Tokens
	before, after *bool // the mint; when true it fails once
}

func (d dying) MintAll(ctx context.Context, all []tokens.Minting) ([]tokens.Minted, error) {
	if *d.before {
		*d.before = false
		return nil, fmt.Errorf("%w: canary", tokens.ErrUnproven)
	}
	minted, err := d.Tokens.MintAll(ctx, all)
	if *d.after {
		*d.after = false
		for i := range minted {
			minted[i].Token, minted[i].Err = tokens.Token{}, fmt.Errorf("%w: canary", tokens.ErrUnproven)
		}
	}
	return minted, err
}

// A request whose gate lost Redis is finished by the next one: with the token that
// was minted, if it was.
func TestMintFinishes(t *testing.T) {
	for _, when := range []string{"before", "after"} {
		var before, after bool
		g := newGate(t, func(c *api.Config) { c.Tokens = dying{c.Tokens, &before, &after} })
		before, after = when == "before", when == "after"
		if a := g.keyed("k", "/v1/tokens", get()); a.status != http.StatusServiceUnavailable {
			t.Fatalf("%s: %d %s", when, a.status, a.body)
		}
		there := len(g.list(nil).Tokens)
		a := g.keyed("k", "/v1/tokens", get())
		list := g.list(nil)
		if a.status != http.StatusCreated || len(list.Tokens) != 1 || !strings.Contains(a.body, list.Tokens[0].ID) {
			t.Errorf("%s: %d %s, of %d tokens (%d before)", when, a.status, a.body, len(list.Tokens), there)
		}
	}
}

// jwtOf is the Authorization header of a caller of acme with claims.
func jwtOf(t testing.TB, claims jwt.MapClaims) string {
	t.Helper()
	all := jwt.MapClaims{"iss": acme, "aud": "s3gate", "exp": time.Now().Add(time.Hour).Unix()}
	maps.Copy(all, claims)
	text, err := jwt.NewWithClaims(jwt.SigningMethodHS256, all).SignedString(acmeKey)
	if err != nil {
		t.Fatal(err)
	}
	return "Bearer " + text
}

// A key belongs to somebody: callers without a name would share it (J7).
func TestIdempotencyKeysOfNobody(t *testing.T) {
	g := newIssuers(t)
	anyone := newGate(t, func(c *api.Config) {
		v, err := auth.New(auth.Config{Keys: [][]byte{key}})
		if err != nil {
			t.Fatal(err)
		}
		c.Verifier = v
	})
	for _, tt := range []struct {
		name, caller string
		on           *gate
	}{
		{"no subject", jwtOf(t, jwt.MapClaims{"role": "chief"}), g},
		{"neither", bearer(t, auth.Caller{Admin: true}), anyone},
	} {
		for target, body := range map[string]string{"/v1/tokens": get(), batchTarget: batchOf(get())} {
			a := tt.on.with(tt.caller, "POST", target, strings.NewReader(body), "Idempotency-Key: k")
			if a.status != http.StatusBadRequest || a.problem().Field != "Idempotency-Key" || !strings.Contains(a.body, "lacks iss or sub") {
				t.Errorf("%s: %s: %d %s", tt.name, target, a.status, a.body)
			}
			if a := tt.on.as(tt.caller, "POST", target, strings.NewReader(body)); a.status != http.StatusCreated {
				t.Errorf("%s, without a key: %s: %d %s", tt.name, target, a.status, a.body)
			}
		}
		if a := tt.on.with(tt.caller, "POST", "/v1/tokens/"+tt.on.mintAs(tt.caller).ID+":reissue", nil, "Idempotency-Key: k"); a.status != http.StatusBadRequest {
			t.Errorf("%s: reissue: %d %s", tt.name, a.status, a.body)
		}
	}
}

// Whoever has the gate's own key needs no issuer.
func TestIdempotencyKeyWithoutAnIssuer(t *testing.T) {
	g := newGate(t, func(c *api.Config) {
		v, err := auth.New(auth.Config{Keys: [][]byte{key}})
		if err != nil {
			t.Fatal(err)
		}
		c.Verifier = v
	})
	ops := bearer(t, auth.Caller{Subject: "ops", Admin: true})
	for range 2 {
		if a := g.with(ops, "POST", "/v1/tokens", strings.NewReader(get()), "Idempotency-Key: k"); a.status != http.StatusCreated {
			t.Errorf("%d %s", a.status, a.body)
		}
	}
}

// mintAs mints a link below users/ada/ as a caller.
func (g *gate) mintAs(authorization string) (m minted) {
	g.Helper()
	a := g.as(authorization, "POST", "/v1/tokens", strings.NewReader(adasLink))
	if err := json.Unmarshal([]byte(a.body), &m); err != nil || a.status != http.StatusCreated {
		g.Fatalf("%d %s", a.status, a.body)
	}
	return m
}

const adasLink = `{"operation": "get", "bucket": "docs", "key": "users/ada/x"}`

// What was minted is told again only to a JWT that permits it now (J7).
func TestMintAgainNeedsTheRight(t *testing.T) {
	g := newIssuers(t)
	full := as(t, "ada@acme", "owner")
	old := g.mintAs(full)
	for _, tt := range []struct{ name, target, body string }{
		{"mint", "/v1/tokens", adasLink},
		{"batch", batchTarget, batchOf(adasLink, adasLink)},
		{"reissue", "/v1/tokens/" + old.ID + ":reissue", "{}"},
	} {
		ask := func(authorization string) answer {
			return g.with(authorization, "POST", tt.target, strings.NewReader(tt.body), "Idempotency-Key: "+tt.name)
		}
		first := ask(full)
		if first.status != http.StatusCreated {
			t.Fatalf("%s: %d %s", tt.name, first.status, first.body)
		}
		// May mint something, and revoke something, but not this.
		for _, roles := range [][]string{{"writer", "ops"}, {"big writer", "incident"}} {
			if a := ask(as(t, "ada@acme", roles...)); a.status != http.StatusForbidden || a.header.Get(replayed) != "" {
				t.Errorf("%s as %v: %d %s", tt.name, roles, a.status, a.body)
			}
		}
		if a := ask(full); a.status != http.StatusCreated || a.body != first.body || a.header.Get(replayed) != "true" {
			t.Errorf("%s with the right: %d %s", tt.name, a.status, a.body)
		}
	}
	// May mint it, but not revoke what it replaces.
	a := g.with(as(t, "ada@acme", "minter"), "POST", "/v1/tokens/"+old.ID+":reissue", strings.NewReader("{}"), "Idempotency-Key: reissue")
	if a.status != http.StatusForbidden {
		t.Errorf("reissue as a minter: %d %s", a.status, a.body)
	}
}

// A client that meets its own first try is told when to ask again.
func TestMintUnderWay(t *testing.T) {
	g := newGate(t, func(c *api.Config) { c.Tokens = busy{c.Tokens} })
	for target, body := range map[string]string{"/v1/tokens": get(), batchTarget: batchOf(get())} {
		if a := g.keyed("k", target, body); a.status != http.StatusConflict || a.header.Get("Retry-After") != "1" {
			t.Errorf("%s: %d, Retry-After %q", target, a.status, a.header.Get("Retry-After"))
		}
	}
}

// busy is answering every request already.
type busy struct{ api.Tokens }

func (busy) Reserve(context.Context, tokens.Request) (*tokens.Reservation, error) {
	return nil, tokens.ErrUnderWay
}
