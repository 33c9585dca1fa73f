package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"s3gate/api"
	"s3gate/tokens"
)

// listed is what the tests need of a page.
type listed struct {
	Tokens []struct {
		ID, Key   string
		ExpiresAt time.Time `json:"expires_at"`
	}
	Next string
}

func (g *gate) list(query url.Values) listed {
	g.Helper()
	a := g.do("GET", "/v1/tokens?"+query.Encode(), "")
	if a.status != http.StatusOK {
		g.Fatalf("listing %v: %d %s", query, a.status, a.body)
	}
	var l listed
	if err := json.Unmarshal([]byte(a.body), &l); err != nil {
		g.Fatal(err)
	}
	return l
}

func (l listed) keys() (keys []string) {
	for _, t := range l.Tokens {
		keys = append(keys, t.Key)
	}
	slices.Sort(keys)
	return keys
}

// fiveStates mints a token for each state, whose key is its name.
func fiveStates(g *gate) {
	in := func(key, bucket, subject, more string) minted {
		return g.mint(fmt.Sprintf(`{"operation": "get", "bucket": %q, "key": %q, "subject": %q, %s}`, bucket, key, subject, more))
	}
	in("a/active", "docs", "ada", `"expires_in": "2h", "labels": {"team": "press"}`)
	in("a/pending", "inbox", "ada", `"not_before": "2030-02-01T00:00:00Z", "expires_in": "7d", "labels": {"team": "press", "case": "1=2"}`)
	g.use(in("b/used", "docs", "bob", `"max_uses": 1, "expires_in": "2h"`).Token)
	g.use(in("b/half-used", "docs", "bob", `"max_uses": 2, "expires_in": "2h"`).Token)
	in("b/expired", "inbox", "bob", `"expires_in": "1h"`)
	g.do("DELETE", "/v1/tokens/"+in("c/revoked", "docs", "", `"expires_in": "1h"`).ID, "")
	g.redis.SetTime(start.Add(time.Hour))
}

func TestListShowsWhatIsAskedFor(t *testing.T) {
	g := newGate(t)
	fiveStates(g)
	all := []string{"a/active", "a/pending", "b/expired", "b/half-used", "b/used", "c/revoked"}
	for _, tt := range []struct {
		query string
		want  []string
	}{
		{"", all},
		{"limit=1000", all},
		{"cursor=", all},
		{"state=active", []string{"a/active", "b/half-used"}},
		{"state=pending", []string{"a/pending"}},
		{"state=used", []string{"b/used"}},
		{"state=expired", []string{"b/expired"}},
		{"state=revoked", []string{"c/revoked"}},
		{"subject=ada", []string{"a/active", "a/pending"}},
		{"subject=ad", nil},
		{"subject=ADA", nil},
		{"bucket=inbox", []string{"a/pending", "b/expired"}},
		{"bucket=elsewhere", nil},
		{"prefix=b%2F", []string{"b/expired", "b/half-used", "b/used"}},
		{"prefix=b/half-used", []string{"b/half-used"}},
		{"prefix=/", nil},
		{"prefix=%FF", nil},
		{"subject=bob&bucket=docs&prefix=b&state=used", []string{"b/used"}},
		{"subject=bob&bucket=docs&state=expired", nil},
		{"issuer=https://id.example", all},
		{"issuer=https://id", nil},
		{"issued_by=ops", all},
		{"issued_by=ada", nil},
		{"label=team=press", []string{"a/active", "a/pending"}},
		{"label=case=1=2&label=team=press", []string{"a/pending"}},
		{"label=team=", nil},
		{"label=case=1", nil},
		{"expires_from=2030-01-31T14:00:00Z", []string{"a/active", "a/pending", "b/half-used", "b/used"}},
		{"expires_from=2030-01-31T14:00:00.001Z", []string{"a/pending"}},
		{"expires_before=2030-01-31T14:00:00Z", []string{"b/expired", "c/revoked"}},
		{"expires_before=2030-01-31T14:00:00.001%2B00:00&expires_from=2030-01-31T15:00:00%2B01:00", []string{"a/active", "b/half-used", "b/used"}},
		{"subject=bob&expires_before=2030-01-31T13:30:00Z", []string{"b/expired"}},
		{"expires_from=2031-01-01T00:00:00Z&expires_before=2030-01-01T00:00:00Z", nil},
	} {
		query, err := url.ParseQuery(tt.query)
		if err != nil {
			t.Fatal(err)
		}
		if got := g.list(query).keys(); !slices.Equal(got, tt.want) {
			t.Errorf("?%s: %q, want %q", tt.query, got, tt.want)
		}
	}
}

