package events

import (
	"context"
	"crypto/rand"
	"embed"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

//go:embed lua/*.lua
var sources embed.FS

// load reads an embedded script.
func load(name string) *redis.Script {
	text, err := sources.ReadFile("lua/" + name + ".lua")
	if err != nil {
		panic(err) // it is part of the program
	}
	return redis.NewScript(string(text))
}

var appendScript = load("append")

// Keys in Redis. Each group has one Cluster slot.
const (
	streamKey   = "s3g:{events}:stream"
	producerKey = "s3g:{events}:p:"
)

// producerLife is how long a gate is remembered that appends nothing.
const producerLife = time.Hour

// Stream is the last events of all gates, in Redis. It is a [Sink].
type Stream struct {
	rdb    redis.Scripter
	most   int64
	name   string // of this producer
	number int64  // of the last event that was appended for sure
}

// NewStream returns a sink that keeps about so many events; most is more than 0.
func NewStream(rdb redis.Scripter, most int64) *Stream {
	return &Stream{rdb: rdb, most: most, name: rand.Text()}
}

// Name is "stream".
func (s *Stream) Name() string { return "stream" }

// Wants takes every type.
func (s *Stream) Wants(Type) bool { return true }

// Write appends the batch in one round trip. An event that was appended already,
// by a try whose answer was lost, is not there twice.
func (s *Stream) Write(ctx context.Context, batch []*Record) error {
	args := []any{s.most, producerLife.Milliseconds(), s.number + 1}
	for _, r := range batch {
		raw, _ := r.JSON() // the bus has tried
		args = append(args, raw)
	}
	if err := appendScript.Run(ctx, s.rdb, []string{streamKey, producerKey + s.name}, args...).Err(); err != nil {
		return fmt.Errorf("appending to the stream of events: %w", err)
	}
	s.number += int64(len(batch))
	return nil
}

// Close does nothing: the client is the caller's.
func (s *Stream) Close() error { return nil }
