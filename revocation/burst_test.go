package revocation_test

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"s3gate/internal/s3gatetest"
	"s3gate/revocation"
)

// appendAtOnce adds rules to the log in one step, those from first on.
func appendAtOnce(t *testing.T, rdb *redis.Client, first, n int) {
	t.Helper()
	text, err := os.ReadFile("lua/append.lua")
	if err != nil {
		t.Fatal(err)
	}
	add := redis.NewScript(string(text))
	keys := []string{"s3g:{rev}:rules", "s3g:{rev}:head", "s3g:{rev}:log", "s3g:{rev}:members"}
	if err := add.Load(t.Context(), rdb).Err(); err != nil {
		t.Fatal(err)
	}
	_, err = rdb.TxPipelined(t.Context(), func(p redis.Pipeliner) error {
		for i := first; i < first+n; i++ {
			p.EvalSha(t.Context(), add.Hash(), keys, "call", fmt.Sprintf("rev_%d", i), 1, "", "", fmt.Sprintf(`{"token":"tok_%d"}`, i), 0, 10_000, 0)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Many rules at once, on top of many, do not cost a gate its lease.
func TestBurstOfRulesLeavesTheLease(t *testing.T) {
	addr := s3gatetest.Redis(t)
	rdb := newClient(t, addr, nil)
	const known, burst = 5000, 400
	appendAtOnce(t, rdb, 0, known)
	m := joinWith(t, addr, revocation.MemberOptions{Name: "a", Lease: time.Second})
	appendAtOnce(t, rdb, known, burst)
	for m.Position().Seq < known+burst {
		if err := m.Lease(); err != nil {
			t.Fatalf("after %d of %d rules: %v", m.Position().Seq-known, burst, err)
		}
		time.Sleep(time.Millisecond)
	}
	if n := len(m.told()); n != known+burst {
		t.Errorf("it was told of %d rules, want %d", n, known+burst)
	}
}
