package revocation_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"

	"s3gate/internal/s3gatetest"
	"s3gate/revocation"
)

// Looking at Redis once more, right after the first lease, does not cost it.
func TestInspectionDoesNotHoldUpTheFirstLease(t *testing.T) {
	t.Parallel()
	addr := s3gatetest.Redis(t)
	join(t, addr, "first") // so that this life of Redis is known
	time.Sleep(2 * lease)
	var asked atomic.Int64
	m := joinWith(t, addr, revocation.MemberOptions{Name: "a", Check: func(ctx context.Context) error {
		if asked.Add(1) > 1 {
			<-ctx.Done() // sentinels that do not answer
		}
		return nil
	}})
	eventually(t, "Redis is looked at again", func() bool { return asked.Load() > 1 })
	lost := 0
	for range 20 {
		time.Sleep(lease / 5)
		if m.Lease() != nil {
			lost++
		}
	}
	// A machine that stands still for a moment costs a lease too, but not many.
	if lost > 10 {
		t.Errorf("no lease at %d of 20 looks", lost)
	}
}

// A Redis that was found to be unreliable is not taken for a reliable one
// because it cannot be asked again.
func TestRefusedUntilAsked(t *testing.T) {
	t.Parallel()
	redis := miniredis.RunT(t)
	var silent atomic.Bool
	var asked atomic.Int64
	redis.Server().SetPreHook(func(c *server.Peer, cmd string, args ...string) bool {
		if cmd != "INFO" || len(args) != 1 || args[0] != "memory" {
			return false
		}
		asked.Add(1)
		if silent.Load() {
			c.Close()
			return true
		}
		c.WriteBulk("# Memory\r\nmaxmemory_policy:allkeys-lru\r\n")
		return true
	})
	m := revocation.Join(newClient(t, redis.Addr(), nil), revocation.MemberOptions{Name: "a", Lease: lease, Fresh: true})
	t.Cleanup(func() { m.Leave(context.Background()) })
	eventually(t, "Redis is looked at in this life", func() bool { return asked.Load() > 1 })
	silent.Store(true)
	before := asked.Load()
	redis.FlushAll() // which is another life
	eventually(t, "Redis is looked at in another life", func() bool { return asked.Load() > before })
	for range 10 {
		time.Sleep(lease / 5)
		if m.Lease() == nil {
			t.Fatal("it is served from a Redis that may evict keys")
		}
	}
}
