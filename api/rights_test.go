package api_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"s3gate/api"
	"s3gate/auth"
	"s3gate/revocation"
)

const (
	acme  = "https://id.acme.example"
	other = "https://id.other.example"
)

var acmeKey, otherKey = []byte(strings.Repeat("a", 32)), []byte(strings.Repeat("o", 32))

// roleRules say what the claim "role" is worth, in the tests of rights.
func roleRules() []auth.Rule {
	rule := func(role string, allow auth.Allow) auth.Rule {
		return auth.Rule{Name: role, When: map[string]auth.Texts{"role": {role}}, Allow: allow}
	}
	own := map[string]auth.Texts{"inbox": {"users/{sub}/"}, "docs": {"users/{sub}/"}}
	return []auth.Rule{
		rule("minter", auth.Allow{
			Operations: auth.Texts{"get", "put"}, Buckets: own, MaxLife: 30 * time.Minute, MaxBytes: 1000, MaxUses: 5,
			Labels: map[string]string{"team": "press", "who": "{sub}"},
		}),
		rule("owner", auth.Allow{Operations: auth.Texts{"get"}, Buckets: own, List: auth.ScopeOwn, Revoke: auth.ScopeOwn}),
		rule("reader", auth.Allow{List: auth.ScopeIssuer}),
		rule("ops", auth.Allow{List: auth.ScopeIssuer, Revoke: auth.ScopeIssuer, RevokeByRule: true}),
		rule("incident", auth.Allow{List: auth.ScopeAll, Revoke: auth.ScopeAll, RevokeByRule: true}),
		rule("blind", auth.Allow{Revoke: auth.ScopeAll, RevokeByRule: true}),
		rule("librarian", auth.Allow{AdminBuckets: auth.Texts{"docs"}, RevokeByRule: true}),
		rule("chief", auth.Allow{Admin: true}),
		rule("writer", auth.Allow{Operations: auth.Texts{"put"}, Buckets: map[string]auth.Texts{"inbox": {"a/"}}, MaxBytes: 10}),
		rule("big writer", auth.Allow{Operations: auth.Texts{"put"}, Buckets: map[string]auth.Texts{"inbox": {"b/"}}, MaxBytes: 1000}),
	}
}

// newIssuers starts a gate with two identity providers.
func newIssuers(t testing.TB, changes ...func(*api.Config)) *gate {
	t.Helper()
	issuer := func(name string, secret []byte) auth.Issuer {
		return auth.Issuer{Issuer: name, Secret: string(secret), Audience: auth.Texts{"s3gate"}, Rules: roleRules()}
	}
	v, err := auth.New(auth.Config{
		Keys: [][]byte{key}, Issuer: "https://id.example",
		Issuers: []auth.Issuer{issuer(acme, acmeKey), issuer(other, otherKey)},
	})
	if err != nil {
		t.Fatal(err)
	}
	return newGate(t, append(changes, func(c *api.Config) { c.Verifier = v })...)
}

// as is the Authorization header of somebody with roles, such as "ada@acme".
func as(t testing.TB, who string, roles ...string) string {
	t.Helper()
	sub, company, _ := strings.Cut(who, "@")
	issuer, secret := acme, acmeKey
	if company == "other" {
		issuer, secret = other, otherKey
	}
	text, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
		"iss": issuer, "sub": sub, "aud": "s3gate", "role": roles, "exp": time.Now().Add(time.Hour).Unix(),
	}).SignedString(secret)
	if err != nil {
		t.Fatal(err)
	}
	return "Bearer " + text
}

