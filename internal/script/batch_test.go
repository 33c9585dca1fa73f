package script_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"s3gate/internal/s3gatetest"
	"s3gate/internal/script"
)

// calls add a member each, to so many sets.
func calls(n int) []script.Call {
	all := make([]script.Call, n)
	for i := range all {
		all[i] = script.Call{Name: fmt.Sprint("call", i), Keys: []string{fmt.Sprint("k", i)}, Args: []any{i}}
	}
	return all
}

func wantAll(t *testing.T, results []script.Result, n int) {
	t.Helper()
	if len(results) != n {
		t.Fatalf("%d results, want %d", len(results), n)
	}
	for i, r := range results {
		if r.Err != nil || r.Status != "ok" || r.Reply.Number(0) != 1 {
			t.Errorf("%d: %+v", i, r)
		}
	}
}

// trips counts round trips that run a script.
type trips struct{ n int }

func (h *trips) hook(rdb *redis.Client) { rdb.AddHook(counting{h}) }

// Many calls go in one round trip, with one proof.
func TestWriteAll(t *testing.T) {
	rdb := newClient(t, miniredis.RunT(t).Addr())
	var count trips
	count.hook(rdb)
	r := script.NewRunner(rdb, script.Acks{})
	wantAll(t, r.WriteAll(t.Context(), timid, calls(300)), 300)
	if count.n != 1 {
		t.Errorf("%d round trips, want 1", count.n)
	}
	if got := r.WriteAll(t.Context(), timid, nil); len(got) != 0 {
		t.Errorf("of none there are %d", len(got))
	}
	// A server that knows no flags.
	wantAll(t, r.WriteAll(t.Context(), script.Load(sources, "add"), []script.Call{{Name: "c", Keys: []string{"flagged"}, Args: []any{1}}}), 1)
	for _, result := range r.WriteAll(t.Context(), script.Load(sources, "other"), calls(2)) {
		if result.Err == nil {
			t.Errorf("a reply for another call: %+v", result)
		}
	}
}

// None of many counts that replicas have not acknowledged (R10).
func TestWriteAllIsProven(t *testing.T) {
	primary, replica := replicated(t)
	rdb, there := newClient(t, primary.Addr), newClient(t, replica.Addr)
	r := script.NewRunner(rdb, script.Acks{Replicas: 1, Timeout: 20 * time.Second})
	wantAll(t, r.WriteAll(t.Context(), timid, calls(100)), 100)
	if n := there.DBSize(t.Context()).Val(); n != 100 {
		t.Errorf("the replica has %d keys, want 100", n)
	}
	replica.Pause()
	defer replica.Resume()
	hasty := script.NewRunner(rdb, script.Acks{Replicas: 1, Timeout: 300 * time.Millisecond})
	for i, result := range hasty.WriteAll(t.Context(), timid, calls(3)) {
		if !errors.Is(result.Err, script.ErrUnacknowledged) {
			t.Errorf("%d with a frozen replica: %v, want ErrUnacknowledged", i, result.Err)
		}
	}
}

// In a Cluster each call runs where its key is, also when the client is wrong about
// where that is.
func TestWriteAllInACluster(t *testing.T) {
	s := s3gatetest.Cluster(t, 3, 0)
	rdb := redis.NewClusterClient(&redis.ClusterOptions{Addrs: s.Addrs})
	defer rdb.Close()
	r := script.NewRunner(rdb, script.Acks{})
	wantAll(t, r.WriteAll(t.Context(), timid, calls(60)), 60)
	for i := range 60 {
		if n := rdb.SCard(t.Context(), fmt.Sprint("k", i)).Val(); n != 1 {
			t.Errorf("k%d has %d members", i, n)
		}
	}
}

type counting struct{ *trips }

func (c counting) count(cmds ...redis.Cmder) {
	if slices.ContainsFunc(cmds, func(cmd redis.Cmder) bool { return strings.HasPrefix(cmd.Name(), "eval") }) {
		c.n++
	}
}

func (counting) DialHook(next redis.DialHook) redis.DialHook { return next }

func (c counting) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		c.count(cmd)
		return next(ctx, cmd)
	}
}

func (c counting) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		c.count(cmds...)
		return next(ctx, cmds)
	}
}
