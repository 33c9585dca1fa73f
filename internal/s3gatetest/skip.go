package s3gatetest

import (
	"os"
	"testing"
)

// Need skips the test because what it needs is missing; err says why, and nil
// means that it is not. What names the thing and how to install it. Where
// CI=true nothing may be missing: the test fails.
func Need(t testing.TB, what string, err error) {
	t.Helper()
	if err == nil {
		return
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("NEEDED: %s: %v", what, err)
	}
	t.Skipf("SKIPPED, not everything was tested. Needed: %s: %v", what, err)
}
