package deploy_test

import (
	"flag"
	"os"
	"testing"
)

var update = flag.Bool("update", false, "write the files that the binary prints")

// same compares a file with what the binary prints for it, or writes it with -update.
func same(t *testing.T, path, want string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if have, err := os.ReadFile(path); err != nil || string(have) != want {
		t.Errorf("%s is not what the binary prints (%v): go test ./deploy -update", path, err)
	}
}
