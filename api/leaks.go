package api

import (
	"context"
	"net/http"
	"net/url"
	"slices"

	"s3gate/guard/leakwatch"
	"s3gate/tokens"
)

// Leaks are the findings of the leak watch; [leakwatch.Redis] has them. It must be
// safe for concurrent use.
type Leaks interface {
	Findings(ctx context.Context, q leakwatch.Query) ([]leakwatch.Finding, error)
}

// leakList is the answer to GET /v1/leaks.
type leakList struct {
	Leaks []leakwatch.Finding `json:"leaks"`
}

// leaks answers GET /v1/leaks.
func (h *Handler) leaks(c *call) (int, any, error) {
	if h.cfg.Leaks == nil {
		return 0, nil, errNoLeaks
	}
	q, err := h.leakQuery(c.query)
	if err != nil {
		return 0, nil, err
	}
	found, err := h.cfg.Leaks.Findings(c.Context(), q)
	return http.StatusOK, leakList{found}, err
}

func (h *Handler) leakQuery(values url.Values) (q leakwatch.Query, err error) {
	for name := range values {
		if values.Get(name) == "" {
			return q, &tokens.FieldError{Field: name, Problem: "must not be empty; leave it out to see all"}
		}
	}
	q.Bucket, q.Kind = values.Get("bucket"), leakwatch.Kind(values.Get("kind"))
	if q.Bucket != "" && !slices.Contains(h.cfg.Buckets, q.Bucket) {
		return q, &tokens.FieldError{Field: "bucket", Problem: "is not an alias of this gate"}
	}
	if q.Kind != "" && !slices.Contains(leakwatch.Kinds(), q.Kind) {
		return q, &tokens.FieldError{Field: "kind", Problem: "must be presigned, form, shared or canary"}
	}
	if q.Since, err = parseTime("since", values.Get("since")); err != nil {
		return q, err
	}
	if q.Limit, err = readLimit(values); q.Limit == 0 {
		q.Limit = defaultPage
	}
	return q, err
}
