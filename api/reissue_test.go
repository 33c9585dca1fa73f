package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"s3gate/api"
	"s3gate/revocation"
	"s3gate/tokens"
)

func (g *gate) reissue(id, body string, header ...string) answer {
	g.Helper()
	return g.with(g.admin, "POST", "/v1/tokens/"+id+":reissue", strings.NewReader(body), header...)
}

func TestReissue(t *testing.T) {
	g := newGate(t)
	old := g.mint(get(`"max_uses": 5`, `"passcode": "1234"`, `"subject": "ada"`, `"labels": {"a": "1"}`, `"expires_in": "3h"`))
	g.use(old.Token)
	g.use(old.Token)
	a := g.reissue(old.ID, `{"reason": "leaked"}`)
	golden(t, "reissue", a)
	var fresh minted
	if err := json.Unmarshal([]byte(a.body), &fresh); err != nil || a.status != http.StatusCreated || a.header.Get("Location") != "/v1/tokens/"+fresh.ID || a.header.Get("ETag") != `"1"` {
		t.Fatalf("%d %v %s", a.status, a.header, a.body)
	}
	if got := a.object(t); got["max_uses"] != 3.0 || got["expires_at"] != "2030-01-31T15:00:00Z" || got["passcode"] != true {
		t.Errorf("%s", a.body)
	}
	was := g.do("GET", "/v1/tokens/"+old.ID, "").object(t)
	if was["state"] != "revoked" || was["reissued_as"] != fresh.ID {
		t.Errorf("the old token is %v", was)
	}
	token, err := tokens.Parse(fresh.Token)
	if err != nil {
		t.Fatal(err)
	}
	use, err := g.store.Look(t.Context(), token, tokens.Ask{Operation: tokens.Get})
	if err != nil || !use.Grant.Passcode.Matches("1234") || use.Grant.Subject != "ada" || use.Grant.Labels["a"] != "1" {
		t.Errorf("%+v, %v", use, err)
	}
	// The old one is over for good.
	if a := g.reissue(old.ID, ""); a.status != http.StatusConflict {
		t.Errorf("again: %d %s", a.status, a.body)
	}
	var rules struct{ Revocations []struct{ ID string } }
	if err := json.Unmarshal([]byte(g.do("GET", "/v1/revocations", "").body), &rules); err != nil || len(rules.Revocations) != 2 { // each try has told the gates
		t.Fatal(rules, err)
	}
	if a := g.do("DELETE", "/v1/revocations/"+rules.Revocations[0].ID, ""); a.status != http.StatusConflict {
		t.Errorf("lifting its revocation: %d %s", a.status, a.body)
	}
	short := g.mint(get())
	a = g.reissue(short.ID, `{"expires_in": "10m"}`)
	if got := a.object(t); a.status != http.StatusCreated || got["expires_at"] != "2030-01-31T12:10:00Z" || got["max_uses"] != 0.0 {
		t.Errorf("%d %s", a.status, a.body)
	}
}

// What cannot be minted revokes nothing.
func TestReissueRefuses(t *testing.T) {
	for _, tt := range []struct {
		name, mint, body, rule string
		status                 int
		words                  string
	}{
		{"too long", get(), `{"expires_in": "9999d"}`, "", 400, "expires_in: is "},
		{"past", get(), `{"expires_at": "2020-01-01T00:00:00Z"}`, "", 400, "is in the past"},
		{"both", get(), `{"expires_in": "1m", "expires_at": "2030-02-01T00:00:00Z"}`, "", 400, "exclude each other"},
		{"a field", get(), `{"max_uses": 9}`, "", 400, "is not a field"},
		{"reason", get(), `{"reason": "` + strings.Repeat("r", 256) + `"}`, "", 400, "is longer than 255"},
		{"standing rule", get(`"subject": "ada"`), ``, `{"subject": "ada", "standing": true}`, 403, "standing revocation"},
		{"rule", get(`"subject": "ada"`), ``, `{"subject": "ada"}`, 409, "Lift it first"},
	} {
		g := newGate(t)
		old := g.mint(tt.mint)
		if tt.rule != "" {
			g.do("POST", "/v1/revocations", tt.rule)
		}
		a := g.reissue(old.ID, tt.body)
		if a.status != tt.status || !strings.Contains(a.problem().Detail, tt.words) {
			t.Errorf("%s: %d %s, want %d %s", tt.name, a.status, a.body, tt.status, tt.words)
		}
		if got := g.do("GET", "/v1/tokens/"+old.ID, "").object(t); got["state"] != "active" {
			t.Errorf("%s: the token is %v", tt.name, got["state"])
		}
	}
	g := newGate(t)
	used := g.mint(get(`"max_uses": 1`))
	g.use(used.Token)
	if a := g.reissue(used.ID, ""); a.status != http.StatusConflict || !strings.Contains(a.body, "used up") {
		t.Errorf("used up: %d %s", a.status, a.body)
	}
	if a := g.reissue("tok_aaaaaaaaaaaaaaaaaaaaaaaaaa", ""); a.status != http.StatusNotFound {
		t.Errorf("unknown: %d", a.status)
	}
}

