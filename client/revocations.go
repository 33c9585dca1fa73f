package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
)

// RuleQuery selects rules. Zero fields select all.
type RuleQuery struct {
	State  string // active or lifted
	Limit  int    // rules in a page; 0 means the gate's default
	Cursor string // from RulePage.Next; "" begins
}

// check refuses what encoding/json would replace without a word.
func (r *Rule) check() error {
	texts := map[string]string{
		"token": r.Token, "subject": r.Subject, "issuer": r.Issuer, "bucket": r.Bucket, "prefix": r.Prefix, "reason": r.Reason,
	}
	for name, value := range r.Labels {
		texts["labels"] += name + "," + value + ","
	}
	return checkTexts(texts)
}

// RevokeBy revokes what a rule covers. When it returns without error that
// holds on every gate, and the receipt says what was stopped.
func (c *Client) RevokeBy(ctx context.Context, r Rule) (*Receipt, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	return do[Receipt](ctx, c, http.MethodPost, revocationsPath, r)
}

// DryRun says what a rule would hit, and does nothing.
func (c *Client) DryRun(ctx context.Context, r Rule) (*Reach, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	return do[Reach](ctx, c, http.MethodPost, revocationsPath, struct {
		Rule
		DryRun bool `json:"dry_run"`
	}{r, true})
}

const revocationsPath = "/v1/revocations"

// Revocations returns one page of rules, the newest first.
func (c *Client) Revocations(ctx context.Context, q RuleQuery) (*RulePage, error) {
	v := url.Values{}
	for name, value := range map[string]string{"state": q.State, "cursor": q.Cursor} {
		if value != "" {
			v.Set(name, value)
		}
	}
	if q.Limit > 0 {
		v.Set("limit", strconv.Itoa(q.Limit))
	}
	return do[RulePage](ctx, c, http.MethodGet, revocationsPath+"?"+v.Encode(), nil)
}

// Revocation returns a rule by its ID.
func (c *Client) Revocation(ctx context.Context, id string) (*RuleStatus, error) {
	return do[RuleStatus](ctx, c, http.MethodGet, revocationsPath+"/"+url.PathEscape(id), nil)
}

// Lift ends a rule on every gate. Tokens that it covered work again, but for
// those that were revoked by name. A second call changes nothing.
func (c *Client) Lift(ctx context.Context, id, reason string) (*Receipt, error) {
	path := revocationsPath + "/" + url.PathEscape(id)
	if reason != "" {
		path += "?" + url.Values{"reason": {reason}}.Encode()
	}
	return do[Receipt](ctx, c, http.MethodDelete, path, nil)
}

// Gates returns the gates that share a Redis, by name. It takes up to a lease.
func (c *Client) Gates(ctx context.Context) ([]Gate, error) {
	list, err := do[struct {
		Gates []Gate `json:"gates"`
	}](ctx, c, http.MethodGet, "/v1/gates", nil)
	if err != nil {
		return nil, err
	}
	return list.Gates, nil
}

// Transfers returns what runs through all gates. While Redis is away it is what
// runs through the gate that is asked, and not complete.
func (c *Client) Transfers(ctx context.Context) (*Transfers, error) {
	return do[Transfers](ctx, c, http.MethodGet, "/v1/transfers", nil)
}

// Cut ends one transfer, whichever gate it runs through. Its token goes on
// working.
func (c *Client) Cut(ctx context.Context, id string) (*CutReceipt, error) {
	return do[CutReceipt](ctx, c, http.MethodDelete, "/v1/transfers/"+url.PathEscape(id), nil)
}
