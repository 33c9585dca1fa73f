package leakwatch

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

// RetriedFor is for how long what is pending is tried again; then it is given up.
const RetriedFor = 24 * time.Hour

// It is tried again after as long as it has been pending, within these bounds.
const (
	minRetryPause = time.Minute
	maxRetryPause = time.Hour
)

// retryAt is when what is pending is tried again; the zero time if nothing is, or has
// been for so long that it is given up.
func retryAt(taken []Taken, now time.Time) (at time.Time) {
	for _, t := range taken {
		since := now.Sub(t.At)
		if !t.Pending || since >= RetriedFor {
			continue
		}
		next := now.Add(min(max(since, minRetryPause), maxRetryPause))
		if at.IsZero() || next.Before(at) {
			at = next
		}
	}
	return at
}

// Due returns findings about which something is to be tried again at a time, up to
// so many. They stay due until [Redis.Told] has heard what came of it.
func (s *Redis) Due(ctx context.Context, now time.Time, most int) ([]Finding, error) {
	ids, err := s.RDB.ZRangeArgs(ctx, redis.ZRangeArgs{
		Key: pendingKey, Start: "-inf", Stop: strconv.FormatInt(now.UnixMilli(), 10), ByScore: true, Count: int64(most),
	}).Result()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrStore, err)
	}
	var due []Finding
	for _, id := range ids {
		values, err := s.RDB.HMGet(ctx, findingKey+id, "json", "count", "first", "last", "taken").Result()
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrStore, err)
		}
		if f, ok := listed(values); ok {
			due = append(due, f)
			continue
		}
		if err := s.RDB.ZRem(ctx, pendingKey, id).Err(); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrStore, err)
		}
	}
	return due, nil
}

// Retries has what could not be done about findings tried again. Use one from one
// goroutine.
type Retries struct {
	// Store knows what is pending. Required.
	Store *Redis
	// Every is how long [Retries.Run] waits between two looks; 0 means 10 s.
	Every time.Duration
	// Clock is the time; nil is [time.Now].
	Clock func() time.Time
}

// Run looks until ctx is done.
func (r *Retries) Run(ctx context.Context, w *Watch) error {
	every := r.Every
	if every == 0 {
		every = 10 * time.Second
	}
	for ctx.Err() == nil {
		if _, err := r.Once(ctx, w); err != nil && ctx.Err() == nil {
			w.logger().Warn("trying again what could not be done about leaks", "err", err)
		}
		pause(ctx, every)
	}
	return ctx.Err()
}

// Once tries again what is due, up to a hundred findings, and returns how many
// there were.
func (r *Retries) Once(ctx context.Context, w *Watch) (int, error) {
	now := time.Now()
	if r.Clock != nil {
		now = r.Clock()
	}
	due, err := r.Store.Due(ctx, now, 100)
	if err != nil || w.Act == nil {
		return 0, err
	}
	var failed error
	for _, f := range due {
		if ctx.Err() != nil {
			return 0, ctx.Err()
		}
		failed = errors.Join(failed, r.Store.told(ctx, f.ID, w.Act(ctx, f), now))
	}
	return len(due), failed
}
