package web_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"

	"s3gate/web"
)

// Where texts are said.
var (
	inTemplate = regexp.MustCompile(`\bt ("(?:[^"\\]|\\.)*")`)
	inScript   = regexp.MustCompile(`\bt\(("(?:[^"\\]|\\.)*")`)
)

// Each text of the pages has a translation in every language.
func TestEveryTextIsTranslated(t *testing.T) {
	var texts []string
	for pattern, say := range map[string]*regexp.Regexp{
		"*.html": inTemplate, "*.js": inScript, "console/*.html": inTemplate, "console/*.js": inScript,
	} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %v", pattern, err)
		}
		for _, file := range files {
			for _, match := range say.FindAllStringSubmatch(read(t, file), -1) {
				text, err := strconv.Unquote(match[1])
				if err != nil {
					t.Fatalf("%s: %v", match[1], err)
				}
				texts = append(texts, text)
			}
		}
	}
	texts = append(texts, saidInGo(t)...)
	if len(texts) < 50 {
		t.Errorf("found %d texts only", len(texts))
	}
	for _, language := range web.Languages()[1:] {
		for _, text := range texts {
			if !language.Has(text) {
				t.Errorf("%s: no translation of %q", language.Tag(), text)
			}
		}
	}
}

// saidInGo finds what Say is called with.
func saidInGo(t *testing.T) (texts []string) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		source, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, source, 0)
		if err != nil {
			t.Fatal(err)
		}
		if file.Name.Name != "web" {
			continue
		}
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) == 0 {
				return true
			}
			if f, ok := call.Fun.(*ast.SelectorExpr); ok && f.Sel.Name == "Say" {
				if text, ok := call.Args[0].(*ast.BasicLit); ok {
					s, _ := strconv.Unquote(text.Value)
					texts = append(texts, s)
				}
			}
			return true
		})
	}
	return texts
}
