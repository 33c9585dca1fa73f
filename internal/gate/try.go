package gate

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"time"

	"s3gate/internal/config"
	"s3gate/s3client"
)

// tryTimeout bounds each question of [Try].
const tryTimeout = 10 * time.Second

// Try asks Redis and each bucket something harmless and returns what is wrong.
// Agent is the User-Agent of requests to S3.
func Try(ctx context.Context, cfg *config.Config, agent string, logger *slog.Logger) []*config.Problem {
	var found []*config.Problem
	tell := func(setting string, err error) {
		if err != nil {
			found = append(found, &config.Problem{Setting: setting, Text: err.Error()})
		}
	}
	tell("redis", tryRedis(ctx, cfg.Redis))
	for _, alias := range slices.Sorted(maps.Keys(cfg.Buckets)) {
		tell("buckets."+alias, tryBucket(ctx, cfg, alias, agent, logger))
	}
	return found
}

func tryRedis(ctx context.Context, c config.Redis) error {
	ctx, cancel := context.WithTimeout(ctx, tryTimeout)
	defer cancel()
	rdb := newRedis(c)
	defer rdb.Close()
	if err := rdb.Ping(ctx).Err(); err != nil {
		return fmt.Errorf("does not answer: %w", err)
	}
	return nil
}

// tryBucket asks for an object that is not there. Without s3:ListBucket S3 says
// that it is forbidden, which also is an answer to a signature that it accepts.
func tryBucket(ctx context.Context, cfg *config.Config, alias, agent string, logger *slog.Logger) error {
	ctx, cancel := context.WithTimeout(ctx, tryTimeout)
	defer cancel()
	b, err := OpenBucket(ctx, cfg.Buckets[alias], cfg.Upstream, agent, logger)
	if err != nil {
		return err
	}
	defer b.Close()
	resp, err := b.Do(ctx, &s3client.Request{Method: http.MethodGet, Key: cfg.Upload.TempPrefix + "config-check"})
	if err != nil {
		return err
	}
	if resp.StatusCode == http.StatusOK {
		return resp.Body.Close()
	}
	answered := s3client.ReadError(resp)
	if answered.Code == "NoSuchKey" || answered.Code == "AccessDenied" {
		return nil
	}
	return answered
}