// The whole table: every route by every role. Tokens are ada's of acme, bob's of
// acme and ada's of the other issuer, the first and last in docs, bob's in inbox
// (J7).
func TestWhoMayDoWhat(t *testing.T) {
	const (
		getAda, getBob, getOther = "GET /v1/tokens/ada", "GET /v1/tokens/bob", "GET /v1/tokens/other"
		delAda, delBob, delOther = "DELETE /v1/tokens/ada", "DELETE /v1/tokens/bob", "DELETE /v1/tokens/other"
		mint, list               = "POST /v1/tokens", "GET /v1/tokens"
		byIssuer, byBucket       = "POST /v1/revocations issuer", "POST /v1/revocations bucket"
		byOther, byAll           = "POST /v1/revocations other", "POST /v1/revocations all"
		rules, gates, transfers  = "GET /v1/revocations", "GET /v1/gates", "GET /v1/transfers"
		cutNone                  = "DELETE /v1/transfers/req_1"
	)
	all := []string{
		getAda, getBob, getOther, delAda, delBob, delOther, mint, list, byIssuer, byBucket, byOther, byAll, rules, gates, transfers, cutNone,
	}
	// What is not named is 403; unseen is 404.
	type may struct {
		allow, unseen []string
		sees          int // tokens in the list
	}
	lists := []string{list, rules, transfers}
	tests := map[string]may{
		"nobody":    {},
		"minter":    {allow: []string{mint}},
		"owner":     {slices.Concat(lists, []string{mint, getAda, delAda}), []string{getBob, getOther, delBob, delOther, cutNone}, 1},
		"reader":    {slices.Concat(lists, []string{getAda, getBob}), []string{getOther}, 2},
		"ops":       {slices.Concat(lists, []string{getAda, getBob, delAda, delBob, byIssuer}), []string{getOther, delOther, cutNone}, 2},
		"incident":  {slices.Concat(lists, []string{getAda, getBob, getOther, delAda, delBob, delOther, byIssuer, byBucket, byOther, byAll}), []string{cutNone}, 3},
		"librarian": {slices.Concat(lists, []string{mint, getAda, getOther, delAda, delOther, byBucket}), []string{getBob, delBob, cutNone}, 2},
		"chief":     {slices.DeleteFunc(slices.Clone(all), func(s string) bool { return s == cutNone }), []string{cutNone}, 3},
	}
	bodies := map[string]string{
		mint:     `{"operation": "get", "bucket": "docs", "key": "users/ada/x"}`,
		byIssuer: `{"issuer": "` + acme + `"}`, byBucket: `{"bucket": "docs"}`, byOther: `{"issuer": "` + other + `"}`, byAll: `{"all": true}`,
	}
	for role, may := range tests {
		for _, what := range all {
			t.Run(role+"/"+what, func(t *testing.T) {
				g := newIssuers(t)
				mintAs := func(who, bucket string) string {
					a := g.as(as(t, who, "chief"), "POST", "/v1/tokens", strings.NewReader(fmt.Sprintf(`{"operation": "get", "bucket": %q, "key": "k"}`, bucket)))
					return a.object(t)["id"].(string)
				}
				ids := map[string]string{"ada": mintAs("ada@acme", "docs"), "bob": mintAs("bob@acme", "inbox"), "other": mintAs("ada@other", "docs")}
				parts := strings.Fields(what)
				target := parts[1]
				for name, id := range ids {
					target = strings.Replace(target, "/v1/tokens/"+name, "/v1/tokens/"+id, 1)
				}
				a := g.as(as(t, "ada@acme", role), parts[0], target, strings.NewReader(bodies[what]))
				want := http.StatusForbidden
				switch {
				case slices.Contains(may.unseen, what):
					want = http.StatusNotFound
				case what == mint && slices.Contains(may.allow, what):
					want = http.StatusCreated
				case slices.Contains(may.allow, what):
					want = http.StatusOK
				}
				if a.status != want {
					t.Errorf("%d, want %d: %s", a.status, want, a.body)
				}
				if what == list && want == http.StatusOK {
					if n := len(a.object(t)["tokens"].([]any)); n != may.sees {
						t.Errorf("%d tokens in the list, want %d", n, may.sees)
					}
				}
				// What was refused has not been done.
				revoked := 0
				for _, id := range ids {
					show := g.do("GET", "/v1/tokens/"+id, "").object(t)
					if show["state"] != "active" || show["covered_by"] != nil {
						revoked++
					}
				}
				if want >= 400 && revoked > 0 {
					t.Errorf("%d tokens are revoked", revoked)
				}
			})
		}
	}
}

