package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"s3gate/guard/leakwatch"
	"s3gate/internal/config"
)

// loadLeaks loads the least configuration with settings of the leak watch.
func loadLeaks(t *testing.T, settings string) (*config.Config, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s3gate.yaml")
	text := minimal + "guard:\n  leaks:\n" + settings
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return config.Load(path, nil, nil)
}

func TestLeakSettings(t *testing.T) {
	c, err := loadLeaks(t, `
    sources:
      access: {bucket: logs, prefix: docs/, region: eu-central-1, path_style: true}
      queue: {queue: "https://sqs.eu-central-1.amazonaws.com/1/logs"}
    window: 2h
    actions:
      b: {kind: canary, do: [revoke_subject]}
      a: {outcome: allowed, do: [lock, revoke_key]}
`)
	if err != nil {
		t.Fatal(err)
	}
	l := &c.Guard.Leaks
	rules := l.Rules()
	if len(rules) != 2 || rules[0].Outcome != leakwatch.Allowed || len(rules[0].Do) != 2 || rules[1].Kind != leakwatch.Canary {
		t.Errorf("%+v", rules)
	}
	access := l.Sources["access"]
	reach := access.Reach()
	if reach.Name != "logs" || reach.Region != "eu-central-1" || !reach.PathStyle || l.Window != 2*time.Hour || l.Networks != 5 {
		t.Errorf("%+v, %+v", l, reach)
	}
}

func TestWrongLeakSettings(t *testing.T) {
	for settings, want := range map[string]string{
		"    window: 0s\n":                                  "guard.leaks.window: must be more than 0, got 0s",
		"    networks: -1\n":                                "guard.leaks.networks: must be 0 to 1000, got -1",
		"    keep: 0\n":                                     "guard.leaks.keep: must be 1 to 1000000, got 0",
		"    max_actions: 0\n":                              "guard.leaks.max_actions: must be 1 to 100000, got 0",
		"    sources: {a: {prefix: x}}\n":                   "guard.leaks.sources.a.bucket: or queue is required",
		"    sources: {a: {queue: logs}}\n":                 "guard.leaks.sources.a.queue: must be a URL",
		"    sources: {a: {bucket: b, access_key_id: x}}\n": "guard.leaks.sources.a.access_key_id: and secret_access_key go together",
		"    sources: {a: {bucket: b, access_key_id: x, secret_access_key: y, profile: z}}\n": "guard.leaks.sources.a.profile: and access_key_id exclude each other",
		"    actions: {a: {kind: canary}}\n":                                                  "guard.leaks.actions.a: do must name at least one of",
		"    actions: {a: {do: [shout]}}\n":                                                   `guard.leaks.actions.a: do must be of [revoke_key revoke_subject revoke_token lock], got "shout"`,
		"    actions: {a: {kind: x, do: [lock]}}\n":                                           "guard.leaks.actions.a: kind must be one of",
	} {
		if _, err := loadLeaks(t, settings); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s%v, want %s", settings, err, want)
		}
	}
}
