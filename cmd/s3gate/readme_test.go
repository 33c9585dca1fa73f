package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"s3gate/internal/config"
)

// The README's example configuration is short and works as it stands.
func TestReadmeConfiguration(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(readme), "```yaml\n")
	example, _, closed := strings.Cut(rest, "```")
	if !found || !closed {
		t.Fatal("the README has no YAML example")
	}
	if n := strings.Count(example, "\n"); n > 12 {
		t.Errorf("the example has %d lines, at most 12", n)
	}
	dir := t.TempDir()
	key := filepath.Join(dir, "jwt.key")
	if err := os.WriteFile(key, []byte("0123456789abcdef0123456789abcdef\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "s3gate.yaml")
	example = strings.ReplaceAll(example, "/etc/s3gate/jwt.key", key)
	if err := os.WriteFile(path, []byte(example), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := config.Load(path, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if c.Buckets["docs"].Name != "my-company-docs" || c.Links.Cert == "" || c.Redis.Addrs[0] != "redis.internal:6379" {
		t.Errorf("the example became %+v", c)
	}
}

// Every setting is in the settings page with its flag, and the other way round is
// the business of whoever reads it.
func TestSettingsPage(t *testing.T) {
	page, err := os.ReadFile("../../docs/config.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range config.Names() {
		if !strings.Contains(string(page), "`"+name+"`") {
			t.Errorf("docs/config.md does not mention %s", name)
		}
	}
	for _, f := range flagSettings {
		if !strings.Contains(string(page), "`--"+f.flag+"`") {
			t.Errorf("docs/config.md does not mention --%s", f.flag)
		}
	}
}
