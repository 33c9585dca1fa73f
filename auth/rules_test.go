package auth_test

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"s3gate/auth"
)

// explain says what claims are worth under one rule.
func explain(t testing.TB, r auth.Rule, claims jwt.MapClaims) auth.Outcome {
	t.Helper()
	c := newClock()
	v := open(t, c, auth.Issuer{Issuer: acme, Secret: string(key), Rules: []auth.Rule{r}})
	all := claimsOf(c, acme, nil)
	delete(all, "groups")
	maps.Copy(all, claims)
	ex := v.Explain(strings.TrimPrefix(signWith(t, "HS256", key, nil, all), "Bearer "))
	if ex.Err() != nil || len(ex.Rules) != 1 {
		t.Fatalf("Explain = %+v", ex)
	}
	return ex.Rules[0]
}

// No claim, no capability.
func TestRulesApply(t *testing.T) {
	nested := jwt.MapClaims{"realm_access": map[string]any{"roles": []string{"uploader"}}}
	dotted := jwt.MapClaims{"https://acme.example/roles": []string{"uploader"}}
	for _, tt := range []struct {
		name    string
		when    map[string]auth.Texts
		claims  jwt.MapClaims
		applies bool
	}{
		{"an element of a list", map[string]auth.Texts{"groups": {"up"}}, jwt.MapClaims{"groups": []string{"a", "up"}}, true},
		{"one of several values", map[string]auth.Texts{"groups": {"x", "up"}}, jwt.MapClaims{"groups": []string{"up"}}, true},
		{"a text", map[string]auth.Texts{"group": {"up"}}, jwt.MapClaims{"group": "up"}, true},
		{"no claim", map[string]auth.Texts{"groups": {"up"}}, nil, false},
		{"a null", map[string]auth.Texts{"groups": {"up"}}, jwt.MapClaims{"groups": nil}, false},
		{"an empty list", map[string]auth.Texts{"groups": {"up"}}, jwt.MapClaims{"groups": []string{}}, false},
		{"another value", map[string]auth.Texts{"groups": {"up"}}, jwt.MapClaims{"groups": []string{"upper"}}, false},
		{"the value in other case", map[string]auth.Texts{"groups": {"up"}}, jwt.MapClaims{"groups": "UP"}, false},
		{"a word of a text", map[string]auth.Texts{"groups": {"up"}}, jwt.MapClaims{"groups": "up down"}, false},
		{"a list in a list", map[string]auth.Texts{"groups": {"up"}}, jwt.MapClaims{"groups": []any{[]any{"up"}}}, false},
		{"an object", map[string]auth.Texts{"groups": {"up"}}, jwt.MapClaims{"groups": map[string]any{"up": true}}, false},
		{"a word of scope", map[string]auth.Texts{"scope": {"links:write"}}, jwt.MapClaims{"scope": "openid links:write"}, true},
		{"part of a word of scope", map[string]auth.Texts{"scope": {"links"}}, jwt.MapClaims{"scope": "links:write"}, false},
		{"a truth value", map[string]auth.Texts{"email_verified": {"true"}}, jwt.MapClaims{"email_verified": true}, true},
		{"the other truth value", map[string]auth.Texts{"email_verified": {"true"}}, jwt.MapClaims{"email_verified": false}, false},
		{"a number", map[string]auth.Texts{"org": {"12345678901234567890"}}, jwt.MapClaims{"org": json.Number("12345678901234567890")}, true},
		{"nested", map[string]auth.Texts{"realm_access.roles": {"uploader"}}, nested, true},
		{"nested elsewhere", map[string]auth.Texts{"roles": {"uploader"}}, nested, false},
		{"a name with dots", map[string]auth.Texts{"https://acme.example/roles": {"uploader"}}, dotted, true},
		{"all of several claims", map[string]auth.Texts{"a": {"1"}, "b": {"2"}}, jwt.MapClaims{"a": "1", "b": "2"}, true},
		{"one of several claims", map[string]auth.Texts{"a": {"1"}, "b": {"2"}}, jwt.MapClaims{"a": "1", "b": "1"}, false},
	} {
		got := explain(t, auth.Rule{When: tt.when, Allow: auth.Allow{Admin: true}}, tt.claims)
		if got.Applies != tt.applies || got.Why == "" || (got.Allow != nil) != tt.applies {
			t.Errorf("%s: %+v, want %v", tt.name, got, tt.applies)
		}
	}
}

