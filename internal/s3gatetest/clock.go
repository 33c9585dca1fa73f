package s3gatetest

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// RedisServerClock starts a redis-server as RedisServer does, whose clock is
// ahead by offset, or behind if that is negative. It skips the test where
// libfaketime is missing.
func RedisServerClock(t testing.TB, offset time.Duration, args ...string) *RedisProcess {
	t.Helper()
	r := RedisServer(t, args...)
	r.RestartWithClock(offset)
	return r
}

// RestartWithClock is Restart with a clock that is ahead by offset, or behind if
// that is negative. It stays so over a Restart. It skips the test where
// libfaketime is missing.
func (r *RedisProcess) RestartWithClock(offset time.Duration) {
	r.t.Helper()
	lib, err := exec.Command("faketime", "-f", "+0", "printenv", "LD_PRELOAD").Output()
	Need(r.t, "faketime (apt-get install faketime)", err)
	r.env = []string{
		// jemalloc asks for the time before libfaketime can tell, and both
		// wait for ever; with malloc from libc redis-server does without.
		"LD_PRELOAD=" + strings.TrimSpace(string(lib)) + " libc.so.6",
		fmt.Sprintf("FAKETIME=%+.3f", offset.Seconds()),
		"FAKETIME_DONT_FAKE_MONOTONIC=1",
	}
	r.Restart()
	const tolerance = 2 * time.Second
	now, err := r.clock()
	if got := time.Until(now); err != nil || (got-offset).Abs() > tolerance {
		r.t.Fatalf("%s: its clock is off by %v, want %v (%v)\n%s", r.Addr, got, offset, err, r.proc.output)
	}
}

// clock returns the time by the server's clock.
func (r *RedisProcess) clock() (time.Time, error) {
	parts, err := r.do("TIME").Int64Slice()
	if err != nil || len(parts) != 2 {
		return time.Time{}, fmt.Errorf("TIME: %v, %w", parts, err)
	}
	return time.Unix(parts[0], parts[1]*1000), nil
}

// forgetClock removes what libfaketime leaves behind if the server is killed. The
// server has it open and does not need the names.
func (r *RedisProcess) forgetClock() {
	pid := r.proc.cmd.Process.Pid
	os.Remove(fmt.Sprintf("/dev/shm/faketime_shm_%d", pid))
	os.Remove(fmt.Sprintf("/dev/shm/sem.faketime_sem_%d", pid))
}
