package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
)

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

// Reissue revokes a token and mints one that has what it had left; see
// [Token].Replaces. The Outcome of an [Error] says how far it came.
func (c *Client) Reissue(ctx context.Context, id string, r Reissue, opts ...Option) (*Token, error) {
	if err := checkTexts(map[string]string{"reason": r.Reason, "expires_in": r.ExpiresIn}); err != nil {
		return nil, err
	}
	return do[Token](ctx, c, http.MethodPost, "/v1/tokens/"+url.PathEscape(id)+":reissue", r, headers(opts)...)
}

// MintBatch mints many tokens, or none if one request is wrong: then the Field of
// the [Error] begins with its place, as in tokens.17.key. Results are in the order of
// the requests.
func (c *Client) MintBatch(ctx context.Context, requests []MintRequest, opts ...Option) ([]BatchResult, error) {
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
	r, err := do[results](ctx, c, http.MethodPost, "/v1/tokens:batch", batch{requests}, headers(opts)...)
	if err != nil {
		return nil, err
	}
	return r.Results, nil
}

// Option is what a call says besides.
type Option struct{ header, value string }

// IdempotencyKey makes it safe to ask again: whoever sends the same request with
// the same key gets the same tokens. It has 1 to 255 bytes of printable US-ASCII;
// "" is no key, and mints other tokens each time.
func IdempotencyKey(key string) Option { return Option{"Idempotency-Key", key} }

// headers are names and values by turns.
func headers(opts []Option) (all []string) {
	for _, o := range opts {
		if o.value != "" {
			all = append(all, o.header, o.value)
		}
	}
	return all
}
