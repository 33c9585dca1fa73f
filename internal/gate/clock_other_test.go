//go:build !linux

package gate_test

import "time"

var testStart = time.Now()

// monotonic is a clock of this process.
func monotonic() time.Duration { return time.Since(testStart) }
