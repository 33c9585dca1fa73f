package consistency_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"s3gate/internal/s3gatetest"
)

// The settings of these tests. They are taken out of the environment, where a
// gate would find that they name no setting of its own.
var (
	soakOps   = take("S3GATE_SOAK_OPS")
	seedText  = take("S3GATE_SEED")
	artifacts = take("S3GATE_ARTIFACTS")
)

func take(name string) string {
	value := os.Getenv(name)
	os.Unsetenv(name)
	return value
}

// number reads a setting; other is what it is without.
func number(t *testing.T, text string, other uint64) uint64 {
	t.Helper()
	if text == "" {
		return other
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

var built string // holds the programs that were built

func TestMain(m *testing.M) {
	os.Exit(func() int {
		var err error
		if built, err = os.MkdirTemp("", "s3gate-consistency-"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(built)
		return m.Run()
	}())
}

// gateBinary is a gate that was built with faults.
func gateBinary(t *testing.T) string {
	t.Helper()
	path, err := buildGate()
	s3gatetest.Need(t, "the go tool, to build a gate", err)
	return path
}

var buildGate = sync.OnceValues(func() (string, error) {
	path := filepath.Join(built, "s3gate.exe") // the name that works everywhere
	return path, build("build", "-tags", "faults", "-o", path, "s3gate/cmd/s3gate")
})

func build(args ...string) error {
	out, err := exec.Command("go", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return nil
}
