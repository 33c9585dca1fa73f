package client

import (
	"context"
	"net/http"
	"net/url"
)

// Buckets returns the buckets that the caller administers, by alias, and what the
// gates know of each.
func (c *Client) Buckets(ctx context.Context) ([]BucketStatus, error) {
	list, err := do[struct {
		Buckets []BucketStatus `json:"buckets"`
	}](ctx, c, http.MethodGet, "/v1/buckets", nil)
	if err != nil {
		return nil, err
	}
	return list.Buckets, nil
}

// VerifyBucket has a gate verify a bucket now, which takes up to half a minute with a
// store that does not answer.
func (c *Client) VerifyBucket(ctx context.Context, alias string) (*BucketStatus, error) {
	return do[BucketStatus](ctx, c, http.MethodPost, "/v1/buckets/"+url.PathEscape(alias)+":verify", nil)
}

// AuditBucket says what protects a bucket and what does not, as far as the gate may
// look.
func (c *Client) AuditBucket(ctx context.Context, alias string) (*BucketAudit, error) {
	return do[BucketAudit](ctx, c, http.MethodGet, "/v1/buckets/"+url.PathEscape(alias)+":audit", nil)
}
