package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"s3gate/guard"
	"s3gate/guard/rounds"
)

// Guard knows which buckets are locked; [rounds.Rounds] does. It must be safe for
// concurrent use.
type Guard interface {
	// Finding is the last of a bucket. Errors: [rounds.ErrBoard].
	Finding(ctx context.Context, alias string) (rounds.Finding, error)
	// Verify makes another one. Errors: [rounds.ErrBucket], [rounds.ErrBoard].
	Verify(ctx context.Context, alias string) (rounds.Finding, error)
}

// auditTime is how long an audit may take, which asks the store some twenty times.
const auditTime = 30 * time.Second

var (
	errNoGuard  = errors.New("no buckets are verified")
	errNoAudit  = errors.New("no buckets are audited")
	errStore    = errors.New("the store does not answer")
	errNoBucket = errors.New("no such bucket")
	// ErrUnlocked is for Config.Ready of a gate that waits for its buckets to be
	// locked.
	ErrUnlocked = errors.New("a bucket is not known to be locked")
)

// bucketList is the answer to GET /v1/buckets.
type bucketList struct {
	Buckets []rounds.Finding `json:"buckets"`
}

func (h *Handler) buckets(c *call) (int, any, error) {
	if h.cfg.Guard == nil {
		return 0, nil, errNoGuard
	}
	list := bucketList{Buckets: []rounds.Finding{}}
	for _, alias := range h.cfg.Buckets {
		if !c.caller.Administers(alias) {
			continue
		}
		f, err := h.cfg.Guard.Finding(c.Context(), alias)
		if err != nil {
			return 0, nil, err
		}
		list.Buckets = append(list.Buckets, f)
	}
	return http.StatusOK, list, nil
}

// verifyBucket makes a round of one bucket. Of one that the caller does not
// administer nobody says whether it is there.
func (h *Handler) verifyBucket(c *call) (int, any, error) {
	alias := c.PathValue("id")
	if h.cfg.Guard == nil {
		return 0, nil, errNoGuard
	}
	if !slices.Contains(h.cfg.Buckets, alias) || !c.caller.Administers(alias) {
		return 0, nil, errNoBucket
	}
	f, err := h.cfg.Guard.Verify(c.Context(), alias)
	if err != nil {
		return 0, nil, err
	}
	h.cfg.Logger.LogAttrs(c.Context(), slog.LevelInfo, "bucket verified by a caller",
		slog.String("bucket", alias), slog.String("by", c.caller.Subject), slog.String("state", string(f.State)))
	return http.StatusOK, f, nil
}

// auditBucket says what protects a bucket. Of one that the caller does not
// administer nobody says whether it is there.
func (h *Handler) auditBucket(c *call) (int, any, error) {
	alias := c.PathValue("id")
	if h.cfg.Audit == nil {
		return 0, nil, errNoAudit
	}
	if !slices.Contains(h.cfg.Buckets, alias) || !c.caller.Administers(alias) {
		return 0, nil, errNoBucket
	}
	ctx, cancel := context.WithTimeout(c.Context(), auditTime)
	defer cancel()
	report, err := h.cfg.Audit(ctx, alias)
	if err != nil {
		return 0, nil, fmt.Errorf("%w: %w", errStore, err)
	}
	report.Bucket = alias
	for _, list := range []*[]guard.Finding{&report.Settings, &report.Lock, &report.Policy} {
		*list = append([]guard.Finding{}, *list...)
	}
	report.Requests = append([]guard.AuditedRequest{}, report.Requests...)
	return http.StatusOK, report, nil
}
