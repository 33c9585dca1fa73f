package revocation_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"s3gate/revocation"
	"s3gate/tokens"
)

func TestGatesSayWhoIsThere(t *testing.T) {
	server := miniredis.RunT(t)
	rdb := redis.NewClient(&redis.Options{Addr: server.Addr(), MaxRetries: -1})
	t.Cleanup(func() { rdb.Close() })
	join := func(name string) *revocation.Member {
		m := revocation.Join(rdb, revocation.MemberOptions{Name: name, Lease: 300 * time.Millisecond, Fresh: true})
		t.Cleanup(func() { m.Leave(context.Background()) })
		if err := m.Await(t.Context()); err != nil {
			t.Fatal(err)
		}
		return m
	}
	a, gone := join("a"), join("gone")
	join("b two")
	gone.Leave(t.Context())
	// A gate that froze long ago, and knew an older life of the log.
	server.HSet("s3g:{rev}:members", "frozen", "7 1 0 memory c")

	gates, err := a.Gates(t.Context())
	if err != nil || len(gates) != 3 {
		t.Fatalf("Gates = %+v, %v; want three", gates, err)
	}
	for i, want := range []struct {
		name           string
		live, caughtUp bool
	}{{"a", true, true}, {"b two", true, true}, {"c", false, false}} {
		if g := gates[i]; g.Name != want.name || g.Live != want.live || g.CaughtUp != want.caughtUp {
			t.Errorf("gate %d is %+v, want %+v", i, g, want)
		}
	}
	if gates[0].Position != a.Position() {
		t.Errorf("a is at %+v, shown at %+v", a.Position(), gates[0].Position)
	}
	server.SetError("LOADING Redis is loading the dataset in memory")
	if gates, err := a.Gates(t.Context()); !errors.Is(err, tokens.ErrUnproven) || gates != nil {
		t.Errorf("without Redis: %v, %v", gates, err)
	}
	server.SetError("")
}
