package rounds

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"s3gate/internal/script"
)

//go:embed lua/*.lua
var sources embed.FS

var (
	claimScript = script.Load(sources, "claim")
	noteScript  = script.Load(sources, "note")
)

// findingLife is how long a finding is kept that no round has confirmed.
const findingLife = 60 * 24 * time.Hour

// noteTries is how often Redis is asked to note a finding, with notePause in
// between: a change whose answer is lost is never told.
const (
	noteTries = 5
	notePause = 200 * time.Millisecond
)

// ErrBoard is a Redis that could not be asked. What was to be noted may have
// been.
var ErrBoard = errors.New("findings cannot be reached")

// redisBoard is a [Board] in Redis.
type redisBoard struct {
	rdb    redis.UniversalClient
	runner *script.Runner
}

// NewBoard returns a board in Redis, for all gates that share it. What is lost
// with a primary is found again by the next round, so no replica is waited for.
func NewBoard(rdb redis.UniversalClient) Board {
	return &redisBoard{rdb, script.NewRunner(rdb, script.Acks{})}
}

func findingKey(of string) string { return "s3g:guard:{" + of + "}:finding" }
func claimKey(of string) string   { return "s3g:guard:{" + of + "}:claim" }

func (b *redisBoard) Claim(ctx context.Context, of string, life time.Duration) (bool, error) {
	status, _, err := b.runner.Read(ctx, claimScript, "claim", []string{claimKey(of)}, life.Milliseconds())
	if err != nil {
		return false, fmt.Errorf("%w: %w", ErrBoard, err)
	}
	return status == "ok", nil
}

// Note asks again with the same name when an answer is lost: a script that ran
// then says once more what was there before.
func (b *redisBoard) Note(ctx context.Context, of string, f Finding, again time.Duration) (State, error) {
	document, err := json.Marshal(f)
	if err != nil {
		return "", fmt.Errorf("writing a finding: %w", err)
	}
	name := script.NewCall("finding")
	for tries := 1; ; tries++ {
		_, rest, err := b.runner.Read(ctx, noteScript, "note", []string{findingKey(of), claimKey(of)},
			name, string(f.State), document, findingLife.Milliseconds(), again.Milliseconds())
		if err == nil {
			return State(rest.Text(0)), nil
		}
		if tries == noteTries || ctx.Err() != nil {
			return "", fmt.Errorf("%w: %w", ErrBoard, err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(notePause):
		}
	}
}

func (b *redisBoard) Read(ctx context.Context, of string) (Finding, error) {
	text, err := b.rdb.HGet(ctx, findingKey(of), "document").Result()
	switch {
	case errors.Is(err, redis.Nil):
		return Finding{State: Unknown}, nil
	case err != nil:
		return Finding{}, fmt.Errorf("%w: %w", ErrBoard, err)
	}
	var f Finding
	if err := json.Unmarshal([]byte(text), &f); err != nil {
		return Finding{}, fmt.Errorf("%w: reading a finding: %w", ErrBoard, err)
	}
	return f, nil
}
