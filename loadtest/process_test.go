package loadtest_test

import (
	"os"
	"runtime"
	"testing"
)

func thisProcess(t *testing.T) int {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("processes are watched on Linux only")
	}
	return os.Getpid()
}
