package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"s3gate/api"
	"s3gate/tokens"
)

const batchTarget = "/v1/tokens:batch"

// batchOf is the text of a request for many tokens.
func batchOf(requests ...string) string { return `{"tokens": [` + strings.Join(requests, ", ") + `]}` }

// results reads the answer to a batch.
func (a answer) results(t testing.TB) (r []struct {
	Token *minted
	Error *api.Problem
}) {
	t.Helper()
	var body struct{ Results json.RawMessage }
	if err := json.Unmarshal([]byte(a.body), &body); err != nil {
		t.Fatalf("%v in %s", err, a.body)
	}
	if err := json.Unmarshal(body.Results, &r); err != nil {
		t.Fatalf("%v in %s", err, a.body)
	}
	return r
}

func TestBatch(t *testing.T) {
	g := newGate(t)
	single := g.do("POST", "/v1/tokens", get(`"max_uses": 2`))
	a := g.do("POST", batchTarget, batchOf(get(`"max_uses": 2`), put(), get(`"passcode": "1234"`)))
	results := a.results(t)
	if a.status != http.StatusCreated || len(results) != 3 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	seen := map[string]bool{}
	for i, r := range results {
		if r.Token == nil || r.Error != nil || seen[r.Token.Token] || !strings.HasPrefix(r.Token.URL, publicURL+"/"+r.Token.Token) {
			t.Fatalf("%d: %s", i, a.body)
		}
		seen[r.Token.Token] = true
		if shown := g.do("GET", "/v1/tokens/"+r.Token.ID, ""); shown.status != http.StatusOK {
			t.Errorf("%d: %d %s", i, shown.status, shown.body)
		}
	}
	// Each is the answer to its mint.
	var first struct {
		Results []struct{ Token json.RawMessage }
	}
	if err := json.Unmarshal([]byte(a.body), &first); err != nil {
		t.Fatal(err)
	}
	if got, want := normal(string(first.Results[0].Token)), strings.TrimSpace(normal(single.body)); got != want {
		t.Errorf("in a batch %s, alone %s", got, want)
	}
}

// One request that is wrong, and nothing is minted.
func TestBatchRefuses(t *testing.T) {
	g := newGate(t, func(c *api.Config) { c.MaxBatch, c.MaxBatchBody = 120, 64<<10 })
	with := func(n int, wrong string) string {
		requests := make([]string, n)
		for i := range requests {
			requests[i] = get()
		}
		return batchOf(append(requests, wrong)...)
	}
	passcodes := make([]string, 101)
	for i := range passcodes {
		passcodes[i] = get(`"passcode": "1234"`)
	}
	for _, tt := range []struct {
		name, body, field, pointer, words string
		status                            int
	}{
		{"no key", with(17, `{"operation": "get", "bucket": "docs"}`), "tokens.17.key", "/tokens/17/key", "tokens.17: key: is required", 400},
		{"label", with(1, get(`"labels": {"a/b.c": "\n"}`)), "tokens.1.labels.a/b.c", "/tokens/1/labels/a~1b.c", "control character", 400},
		{"unknown field", with(2, get(`"max_use": 1`)), "tokens.2.max_use", "/tokens/2/max_use", "is not a field", 400},
		{"twice", with(0, get(`"max_uses": 1`, `"max_uses": 2`)), "tokens.0.max_uses", "/tokens/0/max_uses", "is given twice", 400},
		{"wrong type", with(1, get(`"max_uses": "1"`)), "tokens.1.max_uses", "/tokens/1/max_uses", "must be a whole number", 400},
		{"life", with(1, get(`"expires_in": "9999d"`)), "tokens.1.expires_in", "/tokens/1/expires_in", "at most", 400},
		{"bucket", with(1, `{"operation": "get", "bucket": "nowhere", "key": "k"}`), "tokens.1.bucket", "/tokens/1/bucket", "is not an alias", 400},
		{"no object", with(3, `7`), "tokens.3", "/tokens/3", "must be an object", 400},
		{"null", with(3, `null`), "tokens.3", "/tokens/3", "must be an object", 400},
		{"none", `{"tokens": []}`, "tokens", "/tokens", "must hold 1 to 120 requests, got 0", 400},
		{"absent", `{}`, "tokens", "/tokens", "must hold 1 to 120 requests, got 0", 400},
		{"too many", with(120, get()), "tokens", "/tokens", "must hold 1 to 120 requests, got 121", 400},
		{"passcodes", batchOf(passcodes...), "tokens.100.passcode", "/tokens/100/passcode", "at most 100 requests", 400},
		{"list", `[` + get() + `]`, "body", "", "must be an object", 400},
		{"too large", batchOf(get(`"subject": "` + strings.Repeat("x", 64<<10) + `"`)), "", "", "larger than 65536 bytes", 413},
	} {
		a := g.do("POST", batchTarget, tt.body)
		p := a.problem()
		if a.status != tt.status || p.Field != tt.field || p.Pointer != tt.pointer || !strings.Contains(p.Detail, tt.words) {
			t.Errorf("%s: %d %s, want %d, %q, %q, %s", tt.name, a.status, a.body, tt.status, tt.field, tt.pointer, tt.words)
		}
	}
	if keys := g.stored(); len(keys) != 0 {
		t.Errorf("refused batches leave %q", keys)
	}
	// Other calls keep their limit.
	if a := g.do("POST", "/v1/tokens", get(`"subject": "`+strings.Repeat("x", 70<<10)+`"`)); a.status != 413 || !strings.Contains(a.body, "65536") {
		t.Errorf("a large mint: %d %s", a.status, a.body)
	}
}

