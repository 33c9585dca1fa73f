package api_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"s3gate/api"
	"s3gate/revocation"
	"s3gate/tokens"
)

// patch changes a token as the administrator, whatever version it has.
func (g *gate) patch(id, body string) answer {
	g.Helper()
	return g.with(g.admin, "PATCH", "/v1/tokens/"+id, strings.NewReader(body), "If-Match: *")
}

func TestPatch(t *testing.T) {
	g := newGate(t)
	id := g.mint(get(`"max_uses": 5`, `"labels": {"a": "1", "b": "2"}`)).ID
	tag := g.do("GET", "/v1/tokens/"+id, "").header.Get("ETag")
	if tag != `"1"` {
		t.Fatalf("ETag %s", tag)
	}
	send := func(body string, header ...string) answer {
		return g.with(g.admin, "PATCH", "/v1/tokens/"+id, strings.NewReader(body), header...)
	}
	if a := send(`{}`); a.status != http.StatusPreconditionRequired {
		t.Errorf("without If-Match: %d %s", a.status, a.body)
	}
	a := send(`{"max_uses": 3, "expires_in": "30m", "labels": {"a": null, "c": "3"}}`, "If-Match: "+tag)
	golden(t, "patch", a)
	if a.status != http.StatusOK || a.header.Get("ETag") != `"2"` {
		t.Fatalf("%d %v %s", a.status, a.header, a.body)
	}
	for _, match := range []string{tag, "2", `W/"2"`, `"3"`, `"x", "1"`} {
		if a := send(`{"max_uses": 1}`, "If-Match: "+match); a.status != http.StatusPreconditionFailed {
			t.Errorf("If-Match: %s: %d %s", match, a.status, a.body)
		}
	}
	for i, match := range []string{`"2"`, `"7", "3"`, `*`} {
		if a := send(`{}`, "If-Match: "+match); a.status != http.StatusOK || a.header.Get("ETag") != `"`+string(rune('3'+i))+`"` {
			t.Errorf("If-Match: %s: %d %v", match, a.status, a.header)
		}
	}
	show := g.do("GET", "/v1/tokens/"+id, "")
	if got := show.object(t); got["max_uses"] != 3.0 || got["expires_at"] != "2030-01-31T12:30:00Z" || show.header.Get("ETag") != `"5"` {
		t.Errorf("shown as %s", show.body)
	}
	// The log of revocations does not show it.
	if a := g.do("GET", "/v1/revocations", ""); strings.TrimSpace(a.body) != `{"revocations":[]}` {
		t.Errorf("revocations: %s", a.body)
	}
	if a := g.do("GET", "/v1/revocations/chg_"+id[4:], ""); a.status != http.StatusNotFound {
		t.Errorf("a change as a revocation: %d %s", a.status, a.body)
	}
	if a := g.do("DELETE", "/v1/revocations/chg_"+id[4:], ""); a.status != http.StatusNotFound {
		t.Errorf("lifting a change: %d %s", a.status, a.body)
	}
}

func TestPatchRefuses(t *testing.T) {
	g := newGate(t)
	id := g.mint(get(`"max_uses": 3`)).ID
	for _, tt := range []struct {
		name, body, field, words string
	}{
		{"longer", `{"expires_in": "2h"}`, "expires_in", "can only become earlier: it expires at 2030-01-31T13:00:00Z, got 2030-01-31T14:00:00Z"},
		{"later", `{"expires_at": "2031-01-01T00:00:00Z"}`, "expires_at", "can only become earlier"},
		{"past", `{"expires_at": "2030-01-01T00:00:00Z"}`, "expires_at", "revoke the token instead"},
		{"both", `{"expires_at": "2030-01-31T12:30:00Z", "expires_in": "1m"}`, "expires_in", "exclude each other"},
		{"zero", `{"expires_in": "0s"}`, "expires_in", "must be more than 0s"},
		{"more uses", `{"max_uses": 4}`, "max_uses", "it is 3, got 4"},
		{"no limit", `{"max_uses": 0}`, "max_uses", "it is 3, got 0"},
		{"no expiry", `{"expires_at": null}`, "expires_at", "cannot be removed"},
		{"empty expiry", `{"expires_in": ""}`, "expires_in", "cannot be removed"},
		{"no uses", `{"max_uses": null}`, "max_uses", "cannot be removed"},
		{"another key", `{"key": "other.pdf"}`, "key", "is not a field"},
		{"label", `{"labels": {"a": 1}}`, "labels", "must hold strings only"},
		{"label's text", `{"labels": {"a": "\n"}}`, "labels.a", "control character"},
		{"no object", `[]`, "body", "must be an object"},
	} {
		a := g.patch(id, tt.body)
		if p := a.problem(); a.status != http.StatusBadRequest || !strings.HasPrefix(p.Field, tt.field) || !strings.Contains(p.Detail, tt.words) {
			t.Errorf("%s: %d %s, want %s: %s", tt.name, a.status, a.body, tt.field, tt.words)
		}
	}
	if got := g.do("GET", "/v1/tokens/"+id, "").object(t); got["version"] != 1.0 {
		t.Errorf("refusals have made version %v", got["version"])
	}
	if a := g.patch("tok_aaaaaaaaaaaaaaaaaaaaaaaaaa", `{}`); a.status != http.StatusNotFound {
		t.Errorf("unknown: %d", a.status)
	}
	if a := g.patch("x", `{}`); a.status != http.StatusNotFound {
		t.Errorf("malformed: %d", a.status)
	}
	g.do("DELETE", "/v1/tokens/"+id, "")
	if a := g.patch(id, `{}`); a.status != http.StatusConflict || !strings.Contains(a.body, "was revoked") {
		t.Errorf("revoked: %d %s", a.status, a.body)
	}
}

