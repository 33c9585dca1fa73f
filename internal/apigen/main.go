// Command apigen writes the Go types of the API from its document.
//
// It runs oapi-codegen, whose version tools/go.mod pins, with the configuration
// in the directory that is named, and makes the comments read as ours do. It is
// for go generate:
//
//	go run ../internal/apigen [-o file] codegen.yaml
package main

import (
	"flag"
	"fmt"
	"go/format"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
)

func main() {
	out := flag.String("o", "types.gen.go", "the `file` to write")
	flag.Parse()
	if err := generate(flag.Arg(0), *out); err != nil {
		fmt.Fprintln(os.Stderr, "apigen:", err)
		os.Exit(1)
	}
}

// generate writes what a configuration asks for into a file. It runs in the
// directory of the package.
func generate(config, out string) error {
	root, err := filepath.Abs("..")
	if err != nil {
		return err
	}
	cmd := exec.Command("go", "tool", "-modfile="+filepath.Join(root, "tools", "go.mod"), "oapi-codegen",
		"-config", config, filepath.Join(root, "api", "openapi.yaml"))
	cmd.Stderr = os.Stderr
	raw, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("running oapi-codegen: %w", err)
	}
	text, err := format.Source(tidy(raw))
	if err != nil {
		return fmt.Errorf("formatting: %w", err)
	}
	return os.WriteFile(out, text, 0o644)
}

var (
	packageDoc = regexp.MustCompile(`(?m)^// Package \w+ provides primitives .*\n//\n`)
	fieldDoc   = regexp.MustCompile(`(?m)^(\s+// )[A-Z]\w* ([A-Z]|[a-z]+ )`)
	typeDoc    = regexp.MustCompile(`(?m)^// ([A-Z]\w*) ([A-Z]\w*) `)
	blankLines = regexp.MustCompile(`(?m)^(\s*//\n)(\s*//\n)+`)
	embedded   = regexp.MustCompile("(?m)^\\s*// Embedded .* due to .*\n| `yaml:\",inline\"`")
)

// tidy takes out what oapi-codegen puts before a description, a second doc of
// the package, and what it says of embedding.
func tidy(text []byte) []byte {
	text = packageDoc.ReplaceAll(text, nil)
	text = embedded.ReplaceAll(text, nil)
	text = blankLines.ReplaceAll(text, []byte("$1"))
	text = fieldDoc.ReplaceAll(text, []byte("$1$2"))
	return typeDoc.ReplaceAllFunc(text, func(line []byte) []byte {
		m := typeDoc.FindSubmatch(line)
		if string(m[1]) == string(m[2]) {
			return []byte("// " + string(m[1]) + " ")
		}
		return line
	})
}
