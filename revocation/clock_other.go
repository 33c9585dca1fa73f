//go:build !linux

package revocation

import "time"

// bootClock stands still while the machine is suspended: run gates on Linux.
func bootClock() time.Duration { return monotonic() }
