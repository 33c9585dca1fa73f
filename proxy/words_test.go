package proxy

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"s3gate/tokens"
	"s3gate/web"
)

// What a person may read of a problem is in every language.
func TestProblemsAreTranslated(t *testing.T) {
	var texts []string
	for _, c := range causes {
		texts = append(texts, c.message)
	}
	for _, p := range storageCodes {
		texts = append(texts, p.message)
	}
	for _, e := range []*tusError{errTusVersion, errPatchType, errOffsetForm, errOffset, errBroken, errBeyond, errComplete,
		errUploadLength, errUploadDefer, errUploadConcat, errPairs, errChecksum, errChecksumForm, errChecksumLength} {
		texts = append(texts, e.message)
	}
	for _, err := range []error{&methodError{}, &rangeError{}, &tokens.SpentError{}, &tooLargeError{size: -1}, &tooLargeError{size: 1},
		&missingError{}, &typeError{sniffed: true}, &typeError{}, &tokens.TriesError{}, errWrongPasscode, os.ErrInvalid} {
		p := problemOf(err)
		texts = append(texts, p.message)
		if q := questionOf(err); q != nil && q.problem != "" {
			texts = append(texts, q.problem)
		}
	}
	for _, e := range explanations {
		texts = append(texts, e.heading)
		if e.advice != "" {
			texts = append(texts, e.advice)
		}
	}
	for _, language := range web.Languages()[1:] {
		for _, text := range texts {
			if !language.Has(text) {
				t.Errorf("%s: no translation of %q", language.Tag(), text)
			}
		}
	}
}

// Every code that an answer can have is explained to people, and what passes by
// itself can be tried again.
func TestEveryProblemIsExplained(t *testing.T) {
	codes := codesInSource(t)
	if len(codes) < 35 {
		t.Errorf("found %d codes only", len(codes))
	}
	for code := range codes {
		if explanations[code].heading == "" {
			t.Errorf("%s has no heading", code)
		}
	}
	for code := range explanations {
		if !codes[code] {
			t.Errorf("%s is explained, and no problem has it", code)
		}
	}
	for _, c := range causes {
		if c.retry > 0 && !explanations[c.code].again {
			t.Errorf("%s has Retry-After, and its page has no button", c.code)
		}
	}
}

// codesInSource are the codes of all problems that the package makes.
func codesInSource(t *testing.T) map[string]bool {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	codes := map[string]bool{}
	note := func(e ast.Expr) {
		if text, ok := e.(*ast.BasicLit); ok && text.Kind == token.STRING {
			code, _ := strconv.Unquote(text.Value)
			codes[code] = true
		}
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.KeyValueExpr:
				if key, ok := n.Key.(*ast.Ident); ok && key.Name == "code" {
					note(n.Value)
				}
			case *ast.CallExpr:
				if f, ok := n.Fun.(*ast.Ident); ok && f.Name == "tusProblem" && len(n.Args) > 1 {
					note(n.Args[1])
				}
			}
			return true
		})
	}
	return codes
}
