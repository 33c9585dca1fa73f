package main_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"s3gate/internal/s3gatetest"
)

// What is checked in is what the document says: go generate ./api ./client
// writes it anew.
func TestTypesAreThoseOfTheDocument(t *testing.T) {
	_, err := exec.Command("go", "tool", "-modfile=../../tools/go.mod", "oapi-codegen", "-version").Output()
	s3gatetest.Need(t, "oapi-codegen from tools/go.mod, for which Go has to reach its module proxy or to have it cached", err)
	for _, pkg := range []string{"api", "client"} {
		out := filepath.Join(t.TempDir(), "types.gen.go")
		cmd := exec.Command("go", "run", "../internal/apigen", "-o", out, "codegen.yaml")
		cmd.Dir = filepath.Join("..", "..", pkg)
		if text, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", pkg, err, text)
		}
		want, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(filepath.Join(cmd.Dir, "types.gen.go"))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s/types.gen.go is not what api/openapi.yaml says: run go generate ./api ./client", pkg)
		}
	}
}
