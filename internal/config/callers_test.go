package config_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"s3gate/auth"
	"s3gate/internal/config"
)

// example returns a YAML block of the page on callers.
func example(t *testing.T, name string) string {
	t.Helper()
	page, err := os.ReadFile("../../docs/auth.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(page), "```yaml "+name+"\n")
	block, _, closed := strings.Cut(rest, "\n```\n")
	if !found || !closed {
		t.Fatalf("docs/auth.md has no example %s", name)
	}
	return block
}

// providers answers for every provider at its real address.
type providers struct{ keySet string }

func (p providers) RoundTrip(r *http.Request) (*http.Response, error) {
	body := p.keySet
	if issuer, ok := strings.CutSuffix(r.URL.String(), "/.well-known/openid-configuration"); ok {
		if strings.HasSuffix(issuer, "auth0.com") {
			issuer += "/"
		}
		raw, _ := json.Marshal(map[string]string{"issuer": issuer, "jwks_uri": "https://keys.example/set"})
		body = string(raw)
	}
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader([]byte(body))), Request: r}, nil
}

// The examples of docs/auth.md work, with JWTs as the providers make them.
func TestExamplesForProviders(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	b64 := base64.RawURLEncoding.EncodeToString
	modulus := b64(key.N.Bytes())
	// Keycloak's sets also have a key for encryption.
	set := `{"keys": [{"kty": "RSA", "kid": "k2", "use": "enc", "alg": "RSA-OAEP", "n": "` + modulus + `", "e": "AQAB"},
		{"kty": "RSA", "kid": "k1", "use": "sig", "alg": "RS256", "n": "` + modulus + `", "e": "AQAB"}]}`
	setFile := write(t, "jwks.json", set)

	cognito := jwt.MapClaims{
		"iss": "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_AbCdEfGhI", "sub": "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee",
		"token_use": "access", "client_id": "1h57kf5cpq17m0eml12EXAMPLE", "cognito:groups": []string{"staff", "uploaders"},
		"scope": "openid email", "username": "ada", "version": 2, "jti": "x", "auth_time": 1700000000,
	}
	keycloak := jwt.MapClaims{
		"iss": "https://id.example.com/realms/staff", "aud": []string{"s3gate", "account"}, "sub": "f:1:ada", "typ": "Bearer", "azp": "web",
		"realm_access": map[string]any{"roles": []string{"offline_access", "editor"}}, "preferred_username": "ada",
		"resource_access": map[string]any{"account": map[string]any{"roles": []string{"view-profile"}}}, "scope": "openid profile",
	}
	auth0 := jwt.MapClaims{
		"iss": "https://acme.eu.auth0.com/", "aud": []string{"https://files.example.com/api", "https://acme.eu.auth0.com/userinfo"},
		"sub": "auth0|5f7c8ec7c33c6c004bbafe82", "azp": "x", "gty": "password", "permissions": []string{"links:write"},
		"https://acme.example/tenant": "blue",
	}
	github := jwt.MapClaims{
		"iss": "https://token.actions.githubusercontent.com", "aud": "https://files.example.com",
		"sub": "repo:octo-org/octo-repo:ref:refs/heads/main", "repository": "octo-org/octo-repo", "repository_id": "74",
		"repository_owner": "octo-org", "ref": "refs/heads/main", "run_id": "26", "sha": "example-sha", "environment": "prod",
	}
	kubernetes := jwt.MapClaims{
		"iss": "https://kubernetes.default.svc.cluster.local", "aud": []string{"s3gate"}, "sub": "system:serviceaccount:backup:nightly",
		"kubernetes.io": map[string]any{"namespace": "backup", "serviceaccount": map[string]any{"name": "nightly", "uid": "u"}},
	}
	with := func(c jwt.MapClaims, more jwt.MapClaims) jwt.MapClaims {
		all := jwt.MapClaims{"exp": time.Now().Add(time.Hour).Unix(), "iat": time.Now().Unix()}
		for _, from := range []jwt.MapClaims{c, more} {
			for name, value := range from {
				if all[name] = value; value == nil {
					delete(all, name)
				}
			}
		}
		return all
	}
	for _, tt := range []struct {
		name, example string
		claims        jwt.MapClaims
		refused       bool
		rules, places []string
	}{
		{"Cognito access token", "cognito", cognito, false, []string{"uploaders"}, []string{"inbox/users/aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee/"}},
		{"Cognito scope", "cognito", with(cognito, jwt.MapClaims{"cognito:groups": nil, "scope": "openid links/read"}), false, []string{"readers"}, []string{"docs/public/"}},
		{"Cognito ID token", "cognito", with(cognito, jwt.MapClaims{"token_use": "id", "aud": "1h57kf5cpq17m0eml12EXAMPLE", "client_id": nil}), true, nil, nil},
		{"Cognito of another client", "cognito", with(cognito, jwt.MapClaims{"client_id": "other"}), true, nil, nil},
		{"Keycloak", "keycloak", keycloak, false, []string{"editors"}, []string{"inbox/people/ada/"}},
		{"Keycloak client role", "keycloak", with(keycloak, jwt.MapClaims{"realm_access": nil, "resource_access": map[string]any{"s3gate": map[string]any{"roles": []string{"operator"}}}}), false, []string{"operators"}, nil},
		{"Keycloak without roles", "keycloak", with(keycloak, jwt.MapClaims{"realm_access": nil}), false, nil, nil},
		{"Keycloak of another client", "keycloak", with(keycloak, jwt.MapClaims{"aud": "account"}), true, nil, nil},
		{"Auth0", "auth0", auth0, false, []string{"tenants"}, []string{"inbox/blue/auth0|5f7c8ec7c33c6c004bbafe82/"}},
		{"Auth0 without tenant", "auth0", with(auth0, jwt.MapClaims{"https://acme.example/tenant": nil}), false, nil, nil},
		{"Auth0 tenant with a slash", "auth0", with(auth0, jwt.MapClaims{"https://acme.example/tenant": "blue/auth0|1"}), false, nil, nil},
		{"GitHub", "github", github, false, []string{"releases"}, []string{"docs/builds/74/26/"}},
		{"GitHub branch", "github", with(github, jwt.MapClaims{"ref": "refs/heads/feature"}), false, nil, nil},
		{"GitHub pull request", "github", with(github, jwt.MapClaims{"ref": "refs/pull/1/merge"}), false, nil, nil},
		{"GitHub repository of somebody else", "github", with(github, jwt.MapClaims{"repository_id": "75"}), false, nil, nil},
		{"Kubernetes", "kubernetes", kubernetes, false, []string{"backup"}, []string{"inbox/backup/"}},
		{"Kubernetes namespace", "kubernetes", with(kubernetes, jwt.MapClaims{"sub": "system:serviceaccount:shop:web", "kubernetes.io": map[string]any{"namespace": "shop"}}), false, []string{"namespaces"}, []string{"docs/shop/"}},
		{"Kubernetes account of another namespace", "kubernetes", with(kubernetes, jwt.MapClaims{"sub": "system:serviceaccount:evil:nightly", "kubernetes.io": nil}), false, nil, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			yaml := strings.ReplaceAll(example(t, tt.example), "/etc/s3gate/kubernetes-jwks.json", setFile)
			cfg, err := config.Load(write(t, "c.yaml", yaml), nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			callers := cfg.API.Callers()
			callers.Transport = providers{set}
			v, err := auth.New(callers)
			if err != nil {
				t.Fatal(err)
			}
			token := jwt.NewWithClaims(jwt.SigningMethodRS256, with(tt.claims, nil))
			token.Header["kid"] = "k1"
			text, err := token.SignedString(key)
			if err != nil {
				t.Fatal(err)
			}
			caller, err := v.Verify("Bearer " + text)
			if tt.refused || err != nil {
				if !tt.refused || err == nil {
					t.Errorf("Verify: %v", err)
				}
				return
			}
			var rules, places []string
			for _, a := range caller.Rights.Allowances {
				rules = append(rules, a.Rule)
				for alias, prefixes := range a.Buckets {
					for _, p := range prefixes {
						places = append(places, alias+"/"+p)
					}
				}
			}
			if !slices.Equal(rules, tt.rules) || !slices.Equal(places, tt.places) || caller.Admin {
				t.Errorf("rules %v, places %v; want %v, %v", rules, places, tt.rules, tt.places)
			}
		})
	}
}