// What is unknown and what is somebody else's get the same answer.
func TestOthersTokensAreAsIfTheyWereNotThere(t *testing.T) {
	g := newIssuers(t)
	bobs := g.as(as(t, "bob@acme", "owner"), "POST", "/v1/tokens", strings.NewReader(`{"operation": "get", "bucket": "docs", "key": "users/bob/x"}`)).object(t)["id"].(string)
	for _, method := range []string{"GET", "DELETE"} {
		theirs := g.as(as(t, "ada@acme", "owner"), method, "/v1/tokens/"+bobs, nil)
		none := g.as(as(t, "ada@acme", "owner"), method, "/v1/tokens/tok_aaaaaaaaaaaaaaaaaaaaaaaaaa", nil)
		if normal(theirs.body) != normal(none.body) || theirs.status != none.status {
			t.Errorf("%s: %d %s\n%d %s", method, theirs.status, theirs.body, none.status, none.body)
		}
	}
}

// What is minted lies within one rule, which also fills what was left open.
func TestMintsLieWithinARule(t *testing.T) {
	const put, get = `"operation": "put", "bucket": "inbox"`, `"operation": "get", "bucket": "docs"`
	for _, tt := range []struct {
		name, role, body string
		field            string         // of the refusal; "" if it is minted
		want             map[string]any // in the answer
	}{
		{"a put within", "minter", put + `, "key": "users/ada/a"`, "", map[string]any{"max_uses": 1.0, "expires_at": "2030-01-31T12:30:00Z"}},
		{"a get within", "minter", get + `, "key": "users/ada/a"`, "", map[string]any{"max_uses": 5.0}},
		{"labels are set", "minter", get + `, "key": "users/ada/a", "labels": {"x": "y"}`, "", map[string]any{"labels": map[string]any{"team": "press", "who": "ada", "x": "y"}}},
		{"the same label", "minter", get + `, "key": "users/ada/a", "labels": {"who": "ada"}`, "", nil},
		{"another label", "minter", get + `, "key": "users/ada/a", "labels": {"who": "bob"}`, "labels.who", nil},
		{"the size is set", "minter", put + `, "key": "users/ada/a"`, "", map[string]any{"upload": map[string]any{"max_bytes": 1000.0}}},
		{"a smaller size", "minter", put + `, "key": "users/ada/a", "upload": {"max_bytes": 999}`, "", map[string]any{"upload": map[string]any{"max_bytes": 999.0}}},
		{"a larger size", "minter", put + `, "key": "users/ada/a", "upload": {"max_bytes": 1001}`, "upload.max_bytes", nil},
		{"another's key", "minter", get + `, "key": "users/bob/a"`, "key", nil},
		{"a longer name", "minter", get + `, "key": "users/adam/a"`, "key", nil},
		{"a key out of the folder", "minter", get + `, "key": "users/ada/../bob/a"`, "key", nil},
		{"a key in a folder of dots", "minter", get + `, "key": "users/ada/.../a"`, "", nil},
		{"the folder itself", "minter", get + `, "prefix": "users/ada/"`, "", nil},
		{"the folder above", "minter", get + `, "prefix": "users/"`, "prefix", nil},
		{"the folder without slash", "minter", get + `, "prefix": "users/ada"`, "prefix", nil},
		{"a drop box", "minter", put + `, "prefix": "users/ada/"`, "", nil},
		{"a drop box by its template", "minter", put + `, "upload": {"key_template": "users/ada/{uuid}/{filename}"}`, "", nil},
		{"a drop box of another", "minter", put + `, "upload": {"key_template": "users/bob/{uuid}"}`, "prefix", nil},
		{"a drop box named by its users", "minter", put + `, "upload": {"key_template": "users/{filename}/{uuid}"}`, "prefix", nil},
		{"a template out of the prefix", "minter", put + `, "prefix": "users/ada/", "upload": {"key_template": "users/bob/{uuid}"}`, "prefix", nil},
		{"another bucket", "minter", `"operation": "get", "bucket": "secret", "key": "users/ada/a"`, "bucket", nil},
		{"another operation", "writer", `"operation": "get", "bucket": "inbox", "key": "a/x"`, "operation", nil},
		{"as long as may be", "minter", get + `, "key": "users/ada/a", "expires_in": "30m"`, "", nil},
		{"too long", "minter", get + `, "key": "users/ada/a", "expires_in": "31m"`, "expires_in", nil},
		{"until then", "minter", get + `, "key": "users/ada/a", "expires_at": "2030-01-31T12:30:00Z"`, "", map[string]any{"expires_at": "2030-01-31T12:30:00Z"}},
		{"until later", "minter", get + `, "key": "users/ada/a", "expires_at": "2030-01-31T12:30:01Z"`, "expires_at", nil},
		{"fewer uses", "minter", get + `, "key": "users/ada/a", "max_uses": 4`, "", map[string]any{"max_uses": 4.0}},
		{"more uses", "minter", get + `, "key": "users/ada/a", "max_uses": 6`, "max_uses", nil},
		{"uses without limit", "minter", get + `, "key": "users/ada/a", "max_uses": 0`, "max_uses", nil},
		{"within the first of two", "writer, big writer", put + `, "key": "a/x"`, "", map[string]any{"upload": map[string]any{"max_bytes": 10.0}}},
		{"within the second of two", "writer, big writer", put + `, "key": "b/x", "upload": {"max_bytes": 1000}`, "", nil},
		{"within both together only", "writer, big writer", put + `, "key": "a/x", "upload": {"max_bytes": 1000}`, "upload.max_bytes", nil},
		{"an administered bucket", "librarian", get + `, "key": "users/bob/a", "expires_in": "300d"`, "", nil},
		{"a bucket that is not administered", "librarian", put + `, "key": "a"`, "operation", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := newIssuers(t)
			a := g.as(as(t, "ada@acme", strings.Split(tt.role, ", ")...), "POST", "/v1/tokens", strings.NewReader("{"+tt.body+"}"))
			if tt.field != "" {
				p := a.problem()
				if a.status != http.StatusForbidden || p.Field != tt.field || p.Pointer == "" || len(g.stored()) > 0 {
					t.Errorf("%d %s, want 403 for %s", a.status, a.body, tt.field)
				}
				return
			}
			if a.status != http.StatusCreated {
				t.Fatalf("%d %s", a.status, a.body)
			}
			m := a.object(t)
			for name, want := range tt.want {
				if got, _ := json.Marshal(m[name]); string(got) != marshal(want) {
					t.Errorf("%s is %s, want %s", name, got, marshal(want))
				}
			}
			if m["issued_by"] != "ada" || m["issuer"] != acme {
				t.Errorf("issued by %v of %v", m["issued_by"], m["issuer"])
			}
		})
	}
}

