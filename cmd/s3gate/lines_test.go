package main

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"s3gate/web"
)

// samples are what stands for {name} in the lines of the console, and what its flags
// get; "" is for a flag that takes nothing.
var samples = map[string]string{
	"id": "tok_jvq4zxt2b7hn5c3kd6ryo2mweu", "ids": "tok_jvq4zxt2b7hn5c3kd6ryo2mweu", "operation": "get", "target": "docs/report.pdf",
	"subject": "ada@example.com", "issuer": "https://id.example.com", "label": "team=press", "labels": "team=press", "bucket": "docs", "prefix": "2030/",
	"state": "active", "reason": "laptop stolen", "issued_before": "2030-01-31T12:00:00Z", "expires_in": "1h", "max_uses": "3", "all": "", "standing": "",
	"dry_run": "", "type": "s3gate.token.minted.v1", "below": "", "passcode_file": "-", "filename": "a b.pdf", "list": "", "max_bytes": "1000", "overwrite": "",
	"confirm": "always", "shared_by": "The press office", "message": "Here are the figures.", "previews": "",
}

// Each line that the console says, with each flag that it may add, is one that this
// program takes.
func TestConsoleLines(t *testing.T) {
	var lines map[string]struct {
		Line  string
		Flags map[string]string
	}
	if err := json.Unmarshal([]byte(web.ConsoleLines()), &lines); err != nil || len(lines) < 10 {
		t.Fatalf("%d lines: %v", len(lines), err)
	}
	for action, l := range lines {
		words := strings.Fields(regexp.MustCompile(`\{(\w+)\}`).ReplaceAllStringFunc(l.Line, func(name string) string {
			return samples[strings.Trim(name, "{}")]
		}))
		parses(t, action, words)
		for name, flag := range l.Flags {
			value, known := samples[name]
			switch {
			case !known:
				t.Errorf("%s: no sample of %s", action, name)
			case value == "":
				parses(t, action, append(words[:len(words):len(words)], flag))
			default:
				parses(t, action, append(words[:len(words):len(words)], flag, value))
			}
		}
	}
}

// parses checks that the command is there, and takes these arguments.
func parses(t *testing.T, action string, words []string) {
	t.Helper()
	if words[0] != "s3gate" {
		t.Fatalf("%s: %q is not of this program", action, words)
	}
	cmd, rest, err := newRoot().Find(words[1:])
	if err == nil && cmd.HasSubCommands() && !cmd.Runnable() {
		t.Errorf("%s: %q is not a command", action, words)
		return
	}
	if err == nil {
		err = cmd.ParseFlags(rest)
	}
	if err == nil {
		err = cmd.ValidateArgs(cmd.Flags().Args())
	}
	if err != nil {
		t.Errorf("%s: %q: %v", action, words, err)
	}
}
