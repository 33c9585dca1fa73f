package loadtest

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// clockTick is the unit of CPU time in /proc on every Linux that Go runs on (USER_HZ).
const clockTick = 10 * time.Millisecond

// usageOf reads /proc/PID/stat (proc(5)).
func usageOf(pid int) (u used, err error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return u, err
	}
	// The name may hold anything, a parenthesis too.
	head, tail, ok := strings.Cut(string(raw), "(")
	end := strings.LastIndex(tail, ")")
	if !ok || end < 0 || head == "" {
		return u, errors.New("unreadable /proc")
	}
	u.name = tail[:end]
	fields := strings.Fields(tail[end+1:])
	if len(fields) < 22 {
		return u, errors.New("unreadable /proc")
	}
	var n [3]int64
	for i, at := range []int{11, 12, 21} { // utime, stime and rss, counted from the state
		if n[i], err = strconv.ParseInt(fields[at], 10, 64); err != nil {
			return u, errors.New("unreadable /proc")
		}
	}
	u.cpu = time.Duration(n[0]+n[1]) * clockTick
	u.memory = n[2] * int64(os.Getpagesize())
	return u, nil
}
