package s3gatetest

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const uploadersHelp = "uploaders for browsers (make deps, then name the directory that it made in S3GATE_TEST_UPLOADERS)"

// Uploaders is a directory in which Node finds the packages of
// uploaders/package.json: what browsers upload with, and Axe, in the versions of the lock
// file beside it. It is the one that S3GATE_TEST_UPLOADERS names, and not to be
// written to.
func Uploaders(t testing.TB) (dir string) {
	t.Helper()
	dir, err := findUploaders()
	Need(t, uploadersHelp, err)
	return dir
}

func findUploaders() (string, error) {
	dir := os.Getenv("S3GATE_TEST_UPLOADERS")
	if dir == "" {
		return "", errors.New("S3GATE_TEST_UPLOADERS is not set")
	}
	_, err := os.Stat(filepath.Join(dir, "node_modules", ".package-lock.json"))
	return dir, err
}

// Axe is the script of axe-core, which finds in a page what keeps people out who
// do not see it, or have no mouse.
func Axe(t testing.TB) (script string) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(Uploaders(t), "node_modules", "axe-core", "axe.min.js"))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// Bundle makes a module that imports some of Uploaders one script for a page,
// which loads nothing else.
func Bundle(t testing.TB, module string) []byte {
	t.Helper()
	dir := Uploaders(t)
	node, err := exec.LookPath("node")
	Need(t, "node (apt-get install nodejs)", err)
	cmd := exec.CommandContext(t.Context(), node, filepath.Join("node_modules", "esbuild", "bin", "esbuild"),
		"--bundle", "--format=iife", "--log-level=warning")
	var problems strings.Builder
	cmd.Dir, cmd.Stdin, cmd.Stderr = dir, strings.NewReader(module), &problems
	script, err := cmd.Output()
	if err != nil {
		t.Fatalf("bundling: %v\n%s", err, &problems)
	}
	return script
}