// A filter that is not understood must not be left out.
func TestListRefusesBadParameters(t *testing.T) {
	g := newGate(t)
	g.mint(get())
	for _, tt := range []struct{ query, field, words string }{
		{"state=dead", "state", "must be active, pending"},
		{"state=Active", "state", "must be active, pending"},
		{"state=", "state", "must not be empty"},
		{"subject=", "subject", "must not be empty"},
		{"bucket=", "bucket", "must not be empty"},
		{"prefix", "prefix", "must not be empty"},
		{"issuer=", "issuer", "must not be empty"},
		{"issued_by=", "issued_by", "must not be empty"},
		{"expires_from=", "expires_from", "must not be empty"},
		{"expires_before=", "expires_before", "must not be empty"},
		{"expires_from=tomorrow", "expires_from", "must be a time such as"},
		{"expires_before=2030-01-31", "expires_before", "must be a time such as"},
		{"expires_from=1969-12-31T23:59:59Z", "expires_from", "must be a time such as"},
		{"label=", "label", "must not be empty"},
		{"label=team=press&label=", "label", "must not be empty"},
		{"label=team", "label", "must be name=value"},
		{"label==press", "label", "must be name=value"},
		{"label=team=press&label=team=legal", "label", "names team twice"},
		{"issuer=a&issuer=a", "issuer", "is given twice"},
		{"expires_from=2030-01-31T14:00:00Z&expires_from=2030-01-31T14:00:00Z", "expires_from", "is given twice"},
		{"limit=0", "limit", "1 to 1000"},
		{"limit=-1", "limit", "1 to 1000"},
		{"limit=1001", "limit", "1 to 1000"},
		{"limit=ten", "limit", "1 to 1000"},
		{"limit=", "limit", "1 to 1000"},
		{"limit=99999999999999999999", "limit", "1 to 1000"},
		{"sort=key", "sort", "is not a parameter"},
		{"Subject=ada", "Subject", "is not a parameter"},
		{strings.Repeat("x", 100) + "=1", strings.Repeat("x", 40) + "…", "is not a parameter"},
		{"subject=ada&subject=bob", "subject", "is given twice"},
		{"subject=%zz", "query", "cannot be read"},
		{"subject=ada;state=active", "query", "cannot be read"},
		{"cursor=x", "cursor", "not one that a page has given"},
		{"cursor=AAAA", "cursor", "not one that a page has given"},
		{"cursor=" + strings.Repeat("A", 5000), "cursor", "not one that a page has given"},
	} {
		a := g.do("GET", "/v1/tokens?"+tt.query, "")
		p := a.problem()
		if a.status != http.StatusBadRequest || p.Field != tt.field || p.Pointer != "" || !strings.Contains(p.Detail, tt.words) {
			t.Errorf("?%.60s: %d, field %q, pointer %q: %s", tt.query, a.status, p.Field, p.Pointer, p.Detail)
		}
	}
}

// Somebody who follows Next sees every token that was there at the beginning
// exactly once, the one that expires last first, whatever is minted meanwhile.
func TestListPagesStayWholeWhileTokensAreMinted(t *testing.T) {
	const n = 125
	g := newGate(t)
	there := map[string]bool{}
	for i := range n {
		// Some expire at the same moment.
		there[g.mint(get(fmt.Sprintf(`"expires_in": "%dm"`, 10+i/3))).ID] = true
	}
	for _, limit := range []string{"20", "125"} {
		seen := map[string]bool{}
		last := start.Add(100 * time.Hour)
		query := url.Values{"limit": {limit}}
		for pages := 0; ; pages++ {
			if pages > n {
				t.Fatal("no end")
			}
			page := g.list(query)
			for _, tok := range page.Tokens {
				if seen[tok.ID] {
					t.Fatalf("limit %s: %s came twice", limit, tok.ID)
				}
				if tok.ExpiresAt.After(last) {
					t.Fatalf("limit %s: %s expires later than the one before", limit, tok.ID)
				}
				seen[tok.ID], last = true, tok.ExpiresAt
			}
			if page.Next == "" {
				break
			}
			query.Set("cursor", page.Next)
			g.mint(get(`"subject": "meanwhile", "expires_in": "99h"`))
			g.mint(get(`"subject": "meanwhile", "expires_in": "1m"`))
		}
		for id := range there {
			if !seen[id] {
				t.Errorf("limit %s: %s never came", limit, id)
			}
		}
	}
}

