package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// block is a piece of code in a page.
type block struct {
	kind string // what stands behind the fence
	text string
}

var fences = regexp.MustCompile("(?ms)^```([^`\n]*)\n(.*?)^```$")

// blocks returns the code in a page, of which the path is below the project's root.
func blocks(page string) ([]block, error) {
	raw, err := os.ReadFile(filepath.Join("../..", page))
	var found []block
	for _, m := range fences.FindAllStringSubmatch(string(raw), -1) {
		found = append(found, block{m[1], m[2]})
	}
	return found, err
}

// runPage runs what a page tells people to type, all of it in one shell, which reads
// testdata/before.sh first. EDITS has lines such as
//
//	what the page says => what this machine needs
//
// and each must change something. Of a console, what the page says is printed must be,
// but for the spaces; a line with … stands for any.
func runPage(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 1 || len(args) > 2 {
		ts.Fatalf("usage: page PAGE [EDITS]")
	}
	found, err := blocks(args[0])
	ts.Check(err)
	before, err := os.ReadFile("testdata/before.sh")
	ts.Check(err)
	var typed strings.Builder
	consoles := map[string]string{}
	for i, b := range found {
		switch b.kind {
		case "sh":
			typed.WriteString(b.text)
		case "console":
			command, output, _ := strings.Cut(strings.TrimPrefix(b.text, "$ "), "\n")
			file := fmt.Sprintf("console-%d.txt", i)
			consoles[file] = output
			fmt.Fprintf(&typed, "%s >%s 2>&1 || true\n", command, file)
		}
	}
	if typed.Len() == 0 {
		ts.Fatalf("%s tells nobody to type anything", args[0])
	}
	script := edited(ts, args, typed.String())
	file := ts.MkAbs("page.sh")
	ts.Check(os.WriteFile(file, []byte(string(before)+"set -v\n"+script), 0o600))
	ts.Check(ts.Exec("bash", file))
	for file, want := range consoles {
		got := strings.Join(strings.Fields(ts.ReadFile(file)), " ")
		for line := range strings.Lines(want) {
			if line = strings.Join(strings.Fields(line), " "); line != "…" && !strings.Contains(got, line) {
				ts.Fatalf("%s says this prints %q; it prints:\n%s", args[0], line, ts.ReadFile(file))
			}
		}
	}
}

// edited is a script as the last of the arguments wants it, if there are two.
func edited(ts *testscript.TestScript, args []string, script string) string {
	if len(args) < 2 {
		return script
	}
	for line := range strings.Lines(ts.ReadFile(args[1])) {
		old, replacement, ok := strings.Cut(strings.TrimSpace(line), " => ")
		if !ok || !strings.Contains(script, old) {
			ts.Fatalf("%s has no %q", args[0], line)
		}
		script = strings.ReplaceAll(script, old, replacement)
	}
	return script
}

// elsewhere are programs that commands of pages call which no test can run here: they
// need a machine, a cluster or an account.
var elsewhere = []string{"make", "go", "docker", "systemctl", "systemd-sysusers", "systemd-analyze", "kubectl", "helm", "terraform", "aws", "mc", "install", "umask", "apt-get", "journalctl", "jq", "promtool", "cd", "sh", "sed", "nginx"}

// Every command in a page is run by a script, or cannot be; then it is one all the
// same. And all code says what it is.
func TestCommandsInPages(t *testing.T) {
	run := map[string]bool{}
	scripts, err := filepath.Glob("testdata/script/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	for _, script := range scripts {
		raw, err := os.ReadFile(script)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`(?m)^page (\S+)`).FindAllStringSubmatch(string(raw), -1) {
			run[m[1]] = true
		}
		for _, m := range regexp.MustCompile(`\bsnippet (\S+) sh\b`).FindAllStringSubmatch(string(raw), -1) {
			run["docs/"+m[1]+" by name"] = true
		}
	}
	for _, page := range pages(t) {
		found, err := blocks(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range found {
			switch kind, rest, _ := strings.Cut(b.kind, " "); {
			case kind == "":
				t.Errorf("%s does not say what this is:\n%s", page, b.text)
			case (kind == "sh" || kind == "console") && rest == "" && !run[page]:
				t.Errorf("nothing runs what %s says:\n%s", page, b.text)
			case kind == "sh" && (rest == "elsewhere" || rest == "example"):
				checkElsewhere(t, page, b.text)
			case kind == "sh" && rest != "" && !run[page+" by name"]:
				t.Errorf("%s: %q", page, b.kind)
			}
		}
	}
}

// Code in a page is in a fence, where its kind stands, and a table ends with an empty
// line: otherwise what follows becomes a row of it.
func TestFormOfPages(t *testing.T) {
	for _, page := range pages(t) {
		raw, err := os.ReadFile(filepath.Join("../..", page))
		if err != nil {
			t.Fatal(err)
		}
		before := ""
		for line := range strings.Lines(fences.ReplaceAllString(string(raw), "```\n")) {
			line = strings.TrimRight(line, "\n")
			if before == "" && strings.HasPrefix(line, "    ") {
				t.Errorf("%s has code without a fence: %s", page, line)
			}
			if strings.HasPrefix(before, "|") && line != "" && !strings.HasPrefix(line, "|") {
				t.Errorf("%s has text in a table: %s", page, line)
			}
			before = line
		}
	}
}

// pages are those for users and operators.
func pages(t *testing.T) []string {
	t.Helper()
	found := []string{"README.md", "SECURITY.md", "CONTRIBUTING.md"}
	for _, pattern := range []string{"docs/*.md", "docs/decisions/*.md", "deploy/*/*.md"} {
		more, err := filepath.Glob(filepath.Join("../..", pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, page := range more {
			page, err = filepath.Rel("../..", page)
			if err != nil {
				t.Fatal(err)
			}
			found = append(found, filepath.ToSlash(page))
		}
	}
	return found
}

// checkElsewhere checks commands that are not run: those of ours are there, with what
// they are called with, and others are known.
func checkElsewhere(t *testing.T, page, text string) {
	t.Helper()
	for line := range strings.Lines(strings.ReplaceAll(text, "\\\n", " ")) {
		line = strings.TrimSpace(regexp.MustCompile(`(^| )#.*`).ReplaceAllString(line, ""))
		ours := regexp.MustCompile(`(?:^|[(/]|[;|] )(s3gate [a-z][^|>;)]*)`).FindAllStringSubmatch(line, -1)
		for _, m := range ours {
			words := regexp.MustCompile(`'[^']*'|"[^"]*"|\S+`).FindAllString(m[1], -1)
			for i := range words {
				words[i] = strings.Trim(words[i], `'"`)
			}
			parses(t, page, words)
		}
		name := regexp.MustCompile(`^(?:sudo |export |[A-Z0-9_]+=\S* )*\(?([\w-]*)`).FindStringSubmatch(line)[1]
		if len(ours) == 0 && name != "" && !slices.Contains(elsewhere, name) && !strings.HasPrefix(line, "export ") {
			t.Errorf("%s: nobody knows whether this works: %s", page, line)
		}
	}
}
