// Package deploy_test checks that what is here to run s3gate with fits the binary, and is
// what its own programs take: settings, policies, units, a chart, Terraform. It holds no
// code, only tests.
package deploy_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"s3gate/internal/s3gatetest"
)

const root = ".."

var binary struct {
	once      sync.Once
	dir, path string
	err       error
}

// s3gate returns the binary as "make build" makes it, built once for all tests.
func s3gate(t *testing.T) string {
	t.Helper()
	binary.once.Do(func() {
		if binary.dir, binary.err = os.MkdirTemp("", "s3gate-deploy-"); binary.err == nil {
			binary.path = filepath.Join(binary.dir, "s3gate")
			binary.err = build(root, binary.path)
		}
	})
	if binary.err != nil {
		t.Fatal(binary.err)
	}
	return binary.path
}

func TestMain(m *testing.M) {
	code := m.Run()
	_ = os.RemoveAll(binary.dir)
	os.Exit(code)
}

// build runs "make build" in dir. What a make outside says does not reach it, nor what Go
// is told on this machine about stamping.
func build(dir, to string) error {
	cmd := exec.Command("make", "-s", "-C", dir, "build", "BIN="+to, "VERSION=v0.0.0-test")
	cmd.Env = append(os.Environ(), "MAKEFLAGS=", "MAKELEVEL=", "GOFLAGS=-buildvcs=auto")
	return said(cmd)
}

// said runs a command. What it prints is part of the error.
func said(cmd *exec.Cmd) error {
	out, err := cmd.CombinedOutput()
	if err != nil {
		return &failure{strings.Join(cmd.Args, " "), err, string(out)}
	}
	return nil
}

type failure struct {
	command string
	err     error
	output  string
}

func (f *failure) Error() string { return f.command + ": " + f.err.Error() + "\n" + f.output }

// output returns what a command prints to its standard output.
func output(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(&failure{strings.Join(cmd.Args, " "), err, stderr.String()})
	}
	return string(out)
}

// configCheck has the binary check settings: a file, or "" for none, and an environment
// that has nothing else.
func configCheck(t *testing.T, file string, env ...string) {
	t.Helper()
	cmd := exec.Command(s3gate(t), "config", "check")
	cmd.Env = env
	if file != "" {
		cmd.Args = append(cmd.Args, "--config", file)
	}
	if err := said(cmd); err != nil {
		t.Error(err)
	}
}

func read(t *testing.T, path ...string) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// copyTree copies files and folders, but not those that have one of the names.
func copyTree(t *testing.T, from, to string, without ...string) {
	t.Helper()
	skip := map[string]bool{}
	for _, name := range without {
		skip[name] = true
	}
	err := filepath.WalkDir(from, func(path string, e os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		switch {
		case err != nil:
			return err
		case skip[rel] && e.IsDir():
			return filepath.SkipDir
		case skip[rel] || !e.IsDir() && !e.Type().IsRegular():
			return nil
		case e.IsDir():
			return os.MkdirAll(filepath.Join(to, rel), 0o755)
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, rel), raw, 0o644)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// program returns the path of a program that the test needs.
func program(t *testing.T, name, help string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	s3gatetest.Need(t, name+" ("+help+")", err)
	return path
}

// tool runs one of the programs in tools/deploy, which have a module of their own.
func tool(t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("go", append([]string{"run", "./" + name}, args...)...)
	cmd.Dir = filepath.Join(root, "tools", "deploy")
	return cmd
}

func abs(t *testing.T, path ...string) string {
	t.Helper()
	full, err := filepath.Abs(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return full
}

// find returns what the first group of a pattern matches in a text.
func find(t *testing.T, text, pattern string) string {
	t.Helper()
	m := regexp.MustCompile(pattern).FindStringSubmatch(text)
	if m == nil {
		t.Fatalf("there is nothing like %s", pattern)
	}
	return m[1]
}
