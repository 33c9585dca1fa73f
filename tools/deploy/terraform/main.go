// Command terraform checks folders of Terraform without asking any provider.
//
//	terraform DIR...
//
// Every file is parsed and must be formatted as "terraform fmt" would, and every
// reference (var.x, local.x, module.x, data.type.name, type.name) must lead to
// something that the folder declares. What a provider makes of the arguments it cannot
// know.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclparse"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"
)

func main() {
	var wrong []error
	for _, dir := range os.Args[1:] {
		wrong = append(wrong, check(dir)...)
	}
	if len(os.Args) == 1 {
		wrong = []error{errors.New("name a folder")}
	}
	for _, err := range wrong {
		fmt.Fprintln(os.Stderr, "terraform:", err)
	}
	if len(wrong) > 0 {
		os.Exit(1)
	}
}

// check returns all that is wrong with the files of a folder.
func check(dir string) (wrong []error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*.tf"))
	if err != nil || len(paths) == 0 {
		return []error{fmt.Errorf("%s has no Terraform: %w", dir, err)}
	}
	parser := hclparse.NewParser()
	declared := map[string]bool{}
	var bodies []*hclsyntax.Body
	for _, path := range paths {
		src, err := os.ReadFile(path)
		if err != nil {
			return append(wrong, err)
		}
		if !bytes.Equal(hclwrite.Format(src), src) {
			wrong = append(wrong, fmt.Errorf("%s is not formatted: terraform fmt", path))
		}
		file, found := parser.ParseHCL(src, path)
		if found.HasErrors() {
			wrong = append(wrong, found)
			continue
		}
		body := file.Body.(*hclsyntax.Body)
		bodies = append(bodies, body)
		declare(declared, body)
	}
	for _, body := range bodies {
		for _, r := range references(body, nil) {
			if !declared[r.name] {
				wrong = append(wrong, fmt.Errorf("%s: nothing declares %s", r.where, r.name))
			}
		}
	}
	return wrong
}

// declare adds what a file declares, by the name that it is referred to.
func declare(declared map[string]bool, body *hclsyntax.Body) {
	for _, b := range body.Blocks {
		switch name := strings.Join(b.Labels, "."); b.Type {
		case "variable":
			declared["var."+name] = true
		case "module", "data":
			declared[b.Type+"."+name] = true
		case "resource":
			declared[name] = true
		case "locals":
			for local := range b.Body.Attributes {
				declared["local."+local] = true
			}
		}
	}
}

type reference struct {
	name  string
	where hcl.Range
}

// references returns what the expressions of a body refer to. Names in own are those
// that the body itself gives: each, self, and the iterators of dynamic blocks.
func references(body *hclsyntax.Body, own []string) (all []reference) {
	for _, a := range body.Attributes {
		if a.Name == "type" && len(own) == 1 && own[0] == "variable" {
			continue // string, list(string): types, not values
		}
		for _, t := range a.Expr.Variables() {
			if r, ok := refer(t, own); ok {
				all = append(all, r)
			}
		}
	}
	for _, b := range body.Blocks {
		given := own
		switch b.Type {
		case "lifecycle": // names of arguments
			continue
		case "variable":
			given = []string{"variable"}
		case "dynamic":
			given = append(append([]string(nil), own...), b.Labels[0])
		}
		all = append(all, references(b.Body, given)...)
	}
	return all
}

// refer returns the reference that a traversal begins with, and false if it is to nothing
// that a folder declares.
func refer(t hcl.Traversal, own []string) (reference, bool) {
	root := t.RootName()
	var names []string
	for _, step := range t[1:] {
		attr, ok := step.(hcl.TraverseAttr)
		if !ok {
			break
		}
		names = append(names, attr.Name)
	}
	length := 1
	switch root {
	case "each", "count", "path", "self", "terraform":
		return reference{}, false
	case "data":
		length = 2
	}
	for _, name := range own {
		if root == name {
			return reference{}, false
		}
	}
	if len(names) < length {
		return reference{root, t.SourceRange()}, true
	}
	return reference{strings.Join(append([]string{root}, names[:length]...), "."), t.SourceRange()}, true
}
