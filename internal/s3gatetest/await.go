package s3gatetest

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// awaitTimeout bounds what a topology needs to settle. It takes seconds, and
// more where the tests of every package run at once.
const awaitTimeout = 30 * time.Second

// await polls ready until it returns nil. If it does not in time, the test
// fails with what the nodes have printed.
func await(t testing.TB, what string, nodes []*RedisProcess, ready func() error) {
	t.Helper()
	deadline := time.Now().Add(awaitTimeout)
	for {
		err := ready()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %v: %v\n%s", what, awaitTimeout, err, outputs(nodes))
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// outputs is the end of what each node has printed.
func outputs(nodes []*RedisProcess) string {
	const keep = 1500
	var b strings.Builder
	for _, n := range nodes {
		out := n.proc.output.String()
		fmt.Fprintf(&b, "--- %s\n%s\n", n.Addr, out[max(0, len(out)-keep):])
	}
	return b.String()
}

// do sends one command over a connection of its own. A server that is paused or
// gone answers with an error soon.
func (r *RedisProcess) do(args ...any) *redis.Cmd {
	c := redis.NewClient(&redis.Options{
		Addr:            r.Addr,
		Protocol:        2,
		MaxRetries:      -1,
		PoolSize:        1,
		DialTimeout:     500 * time.Millisecond,
		ReadTimeout:     500 * time.Millisecond,
		DisableIdentity: true,
	})
	defer c.Close()
	return c.Do(context.Background(), args...)
}

// must is do where an error fails the test.
func (r *RedisProcess) must(args ...any) *redis.Cmd {
	r.t.Helper()
	cmd := r.do(args...)
	if err := cmd.Err(); err != nil {
		r.t.Fatalf("%s: %v: %v\n%s", r.Addr, args, err, r.proc.output)
	}
	return cmd
}

// info returns a section of INFO.
func (r *RedisProcess) info(section string) (map[string]string, error) {
	text, err := r.do("INFO", section).Text()
	if err != nil {
		return nil, err
	}
	fields := map[string]string{}
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			fields[name] = value
		}
	}
	return fields, nil
}