func TestBatchNeedsEachRight(t *testing.T) {
	g := newIssuers(t)
	mine, hers := `{"operation": "get", "bucket": "docs", "key": "users/ada/x"}`, `{"operation": "get", "bucket": "docs", "key": "users/eve/x"}`
	a := g.as(as(t, "ada@acme", "minter"), "POST", batchTarget, strings.NewReader(batchOf(mine, hers)))
	if a.status != http.StatusForbidden || a.problem().Pointer != "/tokens/1/key" || len(g.stored()) != 0 {
		t.Errorf("%d %s, stored %v", a.status, a.body, g.stored())
	}
	a = g.as(as(t, "ada@acme", "minter"), "POST", batchTarget, strings.NewReader(batchOf(mine, mine)))
	if a.status != http.StatusCreated || strings.Count(a.body, `"team":"press"`) != 2 {
		t.Errorf("%d %s", a.status, a.body)
	}
}

func TestBatchAgain(t *testing.T) {
	g := newGate(t)
	body := batchOf(get(), put(), get(`"passcode": "1234"`))
	first := g.keyed("k", batchTarget, body)
	again := g.keyed("k", batchTarget, body)
	if first.status != http.StatusCreated || again.status != first.status || again.body != first.body || again.header.Get(replayed) != "true" {
		t.Errorf("%d %s\n%d %s", first.status, first.body, again.status, again.body)
	}
	if a := g.keyed("k", batchTarget, batchOf(get(), put())); a.status != 422 {
		t.Errorf("fewer: %d %s", a.status, a.body)
	}
	if n := len(g.list(nil).Tokens); n != 3 {
		t.Errorf("%d tokens, want 3", n)
	}
}

// halfway mints all, and loses Redis before it hears of some.
type halfway struct {
	api.Tokens
	lose *bool
}

func (h halfway) MintAll(ctx context.Context, all []tokens.Minting) ([]tokens.Minted, error) {
	if !*h.lose {
		return h.Tokens.MintAll(ctx, all)
	}
	*h.lose = false
	done, err := h.Tokens.MintAll(ctx, all[:2]) // the third is not there at all
	done = append(done, tokens.Minted{})
	for i := 1; i < 3; i++ {
		done[i] = tokens.Minted{Err: fmt.Errorf("%w: canary", tokens.ErrUnproven)}
	}
	return done, err
}