// A claim's value stays between the slashes where it was put (J7).
func TestValuesInKeysAreSafe(t *testing.T) {
	rule := uploaders()[0]
	for value, want := range map[any]string{
		"ada":                    "users/ada/",
		"ada@example.com":        "users/ada@example.com/",
		"auth0|5f":               "users/auth0|5f/",
		"Ada Lovelace":           "users/Ada Lovelace/",
		"ädä":                    "users/ädä/",
		json.Number("42"):        "users/42/",
		"":                       "",
		"a/b":                    "",
		"/":                      "",
		"..":                     "",
		".":                      "",
		"../bob":                 "",
		".s3gate":                "",
		`..\bob`:                 "",
		"a\nb":                   "",
		"a\x00b":                 "",
		"{date}":                 "",
		"{filename}":             "",
		strings.Repeat("a", 255): "users/" + strings.Repeat("a", 255) + "/",
		strings.Repeat("a", 256): "",
	} {
		rule.Allow.Buckets = map[string]auth.Texts{"inbox": {"users/{user}/"}}
		got := explain(t, rule, jwt.MapClaims{"groups": "uploaders", "user": value})
		if want == "" {
			if got.Applies || !strings.Contains(got.Why, "claim user") {
				t.Errorf("%q: %+v, want that the rule does not apply", value, got)
			}
			continue
		}
		if !got.Applies || !reflect.DeepEqual(got.Allow.Buckets, map[string]auth.Texts{"inbox": {want}}) {
			t.Errorf("%q: %+v, want %q", value, got, want)
		}
	}
	for _, claims := range []jwt.MapClaims{{"groups": "uploaders"}, {"groups": "uploaders", "user": []string{"a"}}, {"groups": "uploaders", "user": nil}} {
		if got := explain(t, rule, claims); got.Applies {
			t.Errorf("claims %v: the rule applies", claims)
		}
	}
}

func TestLabelsFromClaims(t *testing.T) {
	rule := uploaders()[0]
	rule.Allow.Labels = map[string]string{"team": "press", "who": "{sub} of {org.name}"}
	got := explain(t, rule, jwt.MapClaims{"groups": "uploaders", "org": map[string]any{"name": "a/b"}})
	want := map[string]string{"team": "press", "who": "ada of a/b"}
	if !got.Applies || !maps.Equal(got.Allow.Labels, want) {
		t.Errorf("%+v, want %v", got, want)
	}
	if got := explain(t, rule, jwt.MapClaims{"groups": "uploaders", "org": map[string]any{"name": "a\nb"}}); got.Applies {
		t.Errorf("a label with a line end: %+v", got)
	}
}

// Prefixes in which two callers could meet are refused when they are configured.
func TestPrefixes(t *testing.T) {
	for prefix, ok := range map[string]bool{
		"": true, "reports/": true, "reports-": true, "users/{sub}/": true, "{sub}/": true, "t/{tenant}/u/{sub}/x/": true,
		"users/u-{sub}-files/": true, "{a.b}/{https://x.example/y}/": true,
		"users/{sub}": false, "users/{sub}-": false, "{a}{b}/": false, "{a}-{b}/": false, "{}/": false, "{a/": false, "a}/": false,
		"{{a}}/": false, strings.Repeat("a", 513): false,
	} {
		rule := uploaders()[0]
		rule.Allow.Buckets = map[string]auth.Texts{"inbox": {prefix}}
		_, err := auth.New(auth.Config{Issuers: []auth.Issuer{{Issuer: acme, Audience: auth.Texts{"s3gate"}, Rules: []auth.Rule{rule}}}})
		if (err == nil) != ok {
			t.Errorf("%q: %v", prefix, err)
		}
	}
}

