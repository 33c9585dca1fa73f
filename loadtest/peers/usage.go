package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// cpuTime is what processes have used until now.
type cpuTime struct {
	threads map[string]time.Duration // by /proc path; nil where the kernel does not say
	total   time.Duration            // in ticks of 10 ms, with threads that have ended
}

// usedBy reads the CPU time of processes from /proc (proc(5)): of each thread to the
// nanosecond, from schedstat.
func usedBy(pids []int) (cpuTime, error) {
	u := cpuTime{threads: map[string]time.Duration{}}
	for _, pid := range pids {
		raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			return u, err
		}
		total, err := parseStat(string(raw))
		if err != nil {
			return u, err
		}
		u.total += total
		if u.threads == nil {
			continue
		}
		if err := u.addThreads(fmt.Sprintf("/proc/%d/task", pid)); err != nil {
			u.threads = nil
		}
	}
	return u, nil
}

func (u *cpuTime) addThreads(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		path := dir + "/" + e.Name()
		raw, err := os.ReadFile(path + "/schedstat")
		if errors.Is(err, os.ErrNotExist) {
			if _, gone := os.Stat(path); gone != nil {
				continue // the thread has just ended
			}
		}
		if err != nil {
			return err
		}
		if u.threads[path], err = parseSchedstat(string(raw)); err != nil {
			return err
		}
	}
	return nil
}

// since returns what was used after an earlier reading. Threads that have ended since
// then are in the coarser numbers only, which count then.
func (u cpuTime) since(before cpuTime) time.Duration {
	if u.threads == nil || before.threads == nil {
		return u.total - before.total
	}
	sum := time.Duration(0)
	for path, was := range before.threads {
		now, there := u.threads[path]
		if !there {
			return u.total - before.total
		}
		sum += now - was
	}
	for path, now := range u.threads {
		if _, there := before.threads[path]; !there {
			sum += now
		}
	}
	return sum
}

// parseSchedstat returns the first of the three numbers, the nanoseconds on a CPU.
func parseSchedstat(line string) (time.Duration, error) {
	fields := strings.Fields(line)
	if len(fields) != 3 {
		return 0, fmt.Errorf("schedstat: must have 3 numbers, has %d", len(fields))
	}
	ns, err := strconv.ParseInt(fields[0], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("schedstat: %w", err)
	}
	return time.Duration(ns), nil
}

// clockTick is the unit of /proc/PID/stat on every Linux that Go runs on (USER_HZ).
const clockTick = 10 * time.Millisecond

// parseStat returns utime and stime. The name before them may hold anything, a
// parenthesis too.
func parseStat(line string) (time.Duration, error) {
	fields := afterName(line)
	if len(fields) < 13 {
		return 0, fmt.Errorf("stat: must have 15 fields or more, has %d", len(fields)+2)
	}
	user, err := strconv.ParseInt(fields[11], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("stat: %w", err)
	}
	system, err := strconv.ParseInt(fields[12], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("stat: %w", err)
	}
	return time.Duration(user+system) * clockTick, nil
}

// afterName returns the fields of a stat from the state on.
func afterName(line string) []string { return strings.Fields(line[strings.LastIndex(line, ")")+1:]) }

// memoryOf returns the resident memory of processes in bytes, and the same with pages
// that several share counted by their share: 0 where the kernel does not tell.
func memoryOf(pids []int) (resident, proportional int64, err error) {
	for _, pid := range pids {
		n, err := sizeIn(fmt.Sprintf("/proc/%d/status", pid), "VmRSS:")
		if err != nil {
			return 0, 0, err
		}
		resident += n
		if n, err = sizeIn(fmt.Sprintf("/proc/%d/smaps_rollup", pid), "Pss:"); err == nil {
			proportional += n
		}
	}
	return resident, proportional, nil
}

// sizeIn reads a line such as "VmRSS:   123 kB".
func sizeIn(path, name string) (int64, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(raw)) {
		fields := strings.Fields(line)
		if len(fields) == 3 && fields[0] == name {
			kib, err := strconv.ParseInt(fields[1], 10, 64)
			return kib << 10, err
		}
	}
	return 0, fmt.Errorf("%s: has no %s", path, strings.TrimSuffix(name, ":"))
}

// childrenOf returns a process and those that it has started.
func childrenOf(pid int) []int {
	all := []int{pid}
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		child, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", child))
		if err != nil {
			continue
		}
		if f := afterName(string(raw)); len(f) > 1 && f[1] == strconv.Itoa(pid) {
			all = append(all, child)
		}
	}
	return all
}
