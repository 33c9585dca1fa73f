package s3gatetest_test

import (
	"context"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"s3gate/internal/s3gatetest"
)

// client returns one for a node. It fails soon and does not try again.
func client(t *testing.T, r *s3gatetest.RedisProcess) *redis.Client {
	t.Helper()
	c := redis.NewClient(&redis.Options{Addr: r.Addr, MaxRetries: -1, DialTimeout: time.Second, ReadTimeout: 2 * time.Second})
	t.Cleanup(func() { c.Close() })
	return c
}

// set writes a key, which has to succeed, and returns how many replicas have it
// after at most half a second.
func set(t *testing.T, c *redis.Client, key string, replicas int) int64 {
	t.Helper()
	conn := c.Conn() // WAIT is about the writes of its connection
	defer conn.Close()
	if err := conn.Set(context.Background(), key, "1", 0).Err(); err != nil {
		t.Fatalf("SET %s: %v", key, err)
	}
	n, err := conn.Wait(context.Background(), replicas, 500*time.Millisecond).Result()
	if err != nil {
		t.Fatalf("WAIT: %v", err)
	}
	return n
}

// has says whether a node has a key.
func has(t *testing.T, c *redis.Client, key string) bool {
	t.Helper()
	n, err := c.Exists(context.Background(), key).Result()
	if err != nil {
		t.Fatalf("EXISTS %s: %v", key, err)
	}
	return n == 1
}

func TestTopologyWait(t *testing.T) {
	s := s3gatetest.RedisReplicas(t, 2)
	primary, replica := client(t, s.Nodes[0]), s.Nodes[2]
	if n := set(t, primary, "k1", 2); n != 2 {
		t.Errorf("%d replicas, want both", n)
	}
	replica.Pause()
	if n := set(t, primary, "k2", 2); n != 1 {
		t.Errorf("%d replicas with one paused, want 1", n)
	}
	replica.Resume()
	if n := set(t, primary, "k3", 2); n != 2 {
		t.Errorf("%d replicas after Resume, want both", n)
	}
	replica.Detach()
	if n := set(t, primary, "k4", 2); n != 1 {
		t.Errorf("%d replicas with one detached, want 1", n)
	}
	if has(t, client(t, replica), "k4") {
		t.Error("the detached replica has the key")
	}
	replica.Heal()
	replica.AwaitReplica(s.Nodes[0])
	if n := set(t, primary, "k5", 2); n != 2 || !has(t, client(t, replica), "k4") {
		t.Errorf("%d replicas after Heal, want both with all keys", n)
	}
	replica.Restart()
	replica.AwaitReplica(s.Nodes[0])
	if n := set(t, primary, "k6", 2); n != 2 {
		t.Errorf("%d replicas after Restart, want both", n)
	}
}

func TestTopologySentinel(t *testing.T) {
	s := s3gatetest.Sentinel(t, 2, 3)
	if got := s.Primary(); got != s.Nodes[0] {
		t.Errorf("the primary is %s, want %s", got.Addr, s.Nodes[0].Addr)
	}
	c := redis.NewFailoverClient(&redis.FailoverOptions{MasterName: s.Master, SentinelAddrs: s.Addrs})
	defer c.Close()
	set(t, c, "before", 2)

	first := s.Nodes[0]
	first.Kill()
	second := s.AwaitFailover(first)
	if second == first || !has(t, client(t, second), "before") {
		t.Errorf("%s was promoted, without what was written", second.Addr)
	}
	first.Restart()
	first.AwaitReplica(second)

	second.Pause()
	third := s.AwaitFailover(second)
	if third == second || !has(t, client(t, third), "before") {
		t.Errorf("%s was promoted, without what was written", third.Addr)
	}
	second.Resume()
	second.AwaitReplica(third)
	set(t, client(t, third), "after", 2)
}

func TestTopologyIsolatedPrimary(t *testing.T) {
	s := s3gatetest.Sentinel(t, 2, 3)
	old := s.Primary()
	c := client(t, old)
	set(t, c, "both", 2)
	old.Isolate()
	if n := set(t, c, "old", 1); n != 0 {
		t.Errorf("the isolated primary has %d replicas", n)
	}
	promoted := s.AwaitFailover(old)
	if n := set(t, c, "older", 1); n != 0 {
		t.Errorf("the isolated primary has %d replicas", n)
	}
	set(t, client(t, promoted), "new", 1)
	if c := client(t, promoted); !has(t, c, "both") || has(t, c, "old") || has(t, c, "older") {
		t.Error("the new primary has not what the old one had before")
	}
	old.Heal()
	old.AwaitReplica(promoted)
	if has(t, c, "old") || !has(t, c, "new") {
		t.Error("the old primary has not what the new one has")
	}
	if err := c.Set(t.Context(), "k", "1", 0).Err(); err == nil {
		t.Error("it can still be written to")
	}
}

func TestTopologyLostWrites(t *testing.T) {
	s := s3gatetest.Sentinel(t, 1, 3)
	old, replica := s.Nodes[0], s.Nodes[1]
	set(t, client(t, old), "kept", 1)
	replica.Detach()
	if n := set(t, client(t, old), "lost", 1); n != 0 {
		t.Errorf("%d replicas", n)
	}
	old.Kill()
	if got := s.AwaitFailover(old); got != replica {
		t.Fatalf("%s was promoted", got.Addr)
	}
	if c := client(t, replica); !has(t, c, "kept") || has(t, c, "lost") {
		t.Error("the promoted replica has not just what was written before")
	}
}
