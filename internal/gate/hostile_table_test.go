package gate_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Each attack that docs/limits.md lists has the tests that it names, and they name it.
func TestAttacksHaveTests(t *testing.T) {
	docs := map[string]string{} // of tests, by their names
	for _, dir := range []string{".", "../../proxy"} {
		files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range parsed.Decls {
				if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil {
					docs[f.Name.Name] = f.Doc.Text()
				}
			}
		}
	}
	page, err := os.ReadFile("../../docs/limits.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]string{}
	for line := range strings.Lines(string(page)) {
		if m := regexp.MustCompile(`^\| (H\d+) \|.*\| ([^|]*) \|$`).FindStringSubmatch(strings.TrimSpace(line)); m != nil {
			rows[m[1]] = m[2]
		}
	}
	for i := range 12 {
		id := fmt.Sprint("H", i+1)
		names := regexp.MustCompile("`(\\w+)`").FindAllStringSubmatch(rows[id], -1)
		if len(names) == 0 {
			t.Errorf("%s has no tests", id)
		}
		for _, name := range names {
			doc, there := docs[name[1]]
			if !there {
				t.Errorf("%s: there is no %s", id, name[1])
			} else if !regexp.MustCompile(`\b` + id + `\b`).MatchString(doc) {
				t.Errorf("%s: the comment of %s does not name it", id, name[1])
			}
		}
	}
}
