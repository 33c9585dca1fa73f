package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Patch makes a token permit less. Zero fields leave it as it is.
type Patch struct {
	ExpiresAt *time.Time `json:"expires_at,omitempty"` // earlier than it does
	ExpiresIn string     `json:"expires_in,omitempty"` // such as 90s, from now, instead of ExpiresAt
	MaxUses   *int64     `json:"max_uses,omitempty"`   // in all, with those that were; fewer than now
	// Labels are set, or removed if nil.
	Labels map[string]*string `json:"labels,omitempty"`
}

// Changed is a grant after a change, and who has confirmed that it counts; see
// [Receipt].
type Changed struct {
	Grant
	Proof
}

// Proof is what a change can show for itself; its fields are those of [Receipt].
type Proof struct {
	AcknowledgedBy []string `json:"acknowledged_by"`
	ExpiredLeases  []string `json:"expired_leases"`
	Cut            int      `json:"cut"`
	Committing     []string `json:"committing,omitempty"`
	Durability     string   `json:"durability"`
	TookMS         float64  `json:"took_ms"`
}

// Patch changes a token that has a version, as Show gives it, and returns when
// every gate goes by it. An [Error] with status 412 says that it has another
// version by now.
func (c *Client) Patch(ctx context.Context, id string, version int64, p Patch) (*Changed, error) {
	for name, value := range p.Labels {
		texts := map[string]string{"labels": name}
		if value != nil {
			texts["labels."+name] = *value
		}
		if err := checkTexts(texts); err != nil {
			return nil, err
		}
	}
	return do[Changed](ctx, c, http.MethodPatch, "/v1/tokens/"+url.PathEscape(id), p, "If-Match", strconv.Quote(strconv.FormatInt(version, 10)))
}

// Reissue says what the token is to have that takes another one's place; zero
// fields leave it as the other one had it.
type Reissue struct {
	ExpiresAt *time.Time `json:"expires_at,omitempty"`
	ExpiresIn string     `json:"expires_in,omitempty"` // instead of ExpiresAt
	Reason    string     `json:"reason,omitempty"`     // of the old one's revocation
	// IdempotencyKey makes it safe to ask again; see [MintRequest].
	IdempotencyKey string `json:"-"`
}

// Replaced is a token that another one was minted for.
type Replaced struct {
	ID string `json:"id"`
	Proof
}

// Reissue revokes a token and mints one that has what it had left; see
// [Token].Replaces. The Outcome of an [Error] says how far it came.
func (c *Client) Reissue(ctx context.Context, id string, r Reissue) (*Token, error) {
	if err := checkTexts(map[string]string{"reason": r.Reason, "expires_in": r.ExpiresIn}); err != nil {
		return nil, err
	}
	return do[Token](ctx, c, http.MethodPost, "/v1/tokens/"+url.PathEscape(id)+":reissue", r, keyHeader(r.IdempotencyKey)...)
}

// BatchResult is what has become of one token of many: either is there.
type BatchResult struct {
	Token *Token `json:"token,omitempty"`
	Error *Error `json:"error,omitempty"`
}

// MintBatch mints many tokens, or none if one request is wrong: then the Field of
// the [Error] begins with its place, as in tokens.17.key. The keys of the requests
// are not used; key is that of them all, "" for none. Results are in the order of the
// requests.
func (c *Client) MintBatch(ctx context.Context, requests []MintRequest, key string) ([]BatchResult, error) {
	for i := range requests {
		if err := requests[i].check(); err != nil {
			return nil, err
		}
	}
	type batch struct {
		Tokens []MintRequest `json:"tokens"`
	}
	type results struct {
		Results []BatchResult `json:"results"`
	}
	r, err := do[results](ctx, c, http.MethodPost, "/v1/tokens:batch", batch{requests}, keyHeader(key)...)
	if err != nil {
		return nil, err
	}
	return r.Results, nil
}

// keyHeader is the header of a request that may come again.
func keyHeader(key string) []string {
	if key == "" {
		return nil
	}
	return []string{"Idempotency-Key", key}
}