// A token all of whose uses are under way has nothing to give to another one, and
// is not revoked for it.
func TestReissueWhileInUse(t *testing.T) {
	g := newGate(t)
	old := g.mint(get(`"max_uses": 1`))
	token, err := tokens.Parse(old.Token)
	if err != nil {
		t.Fatal(err)
	}
	use, err := g.store.Redeem(t.Context(), token, tokens.Ask{Operation: tokens.Get})
	if err != nil {
		t.Fatal(err)
	}
	if a := g.reissue(old.ID, ""); a.status != http.StatusConflict || !strings.Contains(a.problem().Detail, "are under way") {
		t.Errorf("%d %s", a.status, a.body)
	}
	if got := g.do("GET", "/v1/tokens/"+old.ID, "").object(t); got["state"] != "active" || got["in_use"] != 1.0 {
		t.Errorf("the token is %v", got)
	}
	use.Refund(t.Context())
	if a := g.reissue(old.ID, ""); a.status != http.StatusCreated || a.object(t)["max_uses"] != 1.0 {
		t.Errorf("afterwards: %d %s", a.status, a.body)
	}
}

// Reissuing needs the right to revoke the old token and to mint the new one (J7).
func TestReissueRights(t *testing.T) {
	g := newIssuers(t)
	for _, tt := range []struct {
		name, who string
		roles     []string
		status    int
	}{
		{"minter", "ada@acme", []string{"minter"}, 403},
		{"revoker", "eve@acme", []string{"ops"}, 403},
		{"its owner", "ada@acme", []string{"owner"}, 201},
		{"another owner", "bob@acme", []string{"owner"}, 404},
		{"elsewhere", "ada@other", []string{"owner"}, 404},
		{"ops and minter of other keys", "eve@acme", []string{"ops", "owner"}, 403},
		{"librarian", "lib@acme", []string{"librarian"}, 201},
		{"chief", "chief@acme", []string{"chief"}, 201},
	} {
		a := g.as(as(t, "ada@acme", "owner"), "POST", "/v1/tokens", strings.NewReader(`{"operation": "get", "bucket": "docs", "key": "users/ada/x"}`))
		id := a.object(t)["id"].(string)
		a = g.as(as(t, tt.who, tt.roles...), "POST", "/v1/tokens/"+id+":reissue", strings.NewReader("{}"))
		if a.status != tt.status {
			t.Errorf("%s: %d %s, want %d", tt.name, a.status, a.body, tt.status)
		}
		if tt.status == 201 {
			continue
		}
		if got := g.do("GET", "/v1/tokens/"+id, "").object(t); got["state"] != "active" {
			t.Errorf("%s: the token is %v", tt.name, got["state"])
		}
	}
}

// failing loses Redis at one step of a reissue, once.
type failing struct {
	api.Tokens
	api.Revoker
	at *string
}

func (f failing) fail(step string) error {
	if *f.at != step {
		return nil
	}
	*f.at = ""
	return fmt.Errorf("%w: canary", tokens.ErrUnproven)
}

