package main

import (
	"os"
	"os/exec"
	"runtime"
	"slices"
	"testing"
	"time"
)

func TestParseSchedstat(t *testing.T) {
	for _, tt := range []struct {
		line string
		want time.Duration
		ok   bool
	}{
		{"2282698 17 1\n", 2282698, true},
		{"0 0 0\n", 0, true},
		{"\n", 0, false},
		{"1 2\n", 0, false},
		{"x 2 3\n", 0, false},
	} {
		got, err := parseSchedstat(tt.line)
		if got != tt.want || (err == nil) != tt.ok {
			t.Errorf("%q is %v, %v; want %v, ok %v", tt.line, got, err, tt.want, tt.ok)
		}
	}
}

func TestParseStat(t *testing.T) {
	for _, tt := range []struct {
		name, line string
		want       time.Duration
		ok         bool
	}{
		{"plain", "7 (nginx) S 1 7 7 0 -1 4 5 6 7 8 30 12 0 0 20", 420 * time.Millisecond, true},
		{"a name to mislead", "7 (a) b) 1 (c) S 1 7 7 0 -1 4 5 6 7 8 1 2 0 0 20", 30 * time.Millisecond, true},
		{"short", "7 (nginx) S 1", 0, false},
		{"no number", "7 (nginx) S 1 7 7 0 -1 4 5 6 7 8 x 12 0 0 20", 0, false},
		{"nothing", "", 0, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := parseStat(tt.line)
			if got != tt.want || (err == nil) != tt.ok {
				t.Errorf("is %v, %v; want %v, ok %v", got, err, tt.want, tt.ok)
			}
		})
	}
}

func TestSince(t *testing.T) {
	type threads = map[string]time.Duration
	before := cpuTime{threads{"a": 5, "b": 7}, 100}
	for _, tt := range []struct {
		name   string
		after  cpuTime
		before cpuTime
		want   time.Duration
	}{
		{"the same threads", cpuTime{threads{"a": 6, "b": 10}, 900}, before, 4},
		{"another thread", cpuTime{threads{"a": 6, "b": 10, "c": 3}, 900}, before, 7},
		{"a thread has ended", cpuTime{threads{"a": 6, "c": 3}, 900}, before, 800},
		{"a kernel that does not say", cpuTime{nil, 900}, before, 800},
		{"that did not say", cpuTime{threads{"a": 6}, 900}, cpuTime{nil, 100}, 800},
		{"no process", cpuTime{threads{}, 0}, cpuTime{threads{}, 0}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.after.since(tt.before); got != tt.want {
				t.Errorf("is %v, want %v", got, tt.want)
			}
		})
	}
}

// A process that works is seen to, and its children are found.
func TestUsageOfThisProcess(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("needs /proc")
	}
	child := exec.Command("sleep", "60")
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { child.Process.Kill(); child.Wait() }()
	pids := childrenOf(os.Getpid())
	if !slices.Contains(pids, os.Getpid()) || !slices.Contains(pids, child.Process.Pid) {
		t.Errorf("process %d with child %d is %v", os.Getpid(), child.Process.Pid, pids)
	}
	before, err := usedBy([]int{os.Getpid()})
	if err != nil {
		t.Fatal(err)
	}
	sum := hashOf(64 << 20)
	after, err := usedBy([]int{os.Getpid()})
	if used := after.since(before); err != nil || used <= 0 || len(sum) == 0 {
		t.Errorf("used %v, %v", used, err)
	}
	if resident, _, err := memoryOf([]int{os.Getpid()}); err != nil || resident < 1<<20 {
		t.Errorf("memory is %d, %v", resident, err)
	}
	if _, err := usedBy([]int{1 << 30}); err == nil {
		t.Error("a process that there is not has used CPU time")
	}
}
