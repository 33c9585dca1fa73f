package revocation_test

import (
	"fmt"
	"testing"
	"time"

	"s3gate/internal/s3gatetest"
	"s3gate/revocation"
)

// Gates that were killed in great number, as by a supervisor that starts one
// again and again, hold a revocation up for little more than their leases.
func TestManyDeadGates(t *testing.T) {
	addr := s3gatetest.Redis(t)
	a := join(t, addr, "a")
	const dead = 3000
	fields := make([]any, 0, 2*dead)
	for i := range dead {
		fields = append(fields, fmt.Sprintf("01M81C0BM49ENGMJEHWB%06d", i), fmt.Sprintf("7 1 0 memory gate-in-a-cluster-%d/4711", i))
	}
	if err := a.rdb.HSet(t.Context(), "s3g:{rev}:members", fields...).Err(); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	receipt, err := a.revoker(&tombstones{}).Revoke(t.Context(), revocation.Rule{Subject: "ada"})
	if err != nil || len(receipt.ExpiredLeases) != dead {
		t.Fatalf("%d leases have expired, %v", len(receipt.ExpiredLeases), err)
	}
	if took := time.Since(begin); took > 3*time.Second {
		t.Errorf("it took %s", took)
	}
}