const withIssuer = `
public_url: https://files.example.com
buckets: {docs: {}}
api:
  issuers:
    - issuer: https://id.example.com
      audience: s3gate
      rules:
        - when: {dn: "cn=ops,ou=x", verified: true, n: 7}
          allow: {operations: get, buckets: {docs: "a,b/"}, max_life: 2d}
`

// Lists of settings are read as they stand: a comma separates nothing.
func TestLoadIssuers(t *testing.T) {
	c, err := config.Load(write(t, "c.yaml", withIssuer), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	r := c.API.Issuers[0].Rules[0]
	if !slices.Equal(r.When["dn"], auth.Texts{"cn=ops,ou=x"}) || !slices.Equal(r.When["verified"], auth.Texts{"true"}) || !slices.Equal(r.When["n"], auth.Texts{"7"}) {
		t.Errorf("when became %v", r.When)
	}
	if !slices.Equal(r.Allow.Buckets["docs"], auth.Texts{"a,b/"}) || r.Allow.MaxLife != 48*time.Hour {
		t.Errorf("allow became %+v", r.Allow)
	}
	secret := write(t, "secret", "a secret that was kept in a file, long enough\n")
	c, err = config.Load(write(t, "c.yaml", strings.Replace(withIssuer, "audience: s3gate", "audience: s3gate\n      secret_file: "+secret, 1)), nil, nil)
	if err != nil || c.API.Issuers[0].Secret != "a secret that was kept in a file, long enough" {
		t.Errorf("from a file: %v", err)
	}
}

// The example of rules in docs/auth.md has every kind of setting right.
func TestExampleOfRules(t *testing.T) {
	rules := strings.ReplaceAll("\n"+example(t, "rules"), "\n", "\n      ")
	before, _, _ := strings.Cut(withIssuer, "      rules:")
	c, err := config.Load(write(t, "c.yaml", strings.Replace(before, "{docs: {}}", "{docs: {}, inbox: {}}", 1)+rules), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if r := c.API.Issuers[0].Rules[0]; r.Name != "uploaders" || r.Allow.Labels["who"] != "{email}" || len(r.Allow.Buckets["docs"]) != 2 {
		t.Errorf("the example became %+v", r)
	}
}

func TestLoadRefusesIssuers(t *testing.T) {
	replace := func(old, new string) string { return strings.Replace(withIssuer, old, new, 1) }
	for _, tt := range []struct{ name, yaml, env, want string }{
		{"a typo", replace("audience:", "audiance:"), "", "c.yaml:7: api.issuers[0].audiance: is not a setting; did you mean api.issuers[0].audience?"},
		{"a typo in a rule", replace("max_life:", "max_live:"), "", "api.issuers[0].rules[0].allow.max_live: is not a setting; did you mean api.issuers[0].rules[0].allow.max_life?"},
		{"no audience", replace("audience: s3gate", "name: x"), "", "api.issuers[0].audience: is required"},
		{"an alias that is not there", replace("{docs: \"a,b/\"}", "{dogs: a/}"), "", `api.issuers[0].rules[0].allow: "dogs" is not an alias in buckets`},
		{"a list for a value", replace("n: 7", "n: {a: b}"), "", "c.yaml:9: api.issuers[0].rules[0].when.n: must be a text or a list of texts, got settings"},
		{"a file that is not there", replace("audience: s3gate", "audience: s3gate\n      jwks_file: /nonexistent/x"), "", "api.issuers[0].jwks_file: open /nonexistent/x"},
		{"a secret twice", replace("audience: s3gate", "audience: s3gate\n      secret: a\n      secret_file: b"), "", "api.issuers[0].secret: is set together with"},
		{"from the environment", withIssuer, "S3GATE_API_ISSUERS=x", "S3GATE_API_ISSUERS: is a list of many settings, which can only stand in the YAML file"},
		{"a short key besides", withIssuer, "S3GATE_API_JWT_HS256_KEY=short", "api.jwt.hs256_key: must have at least 32 bytes, got 5"},
		{"an old key alone", withIssuer, "S3GATE_API_JWT_PREVIOUS_HS256_KEY=0123456789abcdef0123456789abcdef", "api.jwt.previous_hs256_key: needs api.jwt.hs256_key"},
	} {
		var env []string
		if tt.env != "" {
			env = []string{tt.env}
		}
		_, err := config.Load(write(t, "c.yaml", tt.yaml), env, nil)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: Load = %v\nwant %q", tt.name, err, tt.want)
		}
	}
}
