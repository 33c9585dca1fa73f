//go:build unix

package accesslog_test

import (
	"os"
	"syscall"
	"testing"
)

// unread makes a pipe that somebody has open and nobody reads.
func unread(t *testing.T, path string) *os.File {
	t.Helper()
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}