// Whose tokens a caller may see and revoke, from every permission of a rule.
func TestScopes(t *testing.T) {
	own := auth.Origin{Issuer: acme, Subject: "ada", Bucket: "docs"}
	colleague := auth.Origin{Issuer: acme, Subject: "bob", Bucket: "docs"}
	namesake := auth.Origin{Issuer: "https://other.example", Subject: "ada", Bucket: "docs"}
	elsewhere := auth.Origin{Issuer: "https://other.example", Subject: "ada", Bucket: "inbox"}
	everything := []auth.Origin{own, colleague, namesake, elsewhere}
	for _, tt := range []struct {
		name          string
		allow         auth.Allow
		sees, revokes []auth.Origin
	}{
		{"nothing", auth.Allow{}, nil, nil},
		{"none", auth.Allow{List: "none", Revoke: "none"}, nil, nil},
		{"own", auth.Allow{List: "own"}, everything[:1], nil},
		{"issuer", auth.Allow{List: "issuer", Revoke: "own"}, everything[:2], everything[:1]},
		{"all", auth.Allow{List: "all", Revoke: "issuer"}, everything, everything[:2]},
		{"a bucket", auth.Allow{AdminBuckets: auth.Texts{"docs"}}, everything[:3], everything[:3]},
		{"another bucket and own", auth.Allow{AdminBuckets: auth.Texts{"inbox"}, List: "own"}, []auth.Origin{own, elsewhere}, []auth.Origin{elsewhere}},
	} {
		c := auth.Caller{Issuer: acme, Subject: "ada", Rights: &auth.Rights{Allowances: []auth.Allowance{{Allow: tt.allow}}}}
		for _, o := range everything {
			if c.Sees(o) != slices.Contains(tt.sees, o) || c.Revokes(o) != slices.Contains(tt.revokes, o) {
				t.Errorf("%s: of %+v sees %v, revokes %v", tt.name, o, c.Sees(o), c.Revokes(o))
			}
		}
	}
	// Two JWTs without a sub are not the same person.
	nobody := auth.Caller{Issuer: acme, Rights: &auth.Rights{Allowances: []auth.Allowance{{Allow: auth.Allow{List: "own"}}}}}
	if nobody.Sees(auth.Origin{Issuer: acme}) {
		t.Error("a caller without subject sees what another such has minted")
	}
}

// An explanation says what was looked at, and nothing of the signature.
func TestExplain(t *testing.T) {
	c := newClock()
	p := newProvider(t, jwks(jwk(rsaKey(), "one", nil)))
	v := open(t, c, auth.Issuer{Name: "acme", Issuer: p.URL})
	bearer := strings.TrimPrefix(signWith(t, "RS256", rsaKey(), map[string]any{"kid": "one"}, claimsOf(c, p.URL, jwt.MapClaims{"aud": "billing", "exp": 1})), "Bearer ")
	ex := v.Explain(bearer)
	if ex.Accepted || ex.Caller != (auth.Caller{}) || ex.Issuer != "acme" || ex.Key != `key "one" of the set` || ex.Algorithm != "RS256" {
		t.Errorf("Explain = %+v", ex)
	}
	var failed []string
	for _, check := range ex.Checks {
		if !check.OK {
			failed = append(failed, check.Name)
		}
	}
	if !slices.Equal(failed, []string{"times", "aud"}) {
		t.Errorf("failed checks %v", failed)
	}
	if len(ex.Rules) != 1 || !ex.Rules[0].Applies {
		t.Errorf("rules %+v", ex.Rules)
	}
	raw, err := json.Marshal(ex)
	if err != nil || strings.Contains(string(raw), bearer[strings.LastIndexByte(bearer, '.')+1:][:20]) {
		t.Errorf("%v, or the signature is in %s", err, raw)
	}
}

// Whatever a claim holds, what is made of it lies below what stands before it
// and has as many slashes as the prefix.
func FuzzValuesInKeys(f *testing.F) {
	for _, seed := range []string{"ada", "..", "a/b", "{date}", "a\\b", "\u2028", "%2f", ""} {
		f.Add(seed)
	}
	rule := uploaders()[0]
	rule.Allow.Buckets = map[string]auth.Texts{"inbox": {"users/{user}/"}}
	f.Fuzz(func(t *testing.T, value string) {
		got := explain(t, rule, jwt.MapClaims{"groups": "uploaders", "user": value})
		if !got.Applies {
			return
		}
		prefix := got.Allow.Buckets["inbox"][0]
		inside := strings.TrimSuffix(strings.TrimPrefix(prefix, "users/"), "/")
		if prefix != "users/"+inside+"/" || inside == "" || strings.ContainsAny(inside, "/\\{}\x00\n") || inside == "." || inside == ".." {
			t.Errorf("%q became %q", value, prefix)
		}
	})
}
