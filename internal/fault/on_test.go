//go:build faults

package fault_test

import (
	"testing"
	"time"

	"s3gate/internal/fault"
)

func TestFaultsAreSet(t *testing.T) {
	restore := fault.Set(fault.NoNonce, fault.LocalClock+"=-2h")
	if !fault.On(fault.NoNonce) || !fault.On(fault.LocalClock) || fault.On(fault.AckEarly) {
		t.Error("what is on is not what was set")
	}
	if off := time.Until(fault.Now()).Round(time.Minute); off != -2*time.Hour {
		t.Errorf("the clock is wrong by %s", off)
	}
	restore()
	if fault.On(fault.NoNonce) {
		t.Error("it is still on")
	}
	for _, name := range []fault.Fault{"no-such", "no-nonce=1h", "local-clock=soon"} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s was taken", name)
				}
			}()
			fault.Set(name)
		}()
	}
}
