package api_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"s3gate/api"
	"s3gate/events"
	"s3gate/guard/leakwatch"
)

// found is a leak watch, which remembers what it was asked last.
type found struct {
	leaks []leakwatch.Finding
	err   error
	asked leakwatch.Query
}

func (f *found) Findings(_ context.Context, q leakwatch.Query) ([]leakwatch.Finding, error) {
	f.asked = q
	return f.leaks, f.err
}

func TestLeaks(t *testing.T) {
	at := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	f := &found{leaks: []leakwatch.Finding{
		{
			ID: "leak_a", Kind: leakwatch.Presigned, Outcome: leakwatch.Allowed, Bucket: "docs", Key: "k", Signer: "AKIA", Requester: "arn:x", Client: "192.0.2.1",
			Network: "192.0.2.0/24", Method: "GET", Status: 200, Code: "-", Request: "3E57", UserAgent: "curl", Log: "s3://logs/1", First: at, Last: at, Count: 2,
			Taken: []leakwatch.Taken{{Action: leakwatch.RevokeKey, Tokens: []string{"tok_a"}, At: at}, {Action: leakwatch.Lock, DryRun: true, Error: "no", At: at}},
		},
		{ID: "leak_b", Kind: leakwatch.Shared, Outcome: leakwatch.Allowed, Token: "tok_a", Subject: "alice", Networks: []string{"192.0.2.0/24"}, First: at, Last: at, Count: 1},
	}}
	g := newGate(t, func(c *api.Config) { c.Leaks, c.Verifier = f, newIssuersVerifier(t) })
	a := g.do("GET", "/v1/leaks", "") // held against the document
	if a.status != http.StatusOK || len(a.object(t)["leaks"].([]any)) != 2 || !strings.Contains(a.body, `"taken":[{"action":"revoke_key","tokens":["tok_a"]`) {
		t.Errorf("%d %s", a.status, a.body)
	}
	for query, want := range map[string]leakwatch.Query{
		"": {Limit: 50},
		"?bucket=docs&kind=canary&limit=7&since=2026-11-22T11:00:00%2B01:00": {Bucket: "docs", Kind: leakwatch.Canary, Limit: 7, Since: at},
	} {
		a := g.do("GET", "/v1/leaks"+query, "")
		if a.status != http.StatusOK || f.asked.Bucket != want.Bucket || f.asked.Kind != want.Kind || f.asked.Limit != want.Limit || !f.asked.Since.Equal(want.Since) {
			t.Errorf("%s: %d, asked %+v", query, a.status, f.asked)
		}
	}
	for query, field := range map[string]string{"bucket=other": "bucket", "kind=x": "kind", "since=yesterday": "since", "limit=0": "limit", "kind=": "kind", "x=1": "x"} {
		if a := g.do("GET", "/v1/leaks?"+query, ""); a.status != http.StatusBadRequest || !strings.Contains(a.body, fmt.Sprintf("%q", field)) {
			t.Errorf("%s: %d %s", query, a.status, a.body)
		}
	}
	for _, role := range []string{"reader", "incident", "chief"} {
		if a := g.as(as(t, "ada@acme", role), "GET", "/v1/leaks", nil); (a.status == http.StatusOK) != (role == "chief") || role != "chief" && a.status != http.StatusForbidden {
			t.Errorf("%s: %d", role, a.status)
		}
	}
	f.err = fmt.Errorf("%w: dial tcp 192.0.2.1", leakwatch.ErrStore)
	if a := g.do("GET", "/v1/leaks", ""); a.status != http.StatusServiceUnavailable || strings.Contains(a.body, "192.0.2.1") {
		t.Errorf("without Redis: %d %s", a.status, a.body)
	}
	if a := newGate(t).do("GET", "/v1/leaks", ""); a.status != http.StatusNotFound {
		t.Errorf("without a watch: %d", a.status)
	}
}

// Without a stream of events nobody would hear of it.
func TestACanaryNeedsEvents(t *testing.T) {
	const canary = `{"operation": "get", "bucket": "docs", "key": "a", "canary": true}`
	if a := newGate(t).do("POST", "/v1/tokens", canary); a.status != http.StatusBadRequest || !strings.Contains(a.body, `"canary"`) {
		t.Errorf("without events: %d %s", a.status, a.body)
	}
	if a := newGate(t, func(c *api.Config) { c.Events = new(events.Reader) }).do("POST", "/v1/tokens", canary); a.status != http.StatusCreated {
		t.Errorf("with events: %d %s", a.status, a.body)
	}
}