func marshal(v any) string {
	raw, _ := json.Marshal(v)
	return string(raw)
}

// A rule of revocation is seen and lifted by those whose tokens it is about.
func TestRulesOfOthersAreNotThere(t *testing.T) {
	g := newIssuers(t)
	rule := func(body string) string { return g.do("POST", "/v1/revocations", body).object(t)["id"].(string) }
	ids := map[string]string{
		"acme": rule(`{"issuer": "` + acme + `"}`), "other": rule(`{"issuer": "` + other + `"}`), "docs": rule(`{"bucket": "docs"}`),
		"person": rule(`{"subject": "ada"}`),
	}
	for _, tt := range []struct {
		role string
		sees []string
		lift map[string]int
	}{
		{"ops", []string{"acme"}, map[string]int{"acme": 200, "other": 404, "docs": 404, "person": 404}},
		{"reader", []string{"acme"}, map[string]int{"acme": 403, "other": 403}},
		{"librarian", []string{"docs"}, map[string]int{"docs": 200, "acme": 404, "person": 404}},
		{"incident", []string{"acme", "docs", "other", "person"}, map[string]int{"person": 200, "other": 200}},
	} {
		who := as(t, "ada@acme", tt.role)
		var seen []string
		body := g.as(who, "GET", "/v1/revocations", nil).body
		for _, name := range slices.Sorted(maps.Keys(ids)) {
			show := g.as(who, "GET", "/v1/revocations/"+ids[name], nil)
			if listed := strings.Contains(body, ids[name]); listed != (show.status == http.StatusOK) || !listed && show.status != http.StatusNotFound {
				t.Errorf("%s: rule %s is listed %v and shown %d", tt.role, name, listed, show.status)
			} else if listed {
				seen = append(seen, name)
			}
		}
		if !slices.Equal(seen, tt.sees) {
			t.Errorf("%s sees %v, want %v", tt.role, seen, tt.sees)
		}
		for name, want := range tt.lift {
			if a := g.as(who, "DELETE", "/v1/revocations/"+ids[name], nil); a.status != want {
				t.Errorf("%s lifts %s: %d, want %d", tt.role, name, a.status, want)
			}
		}
	}
}

