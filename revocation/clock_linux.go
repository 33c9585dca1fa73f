package revocation

import (
	"time"

	"golang.org/x/sys/unix"
)

// BootClock is the time since the machine was started. Unlike Go's monotonic
// clock it runs on while the machine is suspended, so that a lease does not
// outlive a night in which nobody could tell its gate anything.
func BootClock() time.Duration {
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts) != nil {
		return monotonic()
	}
	return time.Duration(ts.Nano())
}
