//go:build !faults

package fault_test

import (
	"testing"

	"s3gate/internal/fault"
)

func TestNothingIsOnWithoutTheTag(t *testing.T) {
	t.Setenv("S3GATE_FAULTS", string(fault.NoNonce))
	for _, f := range fault.All {
		if fault.On(f) {
			t.Errorf("%s is on", f)
		}
	}
}
