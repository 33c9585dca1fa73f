package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"s3gate/api"
	"s3gate/revocation"
	"s3gate/tokens"
)

// revoke makes a rule from the text of a request and returns its receipt.
func (g *gate) revoke(body string) map[string]any {
	g.Helper()
	a := g.do("POST", "/v1/revocations", body)
	if a.status != http.StatusOK {
		g.Fatalf("revoking %s: %d %s", body, a.status, a.body)
	}
	return a.object(g)
}

// covered reports whether a rule of the gate covers a token.
func (g *gate) covered(m minted) bool {
	g.Helper()
	status, err := g.store.Show(g.Context(), tokens.ID(m.ID))
	if err != nil {
		g.Fatal(err)
	}
	return g.member.Rules().Covers(&status.Grant) != nil
}

func TestRulesCoverWhatTheySay(t *testing.T) {
	g := newGate(t)
	a := g.mint(get(`"subject": "ada", "labels": {"team": "press", "flag": ""}`))
	g.redis.SetTime(start.Add(time.Minute))
	b := g.mint(put(`"subject": "bob", "labels": {"team": "press"}`))
	for _, tt := range []struct {
		name, body string
		a, b       bool
	}{
		{"token", `{"token": "` + a.ID + `"}`, true, false},
		{"subject", `{"subject": "bob"}`, false, true},
		{"issuer", `{"issuer": "https://id.example"}`, true, true},
		{"another issuer", `{"issuer": "https://other.example"}`, false, false},
		{"label", `{"labels": {"team": "press"}}`, true, true},
		{"labels", `{"labels": {"team": "press", "flag": ""}}`, true, false},
		{"bucket", `{"bucket": "docs"}`, true, false},
		{"prefix", `{"bucket": "inbox", "prefix": "in/"}`, false, true},
		{"time", `{"issued_before": "2030-01-31T12:00:30Z"}`, true, false},
		{"two together", `{"subject": "ada", "bucket": "inbox"}`, false, false},
		{"all", `{"all": true}`, true, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			want := 0
			for _, hit := range []bool{tt.a, tt.b} {
				if hit {
					want++
				}
			}
			dry := g.revoke(strings.Replace(tt.body, "{", `{"dry_run": true, `, 1))
			if dry["tokens"] != float64(want) || dry["complete"] != true || dry["dry_run"] != true {
				t.Errorf("the dry run says %v, want %d", dry, want)
			}
			if named, _ := dry["examples"].([]any); len(named) != want {
				t.Errorf("the dry run names %v, want %d", named, want)
			}
			if tt.name == "token" {
				return // that one cannot be lifted: see the other test
			}
			receipt := g.revoke(tt.body)
			shown := g.do("GET", "/v1/tokens/"+a.ID, "").object(t)
			if by, _ := shown["covered_by"].(string); (by == receipt["id"]) != tt.a || by != "" && !tt.a {
				t.Errorf("the token is shown as covered by %q", by)
			}
			if g.covered(a) != tt.a || g.covered(b) != tt.b {
				t.Errorf("covered: %v and %v, want %v and %v", g.covered(a), g.covered(b), tt.a, tt.b)
			}
			if again := g.revoke(strings.Replace(tt.body, "{", `{"dry_run": true, `, 1)); again["tokens"] != 0.0 {
				t.Errorf("after it a dry run says %v, want none left", again)
			}
			if a := g.do("DELETE", "/v1/revocations/"+receipt["id"].(string), ""); a.status != http.StatusOK {
				t.Fatalf("lifting: %d %s", a.status, a.body)
			}
			if g.covered(a) || g.covered(b) {
				t.Error("covered after the rule was lifted")
			}
		})
	}
}

