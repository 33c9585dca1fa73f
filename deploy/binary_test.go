package deploy_test

import (
	"debug/elf"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// The same source makes the same binary, in whatever folder, with or without a repository
// around it.
func TestBuildIsReproducible(t *testing.T) {
	program(t, "make", "apt-get install make")
	elsewhere := filepath.Join(t.TempDir(), "some", "where", "else")
	copyTree(t, root, elsewhere, ".git", ".cache", "dist", "man", "s3gate")
	again := filepath.Join(t.TempDir(), "s3gate")
	if err := build(elsewhere, again); err != nil {
		t.Fatal(err)
	}
	if read(t, s3gate(t)) != read(t, again) {
		t.Error("two builds of the same source differ")
	}
}

// There is nothing in the image that could load a library.
func TestBinaryIsStatic(t *testing.T) {
	program(t, "make", "apt-get install make")
	if runtime.GOOS != "linux" {
		t.Skip("the image has a binary for Linux")
	}
	f, err := elf.Open(s3gate(t))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			t.Error("the binary asks for a loader")
		}
	}
	if libs, err := f.ImportedLibraries(); err != nil && !errors.Is(err, elf.ErrNoSymbols) || len(libs) > 0 {
		t.Errorf("the binary needs %v (%v)", libs, err)
	}
	if info, err := os.Stat(s3gate(t)); err != nil || info.Size() > 80<<20 {
		t.Errorf("the binary has %d bytes (%v)", info.Size(), err)
	}
}
