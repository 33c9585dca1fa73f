package api_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"s3gate/revocation"
	"s3gate/tokens"
)

func TestRevokeHoldsWhenItAnswers(t *testing.T) {
	g := newGate(t)
	m, other := g.mint(get()), g.mint(get())
	token, err := tokens.Parse(m.Token)
	if err != nil {
		t.Fatal(err)
	}
	link := httptest.NewRequest("GET", "/", nil)
	transfer := g.transfers.Begin("req_1", token.ID(), httptest.NewRecorder(), link)
	defer transfer.End()
	bystander := g.transfers.Begin("req_2", tokens.ID(other.ID), httptest.NewRecorder(), link)
	defer bystander.End()

	a := g.do("DELETE", "/v1/tokens/"+m.ID+"?reason="+url.QueryEscape("é, sent to <all>"), "")
	if a.status != http.StatusOK {
		t.Fatalf("%d %s", a.status, a.body)
	}
	receipt := a.object(t)
	if receipt["cut"] != 1.0 || !slices.Equal(receipt["acknowledged_by"].([]any), []any{"gate-1/4711"}) {
		t.Errorf("the receipt is %v", receipt)
	}
	if _, err := g.store.Redeem(t.Context(), token, tokens.Ask{Operation: tokens.Get}); !errors.Is(err, tokens.ErrRevoked) {
		t.Errorf("redeeming: %v, want ErrRevoked", err)
	}
	if !errors.Is(transfer.Err(), revocation.ErrCut) || bystander.Err() != nil {
		t.Errorf("the transfer ended with %v and its neighbour with %v", transfer.Err(), bystander.Err())
	}
	shown := g.do("GET", "/v1/tokens/"+m.ID, "").object(t)
	if r, _ := shown["revocation"].(map[string]any); shown["state"] != "revoked" || r["author"] != "ops" || r["reason"] != "é, sent to <all>" {
		t.Errorf("shown as %v", shown)
	}
	if state := g.do("GET", "/v1/tokens/"+other.ID, "").object(t)["state"]; state != "active" {
		t.Errorf("the other token is %v", state)
	}
}

func TestRevokingTwiceKeepsTheFirstReason(t *testing.T) {
	g := newGate(t)
	m := g.mint(get())
	for _, reason := range []string{"first", "second"} {
		if a := g.do("DELETE", "/v1/tokens/"+m.ID+"?reason="+reason, ""); a.status != http.StatusOK {
			t.Fatalf("%s: %d %s", reason, a.status, a.body)
		}
	}
	shown := g.do("GET", "/v1/tokens/"+m.ID, "").object(t)
	if r, _ := shown["revocation"].(map[string]any); r["reason"] != "first" {
		t.Errorf("revoked for %v, want first", r["reason"])
	}
}

// Somebody who asks for less than a revocation must not get one.
func TestRevokeRefusesBadParameters(t *testing.T) {
	g := newGate(t)
	m := g.mint(get())
	for _, tt := range []struct{ query, field, words string }{
		{"dry_run=true", "dry_run", "is not a parameter"},
		{"Reason=x", "Reason", "is not a parameter"},
		{"reason=a&reason=b", "reason", "is given twice"},
		{"reason=%zz", "query", "cannot be read"},
		{"reason=" + strings.Repeat("x", 256), "reason", "longer than 255 bytes"},
		{"reason=a%0Ab", "reason", "without control characters"},
		{"reason=%1b%5B2J", "reason", "without control characters"},
		{"reason=%C2%9B2J", "reason", "without control characters"}, // the same in C1
		{"reason=%ff", "reason", "UTF-8"},
	} {
		a := g.do("DELETE", "/v1/tokens/"+m.ID+"?"+tt.query, "")
		p := a.problem()
		if a.status != http.StatusBadRequest || p.Field != tt.field || p.Pointer != "" || !strings.Contains(p.Detail, tt.words) {
			t.Errorf("?%.60s: %d, field %q, pointer %q: %s", tt.query, a.status, p.Field, p.Pointer, p.Detail)
		}
	}
	if state := g.do("GET", "/v1/tokens/"+m.ID, "").object(t)["state"]; state != "active" {
		t.Errorf("the token is %v", state)
	}
	if a := g.do("DELETE", "/v1/tokens/"+m.ID+"?reason="+strings.Repeat("x", 255), ""); a.status != http.StatusOK {
		t.Errorf("a reason of 255 bytes: %d %s", a.status, a.body)
	}
}
