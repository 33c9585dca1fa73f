package script_test

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"s3gate/internal/s3gatetest"
	"s3gate/internal/script"
)

// The scripts add a member to a set, and say how many there are.
var (
	sources = fstest.MapFS{
		"lua/add.lua":     {Data: []byte("#!lua flags=allow-oom\n" + add)},
		"lua/timid.lua":   {Data: []byte(add)},
		"lua/other.lua":   {Data: []byte("return {'another call', 'ok'}")},
		"lua/nothing.lua": {Data: []byte("return {ARGV[1]}")},
	}
	adding = script.Load(sources, "add")
	timid  = script.Load(sources, "timid")
)

const add = `
redis.call('SADD', KEYS[1], ARGV[2])
redis.call('PEXPIRE', KEYS[1], 60000)
return {ARGV[1], 'ok', redis.call('SCARD', KEYS[1]), '7', {1, {'a', 'b'}}, 'name', 'value'}`

func newClient(t testing.TB, addr string) *redis.Client {
	rdb := redis.NewClient(&redis.Options{
		Addr: addr, ContextTimeoutEnabled: true, ReadTimeout: 30 * time.Second,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
	t.Cleanup(func() { rdb.Close() })
	return rdb
}

func TestReplies(t *testing.T) {
	r := script.NewRunner(newClient(t, miniredis.RunT(t).Addr()), script.Acks{})
	status, reply, err := r.Read(t.Context(), adding, "call", []string{"k"}, "one")
	if err != nil || status != "ok" || reply.Number(0) != 1 || reply.Text(0) != "1" || reply.Number(1) != 7 {
		t.Fatalf("got %q %v, %v", status, reply, err)
	}
	if at := reply.Time(1); !at.Equal(time.UnixMilli(7)) || !reply.Time(9).IsZero() {
		t.Errorf("times %v and %v", at, reply.Time(9))
	}
	if list := reply.List(2); len(list) != 2 || list[0].Number(0) != 1 || list[1].Text(1) != "b" {
		t.Errorf("list %v", list)
	}
	if pairs := reply.Pairs(3); len(pairs) != 1 || pairs["name"] != "value" {
		t.Errorf("pairs %v", pairs)
	}
	if reply.List(9) != nil || reply.Number(9) != 0 || reply.List(0) == nil {
		t.Error("what is absent is not zero")
	}
}

// A reply that was meant for another call decides nothing (T16).
func TestReplyForAnother(t *testing.T) {
	r := script.NewRunner(newClient(t, miniredis.RunT(t).Addr()), script.Acks{})
	for _, name := range []string{"other", "nothing"} {
		if status, _, err := r.Read(t.Context(), script.Load(sources, name), "call", []string{"k"}); err == nil {
			t.Errorf("%s: %q, want an error", name, status)
		}
	}
}

// Scripts that have to work when the memory is full do (D8).
func TestMemoryFull(t *testing.T) {
	rdb := newClient(t, s3gatetest.Redis(t))
	r := script.NewRunner(rdb, script.Acks{})
	if err := rdb.ConfigSet(t.Context(), "maxmemory", "1").Err(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := r.Write(t.Context(), adding, "call", []string{"k"}, "one"); err != nil {
		t.Errorf("a script that may write when memory is full: %v", err)
	}
	if _, _, err := r.Write(t.Context(), timid, "call", []string{"k"}, "two"); err == nil || !strings.HasPrefix(err.Error(), "OOM") {
		t.Errorf("one that may not: %v, want OOM", err)
	}
}

// replicated starts a server with a replica that has caught up.
func replicated(t *testing.T) (primary, replica *s3gatetest.RedisProcess) {
	primary = s3gatetest.RedisServer(t, "--repl-diskless-sync-delay", "0")
	host, port, _ := strings.Cut(primary.Addr, ":")
	replica = s3gatetest.RedisServer(t, "--replicaof", host+" "+port)
	rdb := newClient(t, primary.Addr)
	for range 500 {
		if n, err := rdb.Wait(t.Context(), 1, time.Second).Result(); err == nil && n == 1 {
			return primary, replica
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatal("the replica does not catch up")
	return nil, nil
}

// A write counts when the replica has it, also after the scripts were flushed,
// and is an error while it has not (D6, R10).
func TestWriteIsProven(t *testing.T) {
	primary, replica := replicated(t)
	rdb, there := newClient(t, primary.Addr), newClient(t, replica.Addr)
	hasty := script.NewRunner(rdb, script.Acks{Replicas: 1, Timeout: 300 * time.Millisecond})
	r := script.NewRunner(rdb, script.Acks{Replicas: 1, Timeout: 20 * time.Second})
	for i := range 10 {
		member := strconv.Itoa(i)
		if i%3 == 0 {
			rdb.ScriptFlush(t.Context())
		}
		if _, _, err := r.Write(t.Context(), adding, "call", []string{"k"}, member); err != nil {
			t.Fatalf("write %d: %v", i, err)
		}
		if have := there.SMembers(t.Context(), "k").Val(); !slices.Contains(have, member) {
			t.Fatalf("write %d was acknowledged, the replica has %v", i, have)
		}
	}
	replica.Pause()
	if _, _, err := hasty.Write(t.Context(), adding, "call", []string{"k"}, "lonely"); !errors.Is(err, script.ErrUnacknowledged) {
		t.Errorf("with a frozen replica: %v, want ErrUnacknowledged", err)
	}
	if _, _, err := hasty.Read(t.Context(), adding, "call", []string{"k"}, "unproven"); err != nil {
		t.Errorf("what need not be proven, with a frozen replica: %v", err)
	}
	replica.Resume()
	if _, _, err := r.Write(t.Context(), adding, "call", []string{"k"}, "lonely"); err != nil {
		t.Errorf("the replica is back: %v", err)
	}
	if have := there.SMembers(t.Context(), "k").Val(); !slices.Contains(have, "lonely") {
		t.Errorf("the replica has %v", have)
	}
	replica.Kill()
	if _, _, err := hasty.Write(t.Context(), adding, "call", []string{"k"}, "last"); !errors.Is(err, script.ErrUnacknowledged) {
		t.Errorf("with a dead replica: %v, want ErrUnacknowledged", err)
	}
}

// A server that became a replica refuses; that is an error and no effect (D8).
func TestReadOnly(t *testing.T) {
	_, replica := replicated(t)
	r := script.NewRunner(newClient(t, replica.Addr), script.Acks{Replicas: 1, Timeout: 100 * time.Millisecond})
	if _, _, err := r.Write(t.Context(), adding, "call", []string{"k"}, "one"); !redis.IsReadOnlyError(err) {
		t.Errorf("writing to a replica: %v, want READONLY", err)
	}
}
