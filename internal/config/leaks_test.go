package config_test

import (
	"fmt"
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
	return loadText(t, minimal+"guard:\n  leaks:\n"+settings)
}

func loadText(t *testing.T, text string) (*config.Config, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s3gate.yaml")
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
		"    gates: [10.0.0.1]\n":                           "guard.leaks.gates: must hold networks such as 10.0.0.0/16, got \"10.0.0.1\"",
		"    keep: 0\n":                                     "guard.leaks.keep: must be 1 to 1000000, got 0",
		"    max_actions: 0\n":                              "guard.leaks.max_actions: must be 1 to 100000, got 0",
		"    sources: {a: {prefix: x}}\n":                   "guard.leaks.sources.a.bucket: or queue is required",
		"    sources: {a: {queue: logs}}\n":                 "guard.leaks.sources.a.queue: must be a URL",
		"    sources: {a: {bucket: b, access_key_id: x}}\n": "guard.leaks.sources.a.access_key_id: and secret_access_key go together",
		"    sources: {a: {bucket: b, access_key_id: x, secret_access_key: y, profile: z}}\n":                   "guard.leaks.sources.a.profile: and access_key_id exclude each other",
		"    sources: {a: {queue: \"https://sqs.eu-central-1.amazonaws.com/1/logs\", bucket: b, prefix: x/}}\n": `guard.leaks.sources.a.prefix: is for a bucket that is listed, and not for a queue; got "x/"`,
		"    sources: {a: {bucket: b, endpoint: minio.example.com}}\n":                                          "guard.leaks.sources.a.endpoint: must be a URL such as https://minio.example.com",
		"    sources: {a: {bucket: b, endpoint: \"https://u:p@minio.example.com\"}}\n":                          "guard.leaks.sources.a.endpoint: must be a URL such as https://minio.example.com",
		"    actions: {a: {kind: presigned, do: [revoke_token]}}\n":                                             "guard.leaks.actions.a: do must not hold revoke_token for kind presigned, only for [shared]",
		"    actions: {a: {kind: canary}}\n":                                                                    "guard.leaks.actions.a: do must name at least one of",
		"    actions: {a: {do: [shout]}}\n":                                                                     `guard.leaks.actions.a: do must be of [revoke_key revoke_subject revoke_token lock], got "shout"`,
		"    actions: {a: {kind: x, do: [lock]}}\n":                                                             "guard.leaks.actions.a: kind must be one of",
	} {
		if _, err := loadLeaks(t, settings); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s%v, want %s", settings, err, want)
		}
	}
}

// Two aliases of one bucket are one for the logs, and what is done is done for both.
func TestAllAliasesOfABucketAreWatched(t *testing.T) {
	c := &config.Config{Buckets: map[string]config.Bucket{
		"b":     {Name: "data", Signing: "query", Principal: "arn:b", VerifyKey: "there", AccessKeyID: "AKIAB"},
		"a":     {Name: "data", VerifyKey: "too", AssumeRole: config.AssumeRole{RoleARN: "arn:role"}, AccessKeyID: "AKIAA"},
		"other": {Name: "other"},
		"far":   {Name: "far"},
	}}
	c.Guard.Leaks.Gates = []string{"10.0.0.0/8"}
	w := c.WatchedBuckets()
	got := fmt.Sprintf("%+v", w["data"])
	want := "{Alias:a Principals:[arn:b] Networks:[10.0.0.0/8] Probes:[too there] Provers:[arn:role arn:b AKIAB]}"
	if len(w) != 3 || got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	for alias, want := range map[string]string{"a": "[a b]", "b": "[a b]", "other": "[other]", "unknown": "[]"} {
		if got := fmt.Sprint(c.LeakAliases(&leakwatch.Finding{Bucket: alias})); got != want {
			t.Errorf("%s: %s, want %s", alias, got, want)
		}
	}
}

func TestBucketsOfOneNameAtTwoStoresAreNotWatchedByLogs(t *testing.T) {
	const buckets = "    sources: {a: {bucket: logs}}\nbuckets:\n  one: {name: data}\n  two: {name: data%s}\n"
	head, _, _ := strings.Cut(minimal, "buckets:")
	for more, want := range map[string]string{
		"": "", ", endpoint: https://minio.example.com": `guard.leaks.sources: logs cannot tell buckets.one from buckets.two: both are named "data", at different endpoints`,
	} {
		_, err := loadText(t, head+"guard:\n  leaks:\n"+fmt.Sprintf(buckets, more))
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: %v, want %q", more, err, want)
		}
	}
}

func TestFindingsInEventsNeedEvents(t *testing.T) {
	const hidden, mute = "audit: {client_address: none}\n", "events: {stream: {max_len: 0}}\n"
	for _, test := range []struct{ settings, want string }{
		{hidden, ""},
		{mute, ""},
		{hidden + "guard: {leaks: {networks: 0}}\n", ""},
		{hidden + "guard: {leaks: {networks: 3}}\n", "guard.leaks.networks: needs audit.client_address full or prefix; got 3 networks and none"},
		{mute + "guard: {leaks: {networks: 3}}\n", "guard.leaks.networks: needs events.stream.max_len of more than 0; got 3 networks"},
		{hidden + "guard: {leaks: {actions: {a: {kind: canary, do: [lock]}}}}\n", ""},
		{hidden + "guard: {leaks: {actions: {a: {kind: shared, do: [lock]}}}}\n", "guard.leaks.actions.a: kind shared is never found while guard.leaks.networks is 0"},
		{mute + "guard: {leaks: {actions: {a: {kind: canary, do: [lock]}}}}\n", "guard.leaks.actions.a: kind canary is found in events: events.stream.max_len must be more than 0"},
	} {
		_, err := loadText(t, minimal+test.settings)
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s%v, want %q", test.settings, err, test.want)
		}
	}
}