func (f failing) Retire(ctx context.Context, from tokens.Grant, successor tokens.ID, author, reason string) error {
	if err := f.fail("retire"); err != nil {
		return err
	}
	return f.Tokens.Retire(ctx, from, successor, author, reason)
}

func (f failing) Revoke(ctx context.Context, r revocation.Rule) (revocation.Receipt, error) {
	if err := f.fail("revoke"); err != nil {
		return revocation.Receipt{}, err
	}
	return f.Revoker.Revoke(ctx, r)
}

func (f failing) MintAll(ctx context.Context, all []tokens.Minting) ([]tokens.Minted, error) {
	if err := f.fail("mint"); err != nil {
		return nil, err
	}
	done, err := f.Tokens.MintAll(ctx, all)
	if lost := f.fail("told"); lost != nil {
		done[0] = tokens.Minted{Err: lost}
	}
	return done, err
}

// At each step at which Redis may fail the answer says what is known, at no time
// both tokens work, and with a key the same request finishes.
func TestReissueFails(t *testing.T) {
	for step, outcome := range map[string]revocation.Stage{
		"retire": "unknown", "revoke": "old_unproven", "mint": "old_revoked", "told": "new_unknown",
	} {
		at := ""
		g := newGate(t, func(c *api.Config) {
			f := failing{c.Tokens, c.Revoker, &at}
			c.Tokens, c.Revoker = f.tokens(), f
		})
		old := g.mint(get(`"max_uses": 3`))
		g.use(old.Token)
		at = step
		a := g.reissue(old.ID, "", "Idempotency-Key: k")
		if p := a.problem(); a.status != http.StatusServiceUnavailable || p.Outcome != outcome || strings.Contains(a.body, "canary") {
			t.Errorf("%s: %d %s, want the outcome %s", step, a.status, a.body, outcome)
		}
		if got := g.do("GET", "/v1/tokens/"+old.ID, "").object(t); step != "retire" && got["state"] != "revoked" {
			t.Errorf("%s: the old token is %v", step, got["state"])
		}
		a = g.reissue(old.ID, "", "Idempotency-Key: k")
		if got := a.object(t); a.status != http.StatusCreated || got["max_uses"] != 2.0 {
			t.Errorf("%s: finishing: %d %s", step, a.status, a.body)
		}
		if again := g.reissue(old.ID, "", "Idempotency-Key: k"); again.body != a.body {
			t.Errorf("%s: again: %d %s", step, again.status, again.body)
		}
		if n := len(g.list(nil).Tokens); n != 2 {
			t.Errorf("%s: %d tokens, want the old one and the new one", step, n)
		}
	}
}

// meanwhile does something right before, or right after, the old token is revoked.
type meanwhile struct {
	api.Tokens
	before, after func(old tokens.ID)
}

func (m meanwhile) Retire(ctx context.Context, from tokens.Grant, successor tokens.ID, author, reason string) error {
	if m.before != nil {
		m.before(from.ID)
	}
	err := m.Tokens.Retire(ctx, from, successor, author, reason)
	if m.after != nil {
		m.after(from.ID)
	}
	return err
}

// What a PATCH has taken away does not come back with the new token.
func TestReissueRacesPatch(t *testing.T) {
	var g *gate
	g = newGate(t, func(c *api.Config) {
		c.Tokens = meanwhile{Tokens: c.Tokens, before: func(old tokens.ID) {
			if a := g.patch(string(old), `{"expires_in": "1m", "max_uses": 1}`); a.status != http.StatusOK {
				t.Errorf("%d %s", a.status, a.body)
			}
		}}
	})
	old := g.mint(get(`"max_uses": 5`))
	if a := g.reissue(old.ID, ""); a.status != http.StatusConflict || !strings.Contains(a.problem().Detail, "was changed") {
		t.Errorf("%d %s", a.status, a.body)
	}
	if got := g.do("GET", "/v1/tokens/"+old.ID, "").object(t); got["state"] != "active" || got["max_uses"] != 1.0 {
		t.Errorf("the old token is %v", got)
	}
}

