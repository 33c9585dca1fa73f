package client_test

import (
	"errors"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"s3gate/client"
	"s3gate/revocation"
	"s3gate/tokens"
)

// fullRule sets every field that goes together.
func fullRule() client.Rule {
	return client.Rule{
		Subject: "ada@example.com", Issuer: "https://id.example", Labels: map[string]string{"team": "press"},
		Bucket: "docs", Prefix: "a//b%2F\u00e9+ ", IssuedBefore: at(1), Standing: true, Reason: "left & <gone>",
	}
}

func TestARuleIsMadeShownListedAndLifted(t *testing.T) {
	c, ctx := newGateClient(t), t.Context()
	receipt, err := c.RevokeBy(ctx, fullRule())
	if err != nil || len(receipt.AcknowledgedBy) != 1 || len(receipt.ExpiredLeases) != 0 {
		t.Fatalf("revoked with %+v, %v", receipt, err)
	}
	shown, err := c.Revocation(ctx, receipt.ID)
	if err != nil || !reflect.DeepEqual(shown.Rule, fullRule()) || shown.State != "active" || shown.Author != "ops" || !shown.At.Equal(start) {
		t.Errorf("shown %+v, %v", shown, err)
	}
	if other, err := c.RevokeBy(ctx, client.Rule{Bucket: "inbox"}); err != nil || other.ID == receipt.ID {
		t.Fatal(other, err)
	}
	lifted, err := c.Lift(ctx, receipt.ID, "back & well")
	if err != nil || lifted.ID != receipt.ID {
		t.Errorf("lifted with %+v, %v", lifted, err)
	}
	page, err := c.Revocations(ctx, client.RuleQuery{Limit: 1})
	if err != nil || len(page.Revocations) != 1 || page.Revocations[0].Bucket != "inbox" || page.Next == "" {
		t.Fatalf("listed %+v, %v", page, err)
	}
	page, err = c.Revocations(ctx, client.RuleQuery{State: "lifted", Cursor: page.Next})
	if err != nil || len(page.Revocations) != 1 || page.Next != "" {
		t.Fatalf("listed %+v, %v", page, err)
	}
	if r := page.Revocations[0]; r.State != "lifted" || r.LiftedBy != "ops" || r.LiftReason != "back & well" || r.LiftedAt == nil {
		t.Errorf("listed %+v", r)
	}
	var problem *client.Error
	if _, err := c.Lift(ctx, "rev_x", ""); !errors.As(err, &problem) || problem.Status != 404 {
		t.Errorf("lifting what is not there: %v", err)
	}
}

func TestARuleIsTriedAndThenMade(t *testing.T) {
	c, ctx := newGateClient(t), t.Context()
	minted, err := c.Mint(ctx, client.MintRequest{Operation: "get", Bucket: "docs", Key: "k"})
	if err != nil {
		t.Fatal(err)
	}
	reach, err := c.DryRun(ctx, client.Rule{All: true})
	if err != nil || !reflect.DeepEqual(*reach, client.Reach{DryRun: true, Tokens: 1, Scanned: 1, Complete: true,
		Examples: []client.Hit{{ID: minted.ID, Operation: "get", Bucket: "docs", Key: "k"}}}) {
		t.Errorf("%+v, %v", reach, err)
	}
	if page, err := c.Revocations(ctx, client.RuleQuery{}); err != nil || len(page.Revocations) != 0 {
		t.Errorf("%+v, %v", page, err)
	}
	receipt, err := c.RevokeBy(ctx, client.Rule{All: true})
	if err != nil {
		t.Fatal(err)
	}
	if s, err := c.Show(ctx, minted.ID); err != nil || s.CoveredBy != receipt.ID {
		t.Errorf("shown %+v, %v", s, err)
	}
}

func TestARuleMustBeText(t *testing.T) {
	c := client.New("http://127.0.0.1:1", "jwt")
	bad := fullRule()
	bad.Labels = map[string]string{"a": "\xff"}
	_, revoked := c.RevokeBy(t.Context(), bad)
	_, tried := c.DryRun(t.Context(), bad)
	for _, err := range []error{revoked, tried} {
		if err == nil || !strings.Contains(err.Error(), "labels: is not valid UTF-8") {
			t.Errorf("%v", err)
		}
	}
}

func newGateClient(t *testing.T) *client.Client {
	t.Helper()
	g := newGate(t)
	return newClient(t, g.url, g.admin)
}

// begin starts a transfer under a token of its own.
func (g *gate) begin(t *testing.T, id string, grant tokens.Grant) *revocation.Transfer {
	t.Helper()
	transfer := g.transfers.Begin(id, "tok_a", httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	t.Cleanup(transfer.End)
	if err := transfer.Permit(&grant); err != nil {
		t.Fatal(err)
	}
	return transfer
}

func TestTransfersAreListedAndCut(t *testing.T) {
	g := newGate(t)
	c, ctx := newClient(t, g.url, g.admin), t.Context()
	transfer := g.begin(t, "req_1", tokens.Grant{Operation: tokens.Get, Bucket: "docs", Key: "k", Subject: "ada"})
	list, err := c.Transfers(ctx)
	if err != nil || len(list.Transfers) != 1 || !list.Complete {
		t.Fatalf("%+v, %v", list, err)
	}
	want := client.Transfer{ID: "req_1", Token: "tok_a", Subject: "ada", Bucket: "docs", Key: "k", Direction: "download", Since: list.Transfers[0].Since, Gate: list.Transfers[0].Gate}
	if list.Transfers[0] != want {
		t.Errorf("%+v\nwant %+v", list.Transfers[0], want)
	}
	receipt, err := c.Cut(ctx, "req_1")
	if err != nil || receipt.ID != "req_1" || !receipt.Cut || receipt.Gate == "" || receipt.TookMS <= 0 || !errors.Is(transfer.Err(), revocation.ErrCut) {
		t.Errorf("%+v, %v; the transfer ended with %v", receipt, err, transfer.Err())
	}
	if _, err := c.Cut(ctx, "req_1/.."); err == nil {
		t.Error("cut what is not there")
	}
}

func TestGatesAreListed(t *testing.T) {
	gates, err := newGateClient(t).Gates(t.Context())
	if err != nil || len(gates) != 1 || gates[0].Name != "gate-1" || !gates[0].CaughtUp || !gates[0].Live || gates[0].Position.Gen == 0 {
		t.Errorf("%+v, %v", gates, err)
	}
}
