package deploy_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Every page of docs is in the table of contents, the site has each, and no link in it
// leads nowhere, or to another origin's style or script.
func TestSite(t *testing.T) {
	out := t.TempDir()
	cmd := exec.Command("go", "run", ".", "-root", "../..", "-out", out)
	cmd.Dir = filepath.Join(root, "tools", "site")
	if said, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	site := map[string]string{}
	files, err := filepath.Glob(filepath.Join(out, "*.html"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		site[filepath.Base(file)] = read(t, file)
	}
	contents := read(t, root, "docs", "README.md")
	for _, page := range pages(t) {
		if name, inDocs := strings.CutPrefix(page, "docs/"); inDocs && !strings.Contains(name, "/") && name != "README.md" && !strings.Contains(contents, "]("+name+")") {
			t.Errorf("docs/README.md does not name %s", name)
		}
	}
	if len(site) < 50 {
		t.Errorf("the site has %d pages", len(site))
	}
	for file, text := range site {
		for _, m := range regexp.MustCompile(`(?:href|src)="([^"]*)"`).FindAllStringSubmatch(text, -1) {
			checkLink(t, site, out, file, m[1])
		}
		for _, m := range regexp.MustCompile(`<(?:script|img|iframe|link)[^>]*(?:src|href)="(?:https?:)?//`).FindAllString(text, -1) {
			t.Errorf("%s loads something: %s", file, m)
		}
	}
}

// checkLink checks where a link in a page of the site leads to.
func checkLink(t *testing.T, site map[string]string, out, file, link string) {
	t.Helper()
	if strings.Contains(link, "://") || strings.HasPrefix(link, "mailto:") {
		return
	}
	name, anchor, _ := strings.Cut(link, "#")
	if name == "" {
		name = file
	}
	text, page := site[name]
	if _, err := os.Stat(filepath.Join(out, name)); err != nil {
		t.Errorf("%s: %v", file, err)
	} else if page && anchor != "" && !strings.Contains(text, `id="`+anchor+`"`) {
		t.Errorf("%s: %s has no %s", file, name, anchor)
	}
}