func TestStandingRulesForbidMinting(t *testing.T) {
	g := newGate(t)
	plain := g.revoke(`{"subject": "ada"}`)
	m := g.mint(get(`"subject": "ada"`)) // later than the rule
	if g.covered(m) {
		t.Error("a rule that does not stand covers a later token")
	}
	standing := g.revoke(`{"subject": "ada", "standing": true, "reason": "left"}`)
	if !g.covered(m) {
		t.Error("not covered")
	}
	a := g.do("POST", "/v1/tokens", get(`"subject": "ada"`))
	if a.status != http.StatusForbidden || !strings.Contains(a.problem().Detail, "standing revocation") {
		t.Errorf("minting: %d %s", a.status, a.body)
	}
	g.mint(get(`"subject": "bob"`))
	for _, r := range []map[string]any{standing, plain} {
		if a := g.do("DELETE", "/v1/revocations/"+r["id"].(string)+"?reason=back", ""); a.status != http.StatusOK {
			t.Fatalf("lifting: %d %s", a.status, a.body)
		}
	}
	g.mint(get(`"subject": "ada"`))
}

// Lifting the rule that names a token lets it work again.
func TestLiftingRestoresAToken(t *testing.T) {
	g := newGate(t)
	m := g.mint(get())
	receipt := g.revoke(`{"token": "` + m.ID + `"}`)
	for _, want := range []string{"revoked", "active"} {
		if state := g.do("GET", "/v1/tokens/"+m.ID, "").object(t)["state"]; state != want {
			t.Errorf("the token is %v, want %s", state, want)
		}
		g.do("DELETE", "/v1/revocations/"+receipt["id"].(string), "")
	}
	for _, body := range []string{`{"token": "tok_aaaaaaaaaaaaaaaaaaaaaaaaaa"}`, `{"token": "tok_aaaaaaaaaaaaaaaaaaaaaaaaaa", "dry_run": true}`} {
		if a := g.do("POST", "/v1/revocations", body); a.status != http.StatusNotFound {
			t.Errorf("%s: %d %s, want 404", body, a.status, a.body)
		}
	}
}

// Whoever asks for something else must not get a revocation that is wider.
func TestRevocationsRefuseBadFields(t *testing.T) {
	g := newGate(t)
	m := g.mint(get())
	for _, tt := range []struct{ body, field, words string }{
		{`{}`, "all", "is required to revoke everything"},
		{`{"reason": "x"}`, "all", "is required"},
		{`{"standing": true}`, "all", "is required"},
		{`{"all": false}`, "all", "is required"},
		{`{"all": true, "subject": "ada"}`, "all", "excludes"},
		{`{"all": "true"}`, "all", "must be true or false"},
		{`{"prefix": "a/"}`, "prefix", "needs a bucket"},
		{`{"bucket": "dosc"}`, "bucket", "is not an alias"},
		{`{"token": "` + m.Token + `"}`, "token", "must be a token's ID"},
		{`{"issued_before": "yesterday"}`, "issued_before", "RFC 3339"},
		{`{"subject": "a\nb"}`, "subject", "control characters"},
		{`{"subject": "ada", "reason": "` + strings.Repeat("x", 1025) + `"}`, "reason", "at most 1024"},
		{`{"label": {"a": "b"}}`, "label", "is not a field"},
		{`{"Subject": "ada"}`, "Subject", "is not a field"},
		{`{"subject": "ada", "subject": "bob"}`, "subject", "is given twice"},
		{`{"labels": {"a": 1}}`, "labels.a", "must"},
		// A variable that was not set.
		{`{"bucket": "docs", "subject": ""}`, "subject", "must not be empty"},
		{`{"bucket": "docs", "subject": null}`, "subject", "must not be empty"},
		{`{"bucket": "docs", "prefix": ""}`, "prefix", "must not be empty"},
		{`{"bucket": "docs", "labels": {}}`, "labels", "must not be empty"},
		{`{"bucket": "docs", "labels": {"team": null}}`, "labels.team", "got a JSON null"},
		{`{"bucket": "docs", "issued_before": ""}`, "issued_before", "must not be empty"},
		{`{"bucket": "docs", "dry_run": null}`, "dry_run", "must not be empty"},
		{`null`, "body", "must be an object"},
		{``, "body", "not a valid JSON object"},
	} {
		a := g.do("POST", "/v1/revocations", tt.body)
		if p := a.problem(); a.status != http.StatusBadRequest || !strings.HasPrefix(tt.field, p.Field) || p.Field == "" || !strings.Contains(p.Detail, tt.words) {
			t.Errorf("%.80s: %d, field %q: %s; want %q: … %s …", tt.body, a.status, p.Field, p.Detail, tt.field, tt.words)
		}
	}
	if g.covered(m) || g.member.Rules().Len() != 0 {
		t.Errorf("there are %d rules", g.member.Rules().Len())
	}
	if a := g.do("POST", "/v1/revocations?dry_run=true", `{"all": true}`); a.status != http.StatusBadRequest {
		t.Errorf("dry_run as a parameter: %d", a.status)
	}
}

