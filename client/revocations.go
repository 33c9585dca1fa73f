package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Rule says which tokens to revoke. Of the fields that select, those that are
// set must all match, and one at least is set: a field that is empty by
// mistake makes the rule wider. See [Client.DryRun].
type Rule struct {
	Token        string            `json:"token,omitempty"` // by ID
	Subject      string            `json:"subject,omitempty"`
	Issuer       string            `json:"issuer,omitempty"` // of the JWT of whoever minted
	Labels       map[string]string `json:"labels,omitempty"` // all of them
	Bucket       string            `json:"bucket,omitempty"`
	Prefix       string            `json:"prefix,omitempty"` // of the key, in Bucket
	IssuedBefore *time.Time        `json:"issued_before,omitempty"`
	All          bool              `json:"all,omitempty"`
	// Standing covers later tokens too, and refuses to mint them, until the
	// rule is lifted.
	Standing bool   `json:"standing,omitempty"`
	Reason   string `json:"reason,omitempty"`
}

// RuleStatus is a rule that was made, and what has become of it.
type RuleStatus struct {
	Rule
	ID     string    `json:"id"`
	State  string    `json:"state"` // active or lifted
	Author string    `json:"author,omitempty"`
	At     time.Time `json:"at"`
	// Position is the rule's place in the log, and Version grows when it is
	// lifted.
	Position Position `json:"position"`
	Version  int64    `json:"version"`
	// LiftedAt, LiftedBy and LiftReason are set when the rule holds no more.
	LiftedAt   *time.Time `json:"lifted_at,omitempty"`
	LiftedBy   string     `json:"lifted_by,omitempty"`
	LiftReason string     `json:"lift_reason,omitempty"`
	// Until is when the rule may be forgotten, since nothing can live any more
	// that it covers; nil means never.
	Until *time.Time `json:"until,omitempty"`
}

// Position is a place in the log of revocations, in one of its lives.
type Position struct {
	Gen int64 `json:"gen"`
	Seq int64 `json:"seq"`
}

// Reach is what a rule would hit.
type Reach struct {
	DryRun    bool `json:"dry_run"`
	Tokens    int  `json:"tokens"`    // that work, or will
	Transfers int  `json:"transfers"` // through the gate that was asked
	Scanned   int  `json:"scanned"`   // tokens that were looked at
	Complete  bool `json:"complete"`  // these were all
}

// RuleQuery selects rules. Zero fields select all.
type RuleQuery struct {
	State  string // active or lifted
	Limit  int    // rules in a page; 0 means the gate's default
	Cursor string // from RulePage.Next; "" begins
}

// RulePage is one page of rules; Next is empty on the last.
type RulePage struct {
	Revocations []RuleStatus `json:"revocations"`
	Next        string       `json:"next,omitempty"`
}

// Gate is one of the gates that share a Redis.
type Gate struct {
	Name     string   `json:"name"`
	Position Position `json:"position"`  // how much of the log it has acknowledged
	CaughtUp bool     `json:"caught_up"` // that is all there is
	Lag      int64    `json:"lag"`       // how many entries are missing
	Live     bool     `json:"live"`      // it has just renewed its lease
	// Durability is what it takes an acknowledgement of Redis for; see [Receipt].
	Durability string `json:"durability"`
}

// Transfers is what runs through all gates, the longest first.
type Transfers struct {
	Transfers []Transfer `json:"transfers"`
	// Silent names gates that did not answer: stopped, cut off or frozen, so
	// that what runs there waits, or of a version that does not.
	Silent []string `json:"silent,omitempty"`
	// Complete says that nothing else runs.
	Complete bool `json:"complete"`
}

// Transfer runs through a gate.
type Transfer struct {
	Gate           string    `json:"gate"`
	ID             string    `json:"id"` // of the request
	Token          string    `json:"token"`
	Subject        string    `json:"subject,omitempty"`
	Bucket         string    `json:"bucket"`
	Key            string    `json:"key,omitempty"`
	Prefix         string    `json:"prefix,omitempty"` // of the token, instead of Key
	Direction      string    `json:"direction"`        // download or upload
	Bytes          int64     `json:"bytes"`
	BytesPerSecond int64     `json:"bytes_per_second"` // on average
	Size           int64     `json:"size,omitempty"`   // in all, of what was asked for; 0 is unknown
	Since          time.Time `json:"since"`
	Committing     bool      `json:"committing,omitempty"` // an upload past stopping
}

// CutReceipt says whether a transfer was cut, or is an upload past stopping.
type CutReceipt struct {
	ID         string `json:"id"`
	Cut        bool   `json:"cut"`
	Committing bool   `json:"committing"`
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