// Keys that cannot be had are no reason to say that a JWT is wrong (J4).
func TestKeysThatCannotBeHad(t *testing.T) {
	v, err := auth.New(auth.Config{Issuers: []auth.Issuer{{
		Issuer: acme, Audience: auth.Texts{"s3gate"}, Rules: roleRules(), JWKSURL: "http://127.0.0.1:1/keys", Algorithms: auth.Texts{"RS256"},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	g := newGate(t, func(c *api.Config) { c.Verifier = v })
	text := "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJodHRwczovL2lkLmFjbWUuZXhhbXBsZSJ9.AAAA"
	if a := g.as("Bearer "+text, "GET", "/v1/tokens", nil); a.status != http.StatusServiceUnavailable {
		t.Errorf("%d %s", a.status, a.body)
	}
}

// Transfers are seen and cut by those who may see and revoke their tokens (J7).
func TestTransfersOfOthersDoNotRun(t *testing.T) {
	g := newIssuers(t)
	owner := as(t, "ada@acme", "owner")
	begin := func(id, who, sub string) *revocation.Transfer {
		a := g.as(as(t, who, "owner"), "POST", "/v1/tokens", strings.NewReader(`{"operation": "get", "bucket": "docs", "key": "users/`+sub+`/x"}`))
		return g.begin(id, minted{ID: a.object(t)["id"].(string)})
	}
	adas, bobs := begin("req_a", "ada@acme", "ada"), begin("req_b", "bob@acme", "bob")
	defer adas.End()
	defer bobs.End()
	if body := g.as(owner, "GET", "/v1/transfers", nil).body; !strings.Contains(body, "req_a") || strings.Contains(body, "req_b") || strings.Contains(body, "gate") {
		t.Errorf("ada sees %s", body)
	}
	if a := g.as(owner, "DELETE", "/v1/transfers/req_b", nil); a.status != http.StatusNotFound || bobs.Err() != nil {
		t.Errorf("cutting bob's: %d, and it ended with %v", a.status, bobs.Err())
	}
	if a := g.as(as(t, "ada@acme", "reader"), "DELETE", "/v1/transfers/req_a", nil); a.status != http.StatusForbidden || adas.Err() != nil {
		t.Errorf("cutting as one who may only read: %d, and it ended with %v", a.status, adas.Err())
	}
	if a := g.as(owner, "DELETE", "/v1/transfers/req_a", nil); a.status != http.StatusOK || adas.Err() == nil {
		t.Errorf("cutting her own: %d", a.status)
	}
}