// ruleList is what the tests need of a page.
type ruleList struct {
	Revocations []struct{ ID, State, Subject string }
	Next        string
}

func (g *gate) rules(query string) (l ruleList) {
	g.Helper()
	a := g.do("GET", "/v1/revocations?"+query, "")
	if a.status != http.StatusOK {
		g.Fatalf("listing ?%s: %d %s", query, a.status, a.body)
	}
	if err := json.Unmarshal([]byte(a.body), &l); err != nil {
		g.Fatal(err)
	}
	return l
}

func TestRevocationsAreListedNewestFirst(t *testing.T) {
	g := newGate(t)
	if l := g.do("GET", "/v1/revocations", ""); strings.TrimSpace(l.body) != `{"revocations":[]}` {
		t.Errorf("without any: %s", l.body)
	}
	var want []string
	for i := range 7 {
		id := g.revoke(fmt.Sprintf(`{"subject": "s%d"}`, i))["id"].(string)
		want = slices.Insert(want, 0, fmt.Sprintf("s%d", i))
		if i == 2 {
			g.do("DELETE", "/v1/revocations/"+id, "")
		}
	}
	var got []string
	query := "limit=3"
	for pages := 1; ; pages++ {
		l := g.rules(query)
		for _, r := range l.Revocations {
			got = append(got, r.Subject)
			if (r.State == "lifted") != (r.Subject == "s2") {
				t.Errorf("%s is %s", r.Subject, r.State)
			}
		}
		if l.Next == "" {
			if pages != 3 {
				t.Errorf("%d pages, want 3", pages)
			}
			break
		}
		query = "limit=3&cursor=" + url.QueryEscape(l.Next)
	}
	if !slices.Equal(got, want) {
		t.Errorf("listed %v, want %v", got, want)
	}
	if l := g.rules("state=lifted"); len(l.Revocations) != 1 || l.Revocations[0].Subject != "s2" {
		t.Errorf("lifted: %v", l)
	}
	if l := g.rules("state=active&limit=6"); len(l.Revocations) != 6 || l.Next != "" {
		t.Errorf("active: %v", l)
	}
	for query, field := range map[string]string{
		"state=": "state", "state=Active": "state", "limit=0": "limit", "limit=1001": "limit", "subject=s1": "subject", "cursor=x": "cursor", "cursor=MSAyIA": "cursor",
	} {
		if a := g.do("GET", "/v1/revocations?"+query, ""); a.status != http.StatusBadRequest || a.problem().Field != field {
			t.Errorf("?%s: %d %s", query, a.status, a.body)
		}
	}
}

func TestRevocationsAreShownAndLiftedOnce(t *testing.T) {
	g := newGate(t)
	id := g.revoke(`{"subject": "ada", "labels": {"team": "press"}, "bucket": "docs", "prefix": "a/", "issuer": "https://id.example",
		"issued_before": "2030-02-01T00:00:00Z", "standing": true, "reason": "laptop stolen"}`)["id"].(string)
	golden(t, "revocation", g.do("GET", "/v1/revocations/"+id, ""))
	g.redis.SetTime(start.Add(time.Minute))
	golden(t, "lift", g.do("DELETE", "/v1/revocations/"+id+"?reason=found+again", ""))
	g.redis.SetTime(start.Add(time.Hour))
	if a := g.do("DELETE", "/v1/revocations/"+id+"?reason=second", ""); a.status != http.StatusOK {
		t.Errorf("lifting twice: %d %s", a.status, a.body)
	}
	golden(t, "revocation-lifted", g.do("GET", "/v1/revocations/"+id, ""))
	for _, method := range []string{"GET", "DELETE"} {
		for _, id := range []string{"rev_01ARZ3NDEKTSV4RRFFQ69G5FAV", "nonsense"} {
			if a := g.do(method, "/v1/revocations/"+id, ""); a.status != http.StatusNotFound || !strings.Contains(a.problem().Detail, "no such revocation") {
				t.Errorf("%s %s: %d %s", method, id, a.status, a.body)
			}
		}
	}
	if a := g.do("DELETE", "/v1/revocations/"+id+"?reason=a%0Ab", ""); a.status != http.StatusBadRequest || a.problem().Field != "reason" {
		t.Errorf("a bad reason: %d %s", a.status, a.body)
	}
}

