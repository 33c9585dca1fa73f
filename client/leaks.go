package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// LeakQuery selects findings. Zero fields select all.
type LeakQuery struct {
	// Since leaves out findings whose last request was before.
	Since time.Time
	// Bucket is an alias, and Kind presigned, form, shared or canary.
	Bucket, Kind string
	// Limit is how many at most, up to 1000; 0 means 50.
	Limit int
}

// Leaks returns what has leaked, or was tried, the latest first.
func (c *Client) Leaks(ctx context.Context, q LeakQuery) ([]Leak, error) {
	values := url.Values{}
	if !q.Since.IsZero() {
		values.Set("since", q.Since.UTC().Format(time.RFC3339))
	}
	if q.Bucket != "" {
		values.Set("bucket", q.Bucket)
	}
	if q.Kind != "" {
		values.Set("kind", q.Kind)
	}
	if q.Limit > 0 {
		values.Set("limit", strconv.Itoa(q.Limit))
	}
	path := "/v1/leaks"
	if len(values) > 0 {
		path += "?" + values.Encode()
	}
	list, err := do[struct {
		Leaks []Leak `json:"leaks"`
	}](ctx, c, http.MethodGet, path, nil)
	if err != nil {
		return nil, err
	}
	return list.Leaks, nil
}
