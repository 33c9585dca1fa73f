package deploy_test

import (
	"strconv"
	"testing"
	"time"
)

// drainTimeout is the default of drain_timeout, and lastSteps is for how long a gate may need
// after it, if Redis and what takes its events, lines and spans are away all at once.
const (
	drainTimeout = 30 * time.Second
	lastSteps    = 20 * time.Second
)

// Whatever stops a gate waits until that has ended by itself.
func TestTimeToStop(t *testing.T) {
	for name, found := range map[string]string{
		"systemd": find(t, read(t, "systemd", "s3gate.service"), `TimeoutStopSec=(\S+)`),
		"Compose": find(t, read(t, "compose", "compose.yaml"), `stop_grace_period: (\S+)`),
	} {
		if stop, err := time.ParseDuration(found); err != nil || stop < drainTimeout+lastSteps {
			t.Errorf("%s kills a gate after %s (%v), which may take %v", name, found, err, drainTimeout+lastSteps)
		}
	}
	gate := read(t, "terraform", "gate.tf")
	drain, _ := strconv.Atoi(find(t, gate, `drain_timeout = (\d+)`))
	more, _ := strconv.Atoi(find(t, gate, `stopTimeout            = local\.drain_timeout \+ (\d+)`))
	if time.Duration(more)*time.Second < lastSteps {
		t.Errorf("ECS kills a gate %d s after drain_timeout, which may take %v", more, lastSteps)
	}
	if drain+more > 120 {
		t.Errorf("Fargate waits for 120 s at most, not for %d", drain+more)
	}
}