// crowd has tokens without end.
type crowd struct {
	api.Tokens
	state tokens.State
}

func (c crowd) List(_ context.Context, q tokens.Query) (tokens.Page, error) {
	page := tokens.Page{Next: "more"}
	for range q.Limit {
		page.Tokens = append(page.Tokens, tokens.Status{Grant: tokens.Grant{Operation: tokens.Get, Bucket: "docs", Key: "k", Subject: "ada"}, State: c.state})
	}
	return page, nil
}

func TestDryRunsAreBounded(t *testing.T) {
	for _, tt := range []struct {
		state           tokens.State
		tokens, scanned float64
		complete        bool
	}{
		{tokens.Active, 100_000, 100_000, false},
		{tokens.Used, 0, 100_000, false},
		{tokens.Expired, 0, 1, true}, // there is nothing after them that works
	} {
		g := newGate(t, func(c *api.Config) { c.Tokens = crowd{c.Tokens, tt.state} })
		got := g.revoke(`{"subject": "ada", "dry_run": true}`)
		if got["tokens"] != tt.tokens || got["scanned"] != tt.scanned || got["complete"] != tt.complete {
			t.Errorf("%s tokens: %v", tt.state, got)
		}
	}
}

func TestDryRunsDoNothing(t *testing.T) {
	g := newGate(t)
	m := g.mint(get(`"subject": "ada"`))
	g.mint(get(`"subject": "ada", "not_before": "2030-02-01T00:00:00Z", "expires_in": "7d"`))
	g.use(g.mint(get(`"subject": "ada", "max_uses": 1`)).Token)
	g.do("DELETE", "/v1/tokens/"+g.mint(get(`"subject": "ada"`)).ID, "")
	transfer := g.begin("req_1", m)
	defer transfer.End()
	golden(t, "dry-run", g.do("POST", "/v1/revocations", `{"subject": "ada", "standing": true, "dry_run": true}`))
	if g.covered(m) || transfer.Err() != nil || g.member.Rules().Len() != 1 {
		t.Errorf("covered %v, transfer %v, %d rules", g.covered(m), transfer.Err(), g.member.Rules().Len())
	}
	g.revoke(`{"subject": "ada"}`)
	if !errors.Is(transfer.Err(), revocation.ErrCut) {
		t.Errorf("the transfer ended with %v", transfer.Err())
	}
}

// A dry run names twenty tokens at most, and none that the caller may not see.
func TestDryRunNamesSome(t *testing.T) {
	g := newIssuers(t)
	for range 25 {
		g.as(as(t, "ada@acme", "chief"), "POST", "/v1/tokens", strings.NewReader(get(`"subject": "bob"`)))
	}
	for role, want := range map[string]int{"chief": 20, "incident": 20, "blind": 0} {
		a := g.as(as(t, "eve@acme", role), "POST", "/v1/revocations", strings.NewReader(`{"all": true, "dry_run": true}`))
		reach := a.object(t)
		named, _ := reach["examples"].([]any)
		if a.status != http.StatusOK || reach["tokens"] != 25.0 || len(named) != want {
			t.Errorf("%s: %d, %v tokens, %d named, want %d", role, a.status, reach["tokens"], len(named), want)
		}
		for _, hit := range named {
			if h := hit.(map[string]any); h["subject"] != "bob" || h["bucket"] != "docs" || h["operation"] != "get" || h["key"] == "" || h["id"] == "" {
				t.Errorf("named %v", h)
			}
		}
	}
}
