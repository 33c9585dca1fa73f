package main

import (
	"context"
	"os"
	"os/exec"
	"runtime"
	"strings"
)

// Machine is where a run was.
type Machine struct {
	CPU    string `json:"cpu"`
	Cores  int    `json:"cores"`
	Kernel string `json:"kernel"`
	System string `json:"system"`
	// Load is the load average of the minute before the run: of what else runs.
	Load string `json:"load"`
}

// machine reads it from /proc; what is not there is "unknown".
func machine() Machine {
	load, _, _ := strings.Cut(first("/proc/loadavg"), " ")
	return Machine{
		Load: load,
		CPU:  after("/proc/cpuinfo", "model name"), Cores: runtime.NumCPU(),
		Kernel: first("/proc/sys/kernel/osrelease"), System: strings.Trim(after("/etc/os-release", "PRETTY_NAME"), `"`),
	}
}

// after returns what follows a name in a file of such lines.
func after(path, name string) string {
	raw, _ := os.ReadFile(path)
	for line := range strings.Lines(string(raw)) {
		if rest, ok := strings.CutPrefix(line, name); ok {
			return strings.TrimSpace(strings.TrimLeft(rest, " \t:="))
		}
	}
	return "unknown"
}

// first returns the only line of a file.
func first(path string) string {
	raw, err := os.ReadFile(path)
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(raw))
}

// Version is that of a program.
type Version struct {
	Program string `json:"program"`
	Version string `json:"version"`
}

// versions asks every program for its own.
func (b *bench) versions(ctx context.Context) []Version {
	all := []Version{{"s3gate", says(ctx, b.binary, "version")}, {"Go", runtime.Version()}}
	for _, p := range []struct{ name, flag string }{{"nginx", "-v"}, {"haproxy", "-v"}, {"redis-server", "-v"}} {
		version := "missing"
		if path, err := program(p.name); err == nil {
			version = says(ctx, path, p.flag)
		}
		all = append(all, Version{p.name, version})
	}
	for _, p := range []string{"libnginx-mod-http-lua", "lua-nginx-redis", "lua-resty-core"} {
		all = append(all, Version{p, says(ctx, "dpkg-query", "-W", "-f", "${Version}", p)})
	}
	return all
}

// says is the first line that a program prints.
func says(ctx context.Context, path string, args ...string) string {
	out, err := exec.CommandContext(ctx, path, args...).CombinedOutput()
	line, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	line = strings.TrimPrefix(line, "nginx version: ")
	if err != nil || line == "" {
		return "unknown"
	}
	return line
}