// A rule that comes when the old token is revoked, and covers it and not what would
// take its place, as that is minted later, ends the reissue.
func TestReissueRacesRule(t *testing.T) {
	var g *gate
	g = newGate(t, func(c *api.Config) {
		c.Tokens = meanwhile{Tokens: c.Tokens, after: func(tokens.ID) {
			if a := g.do("POST", "/v1/revocations", `{"subject": "ada", "issued_before": "2030-01-31T12:00:01Z"}`); a.status != http.StatusOK {
				t.Errorf("%d %s", a.status, a.body)
			}
			g.redis.SetTime(start.Add(2 * time.Second))
		}}
	})
	old := g.mint(get(`"subject": "ada"`))
	if a := g.reissue(old.ID, ""); a.status != http.StatusConflict || a.problem().Outcome != "old_revoked" {
		t.Errorf("%d %s", a.status, a.body)
	}
	if n := len(g.list(nil).Tokens); n != 1 {
		t.Errorf("%d tokens, want the old one", n)
	}
}

// leaving is a store whose client goes away as soon as the old token is revoked in
// it.
type leaving struct {
	api.Tokens
	leave func()
}

func (l leaving) Retire(ctx context.Context, from tokens.Grant, successor tokens.ID, author, reason string) error {
	defer l.leave()
	return l.Tokens.Retire(ctx, from, successor, author, reason)
}

// A client that goes away in between leaves no link behind that other gates go on
// serving.
func TestReissueOutlivesItsClient(t *testing.T) {
	ctx, leave := context.WithCancel(t.Context())
	g := newGate(t, func(c *api.Config) { c.Tokens = leaving{c.Tokens, leave} })
	old := g.mint(get())
	r := httptest.NewRequestWithContext(ctx, "POST", "/v1/tokens/"+old.ID+":reissue", strings.NewReader(""))
	r.Header.Set("Authorization", g.admin)
	if a := send(t, g.handler, r); a.status != http.StatusServiceUnavailable || a.problem().Outcome != "old_revoked" {
		t.Errorf("%d %s", a.status, a.body)
	}
	if n := g.named(old.ID); n != 1 {
		t.Errorf("gates were told %d times, want once", n)
	}
}

// named counts the rules that name a token.
func (g *gate) named(id string) (n int) {
	for _, r := range g.member.Rules().All() {
		if r.Token == tokens.ID(id) {
			n++
		}
	}
	return n
}

// What a reissue could not tell every gate is told again by whoever asks for
// another one, which is refused all the same.
func TestReissueAnnouncesAgain(t *testing.T) {
	at := ""
	g := newGate(t, func(c *api.Config) {
		f := failing{c.Tokens, c.Revoker, &at}
		c.Tokens, c.Revoker = f.tokens(), f
	})
	old := g.mint(get())
	at = "revoke"
	if a := g.reissue(old.ID, ""); a.status != http.StatusServiceUnavailable || a.problem().Outcome != "old_unproven" || g.named(old.ID) != 0 {
		t.Fatalf("%d %s, %d rules", a.status, a.body, g.named(old.ID))
	}
	at = "revoke"
	if a := g.reissue(old.ID, ""); a.status != http.StatusServiceUnavailable || a.problem().Outcome != "old_unproven" {
		t.Errorf("without Redis: %d %s", a.status, a.body)
	}
	if a := g.reissue(old.ID, ""); a.status != http.StatusConflict || g.named(old.ID) != 1 {
		t.Errorf("%d %s, %d rules, want one", a.status, a.body, g.named(old.ID))
	}
}

// tokens is the part of it that is no revoker.
func (f failing) tokens() api.Tokens {
	return failingTokens{f.Tokens, f}
}

type failingTokens struct {
	api.Tokens
	f failing
}

func (t failingTokens) Retire(ctx context.Context, from tokens.Grant, successor tokens.ID, author, reason string) error {
	return t.f.Retire(ctx, from, successor, author, reason)
}

func (t failingTokens) MintAll(ctx context.Context, all []tokens.Minting) ([]tokens.Minted, error) {
	return t.f.MintAll(ctx, all)
}
