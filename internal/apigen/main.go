// Command apigen writes the Go types of the API from its document.
//
// It runs oapi-codegen, whose version tools/go.mod pins, with the configuration
// in the directory that is named, and makes the comments read as ours do. It is
// for go generate:
//
//	go run ../internal/apigen [-o file] codegen.yaml
package main

import (
	"errors"
	"flag"
	"fmt"
	"go/format"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"

	"go.yaml.in/yaml/v3"
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
	document, err := inOrder(filepath.Join("..", "api", "openapi.yaml"))
	if err != nil {
		return err
	}
	defer os.Remove(document)
	cmd := exec.Command("go", "tool", "-modfile="+filepath.Join("..", "tools", "go.mod"), "oapi-codegen", "-config", config, document)
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

// inOrder copies the document into a file in which each property says its place,
// or oapi-codegen would sort them by name.
func inOrder(document string) (path string, err error) {
	text, err := os.ReadFile(document)
	if err != nil {
		return "", err
	}
	var root yaml.Node
	if err := yaml.Unmarshal(text, &root); err != nil {
		return "", fmt.Errorf("%s: %w", document, err)
	}
	number(&root)
	if text, err = yaml.Marshal(&root); err != nil {
		return "", err
	}
	file, err := os.CreateTemp("", "openapi-*.yaml")
	if err != nil {
		return "", err
	}
	_, err = file.Write(text)
	return file.Name(), errors.Join(err, file.Close())
}

// number gives each property its place.
func number(node *yaml.Node) {
	for i, child := range node.Content {
		if node.Kind == yaml.MappingNode && i%2 == 1 && node.Content[i-1].Value == "properties" {
			for n := 1; n < len(child.Content); n += 2 {
				child.Content[n].Content = append(child.Content[n].Content,
					&yaml.Node{Kind: yaml.ScalarNode, Value: "x-order"}, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!int", Value: strconv.Itoa(n)})
			}
		}
		number(child)
	}
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