// Nobody takes a label away from a token by which a rule covers it.
func TestPatchDoesNotEscapeRules(t *testing.T) {
	for name, rule := range map[string]string{
		"standing": `{"labels": {"team": "press"}, "standing": true}`, "once": `{"labels": {"team": "press"}}`,
		"with more": `{"subject": "ada", "labels": {"team": "press"}}`,
	} {
		g := newGate(t)
		id := g.mint(get(`"subject": "ada"`, `"labels": {"team": "press", "b": "2"}`)).ID
		if a := g.do("POST", "/v1/revocations", rule); a.status != http.StatusOK {
			t.Fatal(a.body)
		}
		for _, labels := range []string{`{"team": null}`, `{"team": "other"}`, `null`} {
			if a := g.patch(id, `{"labels": `+labels+`}`); a.status != http.StatusConflict || !strings.Contains(a.body, "Lift it first") {
				t.Errorf("%s: %s: %d %s", name, labels, a.status, a.body)
			}
		}
		if a := g.patch(id, `{"labels": {"b": null, "c": "3"}}`); a.status != http.StatusOK {
			t.Errorf("%s: other labels: %d %s", name, a.status, a.body)
		}
		// Two rules cover it, and by one of them it would still be covered.
		if a := g.do("POST", "/v1/revocations", `{"subject": "ada", "standing": true}`); a.status != http.StatusOK {
			t.Fatal(a.body)
		}
		if a := g.patch(id, `{"labels": {"team": null}}`); a.status != http.StatusConflict {
			t.Errorf("%s: beside another rule: %d %s", name, a.status, a.body)
		}
	}
}

// racing makes a rule when the grant is being changed.
type racing struct {
	api.Tokens
	rule func()
}

func (r racing) Replace(ctx context.Context, from, to tokens.Grant) error {
	r.rule()
	return r.Tokens.Replace(ctx, from, to)
}

// A rule that comes while a label is taken away, and meant the token by it, ends the
// token.
func TestPatchRacesRule(t *testing.T) {
	var g *gate
	g = newGate(t, func(c *api.Config) {
		c.Tokens = racing{c.Tokens, func() { g.do("POST", "/v1/revocations", `{"labels": {"team": "press"}}`) }}
	})
	id := g.mint(get(`"labels": {"team": "press"}`)).ID
	if a := g.patch(id, `{"labels": {"team": null}}`); a.status != http.StatusConflict {
		t.Errorf("%d %s", a.status, a.body)
	}
	if got := g.do("GET", "/v1/tokens/"+id, "").object(t); got["state"] != "revoked" {
		t.Errorf("the token is %v", got["state"])
	}
}

// unsure has no lease while a switch is on.
type unsure struct {
	api.Member
	lost *bool
}

func (u unsure) Lease() error {
	if *u.lost {
		return revocation.ErrNoLease
	}
	return u.Member.Lease()
}

// However a patch ends that takes a label away, a rule that comes meanwhile and meant
// the token by it ends the token; so does a gate that cannot know of one.
func TestPatchEndsInDoubt(t *testing.T) {
	for _, tt := range []struct {
		name                    string
		rule, lost, mute, leave bool
		body                    string
		status                  int
		state                   string
	}{
		{"all is well", false, false, false, false, `null`, 200, "active"},
		{"not shown", false, false, true, false, `null`, 503, "active"},
		{"a rule, not shown", true, false, true, false, `null`, 409, "revoked"},
		{"a rule, and the client goes", true, false, false, true, `null`, 409, "revoked"},
		{"no lease", false, true, false, false, `null`, 409, "revoked"},
		{"no lease, not shown", false, true, true, false, `null`, 409, "revoked"},
		{"no lease, and no label lost", false, true, false, false, `{"b": "2"}`, 200, "active"},
	} {
		var g *gate
		var lost, mute bool
		ctx, leave := context.WithCancel(t.Context())
		g = newGate(t, func(c *api.Config) {
			c.Member = unsure{c.Member, &lost}
			c.Revoker = either{silent{c.Revoker}, c.Revoker, &mute}
			c.Tokens = racing{c.Tokens, func() {
				if tt.rule {
					g.do("POST", "/v1/revocations", `{"labels": {"team": "press"}}`)
				}
				lost, mute = tt.lost, tt.mute
				if tt.leave {
					leave()
				}
			}}
		})
		id := g.mint(get(`"labels": {"team": "press"}`)).ID
		r := httptest.NewRequestWithContext(ctx, "PATCH", "/v1/tokens/"+id, strings.NewReader(`{"labels": `+tt.body+`}`))
		r.Header.Set("Authorization", g.admin)
		r.Header.Set("If-Match", "*")
		if a := send(t, g.handler, r); a.status != tt.status {
			t.Errorf("%s: %d %s, want %d", tt.name, a.status, a.body, tt.status)
		}
		lost = false
		if got := g.do("GET", "/v1/tokens/"+id, "").object(t); got["state"] != tt.state {
			t.Errorf("%s: the token is %v, want %s", tt.name, got["state"], tt.state)
		}
		leave()
	}
}

