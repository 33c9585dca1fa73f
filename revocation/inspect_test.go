package revocation_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

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
	for range 20 {
		time.Sleep(lease / 5)
		if err := m.Lease(); err != nil {
			t.Fatal(err)
		}
	}
}
