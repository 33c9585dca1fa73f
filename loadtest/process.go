package loadtest

import (
	"fmt"
	"time"
)

// Process is what a process of this machine has used during a run, with the warm-up.
type Process struct {
	PID  int    `json:"pid"`
	Name string `json:"name"`
	// CPU is its CPU time in seconds, by the kernel's accounting.
	CPU float64 `json:"cpu_seconds"`
	// PerOperation is CPU time of one operation in microseconds, and PerGiB that of
	// a GiB of bodies in seconds; 0 where there were none.
	PerOperation float64 `json:"cpu_us_per_operation"`
	PerGiB       float64 `json:"cpu_seconds_per_gib"`
	// Before, Peak and After are its resident memory in bytes.
	Before int64 `json:"memory_before"`
	Peak   int64 `json:"memory_peak"`
	After  int64 `json:"memory_after"`
}

// String says it in a line.
func (p Process) String() string {
	const mib = 1 << 20
	text := fmt.Sprintf("%d (%s): %.2f s of CPU", p.PID, p.Name, p.CPU)
	if p.PerOperation > 0 {
		text += fmt.Sprintf(", %.1f µs an operation", p.PerOperation)
	}
	if p.PerGiB > 0 {
		text += fmt.Sprintf(", %.2f s a GiB", p.PerGiB)
	}
	return text + fmt.Sprintf("; memory %d MiB, at most %d, then %d", p.Before/mib, p.Peak/mib, p.After/mib)
}

// processes are those that are watched, as they were when the run began.
type processes []*process

type process struct {
	Process
	began time.Duration // of CPU
}

// watch begins to watch processes. A process that there is not is an error, and so
// is any on a system without /proc.
func watch(pids []int) (processes, error) {
	var all processes
	for _, pid := range pids {
		u, err := usageOf(pid)
		if err != nil {
			return nil, fmt.Errorf("%w: process %d: %w", ErrConfig, pid, err)
		}
		all = append(all, &process{Process{PID: pid, Name: u.name, Before: u.memory, Peak: u.memory, After: u.memory}, u.cpu})
	}
	return all, nil
}

// now returns the memory and CPU time of all together, and remembers peaks. A
// process that has ended has none.
func (all processes) now() (memory int64, cpu float64) {
	for _, p := range all {
		u, err := usageOf(p.PID)
		if err != nil {
			continue
		}
		p.After, p.Peak = u.memory, max(p.Peak, u.memory)
		p.CPU = (u.cpu - p.began).Seconds()
		memory += u.memory
		cpu += p.CPU
	}
	return memory, cpu
}

// usage is what they have used for the operations of a report, and its warm-up.
func (all processes) usage(r *Report) []Process {
	all.now()
	list := []Process{}
	operations, bytes := uint64(0), int64(0)
	for _, s := range r.Timeline {
		operations += s.Operations
		bytes += s.Received + s.Sent
	}
	for _, p := range all {
		if operations > 0 {
			p.PerOperation = p.CPU * 1e6 / float64(operations)
		}
		if bytes > 0 {
			p.PerGiB = p.CPU * (1 << 30) / float64(bytes)
		}
		list = append(list, p.Process)
	}
	return list
}

// used is what the kernel says of a process.
type used struct {
	name   string
	cpu    time.Duration
	memory int64
}