// A patch needs the right to revoke the token, and to take labels away that of
// minting it so (J7).
func TestPatchRights(t *testing.T) {
	g := newIssuers(t)
	mint := func(who string, roles ...string) string {
		t.Helper()
		a := g.as(as(t, who, roles...), "POST", "/v1/tokens", strings.NewReader(`{"operation": "get", "bucket": "docs", "key": "users/ada/x", "expires_in": "20m", "labels": {"mine": "1"}}`))
		if a.status != http.StatusCreated {
			t.Fatalf("%d %s", a.status, a.body)
		}
		return a.object(t)["id"].(string)
	}
	for _, tt := range []struct {
		name, who string
		roles     []string
		body      string
		status    int
	}{
		{"nobody", "ada@acme", nil, `{}`, 403},
		{"may mint only", "ada@acme", []string{"minter"}, `{}`, 403},
		{"may see only", "ada@acme", []string{"reader"}, `{}`, 403},
		{"its owner", "ada@acme", []string{"owner"}, `{"expires_in": "1m", "max_uses": 1}`, 200},
		{"another's owner", "bob@acme", []string{"owner"}, `{}`, 404},
		{"same name elsewhere", "ada@other", []string{"owner"}, `{}`, 404},
		{"ops", "eve@acme", []string{"ops"}, `{"max_uses": 2, "labels": {"new": "1"}}`, 200},
		{"ops of another", "eve@other", []string{"ops"}, `{}`, 404},
		{"ops removes a label", "eve@acme", []string{"ops"}, `{"labels": {"mine": null}}`, 403},
		{"minter removes its own", "ada@acme", []string{"minter", "owner"}, `{"max_uses": 2, "labels": {"mine": null}}`, 200},
		{"minter removes a forced one", "ada@acme", []string{"minter", "owner"}, `{"max_uses": 2, "labels": {"team": null}}`, 403},
		{"minter changes a forced one", "ada@acme", []string{"minter", "ops"}, `{"max_uses": 2, "labels": {"team": "other"}}`, 403},
		{"librarian removes a forced one", "lib@acme", []string{"librarian"}, `{"labels": {"team": null}}`, 200},
		{"chief removes all", "chief@acme", []string{"chief"}, `{"labels": null}`, 200},
	} {
		id := mint("ada@acme", "minter")
		a := g.with(as(t, tt.who, tt.roles...), "PATCH", "/v1/tokens/"+id, strings.NewReader(tt.body), "If-Match: *")
		if a.status != tt.status {
			t.Errorf("%s: %d %s, want %d", tt.name, a.status, a.body, tt.status)
		}
	}
}

// silent cannot show that a change counts.
type silent struct{ api.Revoker }

func (silent) Change(context.Context, *tokens.Grant, *tokens.Grant, string) (revocation.Receipt, error) {
	return revocation.Receipt{}, &revocation.UnprovenError{Stage: revocation.Made, Err: tokens.ErrUnproven}
}

// What could not be shown is shown by the same patch of the next version.
func TestPatchUnproven(t *testing.T) {
	var mute bool
	g := newGate(t, func(c *api.Config) {
		loud := c.Revoker
		c.Revoker = either{silent{loud}, loud, &mute}
	})
	id := g.mint(get(`"max_uses": 3`)).ID
	mute = true
	a := g.with(g.admin, "PATCH", "/v1/tokens/"+id, strings.NewReader(`{"max_uses": 1}`), `If-Match: "1"`)
	if a.status != http.StatusServiceUnavailable || a.problem().Outcome != revocation.Made {
		t.Fatalf("%d %s", a.status, a.body)
	}
	mute = false
	tag := g.do("GET", "/v1/tokens/"+id, "").header.Get("ETag")
	a = g.with(g.admin, "PATCH", "/v1/tokens/"+id, strings.NewReader(`{"max_uses": 1}`), "If-Match: "+tag)
	if a.status != http.StatusOK || a.object(t)["version"] != 3.0 {
		t.Errorf("%d %s", a.status, a.body)
	}
}

// either is the first revoker while a switch is on.
type either struct {
	api.Revoker
	loud api.Revoker
	mute *bool
}

func (e either) Change(ctx context.Context, from, to *tokens.Grant, author string) (revocation.Receipt, error) {
	if *e.mute {
		return e.Revoker.Change(ctx, from, to, author)
	}
	return e.loud.Change(ctx, from, to, author)
}