// An ID that cannot be one is not asked for in Redis.
func TestTokensThatAreNotThere(t *testing.T) {
	g := newGate(t)
	m := g.mint(get())
	for _, tt := range []struct{ name, id, words string }{
		{"unknown", "tok_aaaaaaaaaaaaaaaaaaaaaaaaaa", "There is no such token."},
		{"the token itself", m.Token, "looks like tok_"},
		{"capitals", strings.ToUpper(m.ID), "looks like tok_"},
		{"cut off", m.ID[:20], "looks like tok_"},
		{"too long", m.ID + "a", "looks like tok_"},
		{"not canonical", m.ID[:29] + "b", "looks like tok_"}, // other bits beyond the 128
		{"another prefix", "rev_" + m.ID[4:], "looks like tok_"},
		{"a pattern", "*", "looks like tok_"},
		{"a slash", "a%2Fb", "looks like tok_"},
		{"a NUL", "tok_%00", "looks like tok_"},
		{"a line feed", m.ID + "%0A", "looks like tok_"},
		{"invalid UTF-8", "%ff", "looks like tok_"},
		{"megabyte", strings.Repeat("a", 1<<20), "looks like tok_"},
	} {
		for _, method := range []string{"GET", "DELETE"} {
			if tt.name == "not canonical" && strings.HasSuffix(m.ID, "b") {
				continue
			}
			a := g.do(method, "/v1/tokens/"+tt.id, "")
			if p := a.problem(); a.status != http.StatusNotFound || !strings.Contains(p.Detail, tt.words) {
				t.Errorf("%s %s: %d %s", method, tt.name, a.status, a.body)
			}
		}
	}
	if state := g.do("GET", "/v1/tokens/"+m.ID, "").object(t)["state"]; state != "active" {
		t.Errorf("the token is %v", state)
	}
}

// A token that Redis has forgotten is unknown like any other.
func TestTokensAreForgottenAfterTheRetention(t *testing.T) {
	g := newGate(t)
	m := g.mint(get())
	g.redis.SetTime(start.Add(2 * time.Hour))
	g.redis.FastForward(2 * time.Hour)
	if state := g.do("GET", "/v1/tokens/"+m.ID, "").object(t)["state"]; state != "expired" {
		t.Errorf("the token is %v, want expired", state)
	}
	g.redis.SetTime(start.Add(31 * 24 * time.Hour))
	g.redis.FastForward(31 * 24 * time.Hour)
	if a := g.do("GET", "/v1/tokens/"+m.ID, ""); a.status != http.StatusNotFound {
		t.Errorf("%d, want 404", a.status)
	}
	if l := g.list(nil); len(l.Tokens) != 0 || l.Next != "" {
		t.Errorf("the list has %v", l)
	}
}

// A page without tokens is a list all the same, and may lead on.
func TestEmptyPages(t *testing.T) {
	for _, tt := range []struct {
		page tokens.Page
		want string
	}{
		{tokens.Page{}, `{"tokens":[]}`},
		{tokens.Page{Next: "c"}, `{"tokens":[],"next":"c"}`},
	} {
		g := newGate(t, func(c *api.Config) { c.Tokens = onePage{page: tt.page} })
		if a := g.do("GET", "/v1/tokens", ""); strings.TrimSpace(a.body) != tt.want {
			t.Errorf("%s, want %s", a.body, tt.want)
		}
	}
}

type onePage struct {
	api.Tokens
	page tokens.Page
}

func (s onePage) List(context.Context, tokens.Query) (tokens.Page, error) { return s.page, nil }
