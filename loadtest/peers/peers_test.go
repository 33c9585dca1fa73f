package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"s3gate/internal/s3gatetest"
)

// needPrograms skips the test where something is missing that is measured.
func needPrograms(t *testing.T) {
	t.Helper()
	for _, name := range []string{"nginx", "haproxy", "redis-server", "taskset"} {
		_, err := program(name)
		s3gatetest.Need(t, name+" (make programs)", err)
	}
	for _, path := range append([]string{"/usr/share/lua/5.1/nginx/redis.lua", "/usr/share/lua/5.1/resty/core.lua"}, luaModules...) {
		_, err := os.Stat(path)
		s3gatetest.Need(t, "nginx with Lua (make programs)", err)
	}
}

// built builds a program of the module.
func built(t *testing.T, pkg string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), filepath.Base(pkg))
	if out, err := exec.Command("go", "build", "-o", path, pkg).CombinedOutput(); err != nil {
		t.Fatalf("building %s: %v\n%s", pkg, err, out)
	}
	return path
}

// left are the directories of a run, in the place where they are made.
func left(t *testing.T, run *os.Process) []string {
	t.Helper()
	dir := place()
	if dir == "" {
		dir = os.TempDir()
	}
	all, err := filepath.Glob(filepath.Join(dir, fmt.Sprintf("s3gate-peers-%d-*", run.Pid)))
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// running are the processes that were told of a directory.
func running(t *testing.T, dir string) (all []string) {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if raw, err := os.ReadFile(f); err == nil && bytes.Contains(raw, []byte(dir)) {
			all = append(all, strings.ReplaceAll(string(raw), "\x00", " "))
		}
	}
	return all
}

// Every work, once and small: each contender answers rightly, the report has all of
// them, and nothing stays.
func TestSmokeRun(t *testing.T) {
	needPrograms(t)
	dir := t.TempDir()
	report, page, profiles := filepath.Join(dir, "report.json"), filepath.Join(dir, "page.md"), filepath.Join(dir, "profiles")
	cmd := exec.Command(built(t, "s3gate/loadtest/peers"), "-quick", "-s3gate", built(t, "s3gate/cmd/s3gate"),
		"-json", report, "-doc", page, "-profile", profiles)
	var table, progress bytes.Buffer
	cmd.Stdout, cmd.Stderr = &table, &progress
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s", err, progress.String())
	}
	raw, err := os.ReadFile(report)
	if err != nil {
		t.Fatal(err)
	}
	var r Report
	if err := json.Unmarshal(raw, &r); err != nil {
		t.Fatal(err)
	}
	if len(r.Works) != len(works(&bench{options: &options{amounts: small()}})) {
		t.Errorf("the report has %d works", len(r.Works))
	}
	for _, w := range r.Works {
		if len(w.Rows) == 0 {
			t.Errorf("%s has no rows", w.Name)
		}
		for _, row := range w.Rows {
			if len(row.Samples) != 1 {
				t.Errorf("%s, %s, %s: %d samples, want 1", w.Name, row.Subject, row.Metric, len(row.Samples))
			}
			if row.Metric == "CPU" && row.Value.Median <= 0 {
				t.Errorf("%s: %s took no CPU time", w.Name, row.Subject)
			}
		}
		if !strings.Contains(table.String(), w.Name) {
			t.Errorf("the table has no %s", w.Name)
		}
	}
	if text, err := os.ReadFile(page); err != nil || !bytes.Contains(text, []byte("numbers mean nothing")) {
		t.Errorf("the page: %v:\n%s", err, text)
	}
	for _, name := range []string{"get-4k-s3gate-unlimited.pprof", "put-1g-s3gate.pprof"} {
		if profile, err := os.ReadFile(filepath.Join(profiles, name)); err != nil || !bytes.HasPrefix(profile, []byte{0x1f, 0x8b}) {
			t.Errorf("%s: %v, %d bytes", name, err, len(profile))
		}
	}
	if names := left(t, cmd.Process); len(names) > 0 {
		t.Errorf("%q is still there", names)
	}
}

// Whoever interrupts a run has nothing left of it.
func TestInterruptedRunEndsWhatItStarted(t *testing.T) {
	needPrograms(t)
	cmd := exec.Command(built(t, "s3gate/loadtest/peers"), "-only", "get-256m$", "-rounds", "1000", "-s3gate", built(t, "s3gate/cmd/s3gate"))
	progress, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill()
	text := ""
	for buffer := make([]byte, 4096); !strings.Contains(text, "1/1000: nginx"); {
		n, err := progress.Read(buffer)
		if err != nil {
			t.Fatalf("%v:\n%s", err, text)
		}
		text += string(buffer[:n])
	}
	names := left(t, cmd.Process)
	if len(names) != 1 {
		t.Fatalf("the run has the directories %q, want one", names)
	}
	dir := names[0]
	if len(running(t, dir)) < 3 {
		t.Fatalf("of a run in %q there are only %q", dir, running(t, dir))
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case err := <-ended:
		if err == nil {
			t.Error("an interrupted run ends with 0")
		}
	case <-time.After(time.Minute):
		t.Fatal("does not end")
	}
	if _, err := os.Stat(dir); err == nil {
		t.Errorf("%s is still there", dir)
	}
	if all := running(t, dir); len(all) > 0 {
		t.Errorf("still run: %q", all)
	}
}
