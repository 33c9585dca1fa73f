// Command licences lists what the binary links, and under which licences.
//
//	licences           the list, which is docs/licences.md
//	licences -texts    the texts themselves, to go with a binary
//
// It looks at the packages that go into cmd/s3gate on any system that "make cross" builds
// for, and at the licence files beside them and above, up to the root of their module.
// What it does not recognize it refuses.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

func main() {
	texts := flag.Bool("texts", false, "print the texts of the licences")
	flag.Parse()
	if err := run(os.Stdout, *texts); err != nil {
		fmt.Fprintln(os.Stderr, "licences:", err)
		os.Exit(1)
	}
}

func run(w io.Writer, texts bool) error {
	modules, err := linked()
	if err != nil {
		return err
	}
	if err := refuse(modules); err != nil {
		return err
	}
	if texts {
		return writeTexts(w, modules)
	}
	_, err = io.WriteString(w, page(modules))
	return err
}

// page is docs/licences.md.
func page(modules []*module) string {
	var b strings.Builder
	b.WriteString(`# Licences of what is linked

s3gate is under the [Apache License 2.0](../LICENSE). Its binary links the modules below;
` + "`go version -m s3gate`" + ` says which version of each. The list is made by ` + "`make licences`" + `, and a
test fails when it is out of date or has a licence other than these:
` + strings.Join(permitted, ", ") + `.
So nothing is linked that is under the AGPL, the GPL or the LGPL. Programs that only tests
start (MinIO, Redis, nginx and others) are not linked, and do not ship.

The texts go with the image, as ` + "`/LICENCES`" + `; ` + "`go run ./internal/licences -texts`" + ` prints them.

| module | licences |
|---|---|
| the Go standard library and runtime | BSD-3-Clause |
`)
	for _, m := range modules {
		fmt.Fprintf(&b, "| `%s` | %s |\n", m.Path, strings.Join(m.licences(), ", "))
	}
	return b.String()
}

// writeTexts writes the texts of all licences but our own.
func writeTexts(w io.Writer, modules []*module) error {
	out, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return fmt.Errorf("asking where Go is: %w", err)
	}
	text, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(out)), "LICENSE"))
	if err != nil {
		return fmt.Errorf("reading the licence of Go: %w", err)
	}
	std := &module{Path: "the Go standard library and runtime", files: []file{{"LICENSE", string(text)}}}
	modules = append([]*module{std}, modules...)
	for _, m := range modules {
		for _, f := range m.files {
			if _, err := fmt.Fprintf(w, "==== %s: %s\n\n%s\n\n", m.Path, f.name, strings.TrimSpace(f.text)); err != nil {
				return err
			}
		}
	}
	return nil
}
