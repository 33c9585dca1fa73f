package deploy_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Files that the guide names are there, and commands of ours are commands.
func TestGuide(t *testing.T) {
	program(t, "make", "apt-get install make")
	guide := read(t, root, "docs", "deploy.md")
	for _, m := range regexp.MustCompile(`\bdeploy/[\w./-]*\w`).FindAllString(guide, -1) {
		if m == "deploy/compose/secrets" {
			continue // make-secrets.sh makes it
		}
		if _, err := os.Stat(filepath.Join(root, m)); err != nil {
			t.Error(err)
		}
	}
	commands := regexp.MustCompile("(?m)(?:^|/|`)s3gate ((?:[a-z]+ )*[a-z]+)(.*)$").FindAllStringSubmatch(guide, -1)
	if len(commands) < 8 {
		t.Errorf("only %d commands were found", len(commands))
	}
	for _, m := range commands {
		help, err := exec.Command(s3gate(t), append(strings.Fields(m[1]), "--help")...).CombinedOutput()
		if err != nil {
			t.Errorf("s3gate %s: %v", m[1], err)
		}
		for _, flag := range regexp.MustCompile(`--[a-z-]+`).FindAllString(m[2], -1) {
			if !strings.Contains(string(help), flag+" ") {
				t.Errorf("s3gate %s has no %s", m[1], flag)
			}
		}
	}
}

// The values in the guide are good ones.
func TestGuideValues(t *testing.T) {
	program(t, "make", "apt-get install make")
	_, rest, _ := strings.Cut(read(t, root, "docs", "deploy.md"), "```yaml values\n")
	values, _, found := strings.Cut(rest, "```")
	if !found {
		t.Fatal("the guide has no values")
	}
	path := filepath.Join(t.TempDir(), "values.yaml")
	write(t, path, values)
	all := chart(t, path)
	checkSettings(t, all["ConfigMap files-s3gate"].Data["s3gate.yaml"], all["Deployment files-s3gate"].Spec.Template.Spec)
	if _, ok := all["ServiceAccount files-s3gate"].Metadata.Annotations["eks.amazonaws.com/role-arn"]; !ok {
		t.Error("the role is not the service account's")
	}
}

// The settings for gates behind nginx and HAProxy are good ones, and the gates are then where
// the files look for them. The heads of the files say the same.
func TestFrontsSettings(t *testing.T) {
	program(t, "make", "apt-get install make")
	_, rest, _ := strings.Cut(read(t, "systemd", "s3gate.yaml"), "redis:")
	for heading, file := range map[string]string{"## nginx": "nginx/s3gate.conf", "## HAProxy": "haproxy/haproxy.cfg"} {
		_, section, _ := strings.Cut(read(t, root, "docs", "fronts.md"), "\n"+heading+"\n")
		settings := find(t, section, "(?s)```yaml\n(.*?)```")
		path := filepath.Join(t.TempDir(), "s3gate.yaml")
		write(t, path, settings+"redis:"+rest)
		configCheck(t, path, "S3GATE_API_JWT_HS256_KEY="+strings.Repeat("k", 32))
		head, body, _ := strings.Cut(read(t, file), "\n\n")
		for _, listener := range []string{"links", "api"} {
			port := find(t, settings, `\n`+listener+`: {addr: "(:\d+)"}`)
			find(t, body, `(10\.0\.0\.11`+port+`) `)
			find(t, head, `#   `+listener+`: {addr: "(`+port+`)"}`)
		}
		for _, setting := range []string{"trusted_proxies", "drain_delay"} {
			find(t, head, `#   (`+regexp.QuoteMeta(find(t, settings, `\n(`+setting+`: \S+)`))+`) `)
		}
	}
}

// Paths are links, and nginx has two logs that it writes them into.
func TestGuideKeepsLinksOutOfLogs(t *testing.T) {
	find(t, read(t, root, "docs", "deploy.md"), `(nginx\.ingress\.kubernetes\.io/enable-access-log: "false"\n)`)
	level := find(t, read(t, root, "docs", "deploy.md"), `\n  error-log-level: (\w+)\n`)
	if here := find(t, read(t, "nginx", "s3gate.conf"), `\n    error_log /dev/null (\w+);\n`); level != here {
		t.Errorf("the ingress writes errors from %s on, and our own nginx from %s", level, here)
	}
}

// Links between pages lead to pages, and to headings in them.
func TestLinksInPages(t *testing.T) {
	for _, page := range pages(t) {
		for _, m := range regexp.MustCompile(`\]\(([^)\s]+)\)`).FindAllStringSubmatch(read(t, root, page), -1) {
			if strings.HasPrefix(m[1], "https://") {
				continue
			}
			file, heading, _ := strings.Cut(m[1], "#")
			target := filepath.Join(root, filepath.Dir(page), file)
			if file == "" {
				target = filepath.Join(root, page)
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s: %v", page, err)
			} else if heading != "" && !headings(read(t, target))[heading] {
				t.Errorf("%s: %s has no heading %s", page, file, heading)
			}
		}
	}
}

// pages are all those that people read.
func pages(t *testing.T) []string {
	t.Helper()
	found := []string{"README.md", "SECURITY.md", "CONTRIBUTING.md", "CHANGELOG.md"}
	for _, pattern := range []string{"docs/*.md", "docs/decisions/*.md"} {
		more, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil || len(more) == 0 {
			t.Fatalf("%s: %v, %v", pattern, more, err)
		}
		for _, page := range more {
			page, err = filepath.Rel(root, page)
			if err != nil {
				t.Fatal(err)
			}
			found = append(found, page)
		}
	}
	return found
}

// headings are those of a page as GitHub names them, and other places in it.
func headings(text string) map[string]bool {
	all := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(text, -1) {
		title := regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`).ReplaceAllString(m[1], "$1")
		name := regexp.MustCompile(`[^\p{L}\p{N} _-]`).ReplaceAllString(strings.ToLower(title), "")
		all[strings.ReplaceAll(name, " ", "-")] = true
	}
	for _, m := range regexp.MustCompile(`<a id="([^"]+)">`).FindAllStringSubmatch(text, -1) {
		all[m[1]] = true
	}
	return all
}
