//go:build !linux

package revocation

import "time"

// BootClock stands still while the machine is suspended: run gates on Linux.
func BootClock() time.Duration { return monotonic() }
