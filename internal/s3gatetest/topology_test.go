package s3gatetest_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
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

// eventually tries for some seconds.
func eventually(t *testing.T, try func() error) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for {
		err := try()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		time.Sleep(50 * time.Millisecond)
	}
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
	replica.Restart()
	time.Sleep(1500 * time.Millisecond) // it tries every second
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
	if err := c.Ping(t.Context()).Err(); err != nil {
		t.Errorf("PING: %v", err)
	}
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

// clusterClient returns one for a cluster.
func clusterClient(t *testing.T, s *s3gatetest.ClusterSet) *redis.ClusterClient {
	t.Helper()
	// By itself it asks a primary that is gone for up to a minute.
	c := redis.NewClusterClient(&redis.ClusterOptions{Addrs: s.Addrs, ClusterStateReloadInterval: 500 * time.Millisecond})
	t.Cleanup(func() { c.Close() })
	return c
}

func TestTopologyClusterFailover(t *testing.T) {
	s := s3gatetest.Cluster(t, 3, 1)
	c := clusterClient(t, s)
	if err := c.Set(t.Context(), "{a}k", "1", 0).Err(); err != nil {
		t.Fatal(err)
	}
	old := s.PrimaryOf("{a}")
	replicas := s.ReplicasOf(old)
	if len(replicas) != 1 {
		t.Fatalf("it has %d replicas, want 1", len(replicas))
	}
	old.Kill()
	if got := s.AwaitFailover(old); got != replicas[0] {
		t.Errorf("%s was promoted, want %s", got.Addr, replicas[0].Addr)
	}
	if got := s.PrimaryOf("{a}"); got != replicas[0] {
		t.Errorf("the primary is %s, want %s", got.Addr, replicas[0].Addr)
	}
	// The client has yet to learn of it.
	eventually(t, func() error {
		if n, err := c.Exists(t.Context(), "{a}k").Result(); err != nil || n != 1 {
			return fmt.Errorf("EXISTS: %d, %w", n, err)
		}
		return nil
	})
	old.Restart()
	old.AwaitReplica(replicas[0])
}

func TestTopologyClusterMove(t *testing.T) {
	s := s3gatetest.Cluster(t, 3, 0)
	c := clusterClient(t, s)
	const n = 20
	key := func(i int) string { return fmt.Sprintf("{a}%d", i) }
	for i := range n {
		if err := c.Set(t.Context(), key(i), "0", 0).Err(); err != nil {
			t.Fatal(err)
		}
	}
	from := s.PrimaryOf("{a}")
	to := s.Nodes[0]
	if to == from {
		to = s.Nodes[1]
	}
	stop := make(chan struct{})
	var done sync.WaitGroup
	rounds := 0
	done.Go(func() {
		for {
			for i := range n {
				if err := c.Incr(t.Context(), key(i)).Err(); err != nil {
					t.Errorf("INCR %s: %v", key(i), err)
				}
			}
			rounds++
			select {
			case <-stop:
				return
			default:
			}
		}
	})
	m := s.BeginMove("{a}", to)
	if moved := m.MoveKeys(n / 2); moved != n/2 {
		t.Errorf("%d keys moved, want %d", moved, n/2)
	}
	keys := make([]string, n)
	for i := range n {
		keys[i] = key(i)
	}
	// One key that has moved, and several of which some have.
	answers := map[string]int{}
	for _, k := range keys {
		answer, _ := ask(from.Addr, "GET "+k)
		word, _, _ := strings.Cut(answer, " ")
		answers[word[:1+min(3, len(word)-1)]]++
	}
	if answers["-ASK"] != n/2 {
		t.Errorf("the answers are %v, want %d of ASK", answers, n/2)
	}
	if got, err := ask(from.Addr, "MGET "+strings.Join(keys, " ")); err != nil || !strings.HasPrefix(got, "-TRYAGAIN") {
		t.Errorf("MGET: %q, %v", got, err)
	}
	m.Finish()
	close(stop)
	done.Wait()
	if got := s.PrimaryOf("{a}"); got != to {
		t.Errorf("the slot is at %s, want %s", got.Addr, to.Addr)
	}
	for _, k := range keys {
		if got, err := c.Get(t.Context(), k).Int(); err != nil || got != rounds {
			t.Errorf("%s is %d after %d rounds, %v", k, got, rounds, err)
		}
	}
	s.MoveSlot("{a}", from)
	if got := s.PrimaryOf("{a}"); got != from {
		t.Errorf("the slot is at %s, want %s", got.Addr, from.Addr)
	}
}

func TestTopologyClock(t *testing.T) {
	for _, offset := range []time.Duration{-time.Hour, 90 * time.Second} {
		r := s3gatetest.RedisServerClock(t, offset)
		c := client(t, r)
		start := time.Now()
		const asked = 100
		for range asked {
			now, err := c.Time(t.Context()).Result()
			if err != nil {
				t.Fatal(err)
			}
			if got := time.Until(now); (got - offset).Abs() > time.Second {
				t.Fatalf("the clock is off by %v, want %v", got, offset)
			}
		}
		if d := time.Since(start) / asked; d > 20*time.Millisecond {
			t.Errorf("%v for an answer", d)
		}
		// Time passes as fast as it should.
		if err := c.Set(t.Context(), "k", "1", 100*time.Millisecond).Err(); err != nil || !has(t, c, "k") {
			t.Errorf("SET: %v, or the key has expired at once", err)
		}
		time.Sleep(200 * time.Millisecond)
		if has(t, c, "k") {
			t.Error("the key has not expired")
		}
	}
}

// A replica whose clock is ahead takes for expired what its primary has.
func TestTopologyPromotedClock(t *testing.T) {
	s := s3gatetest.Sentinel(t, 1, 3)
	old, replica := s.Nodes[0], s.Nodes[1]
	replica.RestartWithClock(time.Hour)
	replica.AwaitReplica(old)
	c := client(t, old)
	set(t, c, "stays", 1)
	if err := c.Set(t.Context(), "expires", "1", time.Minute).Err(); err != nil {
		t.Fatal(err)
	}
	old.Pause()
	s.AwaitFailover(old)
	if c := client(t, replica); !has(t, c, "stays") || has(t, c, "expires") {
		t.Error("the promoted replica does not go by its clock")
	}
}