// When Redis fails in the middle of a batch the answer says which tokens are there,
// and with a key the rest is finished by asking again.
func TestBatchPartly(t *testing.T) {
	lose := true
	g := newGate(t, func(c *api.Config) { c.Tokens = halfway{c.Tokens, &lose} })
	body := batchOf(get(), put(), get(`"max_uses": 3`))
	a := g.keyed("k", batchTarget, body)
	results := a.results(t)
	if a.status != http.StatusMultiStatus || len(results) != 3 || results[0].Token == nil || results[1].Error == nil || results[2].Error == nil ||
		results[1].Error.Status != 503 || strings.Contains(a.body, "canary") {
		t.Fatalf("%d %s", a.status, a.body)
	}
	again := g.keyed("k", batchTarget, body)
	finished := again.results(t)
	if again.status != http.StatusCreated || len(finished) != 3 || finished[0].Token.Token != results[0].Token.Token {
		t.Errorf("%d %s", again.status, again.body)
	}
	if n := len(g.list(nil).Tokens); n != 3 {
		t.Errorf("%d tokens, want 3", n)
	}
	// If nothing is known to be there it is one problem.
	var before, after bool
	g = newGate(t, func(c *api.Config) { c.Tokens = dying{c.Tokens, &before, &after} })
	after = true
	if a := g.do("POST", batchTarget, body); a.status != http.StatusServiceUnavailable {
		t.Errorf("all lost: %d %s", a.status, a.body)
	}
}

// prudent notes the grants that are checked and those that are minted with a
// passcode.
type prudent struct {
	api.Tokens
	checked, hashedBefore, hashed *int
}

func (p prudent) CheckAll(ctx context.Context, all []tokens.Minting) error {
	*p.checked += len(all)
	*p.hashedBefore += hashed(all)
	return p.Tokens.CheckAll(ctx, all)
}

func (p prudent) MintAll(ctx context.Context, all []tokens.Minting) ([]tokens.Minted, error) {
	*p.hashed += hashed(all)
	return p.Tokens.MintAll(ctx, all)
}

func hashed(all []tokens.Minting) (n int) {
	for i := range all {
		if !all[i].Grant.Passcode.IsZero() {
			n++
		}
	}
	return n
}

// No passcode is hashed before everything is checked.
func TestPasscodesAreHashedLast(t *testing.T) {
	var checked, early, late int
	g := newGate(t, func(c *api.Config) { c.Tokens = prudent{c.Tokens, &checked, &early, &late} })
	for _, tt := range []struct {
		target, body string
		status       int
	}{
		{batchTarget, batchOf(get(`"passcode": "1234"`), get(`"expires_in": "9999d"`)), 400},
		{batchTarget, batchOf(get(`"passcode": "1234"`), get()), 201},
		{"/v1/tokens", get(`"passcode": "1234"`, `"expires_in": "9999d"`), 400},
	} {
		if a := g.do("POST", tt.target, tt.body); a.status != tt.status || tt.status == 400 && !strings.HasSuffix(a.problem().Field, "expires_in") {
			t.Errorf("%d %s, want %d", a.status, a.body, tt.status)
		}
	}
	if checked != 5 || early != 0 || late != 1 {
		t.Errorf("%d checked, %d hashed before, %d minted with a passcode; want 5, 0, 1", checked, early, late)
	}
}

// Who hashes waits for others who do, and nobody else.
func TestHashingIsBounded(t *testing.T) {
	g := newGate(t)
	release := g.handler.HoldHashing()
	ask := func(ctx context.Context, body string) int {
		return send(t, g.handler, newRequest(g, "POST", "/v1/tokens", body).WithContext(ctx)).status
	}
	if status := ask(t.Context(), get()); status != http.StatusCreated {
		t.Errorf("without a passcode: %d", status)
	}
	waited, stop := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer stop()
	if status := ask(waited, get(`"passcode": "1234"`)); status == http.StatusCreated {
		t.Error("it has hashed beside the others")
	}
	release()
	if status := ask(t.Context(), get(`"passcode": "1234"`)); status != http.StatusCreated {
		t.Errorf("afterwards: %d", status)
	}
}
